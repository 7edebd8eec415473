//! What counts against an objective, over time.

use super::facts::RunFacts;
use crate::profile::{Aim, Plan};
use slatest_core::measure::{Counter, Flow, Timeline};
use slatest_core::model::{Nanos, OperationId};
use slatest_stats::{BATCHES, Batch};

/// Bad samples (exceedances, failures, misses) and all samples of a scope, in batches of time between
/// `from` and `to`; `scope` holds operations with their place in the aim's lists. Empty where nothing
/// is counted one by one.
pub(super) fn bad_over_time(
    timeline: &Timeline,
    aim: &Aim,
    scope: impl IntoIterator<Item = (OperationId, usize)>,
    part: (Nanos, Nanos),
) -> Vec<Batch> {
    finely(timeline, aim, scope, part, BATCHES)
}

fn finely(
    timeline: &Timeline,
    aim: &Aim,
    scope: impl IntoIterator<Item = (OperationId, usize)>,
    (from, to): (Nanos, Nanos),
    batches: usize,
) -> Vec<Batch> {
    let counters: Vec<_> =
        scope.into_iter().filter_map(|(operation, position)| Some((operation, aim.counter(position)?))).collect();
    if counters.is_empty() {
        return Vec::new();
    }
    // A ratio counts the good ones.
    let good_is_counted = matches!(aim, Aim::Ratio { .. });
    let bad = |counted: u64, n: u64| if good_is_counted { n.saturating_sub(counted) } else { counted };
    let counts = timeline.batches.cut(&counters, from, to, batches);
    counts.into_iter().map(|(counted, n)| Batch { bad: bad(counted, n), n }).collect()
}

/// The same as finely as it is kept, with the time that each covers.
pub(super) fn bad_by_slot(
    timeline: &Timeline,
    aim: &Aim,
    scope: impl IntoIterator<Item = (OperationId, usize)>,
    (from, to): (Nanos, Nanos),
) -> Vec<((Nanos, Nanos), Batch)> {
    let (first, slot) = timeline.batches.slots(from);
    let batches = finely(timeline, aim, scope, (from, to), usize::MAX);
    let time = |i: usize| Nanos(slot.0.saturating_mul(i as u64).saturating_add(first.0));
    batches.into_iter().enumerate().map(|(i, batch)| ((time(i), time(i + 1)), batch)).collect()
}

/// The same batches with what was bad from the instant of firing: without the exceedances that only the
/// generator's own lateness made.
pub(super) fn bad_from_firing(
    timeline: &Timeline,
    aim: &Aim,
    scope: impl IntoIterator<Item = (OperationId, usize)>,
    (from, to): (Nanos, Nanos),
    bad: &[Batch],
) -> Vec<Batch> {
    let by_lateness = |(operation, position)| match aim.counter(position)? {
        Counter::Threshold(index) => Some((operation, Counter::ByLateness(index))),
        _ => None,
    };
    let counters: Vec<_> = scope.into_iter().filter_map(by_lateness).collect();
    if counters.is_empty() {
        return bad.to_vec();
    }
    let late = timeline.batches.cut(&counters, from, to, BATCHES);
    bad.iter().zip(late).map(|(b, (late, _))| Batch { bad: b.bad.saturating_sub(late), n: b.n }).collect()
}

/// What happened to an operation within the judged part of its scenario, and how long that was: what drills
/// set aside is left out of both. `None` where nothing is known of it.
pub fn within_judged(plan: &Plan, facts: &RunFacts, operation: OperationId) -> Option<(Flow, Nanos)> {
    let scenario = plan.scenarios.get(plan.operations.get(operation.index())?.scenario)?;
    let part = (scenario.start + scenario.warm_up, (scenario.end() - scenario.cool_down).min(facts.length));
    let exclusion: Vec<(Nanos, Nanos)> = facts.drills.iter().filter_map(|drill| drill.exclusion).collect();
    let (flow, length) = facts.timeline.course.within(&[operation], part, &exclusion);
    if length > Nanos::ZERO {
        return Some((flow, length));
    }
    // No whole window is in it: the windows that it touches, as far as the run went.
    let slots = facts.timeline.course.slots(&[operation]);
    let touched: Vec<_> = slots.iter().filter(|((since, until), _)| *since < part.1 && *until > part.0).collect();
    let (((since, _), _), ((_, until), _)) = (touched.first()?, touched.last()?);
    let length = (*until).min(facts.length) - *since;
    let sum = touched.iter().fold(Flow::default(), |sum, (_, flow)| sum.and(*flow));
    (length > Nanos::ZERO).then_some((sum, length))
}
