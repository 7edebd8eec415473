//! What a count is worth when neighbouring samples are alike.
//!
//! Response times correlate: a slow second is slow for everybody in it. The exact test takes every
//! sample for a fresh draw and so passes too easily (at a lag-one correlation of .9, a nominal 5 %
//! of false passes becomes more than 20 %). So the measured phase is cut into batches of time, the
//! variance between them is set against that of independent samples, and the samples are counted
//! for what they are worth: Korn and Graubard's interval for complex surveys (Survey Methodology
//! 24, 1998), with batches in the place of primary sampling units.

use super::beta::incomplete_beta;
use super::binomial::{ALPHA, Interval, Judgement, bisect, judge_below};
use super::student::t_quantile;
use slatest_core::model::Verdict;

/// Into how many batches a measured phase is cut: enough degrees of freedom that Student's factor
/// costs little (1.699 against 1.645), and few enough that a batch is longer than what correlates.
pub const BATCHES: usize = 30;

/// What an independent sample is worth on the average: Student's factor takes 6 %, and as much again
/// the noise of the design effect, which is never taken for less than 1. Counted by simulation
/// (`characteristics.rs`).
const INDEPENDENT_WORTH: f64 = 0.85;

/// One batch of contiguous samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Bad ones; at most `n`.
    pub bad: u64,
    /// Samples.
    pub n: u64,
}

/// What samples in batches are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worth {
    /// Variance of the share between batches over that of independent samples, at least 1.
    pub deff: f64,
    /// Independent samples that say as much, n*; at most as many as there are.
    pub effective: f64,
}

/// What batches say of a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchJudgement {
    /// The verdict with its interval.
    pub judgement: Judgement,
    /// What the samples were worth.
    pub worth: Worth,
    /// Chance, at the limit, of so many bad ones or more: at most [`ALPHA`] where it is a fail.
    pub chance_of_so_many: f64,
}

/// The design effect over batches: with B of them that hold samples, p̂ = Σx / Σn and
/// v = B/(B−1) · Σ(x_b − p̂n_b)² / n² (for batches of one size, s²/B),
///
/// deff = max(1, v / (p̂(1−p̂)/n)), n* = min(n, n/deff · (t_{1−α,n−1} / t_{1−α,B−1})²).
///
/// Where nothing (or everything) was bad, or less than two batches hold samples, nothing is known of
/// how samples hang together, and each counts for one.
pub fn worth(batches: &[Batch]) -> Worth {
    let bad: u64 = batches.iter().map(|b| b.bad).sum();
    let n: u64 = batches.iter().map(|b| b.n).sum();
    let held = batches.iter().filter(|b| b.n > 0).count();
    let samples = n as f64;
    if bad == 0 || bad >= n || held < 2 {
        return Worth { deff: 1.0, effective: samples };
    }
    let share = bad as f64 / samples;
    let squares: f64 = batches.iter().map(|b| (b.bad as f64 - share * b.n as f64).powi(2)).sum();
    let between = held as f64 / (held as f64 - 1.0) * squares / (samples * samples);
    let deff = (between / (share * (1.0 - share) / samples)).max(1.0);
    let students = t_quantile(1.0 - ALPHA, samples - 1.0) / t_quantile(1.0 - ALPHA, held as f64 - 1.0);
    Worth { deff, effective: (samples / deff * students * students).min(samples) }
}

/// What one of many samples is worth to a verdict that is yet to come, at a design effect of `deff`,
/// in a run long enough for all [`BATCHES`].
pub fn worth_of_one(deff: f64) -> f64 {
    let students = t_quantile(1.0 - ALPHA, 1e9) / t_quantile(1.0 - ALPHA, BATCHES as f64 - 1.0);
    (students * students / deff.max(1.0)).min(INDEPENDENT_WORTH)
}

/// Whether a share is below `limit`, from samples in batches: the exact test with the n* samples
/// that these are worth, of which the same share is bad.
pub fn judge_batches_below(batches: &[Batch], limit: f64) -> BatchJudgement {
    let bad: u64 = batches.iter().map(|b| b.bad).sum();
    let n: u64 = batches.iter().map(|b| b.n).sum();
    let worth = worth(batches);
    let x = if n == 0 { 0.0 } else { bad as f64 * (worth.effective / n as f64) };
    let chance_of_so_many = at_least(worth.effective, limit, x);
    if worth.effective >= n as f64 {
        return BatchJudgement { judgement: judge_below(bad, n, limit), worth, chance_of_so_many };
    }
    let verdict = if at_most(worth.effective, limit, x) <= ALPHA {
        Verdict::Pass
    } else if chance_of_so_many <= ALPHA {
        Verdict::Fail
    } else {
        Verdict::Inconclusive
    };
    let interval = Interval {
        lower: bisect(|p| at_least(worth.effective, p, x) < ALPHA),
        upper: bisect(|p| at_most(worth.effective, p, x) > ALPHA),
    };
    BatchJudgement {
        judgement: Judgement { verdict, estimate: Some(bad as f64 / n as f64), interval },
        worth,
        chance_of_so_many,
    }
}

/// Whether a share is above `limit`, from samples in batches whose bad ones are those that lack it.
/// The interval is that of the share itself.
pub fn judge_batches_above(batches: &[Batch], limit: f64) -> BatchJudgement {
    let mirrored = judge_batches_below(batches, 1.0 - limit);
    let Judgement { verdict, estimate, interval: Interval { lower, upper } } = mirrored.judgement;
    BatchJudgement {
        judgement: Judgement {
            verdict,
            estimate: estimate.map(|share| 1.0 - share),
            interval: Interval { lower: 1.0 - upper, upper: 1.0 - lower },
        },
        ..mirrored
    }
}

/// P(Bin(n, p) ≥ x), for real n and x: counts that were weighed by a design effect.
pub fn at_least(n: f64, p: f64, x: f64) -> f64 {
    if x <= 0.0 { 1.0 } else { incomplete_beta(x, (n - x).max(0.0) + 1.0, p) }
}

/// P(Bin(n, p) ≤ x), likewise.
pub fn at_most(n: f64, p: f64, x: f64) -> f64 {
    if x >= n { 1.0 } else { incomplete_beta(n - x, x + 1.0, 1.0 - p) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::clopper_pearson;
    use super::*;

    /// 30 batches of 1,000.
    const REFERENCE: [u64; 30] = [
        16, 18, 22, 15, 17, 19, 30, 14, 16, 18, 20, 17, 15, 16, 45, 19, 18, 17, 16, 15, 14, 20, 22, 18, 17, 16, 19, 18,
        17, 16,
    ];

    fn of(bad: &[u64], n: u64) -> Vec<Batch> {
        bad.iter().map(|&bad| Batch { bad, n }).collect()
    }

    #[test]
    fn reference_values() {
        let batches = of(&REFERENCE, 1_000);
        assert_eq!(batches.iter().map(|b| b.bad).sum::<u64>(), 560);
        let judged = judge_batches_below(&batches, 0.02);
        let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-9 * b.abs(), "{a} {b}");
        near(judged.worth.deff, 1.864_859_981);
        near(judged.worth.effective, 15_076.643_519);
        near(judged.judgement.interval.lower, 0.016_889_539_003);
        near(judged.judgement.interval.upper, 0.020_583_380_564);
        near(clopper_pearson(560, 30_000, ALPHA).upper, 0.020_003_733_933);
        // A limit between the two upper bounds: independent samples would pass it.
        assert_eq!(judge_batches_below(&batches, 0.0203).judgement.verdict, Verdict::Inconclusive);
        assert_eq!(judge_below(560, 30_000, 0.0203).verdict, Verdict::Pass);
        assert_eq!(judge_batches_below(&batches, 0.0206).judgement.verdict, Verdict::Pass);
        assert_eq!(judge_batches_below(&batches, 0.0168).judgement.verdict, Verdict::Fail);
    }

    #[test]
    fn what_one_sample_is_worth_is_what_many_are() {
        let judged = worth(&of(&REFERENCE, 1_000));
        assert!((worth_of_one(judged.deff) * 30_000.0 / judged.effective - 1.0).abs() < 1e-4);
        assert_eq!(worth_of_one(1.0), INDEPENDENT_WORTH);
    }

    #[test]
    fn the_ratio_form_is_the_variance_of_equal_batches() {
        let rates: Vec<f64> = REFERENCE.iter().map(|&x| x as f64 / 1_000.0).collect();
        let mean = rates.iter().sum::<f64>() / 30.0;
        let variance = rates.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / 29.0;
        let deff = variance / 30.0 / (mean * (1.0 - mean) / 30_000.0);
        assert!((worth(&of(&REFERENCE, 1_000)).deff - deff).abs() < 1e-12);
    }

    #[test]
    fn batches_without_samples_are_none() {
        let mut batches = of(&REFERENCE, 1_000);
        let judged = judge_batches_below(&batches, 0.02);
        batches.insert(7, Batch::default());
        batches.push(Batch::default());
        assert_eq!(judge_batches_below(&batches, 0.02), judged);
    }

    #[test]
    fn with_nothing_known_of_the_spread_every_sample_counts() {
        for batches in [vec![], of(&[0; 30], 100), of(&[100; 30], 100), of(&[3], 100)] {
            let n: u64 = batches.iter().map(|b| b.n).sum();
            let bad = batches.iter().map(|b| b.bad).sum();
            let judged = judge_batches_below(&batches, 0.05);
            assert_eq!(judged.worth, Worth { deff: 1.0, effective: n as f64 });
            assert_eq!(judged.judgement, judge_below(bad, n, 0.05));
        }
    }

    #[test]
    fn one_bad_batch_is_worth_one_sample() {
        // Everything bad came at once: 300 bad ones say little more than that it happened once.
        let mut bad = [0; 30];
        bad[11] = 300;
        let judged = judge_batches_below(&of(&bad, 1_000), 0.005);
        assert!(judged.worth.deff > 250.0, "{judged:?}");
        assert_eq!(judge_below(300, 30_000, 0.005).verdict, Verdict::Fail);
        assert_eq!(judged.judgement.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn above_mirrors_below() {
        let judged = judge_batches_above(&of(&REFERENCE, 1_000), 0.98);
        let below = judge_batches_below(&of(&REFERENCE, 1_000), 0.02);
        assert_eq!(judged.judgement.verdict, below.judgement.verdict);
        assert!((judged.judgement.interval.lower - (1.0 - below.judgement.interval.upper)).abs() < 1e-15);
        assert_eq!(judged.chance_of_so_many, below.chance_of_so_many);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn never_more_lenient_nor_more_severe_than_the_plain_test(
            counts in prop::collection::vec((0..2_000_u64, 0.0..1.0_f64), 1..40),
            scale in 0.001..1.0_f64,
            limit in prop::sample::select(vec![0.001, 0.01, 0.05, 0.3, 0.9]),
        ) {
            let batches: Vec<Batch> = counts
                .iter()
                .map(|&(n, share)| Batch { bad: (share * scale * n as f64) as u64, n })
                .collect();
            let bad = batches.iter().map(|b| b.bad).sum();
            let n: u64 = batches.iter().map(|b| b.n).sum();
            let plain = judge_below(bad, n, limit);
            let judged = judge_batches_below(&batches, limit);
            prop_assert!(judged.worth.deff >= 1.0 && judged.worth.effective <= n as f64);
            prop_assert!(judged.judgement.verdict == plain.verdict || judged.judgement.verdict == Verdict::Inconclusive);
            prop_assert!(judged.judgement.interval.upper >= plain.interval.upper - 1e-9);
            prop_assert!(judged.judgement.interval.lower <= plain.interval.lower + 1e-9);
        }
    }
}
