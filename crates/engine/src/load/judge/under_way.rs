//! How long operations were under way: by the engine's clock, and by what was recorded of them.

use crate::load::facts::RunFacts;
use slatest_core::measure::{Latencies, Tally};
use slatest_stats::UnderWay;

/// Both, over the whole run: it begins and ends with nothing under way, so there are no edges to reckon with. `None`
/// where the clock was not read (results of older versions), or a part of the run is missing.
pub(super) fn under_way(facts: &RunFacts) -> Option<UnderWay> {
    let timeline = &facts.timeline;
    let is_whole = facts.agents.iter().all(|agent| agent.missing.is_empty() && agent.lost_at.is_none());
    if timeline.in_flight_time.is_zero() || !is_whole || timeline.in_flight > 0 {
        return None;
    }
    let secs = |times: &Latencies| times.mean().as_secs_f64() * times.count() as f64;
    let all = || timeline.judged.iter().chain(&timeline.unjudged);
    let timed = |tally: &Tally| tally.response.count() + tally.failed.count();
    let operations: u64 = all().map(timed).sum();
    let without_time: u64 = all().map(|tally| tally.completed() - timed(tally).min(tally.completed())).sum();
    let responses: f64 = all().map(|tally| secs(&tally.response) + secs(&tally.failed)).sum();
    // Response times begin with the planned instant; under way is only what was fired. What was dropped was fired,
    // too, and has no time; where much was, nothing is said.
    let lateness = secs(&timeline.dispatch_lag);
    Some(UnderWay {
        by_clock_secs: timeline.in_flight_time.as_secs_f64(),
        recorded_secs: (responses - lateness).max(0.0),
        operations,
        without_time,
        length_secs: timeline.end.as_secs_f64(),
    })
}
