//! How far apart a worker wakes when arrivals are dense.

use slatest_core::model::Nanos;

/// How many arrivals are looked back on.
const LOOKED_BACK: usize = 32;
/// Arrivals that follow each other faster than this (about 17,000 in a second) are dense.
const DENSE: Nanos = Nanos(60_000);
/// Least time between two wakes for dense arrivals. To wake for each of them takes more of the
/// processor than sending it does; so they are late by half of this on average, and say so.
const APART: Nanos = Nanos(100_000);

/// Spaces the wakes of one worker.
#[derive(Debug, Default)]
pub struct WakeCoalescer {
    planned: [Nanos; LOOKED_BACK],
    seen: usize,
    woken: Nanos,
}

impl WakeCoalescer {
    /// When to wake for an arrival that is due at `at`.
    pub fn wake_for(&self, at: Nanos) -> Nanos {
        let oldest = self.planned[self.seen % LOOKED_BACK];
        let dense = self.seen >= LOOKED_BACK && (at - oldest).0 < DENSE.0 * LOOKED_BACK as u64;
        if dense { at.max(self.woken + APART) } else { at }
    }

    /// The worker woke.
    pub fn woke(&mut self, now: Nanos) {
        self.woken = now;
    }

    /// An arrival that was planned for `at` was fired.
    pub fn fired(&mut self, at: Nanos) {
        self.planned[self.seen % LOOKED_BACK] = at;
        self.seen += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often is woken for arrivals every `gap` nanoseconds over a tenth of a second, and how late
    /// the latest is.
    fn woken_for(gap: u64) -> (u64, Nanos) {
        let mut wakes = WakeCoalescer::default();
        let (mut now, mut woken, mut latest) = (Nanos::ZERO, 0, Nanos::ZERO);
        for at in (1..).map(|n| Nanos(n * gap)).take_while(|at| at.0 < 100_000_000) {
            if at > now {
                now = wakes.wake_for(at);
                wakes.woke(now);
                woken += 1;
            }
            latest = latest.max(now - at);
            wakes.fired(at);
        }
        (woken, latest)
    }

    #[test]
    fn sparse_arrivals_are_woken_for_one_by_one_and_on_time() {
        assert_eq!(woken_for(200_000), (499, Nanos::ZERO));
        assert_eq!(woken_for(100_000), (999, Nanos::ZERO));
    }

    #[test]
    fn dense_arrivals_are_woken_for_together_and_none_waits_longer_than_the_spacing() {
        for gap in [50_000, 20_000, 10_000] {
            let (woken, latest) = woken_for(gap);
            assert!((900..=1_040).contains(&woken), "{woken} wakes at a gap of {gap}");
            assert!(latest <= APART, "{latest}");
        }
    }
}
