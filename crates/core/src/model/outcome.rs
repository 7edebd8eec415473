//! How one operation ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How one operation ended. Everything but [`Outcome::Ok`] and [`Outcome::Blocked`] counts
/// against the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered, and every check held.
    Ok,
    /// Answered, but with an error or with something that a check refused.
    Rejected,
    /// No answer within the operation's timeout.
    TimedOut,
    /// The connection could not be made, or broke before the answer was whole.
    Disconnected,
    /// A firewall in front of the target refused this source; says nothing about the target.
    Blocked,
    /// Never sent: the arrival found no free session and none more was allowed.
    Dropped,
    /// Nobody can tell: the run ended before the answer came.
    Unknown,
}

/// Every outcome, in the order in which counters are kept and shown.
pub const OUTCOMES: [Outcome; 7] = [
    Outcome::Ok,
    Outcome::Rejected,
    Outcome::TimedOut,
    Outcome::Disconnected,
    Outcome::Blocked,
    Outcome::Dropped,
    Outcome::Unknown,
];

impl Outcome {
    /// Index into arrays of counters, as in [`OUTCOMES`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name used in files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rejected => "rejected",
            Self::TimedOut => "timed_out",
            Self::Disconnected => "disconnected",
            Self::Blocked => "blocked",
            Self::Dropped => "dropped",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it counts as a failure of the target (and so as an exceedance of every
    /// threshold). Dropped arrivals do: users who were not served are not left out.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Rejected | Self::TimedOut | Self::Disconnected | Self::Dropped | Self::Unknown)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
