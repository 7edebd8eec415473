//! What the judge says of one objective, as it is stored and shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use slatest_core::measure::ByLateness;
use slatest_core::model::{Nanos, Verdict};

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

/// A design effect from which on it is shown: below, it is within what chance does to 30 batches.
const DEFF_SHOWN: f64 = 2.0;

/// When the samples that count against an objective came: a part of the run unlike the rest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadStretch {
    /// Since when, in nanoseconds of the run's clock, by the ends of operations.
    pub from: Nanos,
    /// Until when; `None` where it lasts to the end of what was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Nanos>,
    /// Both may be off by this.
    pub window: Nanos,
    /// Samples of it that count against the objective.
    pub bad: u64,
    /// All samples of it.
    pub samples: u64,
    /// The same of the rest of what was judged.
    pub bad_elsewhere: u64,
    /// All samples of the rest.
    pub samples_elsewhere: u64,
}

impl BadStretch {
    /// It in words: `from 48.0 s to 62.0 s: 39.5% bad, 0.02% otherwise`.
    pub fn message(&self) -> String {
        let share = |bad: u64, n: u64| if n == 0 { "nothing".into() } else { percent(bad as f64 / n as f64) };
        let at = |at: Nanos| format!("{:.1} s", at.as_secs_f64());
        let when = match self.to {
            Some(to) => format!("from {} to {}", at(self.from), at(to)),
            None => format!("since {}, to the end", at(self.from)),
        };
        let elsewhere = share(self.bad_elsewhere, self.samples_elsewhere);
        format!("{when}: {} bad, {elsewhere} otherwise", share(self.bad, self.samples))
    }
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
    /// Design effect: the variance of the share between batches of time over that of independent
    /// samples, at least 1. `None` where nothing is counted (and in older records).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deff: Option<f64>,
    /// Independent samples that say as much as these do, whole ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<u64>,
    /// Mann and Kendall's Z of the share of bad ones over time, above zero where it rose. `None`
    /// where it was not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trend: Option<f64>,
    /// Of a fail among several operations that were judged by themselves: whether it is shown to be
    /// at fault with a chance of 5 % for any wrong name among them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<bool>,
    /// Of the bad ones, those that only the generator's own lateness may have made; `None` without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_lateness: Option<ByLateness>,
    /// Of one that did not pass: when the bad ones came. `None` where they came all along, where nothing is counted, and
    /// in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stretch: Option<BadStretch>,
    /// Pass, fail, inconclusive or void.
    pub verdict: Verdict,
    /// What a reader should know besides: why there is no verdict.
    #[serde(alias = "words")]
    pub message: Option<String>,
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

    /// What a reader should know besides: why the verdict is what it is, and what the samples are
    /// worth where they are worth much less than they are many.
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.message.iter().cloned().collect();
        if let (Some(late), true) = (self.by_lateness, self.verdict != Verdict::Void) {
            notes.push(format!(
                "{} to {} of {} are bad, for the generator was late by up to {}: the verdict is the same at both ends",
                self.bad.saturating_sub(late.samples),
                self.bad,
                self.samples,
                late.lateness_max
            ));
        }
        if let (Some(deff), Some(effective)) = (self.deff, self.effective)
            && deff >= DEFF_SHOWN
        {
            notes.push(format!(
                "bad samples come together: design effect {}, worth {effective} independent samples",
                digits(deff, 2)
            ));
        }
        notes
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
