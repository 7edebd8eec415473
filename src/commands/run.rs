//! `slatest run`: a profile against a target, to its verdict.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::Exit;
use super::coordinate::{Bringing, JoinOptions, Leading, lead};
use super::drills;
#[cfg(feature = "kubernetes")]
use super::pods::PodArgs;
use super::prepare::{Found, PlanArgs, Prepared, find, spread};
use super::process::{NothingSentYet, begin, realtime, workers_default};
use super::report_files::Telling;
use super::run_recorder::{Ended, NotRun, RunRecorder, tell};
use super::series;
use super::writes::Writes;
use crate::quick::LoadArgs;
use slatest_core::model::{Nanos, Span};
use slatest_core::say;
use slatest_engine::load::{DrillGround, Engine, EngineError, Stop, reach};
use slatest_engine::profile::Resolved;
use slatest_engine::record::{Opening, REPEATS_MAX, RunWriter, TargetRecord};
use slatest_faults::Proxies;

/// Arguments of `slatest run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest run --profile peak                        embedded sandbox, nothing else needed
  slatest run --profile peak --target staging       the endpoints of targets/staging.yaml
  slatest run --profile smoke --rate api=20/s --duration 1m --seed 7
  slatest run --profile drill-database --target stack --drills --repeat 14
                                                    again and again: with what confidence it recovers
  slatest run --profile peak --local-agents 4       the same run, made by four processes
  slatest run --profile peak --target staging --kubernetes --agents 20 --namespace load \\
              --listen 0.0.0.0:7420 --advertise load.example.internal:7420

Exit codes: 0 pass, 99 an objective failed, 98 inconclusive, 97 void, 96 all held and the results could
not be saved (any other verdict keeps its code), 2 wrong usage, 3 refused,
103 target unreachable, 104 invalid file, 105 interrupted, 1 unexpected.")]
pub struct RunArgs {
    #[command(flatten)]
    pub(super) plan: PlanArgs,
    /// Where the results go, in a folder of their own
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    pub(super) out: PathBuf,
    /// Worker threads [default: one for each core, at most 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Worker threads in the real-time class, before everything else on this machine: where generator and target
    /// share it, the target waits then and not the generator. Refused where the system doesn't allow it
    #[arg(long)]
    realtime: bool,
    /// Makes the load by so many agents, as processes of this machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256))]
    local_agents: Option<u64>,
    #[cfg(feature = "kubernetes")]
    #[command(flatten)]
    pods: PodArgs,
    /// Where agents reach this process [default: a loopback address]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// How long to wait until all agents have joined, and then until all are ready
    #[arg(long, value_name = "DURATION", default_value_t = Span(Nanos::from_secs(600)))]
    wait: Span,
    /// Runs a profile with drills so many times, each with a seed of its own, the target sound again in between,
    /// and tells how the recovery times lie and with what confidence the targets hold
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=REPEATS_MAX))]
    repeat: Option<u64>,
    #[command(flatten)]
    telling: Telling,
    /// The command line as it may be recorded, where it held credentials.
    #[arg(skip)]
    command: Option<Vec<String>>,
}

impl RunArgs {
    /// For what the command line alone says, in the profile and the target of this name.
    pub(super) fn quick(name: &str, load: &LoadArgs, command: Vec<String>) -> Self {
        Self {
            plan: PlanArgs::looking(name.to_owned(), Some(name.to_owned()), false),
            out: load.out.clone(),
            command: Some(command),
            workers: None,
            realtime: false,
            local_agents: None,
            #[cfg(feature = "kubernetes")]
            pods: PodArgs::default(),
            listen: None,
            wait: Span(Nanos::from_secs(600)),
            repeat: None,
            telling: load.telling.clone(),
        }
    }

    /// Whether the load is made by pods of a cluster.
    const fn by_pods(&self) -> bool {
        #[cfg(feature = "kubernetes")]
        return self.pods.kubernetes;
        #[cfg(not(feature = "kubernetes"))]
        false
    }

    pub(super) fn by_agents(&self) -> bool {
        self.by_pods() || self.local_agents.is_some()
    }
}

/// Runs it.
pub fn run(args: &RunArgs) -> Exit {
    let stop = match begin() {
        Ok(stop) => stop,
        Err(exit) => return exit,
    };
    if let Err(exit) = args.telling.ready() {
        return exit;
    }
    if args.realtime
        && let Err(exit) = realtime(args.by_pods())
    {
        return exit;
    }
    if let Some(repeats) = args.repeat {
        if !args.telling.files.is_empty() {
            say!("slatest: --report is of one run; for a series: slatest report SERIES --format markdown, and so on");
            return Exit::Usage;
        }
        return series::run(args, repeats, &stop);
    }
    if args.by_agents() {
        return by_agents(args, &stop);
    }
    let idle = NothingSentYet::begin();
    match find(&args.plan) {
        Ok(found) => run_prepared(args, found, idle, &stop),
        Err(exit) => exit,
    }
}

/// Runs what was found without files of its own.
pub(super) fn run_found(args: &RunArgs, found: Found) -> Exit {
    if let Err(exit) = args.telling.ready() {
        return exit;
    }
    match begin() {
        Ok(stop) => run_prepared(args, found, NothingSentYet::begin(), &stop),
        Err(exit) => exit,
    }
}

fn run_prepared(args: &RunArgs, found: Found, idle: NothingSentYet, stop: &Stop) -> Exit {
    let Prepared { resolved, sandbox } = match found.prepare(&args.plan) {
        Ok(prepared) => prepared,
        Err(exit) => return exit,
    };
    if let Err(exit) = spread(&args.plan, &resolved.plan, &resolved.target, 1) {
        return exit;
    }
    let proxies = match drills::put_up_proxies(&resolved.target) {
        Ok(proxies) => proxies,
        Err(exit) => return exit,
    };
    drop(idle);
    let exit = match one(args, resolved, proxies, stop, &mut |_| Ok(())) {
        Ok(ended) => tell(&ended),
        Err(not) => not.say(),
    };
    // The sandbox goes last: sessions have said goodbye by now.
    drop(sandbox);
    exit
}

/// One run to its record. `begun` is told of its folder before anything is sent.
///
/// # Errors
/// Why there is no record.
pub(super) fn one(
    args: &RunArgs,
    resolved: Resolved,
    proxies: Arc<Proxies>,
    stop: &Stop,
    begun: &mut dyn FnMut(&RunWriter) -> Result<(), NotRun>,
) -> Result<Ended, NotRun> {
    let alerts = drills::alerts(&resolved).map_err(|reason| NotRun::new(Exit::Invalid, reason))?;
    let idle = NothingSentYet::begin();
    let health = reach(&resolved.plan, &resolved.workloads).map_err(|unreachable| {
        let each: Vec<String> = unreachable.iter().map(ToString::to_string).collect();
        NotRun::new(Exit::Unreachable, each.join("\nslatest: "))
    })?;
    drop(idle);
    NothingSentYet::is_over();
    if stop.is_asked() {
        return Err(NotRun::new(Exit::Interrupted, "interrupted before anything was sent"));
    }
    let opening = Opening {
        plan: resolved.plan.clone(),
        target: TargetRecord::new(&resolved.target),
        command: args.command.clone().unwrap_or_else(|| std::env::args().collect()),
        health,
        started: Timestamp::now(),
    };
    let writer = RunWriter::create(&args.out, opening).map_err(|error| NotRun::new(Exit::Unexpected, error))?;
    begun(&writer)?;
    let workers = args.workers.map_or_else(workers_default, usize::from);
    let ground = DrillGround {
        hosts: resolved.target.allow.hosts.clone(),
        folders: resolved.fault_folders,
        proxies,
        alerts,
        folder: writer.folder().to_owned(),
    };
    let mut engine = Engine::alone(Arc::new(resolved.plan), resolved.workloads, workers, stop.clone());
    engine.drills = Some(ground);
    let writes = Writes::begin(&mut engine, &resolved.run, writer.folder()).map_err(|error| {
        let folder = writer.folder().display();
        NotRun::new(Exit::Unexpected, format!("the ledger of writes can't be begun in {folder}: {error}"))
    })?;
    conduct(engine, writer, writes, &args.telling)
}

/// Sends the load, writing and showing it as it goes.
fn conduct(engine: Engine, writer: RunWriter, writes: Option<Writes>, telling: &Telling) -> Result<Ended, NotRun> {
    let mut recorder = RunRecorder::new(Arc::clone(&engine.plan), writer, telling);
    let stop = engine.stop.clone();
    let facts = engine.run(&mut |event| recorder.take(&event));
    match facts {
        Ok(mut facts) => {
            if writes.is_some() && !facts.drills.is_empty() {
                recorder.say("reading back what was written".into());
            }
            if let Some(flaw) = writes.and_then(|writes| writes.conclude(&mut facts, &stop)) {
                recorder.note(flaw);
            }
            Ok(recorder.record(&facts))
        }
        Err(error @ EngineError::NotReady(_)) => {
            recorder.quieten();
            Err(NotRun::new(Exit::Unreachable, error))
        }
        Err(error @ EngineError::Worker(_)) => {
            recorder.quieten();
            let folder = recorder.folder().display();
            Err(NotRun::new(Exit::Void, format!("{error}; what was measured until then is in {folder}")))
        }
    }
}

/// The same by agents that this process leads.
fn by_agents(args: &RunArgs, stop: &Stop) -> Exit {
    let idle = NothingSentYet::begin();
    let found = match find(&args.plan) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    drop(idle);
    let (agents, addresses, bringing) = bringing(args);
    let listen = args.listen.clone().unwrap_or_else(|| match bringing {
        Bringing::Local { .. } => "127.0.0.1:0".into(),
        _ => "127.0.0.1:7420".into(),
    });
    let join_options = JoinOptions { listen, wait: args.wait, token_ttl: args.wait, token_file: None };
    let (plan, out, telling) = (&args.plan, &args.out, &args.telling);
    let leading = Leading { plan, agents, addresses, join_options: &join_options, out, telling };
    lead(found, &leading, bringing, stop)
}

/// How many agents, from how many addresses, and how they come.
fn bringing(args: &RunArgs) -> (u64, u64, Bringing) {
    #[cfg(feature = "kubernetes")]
    if let Some(agents) = args.pods.agents.filter(|_| args.pods.kubernetes) {
        return (agents.into(), agents.into(), Bringing::Kubernetes(Box::new(args.pods.clone())));
    }
    let agents = args.local_agents.unwrap_or(1);
    // The processors are shared out; what is left over is nobody's.
    let each = (workers_default() / usize::try_from(agents).unwrap_or(usize::MAX)).max(1);
    let workers = args.workers.map_or(each, usize::from);
    (agents, 1, Bringing::Local { workers, realtime: args.realtime })
}
