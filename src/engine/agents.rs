//! What is known of each agent of a run that many machines made.

use super::facts::Resources;
use crate::measure::Latencies;
use crate::model::Nanos;

/// One agent's part in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentFacts {
    /// Its number, from 0.
    pub index: u64,
    /// The name by which it joined.
    pub name: String,
    /// The name of its machine.
    pub host: String,
    /// Arrivals that its share held until the end of the run, what it took over included and what others
    /// took over from it left out.
    pub scheduled: u64,
    /// Arrivals that it fired, as far as its intervals tell.
    pub fired: u64,
    /// Fired − intended of these.
    pub dispatch_lag: Latencies,
    /// What it used and suffered; `None` when it never said (it was lost).
    pub resources: Option<Resources>,
    /// Its monotonic clock's reading less the coordinator's, as of the best exchange, in nanoseconds.
    pub clock_offset_ns: i64,
    /// That is off by this much at most.
    pub clock_bound: Nanos,
    /// Its wall clock less the coordinator's, in nanoseconds.
    pub wall_difference_ns: i64,
    /// Intervals that arrived.
    pub intervals: u64,
    /// Intervals that are known to have been made and never arrived, as (first, last).
    pub missing: Vec<(u64, u64)>,
    /// Windows of its own in which something was judged.
    pub judged_windows: u64,
    /// How many of these a stall of its machine spoiled.
    pub spoiled_windows: u64,
    /// Operations under way at the end of its last interval; their ends are in no tally. None where it came
    /// to its end.
    pub in_flight: u64,
    /// When it was given up, on the run's clock.
    pub lost_at: Option<Nanos>,
    /// Whose share it took over, by number.
    pub took_over: Vec<u64>,
    /// Why it stopped before the plan's end, in words; empty when it did not.
    pub early: String,
}
