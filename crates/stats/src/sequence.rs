//! A test that may be looked at as often as one likes.
//!
//! A test for a fixed number of samples that is looked at again and again ends healthy runs: at 200
//! looks, more than a quarter of them. A mixture martingale does not: the beta–binomial mixture
//! (Robbins, Annals of Mathematical Statistics 41, 1970) is, at a true share of the limit, above 1/α
//! at any time with a chance of at most α (Ville's inequality).

use super::beta::ln_density;
use super::binomial::ALPHA;

/// First parameter of the mixture; the second is this over the limit, so that its mean lies just
/// below the limit, where deciding is hardest.
const A: f64 = 0.5;

/// Whether a run may be ended because the share of bad samples is above `limit`, in (0, 1), from
/// `bad` of `n`, whenever and however often that is asked:
/// ln B(a+s, b+n−s) − ln B(a, b) − s ln p₀ − (n−s) ln(1−p₀) ≥ ln(1/α) and s/n > p₀.
/// It never says that a run is good. It takes samples for independent.
pub fn ends(bad: u64, n: u64, limit: f64) -> bool {
    ends_at(bad as f64, n as f64, limit, ALPHA)
}

/// The same at another chance of a wrong end than 5 % (where several are asked in one run), from
/// counts that may be shared out: samples that hang together are worth fewer.
pub fn ends_at(bad: f64, n: f64, limit: f64, alpha: f64) -> bool {
    if n <= 0.0 || bad > n || bad <= limit * n {
        return false;
    }
    ln_evidence(bad, n - bad, limit) >= -alpha.ln()
}

/// ln of the martingale. With D(A, B) = Γ(A+B+1)/(Γ(A+1)Γ(B+1)) p₀^A (1−p₀)^B the powers of p₀ of
/// the two beta functions cancel, and with them the digits that differences of `ln_gamma` lose:
/// ln((A+B)/AB) − ln D(A, B) for the mixture after the samples, less the same before them.
fn ln_evidence(bad: f64, good: f64, limit: f64) -> f64 {
    let part = |a: f64, b: f64| ((a + b) / (a * b)).ln() - ln_density(a, b, limit);
    let b = A / limit;
    part(A + bad, b + good) - part(A, b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::distr::{Distribution as _, Open01};
    use rand_chacha::ChaCha8Rng;
    use statrs::function::beta::ln_beta;

    use super::*;

    #[test]
    fn reference_thresholds() {
        for (n, fewest) in [(1_000, 6), (5_000, 14), (20_000, 37), (100_000, 137), (200_000, 253)] {
            assert!(ends(fewest, n, 0.001), "{fewest} of {n}");
            assert!(!ends(fewest - 1, n, 0.001), "{} of {n}", fewest - 1);
        }
    }

    #[test]
    fn agrees_with_the_formula_as_it_is_written() {
        for (bad, n, limit) in [(6, 1_000, 0.001), (37, 20_000, 0.001), (800, 10_000, 0.05), (3, 3, 0.5)] {
            let (s, rest, b) = (bad as f64, (n - bad) as f64, A / limit);
            let written = ln_beta(A + s, b + rest) - ln_beta(A, b) - s * f64::ln(limit) - rest * f64::ln_1p(-limit);
            let ours = ln_evidence(s, rest, limit);
            assert!((ours - written).abs() < 1e-6, "{bad} of {n}: {ours} {written}");
        }
    }

    #[test]
    fn counts_beyond_every_run_keep_their_digits() {
        // 1e15 samples, ten deviations above the limit: by Stirling the evidence is
        // z²/2 − ln(deviation of the share) + ln(density of the mixture at the limit).
        let (n, limit) = (1e15_f64, 0.001_f64);
        let deviation = (n * limit * (1.0 - limit)).sqrt();
        let bad = (n * limit + 10.0 * deviation).round();
        let evidence = ln_evidence(bad, n - bad, limit);
        let b = A / limit;
        let prior = (A - 1.0) * limit.ln() + (b - 1.0) * f64::ln_1p(-limit) - ln_beta(A, b);
        let expected = 50.0 + prior + (deviation / n).ln() + 0.5 * std::f64::consts::TAU.ln();
        assert!((evidence - expected).abs() < 0.01, "{evidence} {expected}");
    }

    #[test]
    fn nothing_ends_nothing() {
        assert!(!ends(0, 0, 0.001));
        assert!(!ends(5, 0, 0.001));
        assert!(!ends(1, 1, 0.1));
        assert!(ends(5, 5, 0.001));
        // One bad sample is no evidence by itself.
        assert!(!ends(1, 1, 0.001));
        assert!(ends(1_000, 1_000, 0.001));
    }

    proptest! {
        #[test]
        fn never_ends_within_the_limit(n in 1..2_000_000_u64, share in 0.0..1.0_f64, limit in 0.0001..0.999_f64) {
            let most = (limit * n as f64).floor() as u64;
            prop_assert!(!ends((share * most as f64) as u64, n, limit));
            prop_assert!(!ends(most, n, limit));
        }

        #[test]
        fn what_ends_with_some_ends_with_more(n in 1..100_000_u64, bad in 0..1_000_u64, limit in 0.0001..0.5_f64) {
            prop_assume!(bad < n);
            prop_assert!(!ends(bad, n, limit) || ends(bad + 1, n, limit));
        }
    }

    /// Runs of 200 looks at `per_look` samples of a true share each, and how many of them are ended.
    fn ended(runs: usize, share: f64, limit: f64, per_look: u32, seed: u64) -> usize {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..runs)
            .filter(|_| {
                let (mut bad, mut n) = (0, 0);
                (0..200).any(|_| {
                    // Bad ones by their geometric gaps: fast where they are rare.
                    let mut at = gap(&mut random, share);
                    while at <= u64::from(per_look) {
                        bad += 1;
                        at += gap(&mut random, share);
                    }
                    n += u64::from(per_look);
                    ends(bad, n, limit)
                })
            })
            .count()
    }

    fn gap(random: &mut ChaCha8Rng, share: f64) -> u64 {
        let uniform: f64 = Open01.sample(random);
        1 + (uniform.ln() / f64::ln_1p(-share)) as u64
    }

    #[test]
    fn two_hundred_looks_at_the_limit_end_one_run_in_twenty_at_most() {
        for (limit, per_look) in [(0.001, 500), (0.05, 20)] {
            let runs = 1_000;
            // Five percent, and four deviations of the count.
            let most = 50.0 + 4.0 * (runs as f64 * 0.05 * 0.95).sqrt();
            let ended = ended(runs, limit, limit, per_look, 7);
            assert!((ended as f64) < most, "{limit}: {ended} of {runs}");
        }
    }

    #[test]
    fn a_target_well_beyond_the_limit_is_ended() {
        assert!(ended(200, 0.005, 0.001, 500, 11) > 195);
    }
}
