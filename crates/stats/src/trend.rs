//! Was the measured phase steady?

use statrs::function::erf::erfc;

/// |Z| beyond which batch rates have a trend: two-sided 1 %.
pub const TREND_Z: f64 = 2.58;

/// Mann and Kendall's test for a trend in `values` in their order (Econometrica 13, 1945), ties
/// included: Z with continuity correction, above zero where they rise. 0 where nothing can be said:
/// fewer than two, or all alike.
pub fn mann_kendall(values: &[f64]) -> f64 {
    let mut sum = 0_i64;
    for (i, earlier) in values.iter().enumerate() {
        for later in &values[i + 1..] {
            sum += i64::from(later > earlier) - i64::from(later < earlier);
        }
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let term = |count: usize| {
        let count = count as f64;
        count * (count - 1.0) * (2.0 * count + 5.0)
    };
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|tied| term(tied.len())).sum();
    let variance = (term(values.len()) - ties) / 18.0;
    if variance <= 0.0 {
        return 0.0;
    }
    (sum - sum.signum()) as f64 / variance.sqrt()
}

/// Chance of a |Z| as large or larger without any trend.
pub fn trend_p_value(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn by_hand() {
        // Ten that rise: S = 45, variance 10·9·25/18 = 125.
        let rising: Vec<f64> = (0..10).map(f64::from).collect();
        assert!((mann_kendall(&rising) - 44.0 / 125.0_f64.sqrt()).abs() < 1e-12);
        let falling: Vec<f64> = rising.iter().rev().copied().collect();
        assert!((mann_kendall(&falling) + 44.0 / 125.0_f64.sqrt()).abs() < 1e-12);
        // Two pairs of ties: S = 8, variance (5·4·15 − 2·2·1·9)/18 = 264/18.
        assert!((mann_kendall(&[1.0, 1.0, 2.0, 2.0, 3.0]) - 7.0 / (264.0_f64 / 18.0).sqrt()).abs() < 1e-12);
        // S = 0 has no sign to correct.
        assert_eq!(mann_kendall(&[1.0, 2.0, 1.0]), 0.0);
    }

    #[test]
    fn nothing_to_compare_is_no_trend() {
        assert_eq!([mann_kendall(&[]), mann_kendall(&[3.0]), mann_kendall(&[3.0; 30])], [0.0; 3]);
    }

    #[test]
    fn the_bound_is_one_percent() {
        assert!((trend_p_value(TREND_Z) - 0.009_880_032).abs() < 1e-8, "{}", trend_p_value(TREND_Z));
        assert!((trend_p_value(-1.959_963_984_540_054) - 0.05).abs() < 1e-9);
        assert_eq!(trend_p_value(0.0), 1.0);
    }

    #[test]
    fn steady_values_seldom_have_a_trend_and_rising_ones_do() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut found = |slope: f64| {
            (0..2_000)
                .filter(|_| {
                    // Whole numbers up to 5: ties as small counts have them.
                    let values: Vec<f64> =
                        (0..30).map(|i| (random.random_range(0.0..6.0) + slope * f64::from(i)).floor()).collect();
                    mann_kendall(&values).abs() > TREND_Z
                })
                .count()
        };
        // 20 of 2,000 are expected; their deviation is 4.4.
        assert!(found(0.0) < 20 + 18);
        assert!(found(0.2) > 1_800);
    }
}
