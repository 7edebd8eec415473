//! `abort_on_fail`: ends a run early once an objective is shown not to hold.

use super::facts::Abortion;
use super::over_time::{bad_from_firing, bad_over_time};
use crate::profile::{ObjectivePlan, Plan};
use slatest_core::measure::Timeline;
use slatest_core::model::{Nanos, OperationId};
use slatest_stats::{ALPHA, ends_at, worth};

/// One sequence of looks at one objective, or at one operation of it.
#[derive(Debug)]
struct Watched {
    objective: usize,
    /// The one operation, where each is judged by itself.
    operation: Option<OperationId>,
    /// (operation, its place in the objective's lists).
    scope: Vec<(OperationId, usize)>,
    /// When the measured part of its scope begins.
    judged_from: Nanos,
    /// No look before this instant of the run.
    from: Nanos,
    /// The share of bad samples that it may have.
    limit: f64,
}

/// Looks at the objectives with `abort_on_fail` at the end of each window. Looking again and again
/// with a test made for one look would end healthy runs, so each look asks an anytime-valid sequence
/// (statistics: Stopping early), at α divided by the number of sequences: over the whole run, however
/// often it looks, the chance of a wrong end is at most α. Samples count for what they are worth (the
/// design effect), as in the verdict: one bad moment is no bad target. It can only say that an
/// objective does not hold, never that it does.
#[derive(Debug)]
pub struct AbortWatch {
    watched: Vec<Watched>,
    alpha: f64,
}

impl AbortWatch {
    /// Of a plan; empty when no objective ends a run.
    pub fn new(plan: &Plan) -> Self {
        let watched: Vec<Watched> =
            plan.objectives.iter().enumerate().flat_map(|(i, objective)| watch(plan, i, objective)).collect();
        let alpha = ALPHA / watched.len().max(1) as f64;
        Self { watched, alpha }
    }

    /// The first objective that is shown not to hold by what there is at `now`.
    pub fn look(&self, plan: &Plan, timeline: &Timeline, now: Nanos) -> Option<Abortion> {
        self.watched.iter().filter(|watched| now >= watched.from).find_map(|watched| {
            let aim = &plan.objectives[watched.objective].aim;
            let scope = || watched.scope.iter().copied();
            let judged = (watched.judged_from, timeline.end);
            let batches = bad_over_time(timeline, aim, scope(), judged);
            // What only the generator's lateness made bad ends no run.
            let batches = bad_from_firing(timeline, aim, scope(), judged, &batches);
            let (bad, samples) = batches.iter().fold((0, 0), |sum, b| (sum.0 + b.bad, sum.1 + b.n));
            let effective = worth(&batches).effective;
            let bad_effective = bad as f64 * effective / samples.max(1) as f64;
            ends_at(bad_effective, effective, watched.limit, self.alpha).then_some(Abortion {
                objective: watched.objective,
                operation: watched.operation,
                bad,
                samples,
                at: now,
            })
        })
    }
}

fn watch(plan: &Plan, index: usize, objective: &ObjectivePlan) -> Vec<Watched> {
    let (Some(delay), Some(limit)) = (objective.abort_after, objective.aim.bad_share_limit()) else {
        return Vec::new();
    };
    let scope: Vec<(OperationId, usize)> =
        objective.operations.iter().enumerate().map(|(position, &operation)| (operation, position)).collect();
    let judged_from = |operation: &OperationId| {
        let scenario = plan.operations.get(operation.index()).and_then(|o| plan.scenarios.get(o.scenario));
        scenario.map_or(Nanos::ZERO, |s| s.start + s.warm_up)
    };
    let judged_from = objective.operations.iter().map(judged_from).min().unwrap_or(Nanos::ZERO);
    let from = judged_from + delay;
    if objective.each {
        let one = |&(operation, position): &(OperationId, usize)| Watched {
            objective: index,
            operation: Some(operation),
            scope: vec![(operation, position)],
            judged_from,
            from,
            limit,
        };
        scope.iter().map(one).collect()
    } else {
        vec![Watched { objective: index, operation: None, scope, judged_from, from, limit }]
    }
}
