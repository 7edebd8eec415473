//! Does the target keep up with what it is sent?
//!
//! Where it does not, what is under way grows without bound, and each response time with it: no sample need
//! exceed a limit while the run lasts, and every figure is one of the run's length.

use crate::load::facts::RunFacts;
use crate::profile::{ExecutorPlan, Plan, ScenarioPlan};
use slatest_core::measure::Flow;
use slatest_core::model::{Nanos, OperationId};

/// Parts into which the last two thirds of the judged time are cut; under way must have grown in each.
const PARTS: usize = 4;
/// What is under way must have grown by this share of what was due, over all parts together…
const GROWTH_MIN: f64 = 0.05;
/// …by half of it in each, and in the last by this share of the growth of the first: what levels off is slow,
/// and keeps up.
const LASTING_MIN: f64 = 0.6;
/// Where each takes longer than this share of what is looked at, what levels off does so slowly, and by chance it
/// looks as if it did not: the growth that lasts must then be beyond chance by so many standard deviations.
const SLOW_SHARE: f64 = 1.0 / 3.0;
const SLOW_SIGMAS: f64 = 2.0;
/// The first part must have ended this share of what the last did: a target whose first answers are yet to
/// come is slow.
const SERVED_MIN: f64 = 0.75;
/// A growth within this many standard deviations of a number under way is noise.
const SIGMAS: f64 = 6.0;

/// A scenario with which the target did not keep up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FallingBehind {
    /// Its place in the plan.
    pub(super) scenario: usize,
    /// Due per second.
    pub(super) offered: f64,
    /// Ended well per second.
    pub(super) served: f64,
    /// Under way at the start of what was looked at, and at its end.
    pub(super) under_way: (u64, u64),
}

impl FallingBehind {
    pub(super) fn message(&self) -> String {
        let (from, to) = self.under_way;
        format!(
            "does not keep up: serves about {:.0}/s of {:.0}/s; under way grew from {from} to {to}",
            self.served, self.offered
        )
    }
}

/// Every scenario whose arrivals are planned ahead and that the target falls behind with. (Users who wait for
/// their answers can't be fallen behind with.)
pub(super) fn falling_behind(plan: &Plan, facts: &RunFacts) -> Vec<FallingBehind> {
    let open = |s: &ScenarioPlan| matches!(s.executor, ExecutorPlan::Arrivals { .. });
    let scenarios = plan.scenarios.iter().enumerate().filter(|(_, scenario)| open(scenario));
    scenarios.filter_map(|(i, scenario)| look_at(plan, facts, i, scenario)).collect()
}

fn look_at(plan: &Plan, facts: &RunFacts, place: usize, scenario: &ScenarioPlan) -> Option<FallingBehind> {
    let operations: Vec<OperationId> = (0..plan.operations.len())
        .filter(|i| plan.operations[*i].scenario == place)
        .map(|i| OperationId(i as u16))
        .collect();
    let to = (scenario.end() - scenario.cool_down).min(facts.length);
    let slots: Vec<((Nanos, Nanos), Flow)> =
        facts.timeline.course.slots(&operations).into_iter().filter(|((_, end), _)| *end <= to).collect();
    let from = scenario.start + scenario.warm_up;
    let judged = slots.iter().filter(|((start, _), _)| *start >= from).count();
    let looked_at = judged * 2 / 3;
    if looked_at < PARTS {
        return None;
    }
    let (before, last) = slots.split_at(slots.len() - looked_at);
    // A drill breaks the target on purpose, and what waits meanwhile is its own affair.
    let since = last.first()?.0.0;
    if facts.drills.iter().filter_map(|drill| drill.exclusion).any(|(_, until)| until > since) {
        return None;
    }
    let under_way = |flows: &[((Nanos, Nanos), Flow)]| {
        flows.iter().fold(0_u64, |sum, (_, flow)| (sum + flow.due).saturating_sub(flow.ended))
    };
    let (start, end) = (under_way(before), under_way(&slots));
    let sum = |part: &[((Nanos, Nanos), Flow)]| {
        part.iter().fold((0.0, 0.0, 0.0), |sum, (_, flow)| {
            (sum.0 + flow.due as f64, sum.1 + flow.ended as f64, sum.2 + flow.ok as f64)
        })
    };
    let parts: Vec<(f64, f64, f64)> =
        (0..PARTS).map(|i| sum(&last[i * looked_at / PARTS..(i + 1) * looked_at / PARTS])).collect();
    let (due, ended, ok) = sum(last);
    let growth = due - ended;
    let share = |(due, ended, _): &(f64, f64, f64)| if *due > 0.0 { (due - ended) / due } else { 0.0 };
    let per_slot = |i: usize| {
        let length = (i + 1) * looked_at / PARTS - i * looked_at / PARTS;
        (parts[i].0 / length as f64, parts[i].1 / length as f64)
    };
    let ((due_first, ended_first), (due_last, ended_last)) = (per_slot(0), per_slot(PARTS - 1));
    // By Little's law, under way over the rate is the time that each takes: under a ramp the one grows with
    // the rate, the other does not.
    let times_grew = end as f64 / due_last.max(1e-9) > 1.5 * start as f64 / due_first.max(1e-9);
    // Of the share by which a part grew, were its arrivals and its ends independent.
    let variance = |(due, ended, _): &(f64, f64, f64)| (due + ended) / due.max(1.0).powi(2);
    let (early, late) = (&parts[0], &parts[PARTS - 1]);
    let is_slow = start as f64 / ended_first.max(1e-9) > SLOW_SHARE * looked_at as f64;
    let noise = (variance(late) + LASTING_MIN.powi(2) * variance(early)).sqrt();
    let margin = if is_slow { SLOW_SIGMAS * noise } else { 0.0 };
    let is_behind = growth >= GROWTH_MIN * due
        && growth > SIGMAS * (end as f64).sqrt() + 10.0
        && parts.iter().all(|part| share(part) >= GROWTH_MIN / 2.0)
        && share(late) >= LASTING_MIN * share(early) + margin
        && ended_first >= SERVED_MIN * ended_last
        && times_grew;
    let secs = (last.last()?.0.1 - since).as_secs_f64();
    is_behind.then(|| FallingBehind {
        scenario: place,
        offered: due / secs,
        served: ok / secs,
        under_way: (start, end),
    })
}
