//! `slatest run`: a profile against a target, to its verdict.

use std::path::PathBuf;

use clap::Args;

use super::Exit;
use super::agents::{JoinOptions, LocalAgents};
use super::conclude::{conclude, conclude_series};
use super::failure::{tell, tell_led};
#[cfg(feature = "kubernetes")]
use super::pods::PodArgs;
use super::prepare::{Found, PlanArgs, find};
use super::process::{begin, realtime, workers_default};
use super::report_files::Telling;
use super::terminal::Terminal;
use super::watch::WatchArgs;
use crate::quick::LoadArgs;
use slatest_cluster::lead::{BringAgents, LeadOptions, lead};
use slatest_core::model::{Nanos, Span};
use slatest_core::say;
use slatest_engine::load::Stop;
use slatest_engine::record::REPEATS_MAX;
use slatest_engine::run::{RunError, RunOptions, Selection, series, single};

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
    #[command(flatten)]
    watch: WatchArgs,
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
            watch: WatchArgs::default(),
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
    let stop = match ready(args) {
        Ok(stop) => stop,
        Err(exit) => return exit,
    };
    if args.repeat.is_some() && args.by_agents() {
        say!("slatest: --repeat repeats drills, and those are led by one process: leave the agents out");
        return Exit::Usage;
    }
    let terminal = Terminal::new(args.telling.quiet);
    match find(&args.plan) {
        Ok(found) => go(args, &found, &stop, terminal),
        Err(error) => tell(&error),
    }
}

/// Runs what is said on the command line alone.
pub(super) fn run_found(args: &RunArgs, found: Result<Found, RunError>) -> Exit {
    match (ready(args), found) {
        (Err(exit), _) => exit,
        (_, Err(error)) => tell(&error),
        (Ok(stop), Ok(found)) => go(args, &found, &stop, Terminal::new(args.telling.quiet)),
    }
}

/// Sets this process up, and refuses what could not be told in the end.
fn ready(args: &RunArgs) -> Result<Stop, Exit> {
    let stop = begin()?;
    args.telling.ready()?;
    if args.realtime {
        realtime(args.by_pods())?;
    }
    if args.repeat.is_some() && !args.telling.files.is_empty() {
        say!("slatest: --report is of one run; for a series: slatest report SERIES --format markdown, and so on");
        return Err(Exit::Usage);
    }
    Ok(stop)
}

/// The sandbox is part of `found`, and goes last: sessions have said goodbye by then.
fn go(args: &RunArgs, found: &Found, stop: &Stop, terminal: Terminal) -> Exit {
    let watched = match args.watch.start() {
        Ok(watched) => watched,
        Err(exit) => return exit,
    };
    let exit = go_on(args, &found.selection, stop, &mut terminal.beside(watched.live()));
    watched.linger(stop);
    exit
}

fn go_on(args: &RunArgs, selection: &Selection, stop: &Stop, terminal: &mut Terminal) -> Exit {
    let options = || RunOptions {
        out: args.out.clone(),
        command: args.command(),
        workers: args.workers.map_or_else(workers_default, usize::from),
    };
    if let Some(repeats) = args.repeat {
        return match series(selection, repeats, &options(), stop, terminal) {
            Ok(outcome) => conclude_series(&outcome),
            Err(error) => tell(&error),
        };
    }
    if args.by_agents() {
        let (options, agents) = args.lead_options();
        return match lead(selection, &options, &*agents, stop, terminal) {
            Ok(outcome) => conclude(&outcome, &args.telling),
            Err(error) => tell_led(&error),
        };
    }
    match single(selection, &options(), stop, terminal) {
        Ok(outcome) => conclude(&outcome, &args.telling),
        Err(error) => tell(&error),
    }
}

impl RunArgs {
    /// The command line as it may be recorded.
    fn command(&self) -> Vec<String> {
        self.command.clone().unwrap_or_else(|| std::env::args().collect())
    }

    /// How agents are led, and how they come.
    fn lead_options(&self) -> (LeadOptions, Box<dyn BringAgents>) {
        let (agents, addresses, bring, listen) = self.bringing();
        let listen = self.listen.clone().unwrap_or_else(|| listen.into());
        let join_options = JoinOptions { listen, wait: self.wait, token_ttl: self.wait, token_file: None };
        let (out, command) = (self.out.clone(), self.command());
        (join_options.lead_options(agents, addresses, out, command), bring)
    }

    /// How many agents, from how many addresses, how they come, and where they find the coordinator by default.
    fn bringing(&self) -> (u64, u64, Box<dyn BringAgents>, &'static str) {
        #[cfg(feature = "kubernetes")]
        if let Some(agents) = self.pods.agents.filter(|_| self.pods.kubernetes) {
            return (agents.into(), agents.into(), Box::new(self.pods.clone()), "127.0.0.1:7420");
        }
        let agents = self.local_agents.unwrap_or(1);
        // The processors are shared out; what is left over is nobody's.
        let each = (workers_default() / usize::try_from(agents).unwrap_or(usize::MAX)).max(1);
        let workers = self.workers.map_or(each, usize::from);
        (agents, 1, Box::new(LocalAgents { workers, realtime: self.realtime }), "127.0.0.1:0")
    }
}
