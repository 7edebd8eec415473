//! What is known of every agent when the run is over.

use crate::cluster::wire;
use crate::engine::{Resources, ScenarioFinding};
use crate::measure::Latencies;
use crate::model::Nanos;

/// How a run of many agents ended.
#[derive(Clone, Debug, Default)]
pub struct FleetEnd {
    /// Why there is nothing to judge, when it ended before the load started.
    pub not_started: Option<String>,
    /// Whether somebody asked for an end before the plan's.
    pub stopped: bool,
    /// Every agent that took part, by its number.
    pub agents: Vec<AgentFacts>,
}

/// What one agent did. Times count from the run's zero.
#[derive(Clone, Debug, Default)]
pub struct AgentFacts {
    /// Its number: it owned the arrivals with `seq % agents == index`.
    pub index: u64,
    /// Its name.
    pub name: String,
    /// Its machine's name.
    pub host: String,
    /// Its machine.
    pub machine: wire::Machine,
    /// Share of all fired arrivals that it fired, 0 to 1.
    pub share: f64,
    /// Arrivals that it owned up to the end of the run (open model), those that it took over included and
    /// those that others took over from it left out.
    pub scheduled: u64,
    /// Arrivals of these that it fired, as far as is known.
    pub fired: u64,
    /// How late it fired them, over all intervals that arrived.
    pub dispatch_lag: Latencies,
    /// What it used; absent where it never said.
    pub resources: Option<Resources>,
    /// Its monotonic clock − the coordinator's, in nanoseconds. Their zeros mean nothing.
    pub clock_offset: i64,
    /// How far off that can be.
    pub clock_bound: Nanos,
    /// Its wall clock − the coordinator's, in nanoseconds.
    pub wall_difference: i64,
    /// Intervals that arrived.
    pub intervals: u64,
    /// Parts of the run's time of which no interval arrived, (from, to), at most 64.
    pub missing: Vec<(Nanos, Nanos)>,
    /// When it joined, after the coordinator's start.
    pub joined: Nanos,
    /// When it was given up, if it was.
    pub lost_at: Option<Nanos>,
    /// Why it ended before its time; empty when it did not.
    pub early: String,
    /// Gaps between its arrivals, as uniforms under the planned law.
    pub spacing: Vec<f64>,
    /// What its workloads found at the end.
    pub findings: Vec<ScenarioFinding>,
    /// When it ended, on the run's clock.
    pub length: Nanos,
}
