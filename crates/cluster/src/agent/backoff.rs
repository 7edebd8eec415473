//! How long to wait before dialling again.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// The shortest wait.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The longest.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Waits that double from 100 ms to 2 s, each drawn from its upper half: a thousand agents that lost one
/// coordinator don't come back in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    random: ChaCha8Rng,
    tries: u32,
}

impl Backoff {
    /// With randomness of its own.
    pub fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), tries: 0 }
    }

    /// The wait before the next try.
    pub fn wait(&mut self) -> Duration {
        let doubled = (WAIT_MIN * 2).saturating_mul(1 << self.tries.min(8)).min(WAIT_MAX);
        self.tries = self.tries.saturating_add(1);
        doubled.mul_f64(self.random.random_range(0.5..=1.0))
    }

    /// How long the next try may take: a second at first, so that one that was swallowed does not hold up the
    /// next; up to 8 s for coordinators that are busy or far away.
    pub fn answer_within(&self) -> Duration {
        Duration::from_secs(1 << self.tries.min(3))
    }

    /// It worked: the next wait is short again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_their_bounds_and_agents_differ() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<Duration> = (0..50).map(|_| backoff.wait()).collect();
        assert!(waits.iter().all(|wait| (WAIT_MIN..=WAIT_MAX).contains(wait)), "{waits:?}");
        assert!(waits[0] <= WAIT_MIN * 2 && waits[10..].iter().all(|wait| *wait >= WAIT_MAX / 2), "{waits:?}");
        assert_ne!(waits[10], Backoff::new(8).wait());
        assert!(waits[10..].windows(2).any(|pair| pair[0] != pair[1]), "no jitter");
        assert_eq!(backoff.answer_within(), Duration::from_secs(8));
        backoff.reset();
        assert_eq!(backoff.answer_within(), Duration::from_secs(1));
        assert!(backoff.wait() <= WAIT_MIN * 2);
    }
}
