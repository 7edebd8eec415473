//! Errors and stalls, written as short texts: `1%:503`, `2s/100s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use slatest_core::model::{Percent, Span};

/// A share of requests that is answered with an error status instead of the work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ErrorRate {
    /// Share of the requests.
    pub rate: Percent,
    /// HTTP status of the answer, from 400 to 599.
    pub status: u16,
}

impl FromStr for ErrorRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rate, status) = text.split_once(':').unwrap_or((text, "503"));
        let rate = rate.trim().parse()?;
        match status.trim().parse() {
            Ok(status @ 400..=599) => Ok(Self { rate, status }),
            _ => Err(format!("`{text}`: the status must lie from 400 to 599; write it like 1% or 1%:503")),
        }
    }
}

impl fmt::Display for ErrorRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.rate, self.status)
    }
}

/// A freeze of all answers: `2s/100s` freezes for 2 s in every 100 s (the freeze comes at the end
/// of each 100 s), `2s` freezes once, now, for 2 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stall {
    /// How long it lasts.
    pub length: Span,
    /// Its period; none: once, from the moment when it is set.
    pub every: Option<Span>,
}

impl Stall {
    /// How long answers stay frozen, when `elapsed` has passed since the stall was set; `None`
    /// where they aren't.
    pub fn remaining(&self, elapsed: Duration) -> Option<Duration> {
        let length = self.length.0.as_duration();
        match self.every {
            None => length.checked_sub(elapsed).filter(|left| !left.is_zero()),
            Some(every) => {
                let period = every.0.as_duration();
                let phase = Duration::from_nanos((elapsed.as_nanos() % period.as_nanos()) as u64);
                (phase >= period - length).then(|| period - phase)
            }
        }
    }
}

impl FromStr for Stall {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (length, every) = match text.split_once('/') {
            Some((length, every)) => (length.trim().parse::<Span>()?, Some(every.trim().parse::<Span>()?)),
            None => (text.trim().parse()?, None),
        };
        if every.is_some_and(|every| every <= length) {
            return Err(format!("`{text}`: a stall must be shorter than its period; write it like 2s/100s"));
        }
        Ok(Self { length, every })
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.length)?;
        self.every.map_or(Ok(()), |every| write!(f, "/{every}"))
    }
}

macro_rules! through_text {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}
through_text!(ErrorRate);
through_text!(Stall);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_periodic_stall_freezes_the_end_of_each_period() {
        let stall: Stall = "2s/10s".parse().unwrap();
        let at = |secs| stall.remaining(Duration::from_secs(secs));
        assert_eq!(at(0), None);
        assert_eq!(at(7), None);
        assert_eq!(at(8), Some(Duration::from_secs(2)));
        assert_eq!(at(9), Some(Duration::from_secs(1)));
        assert_eq!(at(10), None);
        assert_eq!(at(19), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_single_stall_ends_for_good() {
        let stall: Stall = "2s".parse().unwrap();
        assert_eq!(stall.remaining(Duration::ZERO), Some(Duration::from_secs(2)));
        assert_eq!(stall.remaining(Duration::from_secs(2)), None);
        assert_eq!(stall.remaining(Duration::from_secs(200)), None);
    }

    #[test]
    fn texts_survive_a_round_trip_and_nonsense_does_not_pass() {
        assert_eq!("1%".parse::<ErrorRate>().unwrap().to_string(), "1%:503");
        assert_eq!("1%:429".parse::<ErrorRate>().unwrap().status, 429);
        assert_eq!("2s/100s".parse::<Stall>().unwrap().to_string(), "2s/1m40s");
        for text in ["1%:200", "1", "1%:x"] {
            assert!(text.parse::<ErrorRate>().is_err(), "{text}");
        }
        for text in ["2s/2s", "3s/2s", "0s", "2"] {
            assert!(text.parse::<Stall>().is_err(), "{text}");
        }
    }
}
