//! Latency histograms.

mod v2;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use crate::model::Nanos;

pub use v2::V2Error;

/// Significant decimal digits of every histogram: values are off by at most 0.1 %.
const DIGITS: u8 = 3;
/// Smallest difference that is kept, in nanoseconds: finer than any clock read around a request,
/// and it halves the memory of a histogram against 1 ns.
const UNIT_NS: u64 = 64;
/// The largest value that is told apart, a day: bounds the memory of a histogram.
const VALUE_MAX_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// What every histogram reads as before its first value.
static EMPTY: LazyLock<Histogram<u64>> = LazyLock::new(fresh);

/// A histogram of lengths of time in nanoseconds, at 3 significant digits and steps of at least
/// 64 ns. It has no memory until its first value, and grows with the largest (about 100 KiB at a
/// second, 250 KiB at most), never with the number of values.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    counts: Option<Box<Histogram<u64>>>,
}

/// A quantile was asked of a histogram that holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no samples")]
pub struct NoSamples;

fn fresh() -> Histogram<u64> {
    let mut counts = Histogram::new_with_bounds(UNIT_NS, 2 * UNIT_NS, DIGITS)
        .unwrap_or_else(|e| unreachable!("these bounds are allowed: {e}"));
    counts.auto(true);
    counts
}

impl PartialEq for Latencies {
    fn eq(&self, other: &Self) -> bool {
        // What has grown for a value that is gone again has more counters, all zero; the comparison
        // below asks the right one for every counter of the left one.
        let (few, many) = if self.inner().distinct_values() <= other.inner().distinct_values() {
            (self, other)
        } else {
            (other, self)
        };
        // What was emptied remembers a largest value that the library never had.
        (few.is_empty() && many.is_empty()) || few.inner() == many.inner()
    }
}

impl Latencies {
    /// Adds one value, growing where it must.
    pub fn record(&mut self, value: Nanos) {
        self.record_n(value, 1);
    }

    fn record_n(&mut self, value: Nanos, count: u64) {
        let counts = self.counts.get_or_insert_with(|| Box::new(fresh()));
        // The largest value of its step, because the library's largest value tells a zero from the rest
        // of the first step, which its encodings don't.
        let value = value.0.min(VALUE_MAX_NS) | (UNIT_NS - 1);
        // `saturating_record` never grows: it would hide every value beyond the first bucket.
        if counts.record_n(value, count).is_err() {
            unreachable!("a histogram that resizes takes every value up to its bound");
        }
    }

    /// Adds everything that another one holds; exact.
    pub fn merge(&mut self, other: &Self) {
        let Some(theirs) = other.counts.as_deref().filter(|counts| !counts.is_empty()) else { return };
        let counts = self.counts.get_or_insert_with(|| Box::new(fresh()));
        if let Err(e) = counts.add(theirs) {
            unreachable!("histograms that resize can always be added: {e}");
        }
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        if let Some(counts) = &mut self.counts {
            counts.reset();
        }
    }

    /// How many values it holds.
    pub fn count(&self) -> u64 {
        self.inner().len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.inner().is_empty()
    }

    /// The largest value, as precise as the histogram; zero when empty.
    pub fn max(&self) -> Nanos {
        Nanos(if self.is_empty() { 0 } else { self.inner().max() })
    }

    /// The smallest value, as precise as the histogram; zero when empty.
    pub fn min(&self) -> Nanos {
        Nanos(if self.inner().is_empty() { 0 } else { self.inner().min() })
    }

    /// The mean; zero when empty.
    pub fn mean(&self) -> Nanos {
        Nanos(self.inner().mean().round() as u64)
    }

    /// The value at a quantile in [0, 1].
    ///
    /// # Errors
    /// When there is none.
    pub fn quantile(&self, quantile: f64) -> Result<Nanos, NoSamples> {
        if self.is_empty() { Err(NoSamples) } else { Ok(Nanos(self.inner().value_at_quantile(quantile))) }
    }

    /// The value of the sample of this rank (from 1), counting from the smallest.
    ///
    /// # Errors
    /// When there are not so many.
    pub fn value_at_rank(&self, rank: u64) -> Result<Nanos, NoSamples> {
        if rank == 0 || rank > self.count() {
            return Err(NoSamples);
        }
        let mut seen = 0;
        for step in self.inner().iter_recorded() {
            seen += step.count_since_last_iteration();
            if seen >= rank {
                return Ok(Nanos(step.value_iterated_to()));
            }
        }
        Err(NoSamples)
    }

    /// The histogram inside, for writers of HdrHistogram's own formats.
    pub fn inner(&self) -> &Histogram<u64> {
        self.counts.as_deref().unwrap_or(&EMPTY)
    }

    /// HdrHistogram's V2 deflate encoding, in base64.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::new();
        if let Err(e) = V2DeflateSerializer::new().serialize(self.inner(), &mut bytes) {
            unreachable!("writing to memory can't fail: {e:?}");
        }
        STANDARD.encode(bytes)
    }

    /// The reverse of [`Latencies::encode`].
    ///
    /// # Errors
    /// In words, when the text is no such encoding.
    pub fn decode(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|e| format!("not base64: {e}"))?;
        let mut counts: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|e| format!("not a histogram: {e:?}"))?;
        counts.auto(true);
        Ok(Self { counts: Some(Box::new(counts)) })
    }
}

impl Serialize for Latencies {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::decode(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn merging_equals_recording_everything_in_one(
            values in prop::collection::vec((0..3_600_000_000_000_u64, any::<bool>()), 0..400)
        ) {
            let (mut all, mut left, mut right) = (Latencies::default(), Latencies::default(), Latencies::default());
            for &(value, side) in &values {
                all.record(Nanos(value));
                if side { left.record(Nanos(value)) } else { right.record(Nanos(value)) }
            }
            let mut one_way = left.clone();
            one_way.merge(&right);
            right.merge(&left);
            prop_assert_eq!(&one_way, &all);
            prop_assert_eq!(&right, &all);
        }

        #[test]
        fn encoding_loses_nothing(values in prop::collection::vec(0..u64::MAX / 4, 0..50)) {
            let mut histogram = Latencies::default();
            for &value in &values {
                histogram.record(Nanos(value));
            }
            prop_assert_eq!(&Latencies::decode(&histogram.encode()).unwrap(), &histogram);
        }
    }

    #[test]
    fn memory_that_is_left_of_a_value_is_no_difference() {
        let (mut grown, mut small) = (Latencies::default(), Latencies::default());
        grown.record(Nanos::from_secs(60));
        grown.clear();
        assert_eq!((&grown, &small), (&small, &grown));
        grown.record(Nanos(700));
        assert_ne!(grown, small);
        assert_ne!(small, grown);
        small.record(Nanos(700));
        assert_eq!((&grown, &small), (&small, &grown));
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Latencies::default().quantile(0.5), Err(NoSamples));
        assert!(Latencies::decode("nonsense!").is_err());
    }

    #[test]
    fn ranks_count_from_the_smallest() {
        let mut histogram = Latencies::default();
        for value in [3_000, 1_000, 2_000, 2_000] {
            histogram.record(Nanos(value));
        }
        let ranks: Vec<u64> = (1..=4).map(|r| histogram.value_at_rank(r).unwrap().0 / 1_000).collect();
        assert_eq!(ranks, [1, 2, 2, 3]);
        assert_eq!(histogram.value_at_rank(5), Err(NoSamples));
    }
}
