//! What the judge says of one objective, as it is stored and shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Nanos, Verdict};

/// A measured value, in the unit of its indicator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// A time.
    Time(Nanos),
    /// Where a time should be, more failed than the quantile leaves room for.
    Failed,
    /// A share from 0 to 1.
    Share(f64),
    /// Per second.
    Rate(f64),
}

impl Reading {
    /// A share with the twelve decimals that are kept: as many as survive being written and read.
    pub fn share(share: f64) -> Self {
        Self::Share((share * 1e12).round() / 1e12)
    }

    /// A rate with the six decimals that are kept.
    pub fn rate(per_sec: f64) -> Self {
        Self::Rate((per_sec * 1e6).round() / 1e6)
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Failed => f.pad("failed"),
            Self::Share(share) => f.pad(&percent(*share)),
            Self::Rate(rate) => f.pad(&format!("{}/s", digits(*rate, 4))),
        }
    }
}

/// A share with three digits that say something: `0.0421%`, `98.3%`, `99.987%`.
fn percent(share: f64) -> String {
    // Near 100 % it is what is missing that counts.
    let (small, near_one) = if share > 0.5 { (1.0 - share, true) } else { (share, false) };
    if small <= 0.0 {
        return if near_one { "100%".into() } else { "0%".into() };
    }
    let decimals = (2 - (small * 100.0).log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{:.decimals$}", share * 100.0);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}%")
}

fn digits(value: f64, significant: i32) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let decimals = (significant - 1 - value.abs().log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// One objective (or one operation of an `each: operation` objective), judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedObjective {
    /// Name of the objective.
    pub name: String,
    /// The scope as written, or the operation's address where each is judged by itself.
    pub scope: String,
    /// What was compared: `p95 response_time`, `error_rate`, `hit_rate`, `throughput`.
    pub indicator: String,
    /// Whether it must be below the bound (else above).
    pub below: bool,
    /// The bound.
    pub bound: Reading,
    /// The measured value; `None` without samples.
    pub measured: Option<Reading>,
    /// Its lower bound at 95 %; `None` where nothing bounds it.
    pub lower: Option<Reading>,
    /// Its upper bound at 95 %; `None` where nothing bounds it.
    pub upper: Option<Reading>,
    /// Samples that count against it (exceedances, failures, misses).
    pub bad: u64,
    /// Samples in all.
    pub samples: u64,
    /// Pass, fail, inconclusive or void.
    pub verdict: Verdict,
    /// What a reader should know besides: why there is no verdict.
    pub words: Option<String>,
}

impl JudgedObjective {
    /// The bound as it is shown: `< 500 ms`.
    pub fn bound_text(&self) -> String {
        format!("{} {}", if self.below { '<' } else { '>' }, self.bound)
    }

    /// The interval as it is shown: `412 ms – 455 ms`; `-` where nothing bounds it.
    pub fn interval_text(&self) -> String {
        if self.measured.is_none() {
            return "-".into();
        }
        let end = |reading: Option<Reading>, open: &str| reading.map_or_else(|| open.to_owned(), |r| r.to_string());
        format!("{} – {}", end(self.lower, "?"), end(self.upper, "?"))
    }

    /// The measured value as it is shown.
    pub fn measured_text(&self) -> String {
        self.measured.map_or_else(|| "no data".to_owned(), |r| r.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_show_the_digits_that_say_something() {
        let shares = [0.0, 0.000421, 0.001, 0.0123456, 0.5, 0.983, 0.99987, 1.0].map(|s| Reading::Share(s).to_string());
        assert_eq!(shares, ["0%", "0.0421%", "0.1%", "1.23%", "50%", "98.3%", "99.987%", "100%"]);
        let rates = [0.0, 0.25, 299.96, 12_345.6].map(|r| Reading::Rate(r).to_string());
        assert_eq!(rates, ["0/s", "0.25/s", "300/s", "12346/s"]);
    }
}
