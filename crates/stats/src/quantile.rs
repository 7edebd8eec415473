//! Which ordered samples bound a quantile.

use super::batches;
use super::binomial::{at_most, bisect};

/// Ranks (from 1, counting from the smallest) of the samples that bound a quantile. A rank of 0, or
/// of more than there are samples, says that no sample bounds it on that side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranks {
    /// Rank of the lower bound.
    pub lower: u64,
    /// Rank of the upper bound.
    pub upper: u64,
}

/// The rank of the sample that is the quantile of `n`: the least at or below which at least that
/// share of them lies.
pub fn quantile_rank(n: u64, quantile: f64) -> u64 {
    // The product may come out a hair above a whole number (0.95 × 20), which is no further sample.
    let exact = quantile * n as f64;
    ((exact - exact * 1e-12).ceil() as u64).clamp(n.min(1), n)
}

/// The distribution-free interval of a quantile in (0, 1) from `n` samples, with a chance of `alpha`
/// beyond each bound: l = ppf(α), u = ppf(1−α) + 1 of Bin(n, quantile).
pub fn quantile_ranks(n: u64, quantile: f64, alpha: f64) -> Ranks {
    Ranks { lower: inverse(n, quantile, alpha), upper: inverse(n, quantile, 1.0 - alpha) + 1 }
}

/// The same when the `n` samples are worth `effective` independent ones: the bounds are where the
/// verdict on the share beyond a limit would turn, were the limit there.
pub fn effective_ranks(n: u64, effective: f64, quantile: f64, alpha: f64) -> Ranks {
    if effective >= n as f64 || n == 0 {
        return quantile_ranks(n, quantile, alpha);
    }
    let (limit, each) = (1.0 - quantile, n as f64 / effective);
    // Most bad ones with which it passes, and fewest with which it fails. With none at all every
    // sample counts for one.
    let most = bisect(|share| batches::at_most(effective, limit, share * effective) <= alpha);
    let fewest = bisect(|share| batches::at_least(effective, limit, share * effective) > alpha);
    let most = (most * effective * each).floor() as u64;
    let fewest = (fewest * effective * each).ceil() as u64;
    let upper = if at_most(n, limit, 0) > alpha { n + 1 } else { n - most.min(n) };
    Ranks { lower: (n + 1).saturating_sub(fewest), upper }
}

/// The least x with P(Bin(n, p) ≤ x) ≥ `chance`.
fn inverse(n: u64, p: f64, chance: f64) -> u64 {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if at_most(n, p, middle) >= chance { high = middle } else { low = middle + 1 }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_ranks() {
        let table = [
            (0.95, 1_000, 936, 964),
            (0.95, 10_000, 9_457, 9_543),
            (0.95, 100_000, 94_864, 95_136),
            (0.99, 1_000, 983, 997),
            (0.99, 10_000, 9_880, 9_920),
            (0.99, 100_000, 98_938, 99_062),
        ];
        for (quantile, n, lower, upper) in table {
            assert_eq!(quantile_ranks(n, quantile, 0.025), Ranks { lower, upper }, "{quantile} {n}");
        }
    }

    #[test]
    fn samples_that_are_worth_less_bound_less() {
        for (n, quantile) in [(1_000, 0.95), (30_000, 0.98), (100_000, 0.999), (59, 0.95)] {
            let plain = quantile_ranks(n, quantile, 0.05);
            assert_eq!(effective_ranks(n, n as f64, quantile, 0.05), plain);
            // All but all of them: the same ranks, found the other way.
            assert_eq!(effective_ranks(n, n as f64 * (1.0 - 1e-9), quantile, 0.05), plain, "{n} {quantile}");
            let half = effective_ranks(n, n as f64 / 2.0, quantile, 0.05);
            assert!(half.lower <= plain.lower && half.upper >= plain.upper, "{n} {quantile} {half:?} {plain:?}");
        }
    }

    #[test]
    fn the_bounds_turn_where_the_verdict_does() {
        use super::super::binomial::ALPHA;
        let (n, effective, quantile) = (30_000_u64, 15_076.643_519, 0.98);
        let ranks = effective_ranks(n, effective, quantile, ALPHA);
        let limit = 1.0 - quantile;
        // With the sample of rank r just below the limit, n − r lie at or above it; just above, one more.
        let share = |bad: u64| bad as f64 * effective / n as f64;
        let passes = |bad: u64| batches::at_most(effective, limit, share(bad)) <= ALPHA;
        let fails = |bad: u64| batches::at_least(effective, limit, share(bad)) <= ALPHA;
        assert!(passes(n - ranks.upper) && !passes(n - ranks.upper + 1));
        assert!(fails(n - ranks.lower + 1) && !fails(n - ranks.lower));
    }

    #[test]
    fn the_rank_of_a_quantile_is_exact() {
        assert_eq!(quantile_rank(20, 0.95), 19);
        assert_eq!(quantile_rank(100, 0.99), 99);
        assert_eq!(quantile_rank(101, 0.99), 100);
        assert_eq!(quantile_rank(1, 0.5), 1);
        assert_eq!(quantile_rank(0, 0.5), 0);
    }

    #[test]
    fn few_samples_bound_nothing_above() {
        // 58 samples can't bound a p95 from above at 95 %, 59 can: the same 59 that a pass needs.
        assert_eq!(quantile_ranks(58, 0.95, 0.05).upper, 59);
        assert_eq!(quantile_ranks(59, 0.95, 0.05).upper, 59);
    }
}
