//! Exact binomial tests and intervals.

use serde::{Deserialize, Serialize};

use super::beta::incomplete_beta;
use slatest_core::model::Verdict;

/// Chance of a wrong pass at the limit, and of a wrong fail: each side by itself.
pub const ALPHA: f64 = 0.05;

/// Two bounds around an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
}

/// What a count says of a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// Pass, fail or inconclusive.
    pub verdict: Verdict,
    /// The share that was seen; `None` without samples.
    pub estimate: Option<f64>,
    /// Its Clopper–Pearson bounds, each at 95 %, so that they agree with the verdict: a pass has its
    /// upper bound within the limit, a fail its lower bound beyond it.
    pub interval: Interval,
}

/// P(Bin(n, p) ≥ x).
pub(super) fn at_least(n: u64, p: f64, x: u64) -> f64 {
    match x {
        0 => 1.0,
        x if x > n => 0.0,
        x => incomplete_beta(x as f64, (n - x + 1) as f64, p),
    }
}

/// P(Bin(n, p) ≤ x).
pub(super) fn at_most(n: u64, p: f64, x: u64) -> f64 {
    if x >= n { 1.0 } else { incomplete_beta((n - x) as f64, (x + 1) as f64, 1.0 - p) }
}

/// Whether a share is below `limit`, from `bad` of `n` (`bad` ≤ `n`): a pass when so few would be
/// seen at the limit with a chance of at most [`ALPHA`], a fail when so many would, else (and
/// without samples) inconclusive.
pub fn judge_below(bad: u64, n: u64, limit: f64) -> Judgement {
    let verdict = if n == 0 {
        Verdict::Inconclusive
    } else if at_most(n, limit, bad) <= ALPHA {
        Verdict::Pass
    } else if at_least(n, limit, bad) <= ALPHA {
        Verdict::Fail
    } else {
        Verdict::Inconclusive
    };
    let estimate = (n > 0).then(|| bad as f64 / n as f64);
    Judgement { verdict, estimate, interval: clopper_pearson(bad, n, ALPHA) }
}

/// Whether a share is above `limit`, from `good` of `n` (`good` ≤ `n`).
pub fn judge_above(good: u64, n: u64, limit: f64) -> Judgement {
    // The same test on what is missing: it must be below 1 − limit.
    let mirrored = judge_below(n.saturating_sub(good), n, 1.0 - limit);
    let Interval { lower, upper } = mirrored.interval;
    Judgement {
        verdict: mirrored.verdict,
        estimate: mirrored.estimate.map(|share| 1.0 - share),
        interval: Interval { lower: 1.0 - upper, upper: 1.0 - lower },
    }
}

/// The fewest samples with which `bad` bad ones are a pass at `limit`; `None` where no number that
/// can be counted is enough.
pub fn fewest_for_pass(bad: u64, limit: f64) -> Option<u64> {
    let passes = |n: u64| at_most(n, limit, bad) <= ALPHA;
    let mut enough = bad.max(1);
    while !passes(enough) {
        enough = enough.checked_mul(2).filter(|&n| n < 1 << 50)?;
    }
    let mut too_few = enough / 2;
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        if passes(middle) { enough = middle } else { too_few = middle }
    }
    Some(enough)
}

/// The Clopper–Pearson interval of `x` of `n` with a chance of `alpha` beyond each bound: 0.025 for
/// the customary two-sided 95 %. Found by bisection on the tail; [0, 1] without samples.
pub fn clopper_pearson(x: u64, n: u64, alpha: f64) -> Interval {
    let lower = if x == 0 { 0.0 } else { bisect(|p| at_least(n, p, x) < alpha) };
    let upper = if x >= n { 1.0 } else { bisect(|p| at_most(n, p, x) > alpha) };
    Interval { lower, upper }
}

/// The p in [0, 1] at which `below` turns from true to false.
pub(super) fn bisect(below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    // Until no number lies between the two; relative precision near zero needs the many steps.
    for _ in 0..200 {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high || high - low <= 1e-13 * low {
            break;
        }
        if below(middle) { low = middle } else { high = middle }
    }
    low + (high - low) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cut-offs of the reference table: (limit, samples, most for a pass, fewest for a fail).
    const CUT_OFFS: [(f64, u64, u64, u64); 8] = [
        (0.05, 1_000, 38, 63),
        (0.05, 10_000, 463, 537),
        (0.05, 100_000, 4_886, 5_115),
        (0.01, 1_000, 4, 16),
        (0.01, 10_000, 83, 118),
        (0.01, 100_000, 948, 1_053),
        (0.001, 10_000, 4, 16),
        (0.001, 100_000, 83, 118),
    ];

    #[test]
    fn cut_offs_are_exact() {
        for (limit, n, pass, fail) in CUT_OFFS {
            let verdicts = [pass, pass + 1, fail - 1, fail].map(|x| judge_below(x, n, limit).verdict);
            use Verdict::{Fail, Inconclusive, Pass};
            assert_eq!(verdicts, [Pass, Inconclusive, Inconclusive, Fail], "{limit} {n}");
        }
    }

    #[test]
    fn cut_offs_above_mirror_those_below() {
        for (limit, n, pass, fail) in CUT_OFFS {
            let verdicts = [pass, pass + 1, fail - 1, fail].map(|x| judge_above(n - x, n, 1.0 - limit).verdict);
            use Verdict::{Fail, Inconclusive, Pass};
            assert_eq!(verdicts, [Pass, Inconclusive, Inconclusive, Fail], "{limit} {n}");
        }
    }

    #[test]
    fn fewest_samples_for_a_pass() {
        let fewest = [(0.05, 0, 59), (0.01, 0, 299), (0.001, 0, 2_995), (0.001, 1, 4_742), (0.001, 2, 6_294)];
        for (limit, bad, n) in fewest.into_iter().chain([(0.001, 3, 7_752), (0.001, 4, 9_151), (0.001, 5, 10_511)]) {
            assert_eq!(judge_below(bad, n, limit).verdict, Verdict::Pass, "{limit} {bad} {n}");
            assert_eq!(judge_below(bad, n - 1, limit).verdict, Verdict::Inconclusive, "{limit} {bad} {n}");
            assert_eq!(fewest_for_pass(bad, limit), Some(n));
        }
    }

    #[test]
    fn a_limit_that_nothing_can_be_below_is_never_reached() {
        assert_eq!(fewest_for_pass(0, 0.0), None);
        assert_eq!(fewest_for_pass(3, 1.0), Some(4));
    }

    #[test]
    fn clopper_pearson_reference_values() {
        let table = [
            (0, 1_000, 0.0, 3.682083896866e-3, 2.991249545095e-3),
            (1, 1_000, 2.531748749129e-5, 5.558924279827e-3, 4.734993575500e-3),
            (3, 5_000, 1.237515204693e-4, 1.752443603396e-3, 1.549994279706e-3),
            (0, 2_994, 0.0, 1.231331953965e-3, 1.000078169847e-3),
            (0, 2_995, 0.0, 1.230921077902e-3, 9.997444209011e-4),
            (50, 100_000, 3.711317017835e-4, 6.591351958694e-4, 6.328286928247e-4),
        ];
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-11 * b.abs();
        for (x, n, lower, upper, one_sided) in table {
            let two_sided = clopper_pearson(x, n, 0.025);
            assert!(near(two_sided.lower, lower), "{x}/{n}: {} {lower}", two_sided.lower);
            assert!(near(two_sided.upper, upper), "{x}/{n}: {} {upper}", two_sided.upper);
            let upper = clopper_pearson(x, n, 0.05).upper;
            assert!(near(upper, one_sided), "{x}/{n}: {upper} {one_sided}");
        }
    }

    #[test]
    fn the_interval_agrees_with_the_verdict() {
        for n in [1, 59, 300, 1_000, 12_345] {
            for bad in (0..=n).step_by((n as usize / 37).max(1)) {
                for limit in [0.001, 0.05, 0.5, 0.99] {
                    let judged = judge_below(bad, n, limit);
                    match judged.verdict {
                        Verdict::Pass => assert!(judged.interval.upper <= limit + 1e-9, "{bad}/{n} {limit}"),
                        Verdict::Fail => assert!(judged.interval.lower >= limit - 1e-9, "{bad}/{n} {limit}"),
                        _ => assert!(judged.interval.lower <= limit + 1e-9 && judged.interval.upper >= limit - 1e-9),
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_no_evidence() {
        let judged = judge_below(0, 0, 0.05);
        assert_eq!((judged.verdict, judged.estimate), (Verdict::Inconclusive, None));
        assert_eq!(judged.interval, Interval { lower: 0.0, upper: 1.0 });
        assert_eq!(judge_above(0, 0, 0.9).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_day_of_samples_is_judged_exactly() {
        // n = 1e8 at .1 %: mean 1e5, deviation 316, so the cut-offs lie 1.645 of these away.
        let n = 100_000_000;
        assert_eq!(judge_below(99_400, n, 0.001).verdict, Verdict::Pass);
        assert_eq!(judge_below(100_000, n, 0.001).verdict, Verdict::Inconclusive);
        assert_eq!(judge_below(100_600, n, 0.001).verdict, Verdict::Fail);
        assert_eq!(judge_above(50_020_000, n, 0.5).verdict, Verdict::Pass);
    }
}
