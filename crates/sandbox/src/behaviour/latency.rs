//! Latency distributions, written as short texts: `lognormal:20ms,0.5`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, LogNormal};
use serde::{Deserialize, Serialize};

use slatest_core::model::{Nanos, Percent, Span};

/// No answer is ever held longer than this: a log-normal has no upper end, memory has one.
pub const LONGEST: Duration = Duration::from_secs(60);

/// How much time is added to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Latency {
    /// Always the same.
    Constant(Span),
    /// Every value between the two equally likely.
    Uniform(Span, Span),
    /// The shape that services show: a median and the standard deviation of the logarithm.
    LogNormal {
        /// Half of the answers take less.
        median: Span,
        /// Spread: 0 is constant, 0.5 usual, above 1 a heavy tail.
        sigma: f64,
    },
    /// Usually the one, at the given share the other: a cache miss, a slow replica.
    Bimodal {
        /// The usual time.
        usual: Span,
        /// The slow one.
        slow: Span,
        /// Share of the slow ones.
        share: Percent,
    },
}

impl Latency {
    /// One draw, at most `LONGEST`.
    pub fn draw(&self, random: &mut impl Rng) -> Duration {
        let drawn = match *self {
            Self::Constant(span) => span.0,
            Self::Uniform(from, to) => Nanos(random.random_range(from.0.0..=to.0.0)),
            Self::LogNormal { median, sigma } => match LogNormal::new(median.0.as_secs_f64().ln(), sigma) {
                Ok(distribution) => Nanos::from_secs_f64(distribution.sample(random)),
                Err(_) => median.0,
            },
            Self::Bimodal { usual, slow, share } => {
                if random.random_bool(share.0) {
                    slow.0
                } else {
                    usual.0
                }
            }
        };
        drawn.as_duration().min(LONGEST)
    }
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = "write constant:5ms, uniform:5ms,20ms, lognormal:20ms,0.5 (median, sigma) or bimodal:5ms,500ms,1% (usual, slow, share of slow)";
        let wrong = |reason: String| format!("`{text}` is not a latency: {reason}; {usage}");
        let (shape, rest) = text.split_once(':').ok_or_else(|| wrong("no distribution named".into()))?;
        let parts: Vec<&str> = rest.split(',').map(str::trim).collect();
        let span = |part: &str| part.parse::<Span>().map_err(&wrong);
        match (shape.trim(), parts.as_slice()) {
            ("constant", [time]) => Ok(Self::Constant(span(time)?)),
            ("uniform", [from, to]) => {
                let (from, to) = (span(from)?, span(to)?);
                if from > to { Err(wrong("it ends before it begins".into())) } else { Ok(Self::Uniform(from, to)) }
            }
            ("lognormal" | "log-normal", [median, sigma]) => {
                let sigma: f64 = sigma.parse().map_err(|_| wrong(format!("`{sigma}` is not a number")))?;
                if (0.0..=5.0).contains(&sigma) {
                    Ok(Self::LogNormal { median: span(median)?, sigma })
                } else {
                    Err(wrong("sigma must lie from 0 to 5".into()))
                }
            }
            ("bimodal", [usual, slow, share]) => {
                Ok(Self::Bimodal { usual: span(usual)?, slow: span(slow)?, share: share.parse().map_err(&wrong)? })
            }
            ("constant" | "uniform" | "lognormal" | "log-normal" | "bimodal", _) => {
                Err(wrong("wrong number of values".into()))
            }
            (other, _) => Err(wrong(format!("unknown distribution `{other}`"))),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(time) => write!(f, "constant:{time}"),
            Self::Uniform(from, to) => write!(f, "uniform:{from},{to}"),
            Self::LogNormal { median, sigma } => write!(f, "lognormal:{median},{sigma}"),
            Self::Bimodal { usual, slow, share } => write!(f, "bimodal:{usual},{slow},{share}"),
        }
    }
}

impl TryFrom<String> for Latency {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Latency> for String {
    fn from(latency: Latency) -> Self {
        latency.to_string()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn latencies_are_written_as_they_are_read() {
        for text in ["constant:5ms", "uniform:5ms,20ms", "lognormal:20ms,0.5", "bimodal:5ms,500ms,1%"] {
            assert_eq!(text.parse::<Latency>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn latencies_without_meaning_are_refused() {
        for text in ["5ms", "constant:5", "uniform:20ms,5ms", "lognormal:20ms,-1", "bimodal:1ms,2ms", "pareto:1ms"] {
            assert!(text.parse::<Latency>().is_err(), "{text}");
        }
    }

    #[test]
    fn half_of_a_log_normal_lies_below_its_median() {
        let latency: Latency = "lognormal:20ms,0.5".parse().unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let below = (0..10_000).filter(|_| latency.draw(&mut random) < Duration::from_millis(20)).count();
        // Five standard deviations of a binomial with n = 10,000 and p = 0.5.
        assert!((4_750..=5_250).contains(&below), "{below}");
    }

    #[test]
    fn a_heavy_tail_is_cut() {
        let latency: Latency = "lognormal:30s,5".parse().unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(7);
        assert!((0..1_000).map(|_| latency.draw(&mut random)).all(|d| d <= LONGEST));
    }
}
