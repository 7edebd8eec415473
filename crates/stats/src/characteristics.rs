//! How often verdicts are wrong, counted over many simulated runs: of independent samples, and of
//! samples that hang together as response times do (a Gaussian AR(1) process behind them, of which
//! a sample is bad where it is above the quantile of the true share).

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution as _, StandardNormal};

use super::*;
use slatest_core::model::Verdict;

/// The limit: a p95.
const LIMIT: f64 = 0.05;
/// Normal quantiles of what lies above them.
const FIVE_PERCENT: f64 = 1.644_853_626_951_472_7;
const HALF_OF_THAT: f64 = 1.959_963_984_540_054;
/// Samples of a run.
const SAMPLES: u64 = 10_000;

/// Where the batches of a run of `samples` begin and end.
fn sizes(samples: u64) -> impl Iterator<Item = u64> {
    let batches = BATCHES as u64;
    (0..batches).map(move |b| (b + 1) * samples / batches - b * samples / batches)
}

/// A run of independent samples.
fn independent(random: &mut ChaCha8Rng, samples: u64, share: f64) -> Vec<Batch> {
    sizes(samples).map(|n| Batch { bad: Binomial::new(n, share).unwrap().sample(random), n }).collect()
}

/// A run of samples with this correlation between each and the next.
fn correlated(random: &mut ChaCha8Rng, samples: u64, correlation: f64, above: f64) -> Vec<Batch> {
    let innovation = (1.0 - correlation * correlation).sqrt();
    let mut level: f64 = StandardNormal.sample(random);
    sizes(samples)
        .map(|n| {
            let mut bad = 0;
            for _ in 0..n {
                bad += u64::from(level > above);
                let noise: f64 = StandardNormal.sample(random);
                level = correlation * level + innovation * noise;
            }
            Batch { bad, n }
        })
        .collect()
}

/// How many runs passed and failed: by the default verdict, and by the plain test; and how many had
/// a trend.
#[derive(Debug, Default)]
struct Counts {
    runs: u32,
    passed: u32,
    failed: u32,
    plain_passed: u32,
    plain_failed: u32,
    trends: u32,
}

fn count(runs: u32, seed: u64, mut run: impl FnMut(&mut ChaCha8Rng) -> Vec<Batch>) -> Counts {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut counts = Counts { runs, ..Counts::default() };
    for _ in 0..runs {
        let batches = run(&mut random);
        let (bad, n) = batches.iter().fold((0, 0), |sum, b| (sum.0 + b.bad, sum.1 + b.n));
        let verdict = judge_batches_below(&batches, LIMIT).judgement.verdict;
        let plain = judge_below(bad, n, LIMIT).verdict;
        let rates: Vec<f64> = batches.iter().map(|b| b.bad as f64 / b.n as f64).collect();
        counts.passed += u32::from(verdict == Verdict::Pass);
        counts.failed += u32::from(verdict == Verdict::Fail);
        counts.plain_passed += u32::from(plain == Verdict::Pass);
        counts.plain_failed += u32::from(plain == Verdict::Fail);
        counts.trends += u32::from(mann_kendall(&rates).abs() > TREND_Z);
    }
    counts
}

/// The most of `runs` that a chance of `share` explains, and the fewest: four deviations.
fn most(runs: u32, share: f64) -> f64 {
    let runs = f64::from(runs);
    share * runs + 4.0 * (runs * share * (1.0 - share)).sqrt()
}

fn fewest(runs: u32, share: f64) -> f64 {
    f64::from(runs) - most(runs, 1.0 - share)
}

#[test]
fn independent_samples_at_the_limit() {
    let counts = count(4_000, 1, |random| independent(random, SAMPLES, LIMIT));
    for wrong in [counts.passed, counts.failed, counts.plain_passed, counts.plain_failed] {
        assert!(f64::from(wrong) <= most(counts.runs, ALPHA), "{counts:?}");
    }
    // Not so careful that it never decides: the table says .037.
    assert!(f64::from(counts.passed) >= fewest(counts.runs, 0.037), "{counts:?}");
    assert!(f64::from(counts.trends) <= most(counts.runs, trend_p_value(TREND_Z)), "{counts:?}");
}

#[test]
fn correlated_samples_at_the_limit() {
    let counts = count(400, 2, |random| correlated(random, SAMPLES, 0.9, FIVE_PERCENT));
    // Why there is a design effect: the test that takes samples for independent is wrong in more than
    // a fifth of all runs on either side. The table says .300 and .064.
    for wrong in [counts.plain_passed, counts.plain_failed] {
        assert!(f64::from(wrong) >= 0.2 * f64::from(counts.runs), "{counts:?}");
    }
    for wrong in [counts.passed, counts.failed] {
        assert!(f64::from(wrong) <= most(counts.runs, 0.064), "{counts:?}");
    }
    // Batches are so much longer than what correlates that it makes no trend.
    assert!(f64::from(counts.trends) <= most(counts.runs, trend_p_value(TREND_Z)), "{counts:?}");
}

#[test]
fn a_target_twice_as_good_as_asked_passes_nine_times_in_ten() {
    let enough = (samples_for_power(LIMIT) as f64 / worth_of_one(1.0)).ceil() as u64;
    let counts = count(4_000, 3, |random| independent(random, enough, LIMIT / 2.0));
    assert!(f64::from(counts.passed) >= fewest(counts.runs, POWER), "{enough}: {counts:?}");
    assert_eq!(counts.failed, 0);
    // So many more are needed than of the plain test, and no more.
    assert!(counts.plain_passed > counts.passed, "{counts:?}");
    let counts = count(4_000, 3, |random| independent(random, samples_for_power(LIMIT) * 2 / 3, LIMIT / 2.0));
    assert!(f64::from(counts.passed) < f64::from(counts.runs) * POWER, "{counts:?}");
}

#[test]
fn correlated_samples_take_as_many_more_as_the_design_effect_says() {
    let share = LIMIT / 2.0;
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let deff = worth(&correlated(&mut random, 200_000, 0.9, HALF_OF_THAT)).deff;
    assert!(deff > 3.0, "{deff}");
    let enough = (samples_to_tell(LIMIT, share).unwrap() as f64 / worth_of_one(deff)).ceil() as u64;
    let counts = count(300, 5, |random| correlated(random, enough, 0.9, HALF_OF_THAT));
    assert!(f64::from(counts.passed) >= fewest(counts.runs, POWER), "{deff} {enough}: {counts:?}");
}
