//! How many samples it takes to conclude, said before anything is sent.

use super::binomial::{ALPHA, at_most};

/// Chance of a pass that a profile should give a target that holds.
pub const POWER: f64 = 0.9;

/// Most bad samples in the exact search. A true share of half the limit is told from the limit by
/// about 20, whatever the limit; one of 80 % of it by about 150.
const BAD_MAX: u64 = 200;

/// Normal quantiles of 1 − [`ALPHA`] and of [`POWER`].
const Z_ALPHA: f64 = 1.644_853_626_951_472_7;
const Z_POWER: f64 = 1.281_551_565_544_600_4;

/// Fewest samples that pass a share below `limit`, in (0, 1), when none of them is bad:
/// ⌈ln α / ln(1 − limit)⌉.
pub fn samples_without_bad(limit: f64) -> u64 {
    (ALPHA.ln() / (-limit).ln_1p()).ceil().max(1.0) as u64
}

/// Chance that `n` samples pass a share below `limit` when the true share is `share`.
pub fn chance_of_pass(n: u64, limit: f64, share: f64) -> f64 {
    most_bad(n, limit).map_or(0.0, |bad| at_most(n, share, bad))
}

/// Fewest samples that give the exact test a chance of [`POWER`] of a pass when the true share is
/// half the limit.
///
/// That chance is a saw: it leaps wherever one more bad sample is forgiven and sinks slowly until the
/// next. So somewhat more samples can have somewhat less than [`POWER`], by a few percent.
pub fn samples_for_power(limit: f64) -> u64 {
    samples_to_pass(limit, limit / 2.0).unwrap_or(u64::MAX)
}

/// Fewest samples that give a chance of [`POWER`] of a pass (where `share`, the true one, is below
/// `limit`) or of a fail (where it is above). `None` at the limit itself, where no number tells.
///
/// Exact where it takes few bad samples, by the normal approximation where it takes many and for
/// fails.
pub fn samples_to_tell(limit: f64, share: f64) -> Option<u64> {
    let deviation = |p: f64| (p * (1.0 - p)).max(0.0).sqrt();
    let root = (Z_ALPHA * deviation(limit) + Z_POWER * deviation(share)) / (limit - share).abs();
    // As many as can be counted, and at least one.
    let normal = (root.is_finite() && root < 1e8).then(|| (root * root).ceil().max(1.0))?;
    // The exact search takes a while, and where it takes many bad ones says the same.
    let exact = (share < limit && normal * limit < BAD_MAX as f64).then(|| samples_to_pass(limit, share));
    exact.flatten().or(Some(normal as u64))
}

/// Fewest samples that give a chance of [`POWER`] of a pass when the true share is `share`; `None`
/// where it takes more than [`BAD_MAX`] bad ones.
fn samples_to_pass(limit: f64, share: f64) -> Option<u64> {
    let mut fewest = samples_without_bad(limit);
    for bad in 0..BAD_MAX {
        fewest = fewest_with(bad, limit, fewest);
        if at_most(fewest, share, bad) >= POWER {
            return Some(fewest);
        }
    }
    None
}

/// Fewest samples, from `from` on, that pass with `bad` bad ones.
fn fewest_with(bad: u64, limit: f64, from: u64) -> u64 {
    let passes = |n: u64| at_most(n, limit, bad) <= ALPHA;
    let (mut low, mut high) = (from, from);
    while !passes(high) {
        low = high + 1;
        high = high.saturating_mul(2);
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if passes(middle) { high = middle } else { low = middle + 1 }
    }
    high
}

/// Most bad samples of `n` that still pass; none when even 0 do not.
fn most_bad(n: u64, limit: f64) -> Option<u64> {
    let passes = |bad: u64| at_most(n, limit, bad) <= ALPHA;
    if n == 0 || !passes(0) {
        return None;
    }
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if passes(middle) { low = middle } else { high = middle - 1 }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewest_samples_with_no_bad_one() {
        assert_eq!([0.05, 0.01, 0.001].map(samples_without_bad), [59, 299, 2_995]);
        // As profiles come to them: one less a quantile.
        assert_eq!([0.95, 0.99, 0.999].map(|q| samples_without_bad(1.0 - q)), [59, 299, 2_995]);
        assert_eq!(samples_without_bad(0.99), 1);
    }

    #[test]
    fn fewest_samples_with_some_bad_ones() {
        let fewest = [2_995, 4_742, 6_294, 7_752, 9_151, 10_511];
        for (bad, n) in (0..).zip(fewest) {
            assert_eq!(fewest_with(bad, 0.001, 1), n);
            assert_eq!(most_bad(n, 0.001), Some(bad));
            assert_eq!(most_bad(n - 1, 0.001), bad.checked_sub(1));
        }
    }

    #[test]
    fn cut_offs_are_those_of_the_verdict() {
        for (limit, n, most) in [(0.05, 1_000, 38), (0.01, 10_000, 83), (0.001, 100_000, 83), (0.05, 100_000, 4_886)] {
            assert_eq!(most_bad(n, limit), Some(most));
        }
    }

    #[test]
    fn samples_for_a_pass_nine_times_in_ten() {
        assert_eq!([0.05, 0.01, 0.001].map(samples_for_power), [506, 2_546, 25_495]);
    }

    #[test]
    fn samples_to_tell_a_share_from_the_limit() {
        assert_eq!([0.05, 0.01, 0.001].map(|limit| samples_to_tell(limit, limit / 2.0).unwrap()), [506, 2_546, 25_495]);
        // Nothing bad ever: the fewest that pass at all.
        assert_eq!(samples_to_tell(0.001, 0.0), Some(2_995));
        // At the limit nothing tells, and near it it takes very many.
        assert_eq!(samples_to_tell(0.05, 0.05), None);
        assert!(samples_to_tell(0.05, 0.0499).unwrap() > 10_000_000);
        // Where the exact search gives way to the approximation they agree.
        let (exact, near) = (samples_to_tell(0.05, 0.041).unwrap(), samples_to_tell(0.05, 0.0415).unwrap());
        assert!(exact < near && (near as f64) < exact as f64 * 1.3, "{exact} {near}");
        // A share beyond the limit fails nine times in ten with as many.
        for (limit, share) in [(0.05, 0.1), (0.001, 0.002), (0.1, 0.12)] {
            let n = samples_to_tell(limit, share).unwrap();
            let passes_mirrored = |n: u64| chance_of_pass(n, 1.0 - limit, 1.0 - share);
            assert!((passes_mirrored(n) - POWER).abs() < 0.06, "{limit} {share}: {n} {}", passes_mirrored(n));
        }
    }

    #[test]
    fn the_chance_leaps_to_nine_in_ten_at_the_reference_values() {
        for (limit, n) in [(0.05, 506), (0.01, 2_665), (0.001, 26_688)] {
            assert!(chance_of_pass(n, limit, limit / 2.0) >= POWER, "{limit} {n}");
            assert!(chance_of_pass(n - 1, limit, limit / 2.0) < POWER, "{limit} {n}");
        }
    }

    #[test]
    fn a_target_at_its_limit_passes_one_time_in_twenty_at_most() {
        for n in [1, 59, 506, 3_000, 100_000] {
            assert!(chance_of_pass(n, 0.05, 0.05) <= ALPHA);
        }
        assert_eq!(chance_of_pass(58, 0.05, 0.0), 0.0);
        assert_eq!(chance_of_pass(59, 0.05, 0.0), 1.0);
    }

    #[test]
    fn the_search_ends_for_every_limit() {
        for limit in [1e-9, 1e-6, 0.3, 0.5, 0.9, 0.999_999] {
            let n = samples_for_power(limit);
            assert!(chance_of_pass(n, limit, limit / 2.0) >= POWER, "{limit}: {n}");
        }
    }
}
