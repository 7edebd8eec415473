//! An agent's own clock.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use slatest_core::model::Nanos;

/// The clock that an agent tells its coordinator of: monotonic, from a zero that means nothing to
/// anybody else. Copies read the same.
#[derive(Clone, Copy, Debug)]
pub struct AgentClock {
    base: Instant,
    /// What it read at `base`.
    reading: Nanos,
    /// How far the wall clock is ahead of the machine's, in nanoseconds.
    wall_ahead: i64,
}

impl AgentClock {
    /// A clock that reads zero now.
    pub fn start() -> Self {
        Self::disagreeing(Nanos::ZERO, 0)
    }

    /// One that reads something else now, and whose wall clock is ahead by so many nanoseconds: what
    /// machines do whose clocks disagree.
    pub fn disagreeing(reading: Nanos, wall_ahead_ns: i64) -> Self {
        Self { base: Instant::now(), reading, wall_ahead: wall_ahead_ns }
    }

    /// What it reads.
    pub fn now(&self) -> Nanos {
        self.reading + Nanos::from(Instant::now().saturating_duration_since(self.base))
    }

    /// What the wall clock reads, in nanoseconds since 1970.
    pub fn wall_ns(&self) -> u64 {
        let now = Timestamp::now().as_nanosecond() + i128::from(self.wall_ahead);
        u64::try_from(now.max(0)).unwrap_or(u64::MAX)
    }

    /// The instant at which it reads, or read, so much.
    pub fn instant_at(&self, reading: Nanos) -> std::time::Instant {
        let instant = if reading >= self.reading {
            self.base.checked_add((reading - self.reading).as_duration())
        } else {
            self.base.checked_sub((self.reading - reading).as_duration())
        };
        // Beyond what the machine can count: a century is never reached either.
        instant.unwrap_or_else(|| self.base + Duration::from_secs(100 * 366 * 24 * 3600)).into_std()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn readings_and_instants_are_two_ways_to_say_one_thing() {
        for reading in [Nanos::ZERO, Nanos::from_secs(7 * 3600)] {
            let clock = AgentClock::disagreeing(reading, -3_600_000_000_000);
            tokio::time::advance(Duration::from_millis(1_500)).await;
            assert_eq!(clock.now(), reading + Nanos::from_millis(1_500));
            assert_eq!(clock.instant_at(clock.now()), Instant::now().into_std());
            let soon = clock.instant_at(clock.now() + Nanos::from_secs(2));
            assert_eq!(soon - Instant::now().into_std(), Duration::from_secs(2));
            let _far = clock.instant_at(Nanos::MAX);
        }
    }
}
