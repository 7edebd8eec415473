//! Naming culprits among many.
//!
//! "Everything passes" needs no correction: it is an intersection–union test, and each part at α
//! keeps the whole at α. To say *which* of many are at fault is another matter: with 35 tests at
//! 5 %, one or two innocents are named in every run. Holm's step-down (Scandinavian Journal of
//! Statistics 6, 1979) keeps the chance of naming any innocent at α, whatever hangs together.

/// Which hypotheses are rejected together at `alpha`, from their p-values, in the same order. A
/// p-value that is no number rejects nothing.
pub fn holm(p_values: &[f64], alpha: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut rejected = vec![false; p_values.len()];
    for (step, index) in order.into_iter().enumerate() {
        let left = (p_values.len() - step) as f64;
        // What is no number is at most nothing, and so ends it.
        rejected[index] = p_values[index] <= alpha / left;
        if !rejected[index] {
            break;
        }
    }
    rejected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_down_until_the_first_that_does_not_hold() {
        // .005 ≤ .05/4, .01 ≤ .05/3, .03 > .05/2: the rest is not looked at.
        assert_eq!(holm(&[0.01, 0.04, 0.03, 0.005], 0.05), [true, false, false, true]);
        // .04 ≤ .05/1 would hold by itself, but the step before it did not.
        assert_eq!(holm(&[0.04, 0.03], 0.05), [false, false]);
        assert_eq!(holm(&[0.04, 0.02], 0.05), [true, true]);
        assert_eq!(holm(&[0.05], 0.05), [true]);
        assert_eq!(holm(&[], 0.05), [false; 0]);
        assert_eq!(holm(&[f64::NAN, 0.001], 0.05), [false, true]);
    }

    proptest! {
        #[test]
        fn between_bonferroni_and_no_correction(p_values in prop::collection::vec(0.0..0.2_f64, 1..40)) {
            let rejected = holm(&p_values, 0.05);
            let all = p_values.len() as f64;
            for (&p, &rejected) in p_values.iter().zip(&rejected) {
                prop_assert!(!rejected || p <= 0.05);
                prop_assert!(rejected || p > 0.05 / all);
            }
        }
    }
}
