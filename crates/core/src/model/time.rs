//! Time as a value.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds since the start of the run (its epoch), or a length of time in nanoseconds.
///
/// An unsigned 64-bit count lasts 584 years; subtraction saturates at zero, because clocks of
/// different threads may disagree by a tick and a latency is never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);
    /// Later than anything that happens.
    pub const MAX: Self = Self(u64::MAX);

    /// Whether it is no time at all.
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// From whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// From whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// From seconds; negative or not-a-number becomes zero, too large becomes [`Nanos::MAX`].
    pub fn from_secs_f64(secs: f64) -> Self {
        Self((secs * 1e9).round() as u64)
    }

    /// In seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// In milliseconds.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// As a [`Duration`].
    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// `self - other`, zero where `other` is later.
    pub const fn since(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl From<Duration> for Nanos {
    fn from(d: Duration) -> Self {
        Self(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Add for Nanos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Nanos {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.since(other)
    }
}

/// With the unit that reads best and three significant digits: `412 µs`, `1.53 s`.
impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0 as f64;
        let (value, unit) = match self.0 {
            0 => return f.pad("0 s"),
            1..1_000 => (n, "ns"),
            1_000..1_000_000 => (n / 1e3, "µs"),
            1_000_000..1_000_000_000 => (n / 1e6, "ms"),
            1_000_000_000..120_000_000_000 => (n / 1e9, "s"),
            120_000_000_000..7_200_000_000_000 => (n / 60e9, "min"),
            _ => (n / 3_600e9, "h"),
        };
        let text = if value >= 99.95 {
            format!("{value:.0} {unit}")
        } else if value >= 9.995 {
            format!("{value:.1} {unit}")
        } else {
            format!("{value:.2} {unit}")
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subtraction_never_goes_below_zero() {
        assert_eq!(Nanos(3) - Nanos(5), Nanos::ZERO);
        assert_eq!(Nanos(5) - Nanos(3), Nanos(2));
    }

    #[test]
    fn display_keeps_three_digits() {
        let texts: Vec<String> = [0, 7, 1_234, 412_345, 12_345_678, 1_530_000_000, 7_300_000_000_000]
            .iter()
            .map(|&n| Nanos(n).to_string())
            .collect();
        assert_eq!(texts, ["0 s", "7.00 ns", "1.23 µs", "412 µs", "12.3 ms", "1.53 s", "2.03 h"]);
    }
}
