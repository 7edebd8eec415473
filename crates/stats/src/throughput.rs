//! The interval of a rate.

use super::binomial::Interval;

/// Normal quantile of 95 %.
const Z: f64 = 1.644_853_626_951_472_7;

/// Bounds, each at 95 %, of the mean of a Poisson count: Byar's approximation of the exact interval,
/// off by less than 1 % from a count of 5 on.
pub fn poisson_interval(count: u64) -> Interval {
    let cube = |x: f64, z: f64| x * (1.0 - 1.0 / (9.0 * x) + z / (3.0 * x.sqrt())).powi(3);
    let x = count as f64;
    let lower = if count == 0 { 0.0 } else { cube(x, -Z).max(0.0) };
    Interval { lower, upper: cube(x + 1.0, Z) }
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{DiscreteCDF, Poisson};

    use super::*;

    #[test]
    fn each_bound_leaves_five_percent() {
        for count in [5, 10, 100, 36_000] {
            let Interval { lower, upper } = poisson_interval(count);
            let above = 1.0 - Poisson::new(lower).unwrap().cdf(count - 1);
            let below = Poisson::new(upper).unwrap().cdf(count);
            assert!((above - 0.05).abs() < 0.002, "{count}: {above}");
            assert!((below - 0.05).abs() < 0.002, "{count}: {below}");
        }
        assert_eq!(poisson_interval(0).lower, 0.0);
    }
}
