//! A run that agents make, led to its record: the application of a coordinator. What [`slatest_engine::run`] is to a run
//! of one process, this is to a run of many, with the same selection, recording and observer.

mod bring;
mod error;
mod follow;
mod run_secrets;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;

use jiff::{SignedDuration, Timestamp};

pub use bring::{BringAgents, BringError, BroughtAgents, JoinInfo};
pub use error::LeadError;
use follow::follow;
use run_secrets::RunSecrets;

use crate::bundle::{Packing, pack};
use crate::coordinator::{Coordinator, CoordinatorSetup};
use crate::fleet::FleetView;
use crate::identity::RunAuthority;
use crate::{journal, wire};
use slatest_core::model::Nanos;
use slatest_engine::load::Stop;
use slatest_engine::profile::Plan;
use slatest_engine::record::{Opening, RunWriter, TargetRecord, locate, resumable};
use slatest_engine::run::{Observer, Recording, Refusal, RunError, RunOutcome, RunStart, Selection, run_name};

/// How a run of many agents is led.
#[derive(Clone, Debug)]
pub struct LeadOptions {
    /// Where results go; the run makes a folder of its own in it.
    pub out: PathBuf,
    /// The command line as it may be recorded.
    pub command: Vec<String>,
    /// How many agents make the run; it starts when all of them are ready.
    pub agents: u64,
    /// From how many addresses they send; agents of one machine are one.
    pub addresses: u64,
    /// Where the coordinator listens: `host:port`.
    pub listen: String,
    /// How long to wait until all agents have joined, and then until all are ready.
    pub wait: Nanos,
    /// How long the token lets agents in.
    pub token_ttl: Nanos,
}

/// Who watches a run of many agents.
pub trait LeadObserver: Observer {
    /// The fleet as it is, twice a second.
    fn fleet(&mut self, _view: &FleetView) {}
    /// A coordinator listens again, for the agents of a run that it goes on with.
    fn listens_again(&mut self, _address: std::net::SocketAddr, _run: &str) {}
}

/// Leads a run of a selection to its record. Blocks.
///
/// # Errors
/// Why there is no record.
pub fn lead(
    selection: &Selection,
    options: &LeadOptions,
    agents: &dyn BringAgents,
    stop: &Stop,
    observer: &mut dyn LeadObserver,
) -> Result<RunOutcome, LeadError> {
    let name = run_name();
    let resolved = selection.resolve(&name, observer)?;
    if let Some(drill) = resolved.plan.drills.first() {
        return Err(RunError::Refused(vec![Refusal::DrillsWithAgents { drill: drill.name.clone() }]).into());
    }
    if let Some(proxy) = resolved.target.proxies.keys().next() {
        return Err(RunError::Refused(vec![Refusal::ProxiesWithAgents { proxy: proxy.clone() }]).into());
    }
    selection.check_addresses(&resolved.plan, &resolved.target, options.addresses, observer)?;
    let assignment = assignment(selection, &resolved.plan, &name)?;
    observer.reached();
    let mut authority = RunAuthority::new()?;
    let token_ttl = SignedDuration::try_from(options.token_ttl.as_duration()).unwrap_or(SignedDuration::MAX);
    let until = Timestamp::now().checked_add(token_ttl).unwrap_or(Timestamp::MAX);
    let token = authority.issue_token(until);
    let opening = Opening {
        plan: resolved.plan.clone(),
        target: TargetRecord::new(&resolved.target),
        command: options.command.clone(),
        health: Vec::new(),
        started: Timestamp::now(),
    };
    let writer = RunWriter::create(&options.out, opening).map_err(RunError::from)?;
    let secrets = RunSecrets::of(writer.folder());
    secrets.keep(&authority)?;
    let plan = Arc::new(resolved.plan);
    let authority = Arc::new(authority);
    let setup = CoordinatorSetup {
        run: writer.id().to_owned(),
        folder: writer.folder().to_owned(),
        plan: Arc::clone(&plan),
        agents: options.agents,
        wait: options.wait,
        assignment,
        authority: Arc::clone(&authority),
    };
    let target = &resolved.target.name;
    observer.starts(RunStart { id: writer.id(), folder: writer.folder(), plan: &plan, target });
    let recording = Recording::new(Arc::clone(&plan), writer);
    let (news, placed) = channel();
    let opened = || -> Result<_, LeadError> {
        let coordinator = Coordinator::open(setup, &options.listen).map_err(LeadError::Open)?;
        let join = JoinInfo {
            address: coordinator.address(),
            agents: options.agents,
            token,
            authority: &authority,
            secrets: secrets.folder(),
            plan: &plan,
            target: &resolved.target,
        };
        let brought = agents.bring(&join, news)?;
        Ok((coordinator, brought))
    };
    let outcome = match opened() {
        Ok((coordinator, brought)) => {
            let outcome = follow(coordinator, recording, &placed, stop, false, observer);
            if let Err(error) = brought.end() {
                observer.notice(&error.to_string());
            }
            outcome
        }
        Err(error) => {
            observer.ends();
            discard(recording, observer);
            Err(error)
        }
    };
    secrets.remove(observer);
    outcome
}

/// What agents need to come to the same plan, for a run of this name.
///
/// # Errors
/// [`RunError::Invalid`], when a file can't travel.
pub fn assignment(selection: &Selection, plan: &Plan, name: &str) -> Result<wire::Assignment, RunError> {
    let packing = Packing {
        library: &selection.library,
        working_directory: &std::env::current_dir().unwrap_or_default(),
        profile: &selection.profile,
        target: &selection.target,
        overrides: &selection.overrides,
        plan,
        name,
    };
    pack(packing).map_err(|problems| RunError::Invalid {
        problems,
        sources: vec![selection.profile.clone(), selection.target.clone()],
        hint: None,
    })
}

/// Goes on with a run whose coordinator was lost: `run` is its id, `latest`, or a path. Blocks.
///
/// # Errors
/// Why there is no record.
pub fn resume(
    out: &Path,
    run: &str,
    wait: Nanos,
    stop: &Stop,
    observer: &mut dyn LeadObserver,
) -> Result<RunOutcome, LeadError> {
    let folder = locate(out, run).map_err(LeadError::NothingToResume)?;
    resumable(&folder).map_err(LeadError::NothingToResume)?;
    let secrets = RunSecrets::of(&folder);
    let authority = secrets.read().map_err(|error| LeadError::NotLed { run: run.to_owned(), error })?;
    // Before anything is written: what is damaged stays as it is, for whoever can make more of it.
    journal::check(&folder).map_err(|error| LeadError::Unresumable { run: run.to_owned(), error })?;
    observer.reached();
    let writer = RunWriter::resume(&folder).map_err(LeadError::NothingToResume)?;
    let plan = Arc::new(writer.plan().clone());
    let setup = CoordinatorSetup {
        run: writer.id().to_owned(),
        folder,
        plan: Arc::clone(&plan),
        agents: 0,
        wait,
        assignment: wire::Assignment::default(),
        authority: Arc::new(authority),
    };
    let coordinator = Coordinator::resume(setup).map_err(LeadError::Open);
    let outcome = coordinator.and_then(|coordinator| {
        observer.listens_again(coordinator.address(), writer.id());
        let target = writer.target();
        observer.starts(RunStart { id: writer.id(), folder: writer.folder(), plan: &plan, target });
        let (_, placed) = channel();
        follow(coordinator, Recording::new(plan, writer), &placed, stop, true, observer)
    });
    secrets.remove(observer);
    outcome
}

/// Nothing was run: nothing is kept of it.
fn discard(recording: Recording, observer: &mut dyn Observer) {
    let folder = recording.folder().to_owned();
    if let Err(error) = recording.discard() {
        observer.notice(&format!("warning: {}: could not be removed: {error}", folder.display()));
    }
}
