//! A pause after a server said that it has no place for another connection.

use std::time::Duration;

use tokio::time::Instant;

use crate::failure::Failure;
use slatest_core::model::Outcome;

/// The first pause, and the longest. In between it doubles.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How a connection is counted for which the server has no place.
const FULL: &str = "connect: too many clients";

/// Until when no other connection is asked for. Over when it was just made.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    again: Instant,
    pause: Duration,
}

impl Rest {
    /// None yet.
    pub fn none() -> Self {
        Self { again: Instant::now(), pause: PAUSE }
    }

    /// The server has no place: from now on, longer each time.
    pub fn begin(&mut self) {
        self.again = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Whether the server may be asked.
    pub fn is_over(&self) -> bool {
        self.again <= Instant::now()
    }
}

impl Failure {
    /// The server has no place for another connection.
    pub(super) fn full(detail: &str) -> Self {
        Self::new(Outcome::Disconnected, FULL).with_detail(detail).broken()
    }

    /// Whether it is that.
    pub(super) fn has_no_place(&self) -> bool {
        self.kind == FULL
    }
}
