//! Which ordered samples bound a quantile.

use super::binomial::at_most;

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
