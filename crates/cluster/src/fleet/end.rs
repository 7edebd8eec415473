//! What is known of every agent when the run is over.

use crate::wire;
use slatest_core::model::Nanos;
use slatest_engine::load::{AgentFacts, ScenarioFinding};

/// How a run of many agents ended.
#[derive(Clone, Debug, Default)]
pub struct FleetEnd {
    /// Why there is nothing to judge, when it ended before the load started.
    pub not_started: Option<String>,
    /// Whether somebody asked for an end before the plan's.
    pub stopped: bool,
    /// Every agent that took part, by its number.
    pub agents: Vec<AgentEnd>,
}

/// What one agent left behind. Times count from the run's zero.
#[derive(Clone, Debug, Default)]
pub struct AgentEnd {
    /// What is judged and shown of it.
    pub facts: AgentFacts,
    /// Its machine.
    pub machine: wire::Machine,
    /// When it joined, after the coordinator's start.
    pub joined: Nanos,
    /// Gaps between its arrivals, as uniforms under the planned law.
    pub arrival_law: Vec<f64>,
    /// What its workloads found at the end.
    pub findings: Vec<ScenarioFinding>,
    /// When it ended, on the run's clock.
    pub length: Nanos,
    /// The end of its latest interval.
    pub last_interval_end: Nanos,
}
