//! Between which two values a measured quantile must lie when the instrument is right.

use super::law::Law;
use slatest_core::measure::Latencies;
use slatest_core::model::Nanos;
use slatest_stats::{clopper_pearson, quantile_rank};

/// Chance of a false alarm at each bound. With [`BOUNDS`] a row and some dozen rows, the whole table
/// raises one less than once in a thousand times.
pub const ALPHA: f64 = 1e-5;
/// Bounds that can be wrong in a row, for the test of the whole table: below, above, and one of the overhead for each of [`SPLITS`].
#[cfg(test)]
pub(super) const BOUNDS: usize = 2 + SPLITS.len();
/// Which part of what is left above a quantile is given to the overhead. Any is right; the one that gives
/// the tightest bound depends on whether law or overhead has the longer tail there.
const SPLITS: [f64; 3] = [0.25, 0.05, 0.01];
/// How exact a histogram is: 3 digits.
const RESOLUTION: f64 = 1e-3;

/// Two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// It is not below.
    pub lower: Nanos,
    /// It is not above.
    pub upper: Nanos,
}

impl Bounds {
    /// Whether a value lies between them, as far as a histogram tells.
    pub fn contain(&self, value: Nanos) -> bool {
        let value = value.as_secs_f64();
        value >= self.lower.as_secs_f64() * (1.0 - RESOLUTION) && value <= self.upper.as_secs_f64() * (1.0 + RESOLUTION)
    }
}

/// What machine, network and sandbox add to an answer, seen at a probe whose law is a constant.
#[derive(Clone, Debug)]
pub struct Overhead {
    responses: Latencies,
    constant: Nanos,
}

impl Overhead {
    /// From the response times of a probe that takes `constant`.
    pub const fn new(responses: Latencies, constant: Nanos) -> Self {
        Self { responses, constant }
    }

    /// Its quantile as measured; zero without samples.
    pub fn quantile(&self, quantile: f64) -> Nanos {
        self.responses.quantile(quantile).unwrap_or_default() - self.constant
    }

    /// The largest seen.
    pub fn max(&self) -> Nanos {
        self.responses.max() - self.constant
    }

    /// What it does not exceed but for a share `beyond`, with a chance of [`ALPHA`] of being wrong; its
    /// largest where the samples can't tell.
    fn but_for(&self, beyond: f64) -> Nanos {
        let n = self.responses.count();
        // The least rank of which the order-statistic bound lies above the quantile.
        let mut rank = quantile_rank(n, 1.0 - beyond);
        while rank < n && clopper_pearson(rank, n, ALPHA).lower < 1.0 - beyond {
            rank += 1;
        }
        self.responses.value_at_rank(rank).map_or(Nanos::ZERO, |value| value - self.constant)
    }
}

/// Bounds of the `quantile` of `n` independent answers of a law.
///
/// The sample of rank r = ⌈q·n⌉ is below Q(a) with a chance of at most α where P(Bin(n, a) ≥ r) = α,
/// and above Q(b) where P(Bin(n, b) ≤ r − 1) = α: the order-statistic interval, read backwards. Overhead
/// only ever adds. Above, for any share ε: P(D + O > Q(b + ε) + c) ≤ P(D > Q(b + ε)) + P(O > c)
/// ≤ 1 − b, where c is exceeded by a share ε of the overhead; no independence of the two is needed.
pub fn independent(law: &Law, quantile: f64, n: u64, overhead: &Overhead) -> Bounds {
    let rank = quantile_rank(n, quantile);
    let lower = clopper_pearson(rank, n, ALPHA).lower;
    let upper = clopper_pearson(rank.saturating_sub(1), n, ALPHA).upper;
    let bound = |split: f64| {
        let beyond = (1.0 - upper) * split;
        law.quantile(upper + beyond) + overhead.but_for(beyond)
    };
    Bounds { lower: law.quantile(lower), upper: SPLITS.map(bound).into_iter().min().unwrap_or(Nanos::MAX) }
}

/// Bounds of the `quantile` of answers that are asked for at regular gaps, in a freeze whose period is
/// a whole number of gaps: at most one answer of each period lies on the other side of a quantile, a
/// share of 1 / (rate · period), which comes to one gap. `added` is the most that is added to an answer.
pub fn regular(law: &Law, quantile: f64, per_period: f64, added: Nanos) -> Bounds {
    let share = 1.0 / per_period;
    Bounds { lower: law.quantile(quantile - share), upper: law.quantile(quantile + share) + added }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const CONSTANT: Nanos = Nanos::from_millis(1);

    fn overhead(values: impl IntoIterator<Item = Nanos>) -> Overhead {
        let mut responses = Latencies::default();
        values.into_iter().for_each(|value| responses.record(CONSTANT + value));
        Overhead::new(responses, CONSTANT)
    }

    /// Answers of a law by inversion, with an overhead that is usually small and sometimes is not.
    fn measured(law: &Law, n: u64, random: &mut ChaCha8Rng) -> (Latencies, Overhead) {
        let mut responses = Latencies::default();
        let mut draw = || {
            let tail = if random.random_bool(0.01) { 5e-3 } else { 3e-4 };
            (random.random::<f64>(), Nanos::from_secs_f64(random.random::<f64>() * tail))
        };
        let mut bare = Vec::new();
        for _ in 0..n {
            let (p, added) = draw();
            responses.record(law.quantile(p) + added);
            bare.push(draw().1);
        }
        (responses, overhead(bare))
    }

    #[test]
    fn a_right_instrument_is_within_its_bounds() {
        let ms = Nanos::from_millis;
        let laws = [
            Law::Constant(ms(20)),
            Law::Uniform(ms(5), ms(55)),
            Law::LogNormal { median: ms(20), sigma: 0.5 },
            Law::Bimodal { usual: ms(10), slow: ms(80), share: 0.05 },
        ];
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for law in laws {
            for _ in 0..20 {
                let (responses, overhead) = measured(&law, 2_000, &mut random);
                for quantile in [0.5, 0.9, 0.99] {
                    let bounds = independent(&law, quantile, 2_000, &overhead);
                    let found = responses.quantile(quantile).unwrap();
                    assert!(bounds.contain(found), "{law:?} {quantile}: {found} not in {bounds:?}");
                }
            }
        }
    }

    #[test]
    fn an_instrument_that_is_off_by_a_tenth_is_not() {
        let law = Law::LogNormal { median: Nanos::from_millis(20), sigma: 0.5 };
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let (responses, overhead) = measured(&law, 6_000, &mut random);
        let median = responses.quantile(0.5).unwrap();
        let bounds = independent(&law, 0.5, 6_000, &overhead);
        assert!(bounds.contain(median));
        for factor in [0.9, 1.1] {
            assert!(!bounds.contain(Nanos::from_secs_f64(median.as_secs_f64() * factor)), "{bounds:?}");
        }
    }

    #[test]
    fn regular_arrivals_are_one_gap_off_at_most() {
        let law = Law::Freeze { length: Nanos::from_millis(1_000), period: Nanos::from_millis(5_000) };
        let bounds = regular(&law, 0.95, 1_000.0, Nanos::ZERO);
        assert_eq!((bounds.lower.0 / 1_000, bounds.upper.0 / 1_000), (745_000, 755_000));
    }
}
