//! One operation over time.

use slatest_core::measure::{Latencies, Tally};

/// Quantiles that are kept of each slot; the last one is the largest value.
pub(in crate::report) const QUANTILES: [f64; 6] = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0];
/// The quantile of the parts of the time.
const PART_QUANTILE: f64 = 0.95;

/// One operation (or all together) over time. Every list has one entry a slot.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct OperationCourse {
    /// Due in it.
    pub due: Vec<u64>,
    /// Ended in it, in whatever way.
    pub ended: Vec<u64>,
    /// Failed in it.
    pub failed: Vec<u64>,
    /// Response times of all that ended in it, by [`QUANTILES`], in nanoseconds.
    pub times: [Vec<Option<u64>>; QUANTILES.len()],
    /// p95 of the parts of the time: what the generator and connecting added, what the target took, and each timing
    /// of the driver, in nanoseconds. Empty where they were not asked for.
    pub parts: Vec<(String, Vec<Option<u64>>)>,
    /// All response times of the judged part.
    pub judged: Latencies,
}

impl OperationCourse {
    /// An empty one; `timings` where the parts of the time are wanted.
    pub(super) fn new(slots: usize, timings: Option<&[String]>) -> Self {
        let named = |timings: &[String]| {
            let own = ["send lag", "service time"].map(str::to_owned);
            own.into_iter().chain(timings.iter().cloned()).map(|name| (name, vec![None; slots])).collect()
        };
        Self {
            due: vec![0; slots],
            ended: vec![0; slots],
            failed: vec![0; slots],
            times: std::array::from_fn(|_| vec![None; slots]),
            parts: timings.map_or_else(Vec::new, named),
            judged: Latencies::default(),
        }
    }

    /// Counts what a window holds of it.
    pub(super) fn count(&mut self, slot: usize, tally: &Tally) {
        self.due[slot] += tally.planned;
        self.ended[slot] += tally.completed();
        self.failed[slot] += tally.failures();
    }

    /// Settles the times of a slot that is over.
    pub(super) fn settle(&mut self, slot: usize, open: &mut OpenTimes) {
        self.judged.merge(&open.judged);
        open.responses.merge(&open.judged);
        for (quantile, values) in QUANTILES.iter().zip(&mut self.times) {
            values[slot] = open.responses.quantile(*quantile).ok().map(|time| time.0);
        }
        for ((_, values), times) in self.parts.iter_mut().zip(&open.parts) {
            values[slot] = times.quantile(PART_QUANTILE).ok().map(|time| time.0);
        }
    }
}

/// Times of one operation in the slot that is being read.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenTimes {
    /// What is not judged; when the slot is over, everything.
    pub responses: Latencies,
    /// What is judged.
    pub judged: Latencies,
    /// In the order of [`OperationCourse::parts`]; empty where they are not wanted.
    pub parts: Vec<Latencies>,
}

impl OpenTimes {
    /// For what is wanted of an operation.
    pub(super) fn of(course: &OperationCourse) -> Self {
        Self { parts: vec![Latencies::default(); course.parts.len()], ..Self::default() }
    }

    pub(super) fn add(&mut self, tally: &Tally, judged: bool) {
        let responses = if judged { &mut self.judged } else { &mut self.responses };
        responses.merge(&tally.response);
        responses.merge(&tally.failed);
        let parts = [&tally.send_lag, &tally.service].into_iter().chain(&tally.timings);
        self.parts.iter_mut().zip(parts).for_each(|(mine, theirs)| mine.merge(theirs));
    }

    pub(super) fn clear(&mut self) {
        self.responses.clear();
        self.judged.clear();
        self.parts.iter_mut().for_each(Latencies::clear);
    }
}
