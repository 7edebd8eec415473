//! The ledger of a run's writes: kept while load is sent, held against the stores when what drills broke is healed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use jiff::Timestamp;

use crate::load::{Engine, RunFacts, Stop};
use crate::profile::{Plan, ScenarioPlan};
use slatest_core::model::{Nanos, OperationId};
use slatest_core::writes::{LEDGER_FOLDER, Ledger, LedgerWriter};
use slatest_drivers::{Workload, check_ledger};
use slatest_stats::LedgerOf;

/// Longest that a store may give no answer, or nothing new, while it is read back.
const PATIENCE: Nanos = Nanos::from_secs(60);
/// How often it is looked whether somebody asks for an end.
const LOOK: Duration = Duration::from_millis(50);

/// The ledger of a run that has writes for it.
pub(super) struct Writes {
    writer: LedgerWriter,
    plan: Arc<Plan>,
    workloads: Vec<Arc<dyn Workload>>,
    folder: PathBuf,
}

impl Writes {
    /// Begins it in the run's folder, and has the engine keep it; `None` where nothing is written for it, or no drill is
    /// planned: nobody would read it. It costs disk and a thread, and reading back asks the target for every write once
    /// more, which no user of a plain load test asked for and a limit on its source may not allow.
    ///
    /// # Errors
    /// When the disk doesn't take it.
    pub(super) fn begin(engine: &mut Engine, run: &str, folder: &Path) -> io::Result<Option<Self>> {
        if engine.plan.drills.is_empty() || !engine.workloads.iter().any(|workload| keeps(&**workload)) {
            return Ok(None);
        }
        let begun = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
        let writer = LedgerWriter::begin(&folder.join(LEDGER_FOLDER), run, begun)?;
        engine.ledger = Some(writer.sink());
        let (plan, workloads) = (Arc::clone(&engine.plan), engine.workloads.clone());
        Ok(Some(Self { writer, plan, workloads, folder: folder.to_owned() }))
    }

    /// Ends it, reads the stores back for each drill that broke something, and puts what was found into the
    /// facts. Gives what is wrong with the ledger itself, in words.
    /// A wish to stop that comes meanwhile ends it: what was not read back then is said not to be.
    pub(super) fn conclude(self, facts: &mut RunFacts, stop: &Stop) -> Option<String> {
        let end = self.writer.finish();
        facts.resources.writes_missed = end.missed;
        let times = stop.times();
        for drill in &mut facts.drills {
            if let Some(fault) = drill.issued {
                drill.ledgers = read_back(&self.plan, &self.workloads, &self.folder, fault, (stop, times));
            }
        }
        end.flaw()
    }
}

fn keeps(workload: &dyn Workload) -> bool {
    workload.operations().iter().any(|operation| operation.ledger)
}

/// What every store is found to hold, after a fault at this instant of the run.
fn read_back(
    plan: &Plan,
    workloads: &[Arc<dyn Workload>],
    folder: &Path,
    fault: Nanos,
    (stop, times): (&Stop, u8),
) -> Vec<LedgerOf> {
    let kept = plan.scenarios.iter().zip(workloads).filter(|(_, workload)| keeps(&***workload));
    let check = |(scenario, workload): (&ScenarioPlan, &Arc<dyn Workload>)| {
        let (workload, folder) = (Arc::clone(workload), folder.to_owned());
        let (name, first) = (scenario.name.clone(), scenario.first_operation);
        let check = unless_asked(stop, times, move || read_one((&name, first), &*workload, &folder, fault));
        LedgerOf { scenario: scenario.name.clone(), check }
    };
    kept.map(check).collect()
}

/// What `work` gives, which may block its thread for as long as it likes: somebody who asks for an end more often than
/// `times` is heard meanwhile. What is left of it then ends with the process.
fn unless_asked<T: Send + 'static>(
    stop: &Stop,
    times: u8,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (tell, told) = channel();
    let thread = std::thread::Builder::new().name("read-back".into()).spawn(move || tell.send(work()));
    thread.map_err(|error| format!("no thread to read back with: {error}"))?;
    loop {
        match told.recv_timeout(LOOK) {
            Ok(found) => return found,
            Err(RecvTimeoutError::Timeout) if stop.times() > times || stop.is_urgent() => {
                return Err("interrupted before it was read back".into());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err("reading back ended without a word".into()),
        }
    }
}

fn read_one(
    place: (&str, OperationId),
    workload: &dyn Workload,
    folder: &Path,
    fault: Nanos,
) -> Result<slatest_core::writes::LedgerCheck, String> {
    let ledger = Ledger::open(&folder.join(LEDGER_FOLDER)).map_err(|error| error.to_string())?;
    let scratch =
        tempfile::tempdir_in(folder).map_err(|error| format!("no room to sort what is read back: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime to read back with: {error}"))?;
    let checked = runtime.block_on(check_ledger(workload, &ledger, place, Some(fault), scratch.path(), PATIENCE));
    checked.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_an_end_is_heard_while_a_store_is_read_back() {
        let stop = Stop::default();
        assert_eq!(unless_asked(&stop, stop.times(), || Ok(7)), Ok(7));
        // A run that was interrupted once is read back all the same.
        stop.ask();
        assert_eq!(unless_asked(&stop, stop.times(), || Ok(7)), Ok(7));
        let asks = stop.clone();
        let (_never, forever) = channel::<()>();
        let found: Result<(), String> = unless_asked(&stop, stop.times(), move || {
            asks.ask();
            // A store that never answers.
            forever.recv().map_err(|error| error.to_string())
        });
        assert_eq!(found, Err("interrupted before it was read back".into()));
    }
}
