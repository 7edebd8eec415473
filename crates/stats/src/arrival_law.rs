//! Were the arrivals spaced as the law says?

use statrs::function::gamma::checked_gamma_lr;

/// A² beyond which spacings are not those of the law. For a law that is wholly known, a chance of one
/// in a thousand: 1 − P(A² < 6) = .00097 by Marsaglia and Marsaglia (Journal of Statistical
/// Software 9, 2004). One in a thousand because it is asked of every run.
pub const ARRIVAL_LAW_BOUND: f64 = 6.0;

/// Most gaps that are tested: with more, a difference of no importance is found.
pub const GAPS_MAX: usize = 2_000;

/// The least distance from 0 and 1 that a uniform is given: a gap of nothing must count against the
/// law, not make the sum infinite.
const EDGE: f64 = 1e-15;

/// Anderson and Darling's A² of values that are uniform on [0, 1] where the law holds. Sorts them.
/// 0 without values; values outside of [0, 1] (and what is no number) count as lying at its edges.
pub fn anderson_darling(uniforms: &mut [f64]) -> f64 {
    if uniforms.is_empty() {
        return 0.0;
    }
    for uniform in &mut *uniforms {
        *uniform = if uniform.is_nan() { EDGE } else { uniform.clamp(EDGE, 1.0 - EDGE) };
    }
    uniforms.sort_by(f64::total_cmp);
    let sum: f64 = uniforms
        .iter()
        .zip(uniforms.iter().rev())
        .enumerate()
        .map(|(i, (low, high))| (2 * i + 1) as f64 * (low.ln() + (-high).ln_1p()))
        .sum();
    let n = uniforms.len() as f64;
    -n - sum / n
}

/// Where a gap lies in its law: uniform on [0, 1] when it is one between every `nth` arrival of a
/// Poisson process, and is given in the time in which that process has rate 1 (the integral of the
/// rate). Every arrival has exponential gaps; one of `nth` workers, which owns each `nth` arrival,
/// has Erlang gaps of `nth` stages.
pub fn gap_to_uniform(gap: f64, nth: u32) -> f64 {
    if gap.is_nan() || gap <= 0.0 {
        return 0.0;
    }
    if nth <= 1 {
        return -(-gap).exp_m1();
    }
    // It refuses zero and infinity; what is beyond every gap lies at the end.
    checked_gamma_lr(f64::from(nth), gap).map_or(1.0, |share| share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn statistic(gaps: impl IntoIterator<Item = f64>, nth: u32) -> f64 {
        let mut uniforms: Vec<f64> = gaps.into_iter().map(|gap| gap_to_uniform(gap, nth)).collect();
        anderson_darling(&mut uniforms)
    }

    #[test]
    fn reference_values() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        let middles = || (0..20).map(|i| (f64::from(i) + 0.5) / 20.0);
        near(statistic(middles().map(|u| -f64::ln_1p(-u)), 1), 0.044_064_264);
        near(statistic([1.0; 20], 1), 9.173_502_908);
        near(statistic(middles().map(|u| 2.0 * u), 1), 1.204_771_456);
    }

    #[test]
    fn erlang_gaps_by_their_closed_form() {
        // 1 − e^−x Σ xⁱ/i!
        for nth in [2, 3, 8, 64] {
            for gap in [0.01, 0.5, 1.0, 3.0, 40.0, 64.0, 90.0] {
                let (mut term, mut sum) = (1.0, 0.0);
                for i in 1..=nth {
                    sum += term;
                    term *= gap / f64::from(i);
                }
                let exact = 1.0 - (-gap).exp() * sum;
                let ours = gap_to_uniform(gap, nth);
                assert!((ours - exact).abs() < 1e-12, "{nth} {gap}: {ours} {exact}");
            }
        }
    }

    #[test]
    fn the_ends_are_the_ends() {
        for nth in [1, 2, 64] {
            assert_eq!([-1.0, 0.0, f64::NAN].map(|gap| gap_to_uniform(gap, nth)), [0.0; 3]);
            assert!(gap_to_uniform(f64::MIN_POSITIVE, nth) < 1e-300);
            assert_eq!([1e6, f64::INFINITY].map(|gap| gap_to_uniform(gap, nth)), [1.0; 2]);
        }
    }

    #[test]
    fn gaps_of_nothing_are_finite_and_beyond_every_bound() {
        for gap in [0.0, f64::INFINITY] {
            let statistic = statistic([gap; 2_000], 2);
            assert!(statistic.is_finite() && statistic > 1_000.0, "{statistic}");
        }
        // A burst of one in ten is found, too.
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let gaps: Vec<f64> =
            (0..2_000).map(|i| if i % 10 == 0 { 0.0 } else { -f64::ln_1p(-random.random::<f64>()) }).collect();
        assert!(statistic(gaps, 1) > ARRIVAL_LAW_BOUND);
        assert_eq!(anderson_darling(&mut []), 0.0);
    }

    #[test]
    fn a_true_law_is_refused_one_time_in_a_thousand() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut exponential = move || -f64::ln_1p(-random.random::<f64>());
        for nth in [1, 2] {
            let refused = (0..3_000)
                .filter(|_| {
                    let gaps: Vec<f64> = (0..100).map(|_| (0..nth).map(|_| exponential()).sum()).collect();
                    statistic(gaps, nth) > ARRIVAL_LAW_BOUND
                })
                .count();
            // Three are expected; ten or more of 3,000 have a chance of one in a thousand.
            assert!(refused < 10, "{nth}: {refused}");
        }
    }

    #[test]
    fn the_bound_is_one_in_a_thousand() {
        // Marsaglia and Marsaglia's approximation of P(A² < z) for z ≥ 2.
        let z = ARRIVAL_LAW_BOUND;
        let poly = [1.0776, -2.30695, 0.43424, -0.082433, 0.008056, -0.000_314_6];
        let exponent = poly.iter().rev().fold(0.0, |sum, c| sum * z + c);
        let beyond = 1.0 - (-f64::exp(exponent)).exp();
        assert!((beyond - 0.00097).abs() < 0.00002, "{beyond}");
    }
}
