//! A drill done again and again: how its recovery times lie, and with what confidence its target holds.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::binomial::{ALPHA, clopper_pearson, fewest_for_pass};
use super::quantile::{quantile_rank, quantile_ranks};
use slatest_core::model::Nanos;

/// Most outages that are kept; later ones are counted and no more.
const OUTAGES_MAX: usize = 10_000;
/// The shares of which it is told how many passes they take.
pub const SHARES: [f64; 3] = [0.8, 0.9, 0.95];

/// What one go says of an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Went {
    /// Something failed, and the objective held.
    Held,
    /// It did not hold.
    Missed,
    /// Something failed, and it can't be told whether the objective held. It is no pass: were these left out, a
    /// target that is met half of the time, and closely, would be shown to hold always.
    Untold,
    /// Nothing failed: the fault was not injected, or did nothing. There is no recovery to speak of.
    NothingFailed,
    /// The run says nothing of the target.
    Void,
}

/// One outage: how long it was, with its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Not shorter than this.
    pub lower: Nanos,
    /// As it was measured; `None` where it did not end while it was watched.
    pub time: Option<Nanos>,
    /// Not longer than this: what an objective is held against; `None` likewise.
    pub upper: Option<Nanos>,
}

/// What several goes at one drill came to, in one series or over many nights: plain numbers that add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// Goes that held the target.
    pub passes: u64,
    /// Goes that did not.
    pub fails: u64,
    /// Goes in which something failed, and nobody can tell whether the target was held.
    pub untold: u64,
    /// Goes in which nothing failed.
    pub nothing_failed: u64,
    /// Goes that were void.
    pub void: u64,
    /// The outages, as they came.
    pub outages: Vec<Outage>,
}

/// A figure of several recovery times with its bounds, each at 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatFigure {
    /// The figure; `None` where it falls among those that never recovered.
    pub value: Option<Nanos>,
    /// Its lower bound; `None` where there are too few to bound it, or where it falls among these too.
    pub lower: Option<Nanos>,
    /// Its upper bound, likewise.
    pub upper: Option<Nanos>,
}

/// How the recovery times lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Of how many goes.
    pub goes: u64,
    /// The shortest.
    pub min: Option<Nanos>,
    /// Half are at or below.
    pub median: RepeatFigure,
    /// Nine of ten are at or below.
    pub p90: RepeatFigure,
    /// The longest; `None` where one never recovered.
    pub max: Option<Nanos>,
    /// The largest of the upper bounds; `None` likewise. At least [`Distribution::covered`] of all failures are over by
    /// then.
    pub all_within: Option<Nanos>,
    /// The share of failures, at least, that is over within [`Distribution::all_within`], with a confidence of 95 %,
    /// whatever the distribution: α^(1/n) (Wilks 1941).
    pub covered: f64,
}

impl fmt::Display for RepeatFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            |time: Option<Nanos>, without: &str| time.map_or_else(|| without.to_owned(), |time| time.to_string());
        let (value, lower, upper) = (text(self.value, "never"), text(self.lower, "?"), text(self.upper, "?"));
        f.pad(&format!("{value} ({lower} – {upper})"))
    }
}

/// `20 goes: min 2.10 s · median 3.40 s (2.90 s – 4.10 s) · p90 6.00 s (4.20 s – ?) · max 8.10 s`; a question mark stands
/// where there are too few to bound it.
impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |time: Option<Nanos>| time.map_or_else(|| "never".to_owned(), |time| time.to_string());
        let Self { goes, min, median, p90, max, .. } = self;
        let noun = if *goes == 1 { "go" } else { "goes" };
        f.pad(&format!("{goes} {noun}: min {} · median {median} · p90 {p90} · max {}", end(*min), end(*max)))
    }
}

impl Repeats {
    /// Adds one go: what it says, and its outage where there was one. What was void has none that counts.
    pub fn add(&mut self, went: Went, outage: Option<Outage>) {
        match went {
            Went::Held => self.passes += 1,
            Went::Missed => self.fails += 1,
            Went::Untold => self.untold += 1,
            Went::NothingFailed => self.nothing_failed += 1,
            Went::Void => self.void += 1,
        }
        if let Some(outage) = outage.filter(|_| went != Went::Void && self.outages.len() < OUTAGES_MAX) {
            self.outages.push(outage);
        }
    }

    /// Adds those of another night.
    pub fn merge(&mut self, other: &Self) {
        self.passes += other.passes;
        self.fails += other.fails;
        self.untold += other.untold;
        self.nothing_failed += other.nothing_failed;
        self.void += other.void;
        let room = OUTAGES_MAX.saturating_sub(self.outages.len());
        self.outages.extend(other.outages.iter().take(room));
    }

    /// How the recovery times lie; `None` where nothing failed.
    ///
    /// The bounds of a quantile are order statistics: its lower bound is one of the outages' lower bounds, its upper one
    /// of their upper bounds, because the r-th smallest time lies between the r-th smallest of each.
    pub fn distribution(&self) -> Option<Distribution> {
        distribution(&self.outages)
    }

    /// Failures: what a confidence is spoken of. One that can't be told is among them.
    pub const fn failures(&self) -> u64 {
        self.passes + self.fails + self.untold
    }

    /// The share of failures that hold the target, at least, with a confidence of 95 % (Clopper and Pearson's
    /// lower bound); zero where nothing was shown.
    pub fn shown_share(&self) -> f64 {
        clopper_pearson(self.passes, self.failures(), ALPHA).lower
    }

    /// How many more passes without another miss it takes to say with 95 % confidence that at least `share` of
    /// failures, in (0, 1), hold the target; zero where that is shown already.
    ///
    /// With no miss this is exact, however often one looks. After one, it says how long a series would have had to be:
    /// to go on until it is enough shows less than 95 %.
    pub fn passes_missing(&self, share: f64) -> Option<u64> {
        // Without a miss: 14, 29 and 59 for 80, 90 and 95 %.
        fewest_for_pass(self.failures() - self.passes, 1.0 - share).map(|needed| needed.saturating_sub(self.failures()))
    }

    /// What was shown, in words.
    pub fn message(&self) -> String {
        if self.failures() == 0 {
            return "no go said anything of the target".into();
        }
        let missing = |share: f64| match self.passes_missing(share) {
            Some(0) => "shown".to_owned(),
            Some(1) => "1 more pass".to_owned(),
            Some(more) => format!("{more} more passes"),
            None => "out of reach".to_owned(),
        };
        let each: Vec<String> =
            SHARES.iter().map(|share| format!("for {} %: {}", share * 100.0, missing(*share))).collect();
        format!(
            "held after {} of {} failures: with 95 % confidence it holds after at least {} % of them ({})",
            self.passes,
            self.failures(),
            percent(self.shown_share()),
            each.join(", "),
        )
    }
}

/// A share that is shown, in percent with one decimal, rounded down: never more than is shown.
pub fn percent(share: f64) -> f64 {
    // 1 − 0.95 is a hair below 5 %.
    (share * 1000.0 + 1e-6).floor() / 10.0
}

/// How the times of these outages lie; `None` where there is none.
pub fn distribution(outages: &[Outage]) -> Option<Distribution> {
    let n = outages.len() as u64;
    if n == 0 {
        return None;
    }
    // What did not end is longer than any time.
    let sorted = |of: &dyn Fn(&Outage) -> Option<Nanos>| {
        let mut times: Vec<Nanos> = outages.iter().filter_map(of).collect();
        times.sort_unstable();
        times
    };
    let lowers = sorted(&|outage| Some(outage.lower));
    let (times, uppers) = (sorted(&|outage| outage.time), sorted(&|outage| outage.upper));
    let at =
        |times: &[Nanos], rank: u64| usize::try_from(rank.checked_sub(1)?).ok().and_then(|i| times.get(i)).copied();
    let figure = |quantile: f64| {
        let ranks = quantile_ranks(n, quantile, ALPHA);
        RepeatFigure {
            value: at(&times, quantile_rank(n, quantile)),
            lower: at(&lowers, ranks.lower),
            upper: at(&uppers, ranks.upper),
        }
    };
    Some(Distribution {
        goes: n,
        min: at(&times, 1),
        median: figure(0.5),
        p90: figure(0.9),
        max: at(&times, n),
        all_within: at(&uppers, n),
        covered: ALPHA.powf(1.0 / n as f64),
    })
}

#[cfg(test)]
mod tests;
