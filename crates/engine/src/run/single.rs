//! A profile against a target, once.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::writes::Writes;
use super::{Observer, Recording, RunError, RunOutcome, RunStart, Selection, alerts, put_up_proxies, run_name};
use crate::load::{DrillGround, Engine, EngineError, Event, Stop, reach};
use crate::profile::Resolved;
use crate::record::{Opening, RunWriter, TargetRecord};
use slatest_faults::Proxies;

/// How a run is made, beside what is run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where results go; each run makes a folder of its own in it.
    pub out: PathBuf,
    /// The command line as it may be recorded.
    pub command: Vec<String>,
    /// Worker threads, at least 1.
    pub workers: usize,
}

/// Runs a selection once, to its record. Blocks.
///
/// # Errors
/// Why there is no record.
pub fn single(
    selection: &Selection,
    options: &RunOptions,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Result<RunOutcome, RunError> {
    let resolved = selection.resolve(&run_name(), observer)?;
    selection.check_addresses(&resolved.plan, &resolved.target, 1, observer)?;
    let proxies = put_up_proxies(&resolved.target)?;
    once(resolved, options, proxies, stop, &mut Begun { observer, begun: &mut |_| Ok(()) })
}

/// Who watches one run, and who is told of its folder before anything is sent.
pub(super) struct Begun<'a> {
    /// Who watches.
    pub(super) observer: &'a mut dyn Observer,
    /// Keeps an account of the run that begins; without it nothing is sent.
    pub(super) begun: &'a mut dyn FnMut(&RunWriter) -> Result<(), RunError>,
}

/// One run of what was resolved.
pub(super) fn once(
    resolved: Resolved,
    options: &RunOptions,
    proxies: Arc<Proxies>,
    stop: &Stop,
    Begun { observer, begun }: &mut Begun<'_>,
) -> Result<RunOutcome, RunError> {
    let alerts = alerts(&resolved)?;
    let health = reach(&resolved.plan, &resolved.workloads).map_err(RunError::Unreachable)?;
    observer.reached();
    if stop.is_asked() {
        return Err(RunError::Interrupted);
    }
    let opening = Opening {
        plan: resolved.plan.clone(),
        target: TargetRecord::new(&resolved.target),
        command: options.command.clone(),
        health,
        started: Timestamp::now(),
    };
    let writer = RunWriter::create(&options.out, opening)?;
    begun(&writer)?;
    let folder = writer.folder().to_owned();
    let mut engine = Engine::alone(Arc::new(resolved.plan), resolved.workloads, options.workers, stop.clone());
    engine.drills = Some(DrillGround {
        hosts: resolved.target.allow.hosts.clone(),
        folders: resolved.fault_folders,
        proxies,
        alerts,
        folder: folder.clone(),
    });
    let writes = Writes::begin(&mut engine, &resolved.run, &folder)
        .map_err(|error| RunError::Ledger { folder: folder.clone(), error })?;
    let plan = Arc::clone(&engine.plan);
    observer.starts(RunStart { id: writer.id(), folder: &folder, plan: &plan, target: &resolved.target.name });
    let mut recording = Recording::new(plan, writer);
    match engine.run(&mut |event| recording.take(&event, *observer)) {
        Ok(mut facts) => {
            if writes.is_some() && !facts.drills.is_empty() {
                observer.event(&Event::Notice("reading back what was written".into()));
            }
            if let Some(flaw) = writes.and_then(|writes| writes.conclude(&mut facts, stop)) {
                recording.note(flaw);
            }
            Ok(recording.conclude(&facts, *observer))
        }
        Err(error) => {
            observer.ends();
            Err(match error {
                EngineError::NotReady(reason) => RunError::NotReady(reason),
                EngineError::Worker(reason) => RunError::Worker { reason, folder },
            })
        }
    }
}
