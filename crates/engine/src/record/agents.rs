//! Figures of each agent of a run that many machines made.

use serde::{Deserialize, Serialize};

use super::TimeFigures;
use super::figures::rounded;
use crate::load::{AgentFacts, Resources, RunFacts};
use slatest_core::model::Nanos;

/// One agent's part in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentFigures {
    /// Its number, from 0: it owned the arrivals whose number, divided by the number of agents, leaves it.
    pub index: u64,
    /// The name by which it joined.
    pub name: String,
    /// The name of its machine.
    pub host: String,
    /// Its share of all arrivals that were fired, from 0 to 1.
    pub share: f64,
    /// Arrivals that were its own until the end of the run.
    pub scheduled: u64,
    /// Arrivals that it fired.
    pub fired: u64,
    /// Fired − intended of these.
    pub dispatch_lag: Option<TimeFigures>,
    /// Share of its processors that it used; `None` when it never said.
    pub cpu_share: Option<f64>,
    /// What it used and suffered; `None` when it never said.
    pub resources: Option<Resources>,
    /// Its monotonic clock less the coordinator's, in nanoseconds.
    pub clock_offset_ns: i64,
    /// That is off by this much at most, in nanoseconds.
    pub clock_bound: Nanos,
    /// Its wall clock less the coordinator's, in nanoseconds.
    pub wall_difference_ns: i64,
    /// Intervals that arrived.
    pub intervals: u64,
    /// Parts of the run's time of which no interval arrived: (from, to) in nanoseconds.
    pub missing: Vec<(Nanos, Nanos)>,
    /// Windows of its own that a stall of its machine spoiled.
    pub spoiled_windows: u64,
    /// When it was given up, on the run's clock, in nanoseconds.
    pub lost_at: Option<Nanos>,
    /// Whether others took over what it did no more.
    pub taken_over: bool,
    /// Why it stopped before the plan's end; empty when it did not.
    pub early: String,
}

/// Those of every agent.
pub(super) fn agents(facts: &RunFacts) -> Vec<AgentFigures> {
    facts.agents.iter().map(|agent| of_agent(agent, facts.fired)).collect()
}

fn of_agent(agent: &AgentFacts, fired: u64) -> AgentFigures {
    let cpu_share = |r: &Resources| {
        let available = r.wall_secs * r.cores;
        (available > 0.0).then(|| rounded(r.cpu_secs / available))
    };
    AgentFigures {
        index: agent.index,
        name: agent.name.clone(),
        host: agent.host.clone(),
        share: rounded(agent.share(fired)),
        scheduled: agent.scheduled,
        fired: agent.fired,
        dispatch_lag: TimeFigures::of(&agent.dispatch_lag),
        cpu_share: agent.resources.as_ref().and_then(cpu_share),
        resources: agent.resources.clone(),
        clock_offset_ns: agent.clock_offset_ns,
        clock_bound: agent.clock_bound,
        wall_difference_ns: agent.wall_difference_ns,
        intervals: agent.intervals,
        missing: agent.missing.clone(),
        spoiled_windows: agent.spoiled_windows,
        lost_at: agent.lost_at,
        taken_over: agent.taken_over,
        early: agent.early.clone(),
    }
}
