//! Everything that is known of one operation over some time.

use serde::{Deserialize, Serialize};

use super::{ErrorKinds, Latencies, TrafficSums};
use crate::model::{Nanos, OUTCOMES, Outcome};

/// Most of anything that one window can have counted; thousands of days of such windows can be summed.
pub(super) const COUNT_MAX: u64 = 1 << 40;

/// Exceedances of a threshold that there would not have been from the instant at which the generator fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByLateness {
    /// How many: done − intended reached the limit, done − fired did not.
    pub samples: u64,
    /// The greatest lateness (fired − intended) among them.
    pub lateness_max: Nanos,
}

/// Counters and histograms of one operation over a window, a run, or any union of these.
/// Merging is exact, commutative and associative.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Arrivals that were due (steps of flows included).
    pub planned: u64,
    /// How they ended, in the order of [`OUTCOMES`].
    pub outcomes: [u64; OUTCOMES.len()],
    /// Response times of those that were ok.
    pub response: Latencies,
    /// Times until failure of those that were not (dropped ones have none).
    pub failed: Latencies,
    /// Service times of all that were sent.
    pub service: Latencies,
    /// Sent − intended of all that were sent; what the generator (and connecting) added.
    pub send_lag: Latencies,
    /// Timings, in the order of the operation's plan.
    pub timings: Vec<Latencies>,
    /// Exceedances per threshold, in the order of the operation's plan. Failures are exceedances.
    pub exceeded: Vec<u64>,
    /// Of the exceedances per threshold, those that the generator's own lateness may have made. Empty where
    /// there is none, and in older records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_lateness: Vec<ByLateness>,
    /// Samples per threshold: what the exceedances are out of.
    pub observed: Vec<u64>,
    /// Ratios as (good, total), in the order of the operation's plan.
    pub ratios: Vec<(u64, u64)>,
    /// Kinds of error.
    pub errors: ErrorKinds,
    /// How often a request was sent again because its kept connection was stale: no outcome, and never hidden.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retried: u64,
    /// How many of those that did not end well were never sent, because the workload could not build them: failures
    /// of nobody, and no samples.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsent: u64,
    /// Answers by status, and bytes, where the driver counts them.
    #[serde(default, skip_serializing_if = "TrafficSums::is_empty")]
    pub traffic: TrafficSums,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Tally {
    /// An empty one with room for so many timings, thresholds and ratios.
    pub fn with_shape(timings: usize, thresholds: usize, ratios: usize) -> Self {
        Self {
            timings: vec![Latencies::default(); timings],
            exceeded: vec![0; thresholds],
            observed: vec![0; thresholds],
            ratios: vec![(0, 0); ratios],
            ..Self::default()
        }
    }

    /// Whether it can have been counted: a text that was changed may hold numbers that no sum takes.
    pub(super) fn is_possible(&self) -> bool {
        let counts =
            self.outcomes.iter().chain([&self.planned, &self.retried]).chain(&self.exceeded).chain(&self.observed);
        let counts = counts.chain(self.ratios.iter().flat_map(|(good, total)| [good, total]));
        let times = [&self.response, &self.failed, &self.service, &self.send_lag];
        let mut times = times.into_iter().chain(&self.timings);
        let within = |(part, whole): (&u64, &u64)| part <= whole;
        counts.copied().chain(self.errors.counts()).chain(self.traffic.counts()).all(|count| count <= COUNT_MAX)
            && times.all(|times| times.count() <= COUNT_MAX)
            && self.unsent <= self.completed() - self.outcome(Outcome::Ok) - self.outcome(Outcome::Blocked)
            && self.exceeded.len() == self.observed.len()
            && self.exceeded.iter().zip(&self.observed).all(within)
            && self.by_lateness.len() <= self.exceeded.len()
            && self.by_lateness.iter().zip(&self.exceeded).all(|(late, exceeded)| late.samples <= *exceeded)
            && self.ratios.iter().all(|(good, total)| good <= total)
    }

    /// How many ended so.
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome.index()]
    }

    /// How many ended at all.
    pub fn completed(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// How many count for error rates: all but those that a firewall kept from the target, or that were never sent.
    pub fn countable(&self) -> u64 {
        (self.completed() - self.outcome(Outcome::Blocked)).saturating_sub(self.unsent)
    }

    /// How many of these failed.
    pub fn failures(&self) -> u64 {
        let failed: u64 = OUTCOMES.iter().filter(|o| o.is_failure()).map(|o| self.outcome(*o)).sum();
        failed.saturating_sub(self.unsent)
    }

    /// Response times of all that ended, well or not: what percentiles are shown of.
    pub fn all_responses(&self) -> Latencies {
        let mut all = self.response.clone();
        all.merge(&self.failed);
        all
    }

    /// Adds everything that another one of the same operation holds.
    pub fn merge(&mut self, other: &Self) {
        self.planned += other.planned;
        for (mine, theirs) in self.outcomes.iter_mut().zip(other.outcomes) {
            *mine += theirs;
        }
        self.response.merge(&other.response);
        self.failed.merge(&other.failed);
        self.service.merge(&other.service);
        self.send_lag.merge(&other.send_lag);
        self.timings.resize_with(self.timings.len().max(other.timings.len()), Latencies::default);
        for (mine, theirs) in self.timings.iter_mut().zip(&other.timings) {
            mine.merge(theirs);
        }
        add_each(&mut self.exceeded, &other.exceeded);
        add_each(&mut self.observed, &other.observed);
        self.by_lateness.resize(self.by_lateness.len().max(other.by_lateness.len()), ByLateness::default());
        for (mine, theirs) in self.by_lateness.iter_mut().zip(&other.by_lateness) {
            mine.samples += theirs.samples;
            mine.lateness_max = mine.lateness_max.max(theirs.lateness_max);
        }
        self.ratios.resize(self.ratios.len().max(other.ratios.len()), (0, 0));
        for (mine, theirs) in self.ratios.iter_mut().zip(&other.ratios) {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
        self.errors.merge(&other.errors);
        self.retried += other.retried;
        self.unsent += other.unsent;
        self.traffic.merge(&other.traffic);
    }
}

fn add_each(mine: &mut Vec<u64>, theirs: &[u64]) {
    mine.resize(mine.len().max(theirs.len()), 0);
    for (m, t) in mine.iter_mut().zip(theirs) {
        *m += t;
    }
}
