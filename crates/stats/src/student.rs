//! Student's t distribution.

use super::beta::incomplete_beta;

/// P(T > t) for `t` ≥ 0.
fn beyond(t: f64, freedom: f64) -> f64 {
    // I_y(1/2, ν/2) with y = t²/(ν + t²) rather than I_{1−y}(ν/2, 1/2): for many degrees of freedom
    // 1 − y would lose the digits that y has.
    let square = t * t;
    0.5 * (1.0 - incomplete_beta(0.5, freedom / 2.0, square / (freedom + square)))
}

/// The t that a Student variable of `freedom` > 0 degrees of freedom stays below with the chance
/// `chance` in (½, 1). By bisection, to twelve digits.
pub(super) fn t_quantile(chance: f64, freedom: f64) -> f64 {
    let wanted = 1.0 - chance;
    let (mut low, mut high) = (0.0, 1.0);
    while beyond(high, freedom) > wanted && high < 1e12 {
        low = high;
        high *= 2.0;
    }
    while high - low > 1e-13 * high {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if beyond(middle, freedom) > wanted { low = middle } else { high = middle }
    }
    low + (high - low) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabled_values() {
        let table = [
            (0.95, 1.0, 6.313_751_514_675_04),
            (0.975, 1.0, 12.706_204_736_174_7),
            (0.95, 2.0, 2.919_985_580_355_52),
            (0.95, 9.0, 1.833_112_932_653_62),
            (0.95, 29.0, 1.699_127_026_533_5),
            (0.975, 29.0, 2.045_229_642_132_7),
            (0.95, 999.0, 1.646_380_345_427_0),
        ];
        for (chance, freedom, t) in table {
            let ours = t_quantile(chance, freedom);
            assert!((ours - t).abs() < 1e-9 * t, "{chance} {freedom}: {ours} {t}");
        }
    }

    #[test]
    fn closed_forms() {
        // One degree: tan(π(p − ½)). Two: (2p − 1) √(2 / (4p(1 − p))).
        for chance in [0.6_f64, 0.9, 0.99, 0.9999] {
            let one = (std::f64::consts::PI * (chance - 0.5)).tan();
            let two = (2.0 * chance - 1.0) * (2.0 / (4.0 * chance * (1.0 - chance))).sqrt();
            assert!((t_quantile(chance, 1.0) - one).abs() < 1e-9 * one, "{chance}");
            assert!((t_quantile(chance, 2.0) - two).abs() < 1e-9 * two, "{chance}");
        }
    }

    #[test]
    fn many_degrees_of_freedom_come_to_the_normal_quantile() {
        // Cornish and Fisher: t = z + (z³ + z) / 4ν + (5z⁵ + 16z³ + 3z) / 96ν² + …
        let z = 1.644_853_626_951_472_7_f64;
        for freedom in [1e4, 1e6, 1e8, 1e10] {
            let t = z
                + (z.powi(3) + z) / (4.0 * freedom)
                + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * freedom * freedom);
            let ours = t_quantile(0.95, freedom);
            assert!((ours - t).abs() < 1e-9, "{freedom}: {ours} {t}");
        }
    }
}
