//! Our histograms as Prometheus' native ones.
//!
//! A native histogram of schema `s` has the bucket bounds 2^(k·2^−s): bucket `k` holds what is above bound `k − 1` and not
//! above bound `k`. Source: Prometheus, "Native histograms" specification, section "Exponential schemas".

use prometheus_client::encoding::{NativeHistogram, NativeHistogramBuckets};
use slatest_core::measure::Latencies;

/// Bounds are 2^(1/32) apart: 2.2 %.
const SCHEMA: i32 = 5;
/// Buckets within a doubling.
const PER_DOUBLING: f64 = 32.0;
/// Gaps of empty buckets up to this length are written as zeros: a new span costs more.
const GAP_MAX: i32 = 2;
/// What is below it is zero for the native histogram: one nanosecond, less than can be measured.
const ZERO_BELOW_SECS: f64 = 1e-9;

/// A native histogram, ready to be encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sparse {
    spans: Vec<(i32, u32)>,
    deltas: Vec<i64>,
}

/// The bucket of a length of time in seconds, above zero.
fn bucket_of(secs: f64) -> i32 {
    (secs.log2() * PER_DOUBLING).ceil() as i32
}

impl Sparse {
    /// From what was measured. Every count lies in the bucket of the middle of its step; a step of ours is 20 times
    /// narrower than a bucket.
    pub(crate) fn of(latencies: &Latencies) -> Self {
        let mut buckets: Vec<(i32, u64)> = Vec::new();
        let counts = latencies.inner();
        for step in counts.iter_recorded() {
            let value = counts.median_equivalent(step.value_iterated_to()).max(1);
            let bucket = bucket_of(value as f64 / 1e9);
            match buckets.last_mut() {
                Some((last, count)) if *last == bucket => *count += step.count_at_value(),
                _ => buckets.push((bucket, step.count_at_value())),
            }
        }
        Self::from_buckets(&buckets)
    }

    /// Spans are (buckets skipped since the last span, buckets in it); counts are differences to the bucket before.
    fn from_buckets(buckets: &[(i32, u64)]) -> Self {
        let mut sparse = Self::default();
        let mut next = None;
        let mut before = 0_i64;
        for &(bucket, count) in buckets {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let gap = next.map_or(bucket, |next| bucket - next);
            match sparse.spans.last_mut() {
                Some((_, length)) if gap <= GAP_MAX => {
                    for _ in 0..gap {
                        sparse.deltas.push(-before);
                        before = 0;
                    }
                    *length += gap.unsigned_abs() + 1;
                }
                _ => sparse.spans.push((gap, 1)),
            }
            sparse.deltas.push(count - before);
            before = count;
            next = Some(bucket + 1);
        }
        sparse
    }

    /// As the library takes it.
    pub(crate) fn native(&self) -> NativeHistogram<'_> {
        NativeHistogram {
            schema: SCHEMA,
            zero_threshold: ZERO_BELOW_SECS,
            zero_count: 0,
            negative: NativeHistogramBuckets { spans: &[], deltas: &[] },
            positive: NativeHistogramBuckets { spans: &self.spans, deltas: &self.deltas },
            created: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use slatest_core::model::Nanos;

    /// What a reader of the format sees: (bucket, count), empty ones left out.
    fn read(sparse: &Sparse) -> Vec<(i32, i64)> {
        let (mut bucket, mut count) = (0, 0);
        let mut deltas = sparse.deltas.iter();
        let mut seen = Vec::new();
        for &(offset, length) in &sparse.spans {
            bucket += offset;
            for _ in 0..length {
                count += deltas.next().expect("a count for each bucket");
                seen.push((bucket, count));
                bucket += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        seen.into_iter().filter(|(_, count)| *count != 0).collect()
    }

    #[test]
    fn bounds_are_those_of_the_specification() {
        // Bound 0 is 1 s, bound 32 is 2 s: a bucket holds its upper bound.
        assert_eq!((bucket_of(1.0), bucket_of(2.0), bucket_of(1.001)), (0, 32, 1));
        assert_eq!(bucket_of(0.5), -32);
    }

    #[test]
    fn gaps_are_spans_or_zeros() {
        let sparse = Sparse::from_buckets(&[(-3, 5), (-1, 2), (9, 1)]);
        assert_eq!(sparse.spans, [(-3, 3), (9, 1)]);
        assert_eq!(sparse.deltas, [5, -5, 2, -1]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_all_is_where_it_belongs(times in proptest::collection::vec(1_000_u64..100_000_000_000, 1..200)) {
            let mut latencies = Latencies::default();
            times.iter().for_each(|time| latencies.record(Nanos(*time)));
            let seen = read(&Sparse::of(&latencies));
            prop_assert_eq!(seen.iter().map(|(_, count)| count).sum::<i64>(), times.len() as i64);
            let bound = |bucket: i32| 2_f64.powf(f64::from(bucket) / PER_DOUBLING);
            for time in times {
                // Our own step is 0.1 % wide, or 64 ns; the bucket of a time is within that.
                let (low, high) = ((time as f64 - 128.0) / 1.002e9, (time as f64 + 128.0) * 1.002 / 1e9);
                prop_assert!(seen.iter().any(|(bucket, _)| bound(*bucket) >= low && bound(bucket - 1) <= high));
            }
        }
    }
}
