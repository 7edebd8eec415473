//! One run against another, by batches of time.
//!
//! Times within a run depend on each other, so single samples say less than their number. Each run is cut into batches of
//! consecutive windows, long enough to depend little on each other; the statistic of each batch is one observation, and the
//! difference of the means has Welch's t interval (batch means: A. M. Law, Simulation Modeling and Analysis, 9.5.3; Welch,
//! Biometrika 1947). Quantiles are compared as logarithms, so that a difference is a ratio.
//!
//! What one run shows of itself is not all: two runs of the same target differ by more than their own noise (another night,
//! another node, caches). That spread between runs can't be seen in either of them; it is put into the error as a known one.
//! Without it, steady nights that vary by 3 % are told worse in 30 of 100 pairs.

use super::moments::{lag_one, mean, variance};
use crate::student::t_quantile;

/// Most batches that a run is cut into.
pub const BATCHES_MAX: usize = 20;
/// Fewest batches of each run for which anything is said.
pub const BATCHES_MIN: usize = 5;
/// A difference below this share matters to nobody: 5 %.
pub const MEANINGFUL: f64 = 0.05;
/// Chance of any wrong word among all comparisons of two runs.
const ALPHA: f64 = 0.05;
/// The chance with which the smallest difference that is told would have been seen.
const POWER: f64 = 0.9;

/// What is said of one figure of two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It got worse, by more than chance makes and by what matters.
    Worse,
    /// It got better, likewise.
    Better,
    /// Any difference is smaller than what matters.
    Same,
    /// A difference that would matter can be neither shown nor ruled out.
    CannotSay,
}

/// The statistic of each batch of a run; for times, logarithms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batched {
    /// One a batch, in the order of time.
    pub values: Vec<f64>,
}

/// How a figure of one run differs from that of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The second less the first.
    pub difference: f64,
    /// Its lower end, corrected for the number of comparisons.
    pub lower: f64,
    /// Its upper end, likewise.
    pub upper: f64,
    /// The smallest difference that would have been told nine times in ten.
    pub could_show: f64,
    /// What that says.
    pub compared: Compared,
}

/// What is known of two runs, beside their batches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparing {
    /// The difference from which on it matters.
    pub meaningful: f64,
    /// Standard deviation of the figure from run to run of a target that did not change; 0 where the runs alternate within
    /// one night.
    pub between: f64,
    /// How many comparisons are made of these two runs together: the chance of any wrong word among them is 5 %
    /// (Bonferroni).
    pub comparisons: usize,
}

/// How `after` differs from `before`; more is worse. `None` where either has too few batches.
pub fn compare(before: &Batched, after: &Batched, comparing: Comparing) -> Option<Difference> {
    let Comparing { meaningful, between, comparisons } = comparing;
    if before.values.len() < BATCHES_MIN || after.values.len() < BATCHES_MIN {
        return None;
    }
    let (old, old_error) = mean_and_error(&before.values);
    let (new, new_error) = mean_and_error(&after.values);
    let difference = new - old;
    // Each of the two is one draw of what varies between runs.
    let error = (old_error + new_error + 2.0 * between * between).sqrt();
    let freedom = freedom((old_error, before.values.len()), (new_error, after.values.len()));
    let each = ALPHA / comparisons.max(1) as f64;
    let reach = t_quantile(1.0 - each / 2.0, freedom) * error;
    let (lower, upper) = (difference - reach, difference + reach);
    // More than chance makes, and more than nobody minds.
    let compared = if lower >= -meaningful && upper <= meaningful {
        Compared::Same
    } else if lower > 0.0 && difference > meaningful {
        Compared::Worse
    } else if upper < 0.0 && difference < -meaningful {
        Compared::Better
    } else {
        Compared::CannotSay
    };
    let could_show = reach + t_quantile(POWER, freedom) * error;
    Some(Difference { difference, lower, upper, could_show, compared })
}

/// The mean, and the square of its standard error. Neighbours that still resemble each other make it larger: the variance of
/// the mean is corrected by their correlation where that is above zero.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    // The estimate is too low by about 1/n in short series.
    let correlation = lag_one(values).map_or(0.0, |seen| (seen + 1.0 / n).clamp(0.0, 0.8));
    let inflation = (1.0 + correlation) / (1.0 - correlation);
    (mean(values), variance(values) / n * inflation)
}

/// Welch and Satterthwaite's degrees of freedom.
fn freedom((a, n): (f64, usize), (b, m): (f64, usize)) -> f64 {
    let (n, m) = (n as f64, m as f64);
    let below = a * a / (n - 1.0) + b * b / (m - 1.0);
    if below <= 0.0 { n + m - 2.0 } else { ((a + b) * (a + b) / below).max(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    /// Batches of a run whose logarithms have this spread and correlation.
    fn run(seed: u64, log_mean: f64, spread: f64, correlation: f64) -> Batched {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || -> f64 { rng.sample(StandardNormal) };
        let mut state = normal();
        let fresh = (1.0 - correlation * correlation).sqrt();
        let values = (0..BATCHES_MAX).map(|_| {
            state = correlation * state + fresh * normal();
            log_mean + spread * state
        });
        Batched { values: values.collect() }
    }

    const ALONE: Comparing = Comparing { meaningful: MEANINGFUL, between: 0.0, comparisons: 1 };

    /// How many of 100 pairs have any of ten operations told as this. All operations of a run share what varies from run to
    /// run by `between`.
    fn told(wanted: Compared, shift: f64, (spread, correlation): (f64, f64), between: f64) -> usize {
        let comparing = Comparing { between, comparisons: 10, ..ALONE };
        let pair = |pair: &u64| {
            let nights = run(*pair + 500_000, 0.0, between, 0.0).values;
            (0..10).any(|operation| {
                let seed = pair * 1_000 + operation * 2;
                let before = run(seed, 4.0 + nights[0], spread, correlation);
                let after = run(seed + 1, 4.0 + shift + nights[1], spread, correlation);
                compare(&before, &after, comparing).is_some_and(|found| found.compared == wanted)
            })
        };
        (0..100).filter(pair).count()
    }

    #[test]
    fn a_run_against_itself_is_seldom_worse() {
        for correlation in [0.0, 0.3] {
            for between in [0.0, 0.01, 0.03, 0.05] {
                let worse = told(Compared::Worse, 0.0, (0.05, correlation), between);
                assert!(worse <= 5, "{worse} of 100 at {correlation}, {between}");
            }
        }
        // What is certain, and too little to matter.
        let small = told(Compared::Worse, 0.02, (0.02, 0.0), 0.0);
        assert!(small <= 5, "{small} of 100 by 2 %");
    }

    #[test]
    fn a_tenth_more_is_found_where_the_noise_lets_it() {
        let found = told(Compared::Worse, 1.10_f64.ln(), (0.05, 0.0), 0.0);
        assert!(found >= 90, "{found} of 100");
        let better = told(Compared::Better, -(1.10_f64.ln()), (0.05, 0.0), 0.0);
        assert!(better.abs_diff(found) <= 3, "both ways alike: {better} and {found}");
    }

    #[test]
    fn what_can_not_be_seen_is_said() {
        let noisy = compare(&run(1, 4.0, 0.5, 0.0), &run(2, 4.1, 0.5, 0.0), ALONE).unwrap();
        assert_eq!(noisy.compared, Compared::CannotSay);
        assert!(noisy.could_show > 0.2, "{noisy:?}");
        let quiet = compare(&run(1, 4.0, 0.001, 0.0), &run(2, 4.0, 0.001, 0.0), ALONE).unwrap();
        assert_eq!(quiet.compared, Compared::Same);
        // Certain, and too small to matter.
        let small = compare(&run(1, 4.0, 0.001, 0.0), &run(2, 4.02, 0.001, 0.0), ALONE).unwrap();
        assert_eq!(small.compared, Compared::Same);
        let few = Batched { values: vec![1.0; 4] };
        assert_eq!(compare(&few, &run(1, 1.0, 0.1, 0.0), ALONE), None);
        // Without any spread.
        let flat = |value: f64| Batched { values: vec![value; 8] };
        assert_eq!(compare(&flat(1.0), &flat(1.0), ALONE).unwrap().compared, Compared::Same);
        assert_eq!(compare(&flat(1.0), &flat(2.0), ALONE).unwrap().compared, Compared::Worse);
    }
}
