//! The three instants of a fault: issued, acknowledged, reported by the provider.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use slatest_core::model::{Clock, Nanos};

/// One instant on both clocks. Differences are taken on the run's clock; the wall clock is for people, and
/// for comparing with what a provider says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The wall clock.
    pub wall: Timestamp,
    /// The run's monotonic clock, since its epoch.
    pub run: Nanos,
}

/// Reads both clocks.
#[derive(Clone)]
pub struct Stopwatch {
    clock: Arc<dyn Clock>,
}

impl Stopwatch {
    /// By the run's clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        Moment { run: self.clock.now(), wall: Timestamp::now() }
    }

    /// The run's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}

/// A fault that was injected. When it took effect lies between `issued` and `acknowledged`, or shortly after
/// where what was called only took the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    /// Just before the call that breaks it.
    pub issued: Moment,
    /// When the call came back.
    pub acknowledged: Moment,
    /// When the provider says that it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Reported>,
    /// What was done, in words.
    pub detail: String,
}

/// What a provider says of when it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// By the provider's clock, which may differ from ours.
    pub wall: Timestamp,
    /// The same on the run's clock, as if the two wall clocks agreed; zero before the run.
    pub run: Nanos,
    /// In the provider's words.
    pub detail: String,
}

impl Reported {
    /// What happened at `wall` by the provider's clock, told of a fault that was issued at `issued`.
    pub fn new(wall: Timestamp, issued: Moment, detail: impl Into<String>) -> Self {
        let since = wall.as_nanosecond() - issued.wall.as_nanosecond();
        let run = (i128::from(issued.run.0) + since).clamp(0, i128::from(u64::MAX));
        Self { wall, run: Nanos(u64::try_from(run).unwrap_or(u64::MAX)), detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_says_is_placed_on_the_runs_clock() {
        let wall: Timestamp = "2026-11-21T10:00:05.250Z".parse().unwrap();
        let issued = Moment { wall: "2026-11-21T10:00:00Z".parse().unwrap(), run: Nanos::from_secs(30) };
        assert_eq!(Reported::new(wall, issued, "failover started").run, Nanos::from_millis(35_250));
        let long_ago = "2026-11-21T09:00:00Z".parse().unwrap();
        assert_eq!(Reported::new(long_ago, issued, "").run, Nanos::ZERO);
    }
}
