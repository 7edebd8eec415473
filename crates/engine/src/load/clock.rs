//! The clock that all threads of a run share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use slatest_core::model::{Clock, Nanos};

/// A monotonic clock whose zero is set once, when the load starts: sessions are opened with it
/// before anybody knows when that will be. Until then it reads zero.
#[derive(Debug)]
pub struct RunClock {
    base: Instant,
    /// Nanoseconds from `base` to the run's epoch; `u64::MAX` until it is known.
    epoch_ns: AtomicU64,
}

impl Default for RunClock {
    fn default() -> Self {
        Self { base: Instant::now(), epoch_ns: AtomicU64::new(u64::MAX) }
    }
}

impl RunClock {
    /// Says when the run starts.
    pub fn start_at(&self, epoch: Instant) {
        let since_base = u64::try_from(epoch.saturating_duration_since(self.base).as_nanos()).unwrap_or(u64::MAX - 1);
        self.epoch_ns.store(since_base, Ordering::Release);
    }
}

impl Clock for RunClock {
    fn now(&self) -> Nanos {
        let since_base = u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Nanos(since_base.saturating_sub(self.epoch_ns.load(Ordering::Relaxed)))
    }
}
