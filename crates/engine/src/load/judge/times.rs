//! The times of an objective's scope, with failures at infinity.

use super::objective::InScope;
use crate::profile::Plan;
use slatest_core::measure::{ByLateness, Latencies, Series};
use slatest_stats::Reading;

/// The times of a scope with failures at infinity.
#[derive(Default)]
pub(super) struct Times {
    pub(super) exceeded: u64,
    pub(super) observed: u64,
    /// Of what exceeded, what only the generator's lateness made.
    pub(super) by_lateness: ByLateness,
    /// Of these, how many have a time at all.
    timed: u64,
    values: Latencies,
}

impl Times {
    /// Adds an operation's times, those that its threshold of this index is put on.
    pub(super) fn add(&mut self, plan: &Plan, one: &InScope<'_>, threshold: Option<usize>) {
        let tally = one.tally;
        let Some(index) = threshold else { return };
        let operation = plan.operations.get(one.operation.index());
        let Some(threshold) = operation.and_then(|o| o.thresholds.get(index)) else { return };
        let (Some(&exceeded), Some(&observed)) = (tally.exceeded.get(index), tally.observed.get(index)) else { return };
        self.exceeded += exceeded;
        self.observed += observed;
        if let Some(late) = tally.by_lateness.get(index) {
            self.by_lateness.samples += late.samples;
            self.by_lateness.lateness_max = self.by_lateness.lateness_max.max(late.lateness_max);
        }
        // Every failure was observed, and has no time.
        self.timed += observed.saturating_sub(tally.failures());
        match threshold.series {
            Series::ResponseTime => self.values.merge(&tally.response),
            Series::ServiceTime => self.values.merge(&tally.service),
            Series::Timing(timing) => {
                if let Some(values) = tally.timings.get(usize::from(timing)) {
                    self.values.merge(values);
                }
            }
        }
    }

    /// The greatest value that the sample of this rank can have. (Service times and timings are
    /// kept of some failures too; which ones they are is not known any more, so the worst is
    /// assumed: that they are the least. Response times are of successes alone.)
    pub(super) fn at_most(&self, rank: u64) -> Option<Reading> {
        self.at(rank, self.values.count().saturating_sub(self.timed))
    }

    /// The least value that the sample of this rank can have.
    pub(super) fn at_least(&self, rank: u64) -> Option<Reading> {
        self.at(rank, 0)
    }

    fn at(&self, rank: u64, shift: u64) -> Option<Reading> {
        if rank == 0 || rank > self.observed {
            return None;
        }
        if rank > self.timed {
            return Some(Reading::Failed);
        }
        self.values.value_at_rank(rank + shift).ok().map(Reading::Time)
    }
}
