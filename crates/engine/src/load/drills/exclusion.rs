//! What is meant to start while a drill is under way is judged by the drill alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use slatest_core::model::Nanos;

/// Stands for no instant.
const NEVER: u64 = u64::MAX;

/// Since when, or from when until when, a drill is under way; shared by all workers. Drills follow one
/// another, and so do arrivals: only the latest counts.
#[derive(Clone, Debug)]
pub struct DrillExclusion(Arc<(AtomicU64, AtomicU64)>);

impl Default for DrillExclusion {
    fn default() -> Self {
        Self(Arc::new((AtomicU64::new(NEVER), AtomicU64::new(NEVER))))
    }
}

impl DrillExclusion {
    /// A drill is about to break something.
    pub fn begin(&self, at: Nanos) {
        let (from, until) = &*self.0;
        until.store(NEVER, Ordering::Relaxed);
        from.store(at.0, Ordering::Relaxed);
    }

    /// It is over.
    pub fn end(&self, at: Nanos) {
        self.0.1.store(at.0, Ordering::Relaxed);
    }

    /// Whether what was meant to start at this instant belongs to a drill.
    pub fn holds(&self, intended: Nanos) -> bool {
        let (from, until) = &*self.0;
        intended.0 >= from.load(Ordering::Relaxed) && intended.0 < until.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_within_a_drill_is_aside() {
        let exclusion = DrillExclusion::default();
        let at = Nanos::from_secs;
        assert!(!exclusion.holds(at(5)));
        exclusion.begin(at(5));
        assert_eq!([at(4), at(5), at(500)].map(|t| exclusion.holds(t)), [false, true, true]);
        exclusion.end(at(9));
        assert_eq!([at(8), at(9)].map(|t| exclusion.holds(t)), [true, false]);
        exclusion.begin(at(20));
        assert_eq!([at(19), at(20), at(21)].map(|t| exclusion.holds(t)), [false, true, true]);
    }
}
