//! What each arrival executes.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// One seed for each scenario of a run. FNV-1a over the name: it must be the same on every machine
/// and in every version, which the standard library's hasher does not promise.
pub fn scenario_seed(seed: u64, scenario: &str) -> u64 {
    let hash =
        scenario.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    seed ^ hash
}

/// Chooses one of a scenario's items for each arrival, by the arrival's number alone: any worker
/// that asks gets the same answer.
#[derive(Clone, Debug)]
pub struct Chooser {
    /// Weights added up, or empty when items take turns.
    cumulative: Vec<f64>,
    items: usize,
    rng: ChaCha8Rng,
}

impl Chooser {
    /// By weight. Weights are at or above 0, at least one above.
    pub fn weighted(weights: &[f64], seed: u64, scenario: &str) -> Self {
        let mut sum = 0.0;
        let cumulative = weights
            .iter()
            .map(|w| {
                sum += w;
                sum
            })
            .collect();
        Self { cumulative, items: weights.len(), rng: ChaCha8Rng::seed_from_u64(scenario_seed(seed, scenario)) }
    }

    /// Each of `items` in turn.
    pub fn in_turn(items: usize) -> Self {
        Self { cumulative: Vec::new(), items, rng: ChaCha8Rng::seed_from_u64(0) }
    }

    /// The item of the arrival of this number.
    pub fn choose(&self, seq: u64) -> usize {
        // With one item there is nothing to draw.
        let Some(&total) = self.cumulative.last().filter(|_| self.items > 1) else {
            return (seq % self.items.max(1) as u64) as usize;
        };
        let mut rng = self.rng.clone();
        rng.set_stream(seq);
        let point = rng.random::<f64>() * total;
        self.cumulative.partition_point(|&c| c <= point).min(self.items - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_the_weights() {
        let chooser = Chooser::weighted(&[40.0, 0.0, 15.0, 5.0], 3, "api");
        let mut counts = [0_u32; 4];
        for seq in 0..60_000 {
            counts[chooser.choose(seq)] += 1;
        }
        // Expected 40,000, 0, 15,000, 5,000; five standard deviations are below 600.
        assert_eq!(counts[1], 0);
        for (count, expected) in counts.iter().zip([40_000_u32, 0, 15_000, 5_000]) {
            assert!(count.abs_diff(expected) < 600, "{counts:?}");
        }
    }

    #[test]
    fn turns_are_taken() {
        let chooser = Chooser::in_turn(3);
        assert_eq!((0..7).map(|seq| chooser.choose(seq)).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0]);
    }
}
