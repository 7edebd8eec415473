//! `abort_on_fail`: ends a run early once an objective is shown not to hold.

use super::facts::Abortion;
use crate::measure::Timeline;
use crate::model::{Nanos, OperationId};
use crate::objective::{ALPHA, ends_at};
use crate::profile::{Aim, ObjectivePlan, Plan};

/// One sequence of looks at one objective, or at one operation of it.
#[derive(Debug)]
struct Watched {
    objective: usize,
    /// The one operation, where each is judged by itself.
    operation: Option<OperationId>,
    /// (operation, its place in the objective's lists).
    scope: Vec<(OperationId, usize)>,
    /// No look before this instant of the run.
    from: Nanos,
    /// The share of bad samples that it may have.
    limit: f64,
}

/// Looks at the objectives with `abort_on_fail` at the end of each window. Looking again and again
/// with a test made for one look would end healthy runs, so each look asks an anytime-valid sequence
/// (statistics: Stopping early), at α divided by the number of sequences: over the whole run, however
/// often it looks, the chance of a wrong end is at most α. It can only say that an objective does
/// not hold, never that it does.
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
            let (bad, samples) = counts(&plan.objectives[watched.objective].aim, timeline, &watched.scope);
            ends_at(bad as f64, samples as f64, watched.limit, self.alpha).then_some(Abortion {
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
    let from = objective.operations.iter().map(judged_from).min().unwrap_or(Nanos::ZERO) + delay;
    if objective.each {
        let one = |&(operation, position): &(OperationId, usize)| Watched {
            objective: index,
            operation: Some(operation),
            scope: vec![(operation, position)],
            from,
            limit,
        };
        scope.iter().map(one).collect()
    } else {
        vec![Watched { objective: index, operation: None, scope, from, limit }]
    }
}

/// (bad, of how many) of an objective's samples.
fn counts(aim: &Aim, timeline: &Timeline, scope: &[(OperationId, usize)]) -> (u64, u64) {
    let mut sum = (0, 0);
    for &(operation, position) in scope {
        let Some(tally) = timeline.judged.get(operation.index()) else { continue };
        let (bad, samples) = match aim {
            Aim::Quantile { thresholds, .. } => thresholds.get(position).map_or((0, 0), |&threshold| {
                let count = |counts: &[u64]| counts.get(threshold).copied().unwrap_or(0);
                (count(&tally.exceeded), count(&tally.observed))
            }),
            Aim::ErrorRate { .. } => (tally.failures(), tally.countable()),
            Aim::Ratio { ratios, .. } => {
                let ratio = ratios.get(position).and_then(|&ratio| tally.ratios.get(ratio));
                ratio.map_or((0, 0), |&(good, total)| (total.saturating_sub(good), total))
            }
            Aim::Throughput { .. } => (0, 0),
        };
        sum = (sum.0 + bad, sum.1 + samples);
    }
    sum
}
