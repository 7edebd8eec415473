//! Where time comes from, so that tests can drive it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::Nanos;

/// Source of the run's time.
pub trait Clock: Send + Sync {
    /// Time since the run's epoch.
    fn now(&self) -> Nanos;
}

/// The machine's monotonic clock, counted from an epoch that all threads of a run share.
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock {
    epoch: Instant,
}

impl MonotonicClock {
    /// A clock that reads zero at `epoch`; before it, it reads zero too.
    pub const fn starting_at(epoch: Instant) -> Self {
        Self { epoch }
    }

    /// The instant at which this clock reads zero.
    pub const fn epoch(&self) -> Instant {
        self.epoch
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Nanos {
        Instant::now().saturating_duration_since(self.epoch).into()
    }
}

/// A clock that moves only when a test moves it. Clones share their time.
#[derive(Clone, Debug, Default)]
pub struct SimulatedClock {
    now: Arc<AtomicU64>,
}

impl SimulatedClock {
    /// Moves forward by `by`.
    pub fn advance(&self, by: Nanos) {
        self.now.fetch_add(by.0, Ordering::SeqCst);
    }

    /// Jumps to `to`.
    pub fn set(&self, to: Nanos) {
        self.now.store(to.0, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Nanos {
        Nanos(self.now.load(Ordering::SeqCst))
    }
}
