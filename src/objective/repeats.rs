//! A drill done again and again: how its recovery times lie, and with what confidence its target holds.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::binomial::{ALPHA, clopper_pearson, fewest_for_pass};
use super::quantile::{quantile_rank, quantile_ranks};
use crate::model::{Nanos, Verdict};

/// Most recovery times that are kept; later ones are counted and no more.
const TIMES_MAX: usize = 10_000;

/// What several goes at one drill came to, in one run or over many nights: plain numbers that add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// Goes that held the target.
    pub passes: u64,
    /// Goes that did not.
    pub fails: u64,
    /// Goes that say nothing of it.
    pub inconclusive: u64,
    /// Recovery times, in order of length.
    pub times: Vec<Nanos>,
    /// Goes with an impact and no recovery while they were watched: longer than any time.
    pub never: u64,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        let Self { goes, min, median, p90, max } = self;
        f.pad(&format!("{goes} goes: min {} · median {median} · p90 {p90} · max {}", end(*min), end(*max)))
    }
}

impl Repeats {
    /// Adds one go: what was said of it, whether the fault did anything, and its recovery time.
    pub fn add(&mut self, verdict: Verdict, impact: bool, time: Option<Nanos>) {
        match verdict {
            Verdict::Pass => self.passes += 1,
            Verdict::Fail => self.fails += 1,
            Verdict::Inconclusive | Verdict::Void => self.inconclusive += 1,
        }
        match time {
            Some(time) => self.keep(time),
            // A void run says nothing of the target, and neither does a fault that did nothing.
            None => self.never += u64::from(impact && verdict != Verdict::Void),
        }
    }

    fn keep(&mut self, time: Nanos) {
        if self.times.len() < TIMES_MAX {
            let at = self.times.partition_point(|known| *known <= time);
            self.times.insert(at, time);
        }
    }

    /// Adds those of another night.
    pub fn merge(&mut self, other: &Self) {
        self.passes += other.passes;
        self.fails += other.fails;
        self.inconclusive += other.inconclusive;
        self.never += other.never;
        other.times.iter().for_each(|time| self.keep(*time));
    }

    /// How the times lie; `None` where nothing was measured.
    pub fn distribution(&self) -> Option<Distribution> {
        let goes = self.times.len() as u64 + self.never;
        let at = |rank: u64| self.times.get(usize::try_from(rank.checked_sub(1)?).ok()?).copied();
        let figure = |quantile: f64| {
            let ranks = quantile_ranks(goes, quantile, ALPHA);
            RepeatFigure { value: at(quantile_rank(goes, quantile)), lower: at(ranks.lower), upper: at(ranks.upper) }
        };
        (goes > 0).then(|| Distribution { goes, min: at(1), median: figure(0.5), p90: figure(0.9), max: at(goes) })
    }

    /// Goes that say something of the target.
    pub const fn conclusive(&self) -> u64 {
        self.passes + self.fails
    }

    /// The share of goes that hold the target, at least, with a confidence of 95 % (Clopper and Pearson's
    /// lower bound); zero where nothing was shown.
    pub fn shown_share(&self) -> f64 {
        clopper_pearson(self.passes, self.conclusive(), ALPHA).lower
    }

    /// How many more passes without another miss it takes to say with 95 % confidence that at least `share` of
    /// goes, in (0, 1), hold the target; zero where that is shown already.
    pub fn passes_missing(&self, share: f64) -> Option<u64> {
        // Without a miss: 14, 29 and 59 for 80, 90 and 95 %.
        fewest_for_pass(self.fails, 1.0 - share).map(|needed| needed.saturating_sub(self.conclusive()))
    }

    /// What was shown, in words.
    pub fn words(&self) -> String {
        if self.conclusive() == 0 {
            return "no go said anything of the target".into();
        }
        let shown = (self.shown_share() * 1000.0).floor() / 10.0;
        let missing = |share: f64| match self.passes_missing(share) {
            Some(0) => "shown".to_owned(),
            Some(more) => format!("{more} more passes"),
            None => "out of reach".to_owned(),
        };
        format!(
            "{} of {} held: with 95 % confidence at least {shown} % do (for 80 %: {}, for 90 %: {}, for 95 %: {})",
            self.passes,
            self.conclusive(),
            missing(0.8),
            missing(0.9),
            missing(0.95)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(passes: u64) -> Repeats {
        Repeats { passes, ..Repeats::default() }
    }

    #[test]
    fn fourteen_twenty_nine_and_fifty_nine_clean_passes() {
        for (share, passes) in [(0.8, 14), (0.9, 29), (0.95, 59)] {
            assert_eq!(clean(0).passes_missing(share), Some(passes));
            assert_eq!(clean(passes).passes_missing(share), Some(0));
            assert_eq!(clean(passes - 1).passes_missing(share), Some(1));
            assert!(clean(passes).shown_share() >= share && clean(passes - 1).shown_share() < share);
        }
    }

    #[test]
    fn a_miss_costs_passes() {
        // P(Bin(22, .2) ≤ 1) = .0480, P(Bin(21, .2) ≤ 1) = .0576.
        let once = Repeats { passes: 10, fails: 1, ..Repeats::default() };
        assert_eq!(once.passes_missing(0.8), Some(11));
        assert!(once.words().starts_with("10 of 11 held"), "{}", once.words());
    }

    #[test]
    fn nights_add_up() {
        let mut all = Repeats::default();
        for night in 0..29 {
            let mut one = Repeats::default();
            one.add(Verdict::Pass, true, Some(Nanos::from_secs(40 - night)));
            one.add(Verdict::Inconclusive, false, None);
            let text = serde_json::to_string(&one).unwrap();
            all.merge(&serde_json::from_str(&text).unwrap());
        }
        assert_eq!((all.passes, all.inconclusive, all.never), (29, 29, 0));
        assert!(all.words().contains("for 90 %: shown, for 95 %: 30 more"), "{}", all.words());
        assert!(all.times.is_sorted());
    }

    #[test]
    fn what_never_recovered_is_longer_than_any_time() {
        let mut repeats = Repeats::default();
        (1..=9).for_each(|s| repeats.add(Verdict::Pass, true, Some(Nanos::from_secs(s))));
        repeats.add(Verdict::Fail, true, None);
        let lie = repeats.distribution().unwrap();
        assert_eq!((lie.goes, lie.min, lie.max), (10, Some(Nanos::from_secs(1)), None));
        assert_eq!(lie.median.value, Some(Nanos::from_secs(5)));
        // P(Bin(10, .5) ≤ 2) = .0547 > 5 %: the second is the lower bound's rank, the ninth the upper's.
        assert_eq!((lie.median.lower, lie.median.upper), (Some(Nanos::from_secs(2)), Some(Nanos::from_secs(9))));
        assert_eq!(lie.p90.value, Some(Nanos::from_secs(9)));
        assert_eq!(lie.p90.upper, None);
        let words = "10 goes: min 1.00 s · median 5.00 s (2.00 s – 9.00 s) · p90 9.00 s (7.00 s – ?) · max never";
        assert_eq!(lie.to_string(), words);
    }

    #[test]
    fn nothing_measured_says_nothing() {
        assert_eq!(Repeats::default().distribution(), None);
        assert_eq!(Repeats::default().words(), "no go said anything of the target");
    }
}
