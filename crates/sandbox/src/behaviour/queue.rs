//! A single server with a fixed service time: what a platform of known capacity does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use slatest_core::model::Rate;

/// Nobody waits longer than this for its turn: who would is refused, as services do that shed load.
/// So a flood leaves no backlog that outlasts it by more.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// One server, first come first served. With Poisson arrivals an M/D/1 queue, whose waiting times are
/// known: their mean is ρ·s / 2(1 − ρ) for a service time s and a load ρ = rate × s.
pub struct Queue {
    service: Duration,
    /// When the server will have served everyone who waits.
    free: Mutex<Option<Instant>>,
}

impl Queue {
    /// A server that serves `capacity` per second; none where that is zero.
    pub fn new(capacity: Rate) -> Option<Self> {
        let service = Duration::try_from_secs_f64(1.0 / capacity.0).ok()?;
        Some(Self { service, free: Mutex::default() })
    }

    /// How long until one who comes now is served; `None` for who is refused.
    pub fn join(&self, now: Instant) -> Option<Duration> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = free.map_or(now, |free| free.max(now));
        if begins - now > LONGEST_WAIT {
            return None;
        }
        let ends = begins + self.service;
        *free = Some(ends);
        Some(ends - now)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Mean time until served, and how many were refused, of `n` Poisson arrivals in simulated time.
    fn served(capacity: f64, rate: f64, n: u32) -> (f64, u32) {
        let queue = Queue::new(Rate(capacity)).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut now = Instant::now();
        let (mut sum, mut refused) = (0.0, 0);
        for _ in 0..n {
            now += Duration::from_secs_f64(-(1.0 - random.random::<f64>()).ln() / rate);
            match queue.join(now) {
                Some(wait) => sum += wait.as_secs_f64(),
                None => refused += 1,
            }
        }
        (sum / f64::from(n - refused), refused)
    }

    #[test]
    fn waiting_times_are_those_of_an_m_d_1_queue() {
        for load in [0.3, 0.5, 0.8] {
            let (mean, refused) = served(500.0, 500.0 * load, 200_000);
            let expected = 0.002 + load * 0.002 / (2.0 * (1.0 - load));
            // 200,000 of them, correlated: some percent at the heaviest of these loads.
            assert!((mean / expected - 1.0).abs() < 0.05 && refused == 0, "{load}: {mean} for {expected}");
        }
    }

    #[test]
    fn a_flood_is_shed_and_leaves_a_bounded_backlog() {
        let (mean, refused) = served(100.0, 200.0, 20_000);
        assert!(mean < LONGEST_WAIT.as_secs_f64() + 0.02);
        // Half of them can't be served.
        assert!((9_000..10_500).contains(&refused), "{refused}");
    }

    #[test]
    fn no_capacity_is_no_queue() {
        assert!(Queue::new(Rate(0.0)).is_none());
    }
}
