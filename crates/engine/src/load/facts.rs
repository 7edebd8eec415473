//! What the engine knows when a run is over: the evidence that verdicts are made of.

use serde::{Deserialize, Serialize};

use super::agents::AgentFacts;
use super::drills::DrillFacts;
use crate::profile::Plan;
use slatest_core::measure::Timeline;
use slatest_core::model::{Nanos, OperationId};

/// How the worker threads were scheduled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduling {
    /// As threads of any program, with a niceness.
    #[default]
    Ordinary,
    /// Before all ordinary threads of the machine, as was asked for.
    Realtime,
    /// So at first; it was taken back, because one of them did not let go of its processor.
    TakenBack,
}

/// What the generator itself used and suffered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Worker threads.
    pub workers: usize,
    /// Processors that the process may use, a fraction where a control group's quota says one.
    pub cores: f64,
    /// CPU seconds (user + system) of the process while load was sent.
    pub cpu_secs: f64,
    /// Wall seconds of the same time.
    pub wall_secs: f64,
    /// Most resident memory, in bytes.
    pub rss_bytes_max: u64,
    /// Longest gap seen by the hiccup meter, in nanoseconds: the host stalled this long.
    pub stall_max: Nanos,
    /// All gaps over 10 ms added up.
    pub stall_total: Nanos,
    /// Seconds that the worker threads were ready to run and were not run.
    #[serde(default)]
    pub run_queue_secs: f64,
    /// Seconds that the hypervisor withheld from the machine; `None` when the kernel doesn't say.
    #[serde(default)]
    pub steal_secs: Option<f64>,
    /// Processors of the machine.
    #[serde(default)]
    pub machine_cores: f64,
    /// How long the machine was suspended, in nanoseconds.
    #[serde(default)]
    pub suspended: Nanos,
    /// The largest step of the wall clock, in nanoseconds.
    #[serde(default)]
    pub clock_step: Nanos,
    /// Most files open at once; 0 when not known.
    #[serde(default)]
    pub open_files_max: u64,
    /// How many may be; 0 when not known.
    #[serde(default)]
    pub open_files_limit: u64,
    /// Writes that the ledger should hold and doesn't.
    #[serde(default)]
    pub writes_missed: u64,
    /// Processors that the tightest quota of a control group leaves; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_cores: Option<f64>,
    /// Periods of that quota in which the process wanted to run.
    #[serde(default)]
    pub quota_periods: u64,
    /// Periods of these in which it was held back.
    #[serde(default)]
    pub throttled_periods: u64,
    /// How long it was held back, on all processors added up, in nanoseconds.
    #[serde(default)]
    pub throttled: Nanos,
    /// The longest time in which a worker made no turn, in nanoseconds; zero where none was worth a word.
    #[serde(default)]
    pub silent_max: Nanos,
    /// Workers that made no turn any more, and were not waited for.
    #[serde(default)]
    pub workers_lost: u64,
    /// How the workers were scheduled.
    #[serde(default)]
    pub scheduling: Scheduling,
}

/// A run that ended early because an objective with `abort_on_fail` was shown not to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abortion {
    /// Index of the objective in the plan.
    pub objective: usize,
    /// The operation, where each is judged by itself.
    pub operation: Option<OperationId>,
    /// Samples that counted against it by then.
    pub bad: u64,
    /// Of how many.
    pub samples: u64,
    /// When, on the run's clock.
    pub at: Nanos,
}

impl Abortion {
    /// Why the run ended, in one line.
    pub fn words(&self, plan: &Plan) -> String {
        let objective = plan.objectives.get(self.objective).map_or("", |objective| objective.name.as_str());
        let operation = self.operation.and_then(|o| plan.operations.get(o.index()));
        let scope = operation.map(|o| format!(" of {}", o.address)).unwrap_or_default();
        format!("ended early: `{objective}`{scope} is shown not to hold ({} of {} by then)", self.bad, self.samples)
    }
}

/// What a workload found out at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioFinding {
    /// Of which scenario.
    pub scenario: String,
    /// What was checked.
    pub check: String,
    /// Whether it held.
    pub holds: bool,
    /// The figures in words.
    pub detail: String,
}

/// Everything that a run yields for its judge.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// Sums over all windows.
    pub timeline: Timeline,
    /// Arrivals that the schedule holds up to the instant at which the run ended (open model).
    pub scheduled: u64,
    /// Arrivals of these that were fired.
    pub fired: u64,
    /// When the run ended, on its own clock.
    pub length: Nanos,
    /// Whether the user ended it early.
    pub interrupted: bool,
    /// Whether it ended itself early.
    pub aborted: Option<Abortion>,
    /// Gaps between arrivals that were really fired, as uniforms under the planned law.
    pub arrival_law: Vec<f64>,
    /// What the generator used.
    pub resources: Resources,
    /// What workloads found out at the end.
    pub findings: Vec<ScenarioFinding>,
    /// Who made the load, where it was not this process.
    pub agents: Vec<AgentFacts>,
    /// What happened in its drills, in any order.
    pub drills: Vec<DrillFacts>,
}
