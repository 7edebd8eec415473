//! Laws by which keys are drawn, in constant memory over any number of keys.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Zipf};

use super::draw::mix;

/// Most keys that there may be: beyond it, a double no longer tells neighbours apart.
pub(super) const KEYS_MAX: u64 = 1 << 53;
/// Skew of `zipfian` when none is given: YCSB's.
pub(super) const EXPONENT_DEFAULT: f64 = 0.99;

/// How keys from 0 up to `count` are drawn.
#[derive(Clone, Debug)]
pub(super) enum Law {
    /// All alike.
    Uniform,
    /// A few hot, a long tail cold; ranks are scattered so that hot keys aren't neighbours (on one
    /// page, in one partition).
    Zipfian { ranks: Zipf<f64>, scatter: Scatter },
    /// The execution's number, round and round.
    Sequential,
}

impl Law {
    pub(super) fn draw(&self, count: u64, seq: u64, rng: &mut ChaCha8Rng) -> u64 {
        match self {
            Self::Uniform => rng.random_range(0..count.max(1)),
            Self::Zipfian { ranks, scatter } => {
                let rank = (ranks.sample(rng) as u64).clamp(1, count) - 1;
                scatter.place(rank)
            }
            Self::Sequential => seq % count.max(1),
        }
    }
}

/// A permutation of 0..count that needs no memory: a Feistel network over the next power of four,
/// walked until it lands inside (fewer than four steps on average).
#[derive(Clone, Debug)]
pub(super) struct Scatter {
    count: u64,
    half_bits: u32,
    seed: u64,
}

impl Scatter {
    pub(super) fn new(count: u64, seed: u64) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Self { count, half_bits: bits.div_ceil(2).max(1), seed }
    }

    pub(super) fn place(&self, rank: u64) -> u64 {
        let mut at = rank;
        loop {
            at = self.permute(at);
            if at < self.count {
                return at;
            }
        }
    }

    const fn permute(&self, at: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (at >> self.half_bits, at & mask);
        let mut round = 0;
        while round < 4 {
            let mixed = mix(right ^ self.seed.wrapping_add(round << 56)) & mask;
            (left, right) = (right, left ^ mixed);
            round += 1;
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw::keyed;
    use super::*;

    #[test]
    fn scatter_is_a_permutation() {
        for count in [1, 2, 3, 16, 17, 1000, 4097] {
            let scatter = Scatter::new(count, 42);
            let mut places: Vec<u64> = (0..count).map(|rank| scatter.place(rank)).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..count), "{count}");
        }
    }

    #[test]
    fn the_hottest_keys_of_a_billion_are_hot_and_no_neighbours() {
        let count = 1_000_000_000;
        let scatter = Scatter::new(count, 1);
        let law = Law::Zipfian { ranks: Zipf::new(count as f64, EXPONENT_DEFAULT).unwrap(), scatter: scatter.clone() };
        let hot: Vec<u64> = (0..10).map(|rank| scatter.place(rank)).collect();
        assert!(hot.windows(2).all(|w| w[0].abs_diff(w[1]) > 1000), "{hot:?}");
        let mut rng = keyed([1, 2, 3, 4]);
        let draws = 20_000;
        let hits = (0..draws).filter(|_| hot.contains(&law.draw(count, 0, &mut rng))).count();
        // The ten first ranks of a Zipf law over 1e9 with s = 0.99 carry 12.5 % of the draws.
        assert!((2250..2760).contains(&hits), "{hits}");
    }

    #[test]
    fn every_law_stays_inside() {
        let mut rng = keyed([1, 2, 3, 4]);
        for count in [1, 2, 7] {
            let zipf = Law::Zipfian { ranks: Zipf::new(count as f64, 1.0).unwrap(), scatter: Scatter::new(count, 9) };
            for law in [Law::Uniform, zipf, Law::Sequential] {
                assert!((0..500).all(|seq| law.draw(count, seq, &mut rng) < count));
            }
        }
    }
}
