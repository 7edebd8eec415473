//! The ledger of a run's writes: kept while load is sent, held against the stores when what drills broke is healed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use slatest_core::model::Nanos;
use slatest_core::writes::{LEDGER_FOLDER, Ledger, LedgerWriter};
use slatest_drivers::{Workload, check_ledger};
use slatest_engine::load::{Engine, RunFacts};
use slatest_engine::profile::{Plan, ScenarioPlan};
use slatest_stats::LedgerOf;

/// Longest that a store may give no answer, or nothing new, while it is read back.
const PATIENCE: Nanos = Nanos::from_secs(60);

/// The ledger of a run that has writes for it.
pub struct Writes {
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
    pub fn begin(engine: &mut Engine, run: &str, folder: &Path) -> io::Result<Option<Self>> {
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
    pub fn conclude(self, facts: &mut RunFacts) -> Option<String> {
        let end = self.writer.finish();
        facts.resources.writes_missed = end.missed;
        for drill in &mut facts.drills {
            if let Some(fault) = drill.issued {
                drill.ledgers = read_back(&self.plan, &self.workloads, &self.folder, fault);
            }
        }
        end.flaw()
    }
}

fn keeps(workload: &dyn Workload) -> bool {
    workload.operations().iter().any(|operation| operation.ledger)
}

/// What every store is found to hold, after a fault at this instant of the run.
fn read_back(plan: &Plan, workloads: &[Arc<dyn Workload>], folder: &Path, fault: Nanos) -> Vec<LedgerOf> {
    let kept = plan.scenarios.iter().zip(workloads).filter(|(_, workload)| keeps(&***workload));
    let check = |(scenario, workload): (&ScenarioPlan, &Arc<dyn Workload>)| LedgerOf {
        scenario: scenario.name.clone(),
        check: read_one(scenario, &**workload, folder, fault),
    };
    kept.map(check).collect()
}

fn read_one(
    scenario: &ScenarioPlan,
    workload: &dyn Workload,
    folder: &Path,
    fault: Nanos,
) -> Result<slatest_core::writes::LedgerCheck, String> {
    let ledger = Ledger::open(&folder.join(LEDGER_FOLDER)).map_err(|error| error.to_string())?;
    let scratch =
        tempfile::tempdir_in(folder).map_err(|error| format!("no room to sort what is read back: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime to read back with: {error}"))?;
    let place = (scenario.name.as_str(), scenario.first_operation);
    let checked = runtime.block_on(check_ledger(workload, &ledger, place, Some(fault), scratch.path(), PATIENCE));
    checked.map_err(|error| error.to_string())
}
