//! What an objective compares, over time.

use super::operation::OpenTimes;
use slatest_core::measure::{Latencies, Series, Tally};
use slatest_core::model::{Nanos, OperationId, Outcome};
use slatest_engine::profile::{Aim, ObjectivePlan, Plan};
use slatest_stats::{Batch, JudgedObjective};

/// In what an objective's value is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Unit {
    /// Nanoseconds.
    Time,
    /// From 0 to 1.
    Share,
    /// Per second.
    Rate,
}

/// An objective's indicator over time, of what was judged. Every list has one entry a slot.
#[derive(Clone, Debug)]
pub(in crate::report) struct Track {
    /// Operations in its scope.
    pub operations: Vec<OperationId>,
    /// What its values are.
    pub unit: Unit,
    /// What they are held to, in the same unit.
    pub limit: f64,
    /// The share of bad samples that must not be reached; `None` where nothing is counted one by one.
    pub share_limit: Option<f64>,
    /// The indicator; `None` where nothing was judged. Of times it is the quantile of those that were observed.
    pub values: Vec<Option<f64>>,
    /// Bad samples out of all.
    pub batches: Vec<Batch>,
    aim: Aim,
    /// By operation in scope (same order): which of its times.
    series: Vec<Option<Series>>,
    open: Latencies,
    ok: u64,
}

impl Track {
    /// Of a judged objective; `None` where the plan does not know it.
    pub(super) fn of(plan: &Plan, judged: &JudgedObjective, slots: usize) -> Option<Self> {
        let objective = plan.objectives.iter().find(|one| is_of(plan, one, judged))?;
        let operations: Vec<OperationId> = if objective.each {
            let named = |id: &&OperationId| plan.operations.get(id.index()).is_some_and(|o| o.address == judged.scope);
            objective.operations.iter().filter(named).copied().collect()
        } else {
            objective.operations.clone()
        };
        let place = |id: &OperationId| objective.operations.iter().position(|one| one == id).unwrap_or(usize::MAX);
        let series = operations.iter().map(|id| match &objective.aim {
            Aim::Quantile { thresholds, .. } => {
                let index = *thresholds.get(place(id))?;
                plan.operations.get(id.index())?.thresholds.get(index).map(|threshold| threshold.series)
            }
            _ => None,
        });
        let (unit, limit) = match &objective.aim {
            Aim::Quantile { below, .. } => (Unit::Time, below.0 as f64),
            Aim::ErrorRate { below } => (Unit::Share, *below),
            Aim::Ratio { above, .. } => (Unit::Share, *above),
            Aim::Throughput { above } => (Unit::Rate, *above),
        };
        Some(Self {
            series: series.collect(),
            unit,
            limit,
            share_limit: objective.aim.bad_share_limit(),
            values: vec![None; slots],
            batches: vec![Batch::default(); slots],
            aim: in_scope(&objective.aim, &operations.iter().map(place).collect::<Vec<_>>()),
            operations,
            open: Latencies::default(),
            ok: 0,
        })
    }

    /// Adds what was judged of an operation in a window; `open` where the slot is the one that is being read.
    pub(super) fn add(&mut self, operation: OperationId, tally: &Tally, slot: usize, open: bool) {
        let Some(place) = self.operations.iter().position(|one| *one == operation) else { return };
        let (bad, n) = match &self.aim {
            Aim::Quantile { thresholds, .. } => {
                let index = thresholds.get(place).copied().unwrap_or(usize::MAX);
                let at = |counts: &[u64]| counts.get(index).copied().unwrap_or_default();
                (at(&tally.exceeded), at(&tally.observed))
            }
            Aim::ErrorRate { .. } => (tally.failures(), tally.countable()),
            Aim::Ratio { ratios, .. } => {
                let index = ratios.get(place).copied().unwrap_or(usize::MAX);
                let (good, n) = tally.ratios.get(index).copied().unwrap_or_default();
                (n.saturating_sub(good), n)
            }
            Aim::Throughput { .. } => (tally.completed() - tally.outcome(Outcome::Ok), tally.completed()),
        };
        self.batches[slot].bad += bad;
        self.batches[slot].n += n;
        if !open {
            return;
        }
        self.ok += tally.outcome(Outcome::Ok);
        match self.series.get(place).copied().flatten() {
            Some(Series::ServiceTime) => self.open.merge(&tally.service),
            Some(Series::Timing(index)) => {
                if let Some(times) = tally.timings.get(usize::from(index)) {
                    self.open.merge(times);
                }
            }
            // Those are summed for the operation anyway.
            Some(Series::ResponseTime) | None => {}
        }
    }

    /// Settles the value of a slot that is over; `length` is that of the slot, `times` those of each operation in it.
    pub(super) fn settle(&mut self, slot: usize, length: Nanos, times: &[OpenTimes]) {
        for (id, series) in self.operations.iter().zip(&self.series) {
            if let (Some(Series::ResponseTime), Some(times)) = (series, times.get(id.index())) {
                self.open.merge(&times.judged);
            }
        }
        let Batch { bad, n } = self.batches[slot];
        let share = |count: u64| (n > 0).then(|| count as f64 / n as f64);
        self.values[slot] = match &self.aim {
            Aim::Quantile { quantile, .. } => self.open.quantile(*quantile).ok().map(|time| time.0 as f64),
            Aim::ErrorRate { .. } => share(bad),
            Aim::Ratio { .. } => share(n.saturating_sub(bad)),
            Aim::Throughput { .. } => (n > 0).then(|| self.ok as f64 / length.as_secs_f64()),
        };
        self.open.clear();
        self.ok = 0;
    }
}

/// Whether a judged objective is (a part of) one of the plan.
fn is_of(plan: &Plan, objective: &ObjectivePlan, judged: &JudgedObjective) -> bool {
    let address = |id: &OperationId| plan.operations.get(id.index()).is_some_and(|o| o.address == judged.scope);
    objective.name == judged.name
        && if objective.each { objective.operations.iter().any(address) } else { objective.scope == judged.scope }
}

/// An aim with its lists cut to these places.
fn in_scope(aim: &Aim, places: &[usize]) -> Aim {
    let cut = |list: &[usize]| places.iter().map(|&place| list.get(place).copied().unwrap_or(usize::MAX)).collect();
    match aim {
        Aim::Quantile { of, thresholds, quantile, below } => {
            Aim::Quantile { of: of.clone(), thresholds: cut(thresholds), quantile: *quantile, below: *below }
        }
        Aim::Ratio { of, ratios, above } => Aim::Ratio { of: of.clone(), ratios: cut(ratios), above: *above },
        other => other.clone(),
    }
}
