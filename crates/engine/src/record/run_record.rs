//! The record of a run (`run.json`).

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::over_time::Moment;
use super::{AgentFigures, GeneratorFigures, OperationFigures};
use crate::load::{HealthLine, Incident, ScenarioFinding};
use crate::profile::Plan;
use crate::profile::Target;
use slatest_core::model::{Nanos, Verdict};
use slatest_core::target::Environment;
use slatest_stats::{Check, JudgedDrill, JudgedObjective};

/// Version of the format of `run.json` and `windows.jsonl`.
pub const VERSION: u32 = 1;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is under way, or was killed.
    Running,
    /// It ended by itself.
    Finished,
    /// It was ended early by its user.
    Interrupted,
    /// It ended itself early: an objective with `abort_on_fail` was shown not to hold.
    Aborted,
}

/// Where a run was sent, without its secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// Its name.
    pub name: String,
    /// What kind of place it is.
    pub environment: Environment,
    /// The file's content as it was understood. Credentials are named in it, never held.
    pub definition: serde_json::Value,
}

impl TargetRecord {
    /// What is kept of a target.
    pub fn new(target: &Target) -> Self {
        // A target that was read can be written: its keys are strings. Were it not so, the record
        // would say nothing of it rather than be lost.
        let definition = serde_json::to_value(target).unwrap_or_default();
        Self { name: target.name.clone(), environment: target.environment, definition }
    }
}

/// The machine that generated the load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name.
    pub host: String,
    /// Version of its kernel.
    pub kernel: String,
    /// Processors that may be used.
    pub cores: usize,
    /// Memory in bytes; 0 when not known.
    pub memory_bytes: u64,
}

impl Machine {
    /// This one. What can't be found out is left empty.
    pub fn this() -> Self {
        let line = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let memory = <procfs::Meminfo as procfs::Current>::current();
        Self {
            host: line("/proc/sys/kernel/hostname"),
            kernel: line("/proc/sys/kernel/osrelease"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory.map_or(0, |m| m.mem_total),
        }
    }
}

/// What is known before the first request.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The plan.
    pub plan: Plan,
    /// Where it is sent.
    pub target: TargetRecord,
    /// The command line as it was typed.
    pub command: Vec<String>,
    /// What the health checks said.
    pub health: Vec<HealthLine>,
    /// When the run's clock read zero.
    pub started: Timestamp,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// The verdict.
    pub verdict: Verdict,
    /// Every objective, judged.
    pub objectives: Vec<JudgedObjective>,
    /// The checks of the run itself.
    pub validity: Vec<Check>,
    /// What the workloads found at the end.
    pub findings: Vec<ScenarioFinding>,
    /// Every operation's figures, in the plan's order.
    pub operations: Vec<OperationFigures>,
    /// All operations together.
    pub total: OperationFigures,
    /// The generator's own figures.
    pub generator: GeneratorFigures,
    /// Every agent's part, where the load was not made by this process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<AgentFigures>,
    /// Every drill, judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drills: Vec<JudgedDrill>,
    /// When the target did not serve, although nobody broke it on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
    /// How it went over time, in parts of equal length.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over_time: Vec<Moment>,
    /// How long it ran, in nanoseconds.
    pub length: Nanos,
}

impl Default for RunResult {
    /// Of a run of which nothing is known yet.
    fn default() -> Self {
        Self {
            verdict: Verdict::Inconclusive,
            objectives: Vec::new(),
            validity: Vec::new(),
            findings: Vec::new(),
            operations: Vec::new(),
            total: OperationFigures::default(),
            generator: GeneratorFigures::default(),
            agents: Vec::new(),
            drills: Vec::new(),
            incidents: Vec::new(),
            over_time: Vec::new(),
            length: Nanos::ZERO,
        }
    }
}

/// One run: everything that is said of it later is made of this. All times are nanoseconds unless
/// they are timestamps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of the format: [`VERSION`].
    pub version: u32,
    /// `<UTC time>-<profile>-<short id>`, also the name of its folder.
    pub id: String,
    /// How far it has come.
    pub status: Status,
    /// When it started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Version of slatest that ran it.
    pub slatest: String,
    /// The command line.
    pub command: Vec<String>,
    /// The seed: with it, the same run can be had again.
    pub seed: u64,
    /// Where it was sent.
    pub target: TargetRecord,
    /// The machine that generated the load.
    pub machine: Machine,
    /// What the health checks said before the start.
    pub health: Vec<HealthLine>,
    /// What was to be told while it ran, and what a reader of this record should know.
    pub notices: Vec<String>,
    /// What came of it.
    pub result: RunResult,
    /// What was to be done; scenarios that the target can't serve stand in its `left_out`.
    pub plan: Plan,
    /// Where it lies.
    #[serde(skip)]
    pub folder: PathBuf,
}
