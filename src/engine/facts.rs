//! What the engine knows when a run is over: the evidence that verdicts are made of.

use serde::{Deserialize, Serialize};

use crate::measure::Timeline;
use crate::model::Nanos;

/// What the generator itself used and suffered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Worker threads.
    pub workers: usize,
    /// Processors that the process may use.
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
    /// What the generator used.
    pub resources: Resources,
    /// What workloads found out at the end.
    pub findings: Vec<ScenarioFinding>,
}
