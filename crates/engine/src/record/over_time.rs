//! How a run went over time, in few parts.

use serde::{Deserialize, Serialize};

use crate::load::RunFacts;
use crate::profile::Plan;
use slatest_core::model::{Nanos, OperationId};

/// Most parts: a line of them fits on a narrow terminal.
const PARTS_MAX: usize = 48;

/// A part of a run, warm-up and cool-down included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When it starts, in nanoseconds of the run's clock.
    pub start: Nanos,
    /// How long it is.
    pub length: Nanos,
    /// How many operations ended in it.
    pub ended: u64,
    /// How many of these failed.
    pub failed: u64,
    /// The greatest p99 of the response times of one of its windows, over all operations; zero where nothing ended.
    pub p99_max: Nanos,
}

/// The parts of a run, from its start.
pub(super) fn over_time(plan: &Plan, facts: &RunFacts) -> Vec<Moment> {
    let course = &facts.timeline.course;
    let all: Vec<OperationId> = (0..plan.operations.len()).map(|i| OperationId(i as u16)).collect();
    let slots = course.slots(&all);
    let together = slots.len().div_ceil(PARTS_MAX).max(1);
    let slowest = course.slowest().chunks(together);
    let part = |(slots, slowest): (&[_], &[Nanos])| {
        let mut moment = Moment { p99_max: slowest.iter().copied().max().unwrap_or_default(), ..Moment::default() };
        for (i, ((start, end), flow)) in slots.iter().enumerate() {
            let (start, end, flow): (Nanos, Nanos, slatest_core::measure::Flow) = (*start, *end, *flow);
            if i == 0 {
                moment.start = start;
            }
            moment.length = end - moment.start;
            moment.ended += flow.ended;
            moment.failed += flow.failed;
        }
        moment
    };
    slots.chunks(together).zip(slowest).map(part).collect()
}
