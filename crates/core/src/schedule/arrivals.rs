//! Instants of arrivals by a law, along a curve.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::Exp1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mix::scenario_seed;
use super::{Curve, StagePlan};
use crate::model::Nanos;

/// The law of the gaps between arrivals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArrivalLaw {
    /// Independent users: exponential gaps.
    #[default]
    Poisson,
    /// Equal gaps (at a constant rate).
    Uniform,
}

/// Every arrival of one scenario in order of time: (number, instant from the scenario's start).
///
/// An inhomogeneous Poisson process by time change: unit-rate exponential gaps added up, mapped
/// through the inverse of the rate's integral (Çinlar 1975); uniform arrivals are the midpoints
/// k + ½ mapped likewise, so that their count is the integral, rounded.
#[derive(Clone, Debug)]
pub struct ArrivalSchedule {
    curve: Curve,
    law: ArrivalLaw,
    rng: ChaCha8Rng,
    level: f64,
    seq: u64,
}

impl ArrivalSchedule {
    /// The schedule of one scenario of a run of this seed.
    pub fn new(stages: &[StagePlan], law: ArrivalLaw, seed: u64, scenario: &str) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(scenario_seed(seed, scenario) ^ 0xA881_7A15);
        Self { curve: Curve::new(stages), law, rng, level: 0.0, seq: 0 }
    }

    /// The rate per second at an instant.
    pub fn rate_at(&self, at: Nanos) -> f64 {
        self.curve.value_at(at)
    }
}

impl Iterator for ArrivalSchedule {
    type Item = (u64, Nanos);

    fn next(&mut self) -> Option<(u64, Nanos)> {
        let level = match self.law {
            ArrivalLaw::Poisson => {
                self.level += self.rng.sample::<f64, _>(Exp1);
                self.level
            }
            ArrivalLaw::Uniform => self.seq as f64 + 0.5,
        };
        let at = self.curve.instant_of(level)?;
        let seq = self.seq;
        self.seq += 1;
        Some((seq, at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::curve::tests::stages;
    use super::*;

    fn steady(rate: f64, secs: u64) -> Vec<StagePlan> {
        vec![StagePlan { duration: Nanos::from_secs(secs), from: rate, to: rate }]
    }

    proptest! {
        #[test]
        fn uniform_arrivals_are_as_many_as_the_integral(stages in stages()) {
            let total = Curve::new(&stages).total();
            let count = ArrivalSchedule::new(&stages, ArrivalLaw::Uniform, 1, "s").count() as f64;
            prop_assert!((count - total).abs() <= 0.5 + 1e-6, "{} against {}", count, total);
        }

        #[test]
        fn arrivals_are_in_order_and_within(stages in stages(), seed: u64) {
            let duration = Curve::new(&stages).duration();
            let mut last = Nanos::ZERO;
            for (i, (seq, at)) in ArrivalSchedule::new(&stages, ArrivalLaw::Poisson, seed, "s").enumerate() {
                prop_assert_eq!(seq, i as u64);
                prop_assert!(at >= last && at <= duration);
                last = at;
            }
        }
    }

    #[test]
    fn poisson_counts_spread_as_they_should() {
        // Over many seeds the count has mean λT and variance λT; 400 runs of λT = 300 put the mean
        // within 5 standard errors (5·√(300/400) = 4.33) and the variance within 5·300·√(2/400) = 106.
        let counts: Vec<f64> = (0..400)
            .map(|seed| ArrivalSchedule::new(&steady(30.0, 10), ArrivalLaw::Poisson, seed, "s").count() as f64)
            .collect();
        let mean = counts.iter().sum::<f64>() / 400.0;
        let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 399.0;
        assert!((mean - 300.0).abs() < 4.33, "mean {mean}");
        assert!((variance - 300.0).abs() < 106.0, "variance {variance}");
    }

    #[test]
    fn one_seed_gives_one_schedule_and_scenarios_differ() {
        let all = |seed, scenario: &str| -> Vec<(u64, Nanos)> {
            ArrivalSchedule::new(&steady(50.0, 5), ArrivalLaw::Poisson, seed, scenario).collect()
        };
        assert_eq!(all(7, "api"), all(7, "api"));
        assert_ne!(all(7, "api"), all(8, "api"));
        assert_ne!(all(7, "api"), all(7, "sync"));
    }

    #[test]
    fn uniform_gaps_are_equal() {
        let at: Vec<Nanos> =
            ArrivalSchedule::new(&steady(10.0, 2), ArrivalLaw::Uniform, 0, "s").map(|(_, at)| at).collect();
        assert_eq!(at.len(), 20);
        assert!(at.windows(2).all(|w| (w[1] - w[0]).0.abs_diff(100_000_000) <= 1));
    }
}
