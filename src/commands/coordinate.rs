//! What every verb does that leads a run of many agents, however they are brought.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::Exit;
use super::fleet_line::fleet_line;
use super::join::{JoinInfo, hand_out};
use super::local_agents::LocalAgents;
use super::prepare::{Found, PlanArgs, run_name, spread};
use super::report_files::Telling;
use super::run_recorder::RunRecorder;
use slatest_cluster::coordinator::{Coordinator, CoordinatorError, CoordinatorSetup, Told};
use slatest_cluster::identity::{IdentityError, RunAuthority};
use slatest_cluster::journal::{self, JournalError};
use slatest_cluster::wire;
use slatest_core::model::{Nanos, Span};
use slatest_core::say;
use slatest_engine::load::{Event, Phase, Stop};
use slatest_engine::profile::Plan;
use slatest_engine::profile::Target;
use slatest_engine::record::{Opening, RunWriter, TargetRecord, locate, resumable};

/// Where the coordinator's secrets lie in a run's folder until the run is over.
const SECRETS: &str = "cluster/authority";

/// How much of what is told of agents that are brought is told again when they don't come.
const PLACEMENTS_MAX: usize = 20;

/// How agents find their way in.
#[derive(Clone, Debug, Args)]
pub struct JoinOptions {
    /// Where agents reach the coordinator. Anything but a loopback address is open to the network
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7420")]
    pub listen: String,
    /// How long to wait until all agents have joined, and then until all are ready
    #[arg(long, value_name = "DURATION", default_value_t = Span(Nanos::from_secs(600)))]
    pub wait: Span,
    /// How long the token lets agents in
    #[arg(long, value_name = "DURATION", default_value_t = Span(Nanos::from_secs(3_600)))]
    pub token_ttl: Span,
    /// Writes the token to a file that only its owner reads, instead of printing it
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// How agents are brought.
#[derive(Clone, Debug)]
pub enum Bringing {
    /// Somebody starts them: they are told how.
    ByHand {
        /// Where certificates go for those that join by files.
        certificates: Option<PathBuf>,
    },
    /// Processes of this machine, with so many workers each.
    Local {
        /// Whether their workers are in the real-time class.
        realtime: bool,
        /// Worker threads of each.
        workers: usize,
    },
    /// Pods.
    #[cfg(feature = "kubernetes")]
    Kubernetes(Box<super::pods::PodArgs>),
}

/// What is led.
#[derive(Clone, Copy, Debug)]
pub struct Leading<'a> {
    /// The plan's arguments.
    pub plan: &'a PlanArgs,
    /// How many agents.
    pub agents: u64,
    /// From how many addresses they send.
    pub addresses: u64,
    /// How they find their way in.
    pub join_options: &'a JoinOptions,
    /// Where results go.
    pub out: &'a Path,
    /// How it is told.
    pub telling: &'a Telling,
}

/// What lives as long as the agents are wanted.
enum Brought {
    Nothing,
    Local(LocalAgents),
    #[cfg(feature = "kubernetes")]
    Pods(slatest_cluster::kubernetes::Placement),
}

type Failure = (Exit, String);

fn unexpected(reason: impl std::fmt::Display) -> Failure {
    (Exit::Unexpected, reason.to_string())
}

/// Leads a run to its verdict.
pub fn lead(found: Found, leading: &Leading<'_>, bringing: Bringing, stop: &Stop) -> Exit {
    match try_lead(&found, leading, bringing, stop) {
        Ok(exit) => exit,
        Err((exit, reason)) => {
            if !reason.is_empty() {
                say!("slatest: {reason}");
            }
            exit
        }
    }
    // The sandbox, part of `found`, goes last: sessions have said goodbye by now.
}

fn try_lead(found: &Found, leading: &Leading<'_>, bringing: Bringing, stop: &Stop) -> Result<Exit, Failure> {
    let said = |exit: Exit| (exit, String::new());
    let name = run_name();
    let resolved = found.resolve_as(leading.plan, &name).map_err(said)?;
    if let Some(drill) = resolved.plan.drills.first() {
        let reason = format!(
            "refused: drills (here `{}`) are led by the process that makes the load: run them without agents",
            drill.name
        );
        return Err((Exit::Refused, reason));
    }
    if let Some(proxy) = resolved.target.proxies.keys().next() {
        let reason = format!(
            "refused: proxies (here `{proxy}`) stand in the process that makes the load: name a target without any"
        );
        return Err((Exit::Refused, reason));
    }
    spread(leading.plan, &resolved.plan, &resolved.target, leading.addresses).map_err(said)?;
    let assignment = found.pack(leading.plan, &resolved.plan, &name).map_err(said)?;
    let opening = Opening {
        plan: resolved.plan.clone(),
        target: TargetRecord::new(&resolved.target),
        command: std::env::args().collect(),
        health: Vec::new(),
        started: Timestamp::now(),
    };
    let mut authority = RunAuthority::new().map_err(unexpected)?;
    let token_ttl = SignedDuration::try_from(leading.join_options.token_ttl.0.as_duration()).map_err(unexpected)?;
    let token = authority.issue_token(Timestamp::now() + token_ttl);
    let writer = RunWriter::create(leading.out, opening).map_err(unexpected)?;
    let secrets = Secrets(writer.folder().join(SECRETS));
    authority.save(&secrets.0).map_err(|error| secrets_unkept(&secrets.0, &error))?;
    let plan = Arc::new(resolved.plan);
    let authority = Arc::new(authority);
    let setup = CoordinatorSetup {
        run: writer.id().to_owned(),
        folder: writer.folder().to_owned(),
        plan: Arc::clone(&plan),
        agents: leading.agents,
        wait: leading.join_options.wait.0,
        assignment,
        authority: Arc::clone(&authority),
    };
    let recorder = RunRecorder::new(Arc::clone(&plan), writer, leading.telling);
    let (news, told) = channel();
    let opened = || {
        let coordinator = Coordinator::open(setup, &leading.join_options.listen).map_err(refused)?;
        let join = JoinInfo { address: coordinator.address(), token, authority: &authority };
        let brought = bring(&join, leading, &bringing, (&plan, &resolved.target), &secrets, news)?;
        Ok((coordinator, brought))
    };
    match opened() {
        Ok((coordinator, brought)) => {
            let exit = follow(coordinator, recorder, &told, stop, false);
            end(brought);
            Ok(exit)
        }
        Err(failure) => {
            recorder.discard();
            Err(failure)
        }
    }
}

/// Goes on with a run whose coordinator was lost.
pub fn resume(out: &Path, run: &str, join_options: &JoinOptions, telling: &Telling, stop: &Stop) -> Exit {
    let resumed = || -> Result<Exit, Failure> {
        let folder = locate(out, run).map_err(|error| (Exit::Usage, error.to_string()))?;
        resumable(&folder).map_err(|error| (Exit::Usage, error.to_string()))?;
        let authority = RunAuthority::load(&folder.join(SECRETS)).map_err(|error| {
            (Exit::Usage, format!("run `{run}` can't be gone on with, it was not led by a coordinator: {error}"))
        })?;
        // Before anything is written: what is damaged stays as it is, for whoever can make more of it.
        journal::check(&folder).map_err(|error| {
            let exit = if matches!(error, JournalError::Damaged { .. }) { Exit::Void } else { Exit::Unexpected };
            (exit, format!("run `{run}` can't be gone on with, it is void: {error}"))
        })?;
        let writer = RunWriter::resume(&folder).map_err(|error| (Exit::Usage, error.to_string()))?;
        let secrets = Secrets(folder.join(SECRETS));
        let plan = Arc::new(writer.plan().clone());
        let setup = CoordinatorSetup {
            run: writer.id().to_owned(),
            folder,
            plan: Arc::clone(&plan),
            agents: 0,
            wait: join_options.wait.0,
            assignment: wire::Assignment::default(),
            authority: Arc::new(authority),
        };
        let coordinator = Coordinator::resume(setup).map_err(refused)?;
        say!("slatest: listening on {} again, for the agents of {}", coordinator.address(), writer.id());
        let (_, told) = channel();
        let exit = follow(coordinator, RunRecorder::new(plan, writer, telling), &told, stop, true);
        drop(secrets);
        Ok(exit)
    };
    resumed().unwrap_or_else(|(exit, reason)| {
        say!("slatest: {reason}");
        exit
    })
}

fn secrets_unkept(folder: &Path, error: &IdentityError) -> Failure {
    (Exit::Unexpected, format!("{}: the certificates of the run can't be kept: {error}", folder.display()))
}

/// The secrets of a run on disk. When the run is over the authority has done its part, and nobody can join
/// with what it signed any more. A coordinator that is killed leaves them, for the one that resumes the run.
struct Secrets(PathBuf);

impl Drop for Secrets {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let path = self.0.display();
                say!("slatest: warning: {path}: the run's certificates could not be removed: {error}");
            }
            _ => {}
        }
    }
}

fn refused(error: CoordinatorError) -> Failure {
    let exit = match error {
        CoordinatorError::Listen { .. } | CoordinatorError::Resume(_) => Exit::Usage,
        _ => Exit::Unexpected,
    };
    (exit, error.to_string())
}

/// Brings the agents, or says how they come.
fn bring(
    join: &JoinInfo<'_>,
    leading: &Leading<'_>,
    bringing: &Bringing,
    planned: (&Plan, &Target),
    secrets: &Secrets,
    news: Sender<String>,
) -> Result<Brought, Failure> {
    #[cfg(not(feature = "kubernetes"))]
    let _ = (planned, news);
    match bringing {
        Bringing::ByHand { certificates } => {
            hand_out(join, leading.agents, leading.join_options, certificates.as_deref()).map_err(unexpected)?;
            Ok(Brought::Nothing)
        }
        Bringing::Local { workers, realtime } => {
            // Beside the other secrets of the run, and gone with them.
            let token_file = secrets.0.join("token-for-agents");
            super::join::write_token(join, &token_file).map_err(unexpected)?;
            let agents = LocalAgents::start(leading.agents, join.address, &token_file, *workers, *realtime);
            Ok(Brought::Local(agents.map_err(unexpected)?))
        }
        #[cfg(feature = "kubernetes")]
        Bringing::Kubernetes(pods) => Ok(Brought::Pods(pods.start(join, leading.agents, planned, news)?)),
    }
}

fn end(brought: Brought) {
    match brought {
        Brought::Nothing => {}
        Brought::Local(agents) => drop(agents),
        #[cfg(feature = "kubernetes")]
        Brought::Pods(placement) => {
            if let Err(error) = placement.end() {
                say!("slatest: {error}");
            }
        }
    }
}

/// Leads the run, writing and showing it as it goes.
fn follow(
    coordinator: Coordinator,
    mut recorder: RunRecorder,
    placed: &Receiver<String>,
    stop: &Stop,
    mut started: bool,
) -> Exit {
    // Why not all came is said by those who bring them, also where nothing else is said.
    let mut placements = VecDeque::new();
    let facts = coordinator.run(stop, &mut |told| {
        while let Ok(message) = placed.try_recv() {
            if placements.len() == PLACEMENTS_MAX {
                placements.pop_front();
            }
            placements.push_back(message.clone());
            recorder.take(&Event::Notice(message));
        }
        match told {
            Told::Event(event) => {
                if let Event::Phase(phase, at) = event
                    && phase != Phase::Opening
                    && !std::mem::replace(&mut started, true)
                {
                    recorder.start_was(at);
                }
                recorder.take(&event);
            }
            Told::Fleet(view) => recorder.show_fleet(fleet_line(&view)),
            Told::News(news) if !news.is_notable() => recorder.say(news.to_string()),
            Told::News(_) => {}
        }
    });
    match facts {
        Ok(facts) => recorder.conclude(&facts),
        Err(error) => {
            recorder.quieten();
            say!("slatest: {error}");
            match error {
                CoordinatorError::NotStarted { interrupted, .. } => {
                    placements.iter().for_each(|message| say!("  {message}"));
                    recorder.discard();
                    if interrupted { Exit::Interrupted } else { Exit::Unreachable }
                }
                _ => {
                    say!("slatest: what was measured until then is in {}", recorder.folder().display());
                    Exit::Void
                }
            }
        }
    }
}
