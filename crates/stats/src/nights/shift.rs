//! Whether the last nights are slower than those before.
//!
//! An alarm, and never the gate: no rule beats what a handful of nights can show. The last three nights are suspect where
//! three things agree: ranks (exact Mann–Whitney, p < 0.01), size (medians more than 5 % apart), and a shift of the mean that
//! chance does not make once in 300 nights, with the nights' own correlation taken into the error of both means. Ranks alone
//! raise false alarms where nights resemble the night before. What is suspect is run again, once, before anybody is woken:
//! with that run the shift must be one that chance does not make once in 3,000 nights.
//!
//! What that gives for one history (6,000 simulated months of steady nights each): a false alarm in 0.1 % of the months where
//! nights are independent, in 0.8 % to 1.6 % where they correlate with ρ = 0.5; a slowing-down by 10 % is told within three
//! nights in 77 % (from night 20 on) to 86 % (from night 30 on) where nights vary by 3 %, in 20 % to 30 % where they vary by 5 %.

use super::mann_whitney::mann_whitney_greater;
use super::moments::{lag_one, mean, median, variance};
use crate::student::t_quantile;

/// Nights before which history says nothing: with fewer, their correlation can't be told.
pub const NIGHTS_MIN: usize = 14;
/// Nights that are looked back to at most.
pub const NIGHTS_MAX: usize = 30;
/// The last nights, which are held against those before.
pub const NIGHTS_RECENT: usize = 3;
/// Chance of ranks like these by luck.
const RANKS_P: f64 = 0.01;
/// Chance of a shift of the mean like this by luck, in one night, for nights that are suspect.
const SUSPECT_P: f64 = 0.003;
/// The same when the last night was run again: thirty nights are looked at in a month.
const CONFIRMED_P: f64 = 0.0003;
/// What is less is no matter to anybody.
const MEANINGFUL_RATIO: f64 = 1.05;
/// Tonight alone is told when it is so many robust standard deviations off.
const WARNING_SIGMAS: f64 = 3.5;
/// Makes the median absolute deviation a standard deviation, for a normal law: 1 / Φ⁻¹(3/4).
const MAD_TO_SIGMA: f64 = 1.4826;
/// The highest correlation from night to night that is reckoned with: beyond, no number of nights says anything.
const CORRELATION_MAX: f64 = 0.9;

/// What is looked at, oldest first: one value a night, above zero. Void nights are left out by whoever asks.
#[derive(Clone, Copy, Debug)]
pub struct Nights<'a> {
    /// Since the last change that was accepted.
    pub values: &'a [f64],
}

/// What a history of nights says of the last ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NightShift {
    /// Too few nights: compare two runs side by side.
    TooFew {
        /// How many there are.
        nights: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Nothing is shown.
    Steady(NightFacts),
    /// Tonight alone is far off; one night proves nothing.
    Warning(NightFacts),
    /// The last nights look slower: to be run again before anybody is woken.
    Suspect(NightFacts),
    /// They are: the run that was made again says so, too.
    Slower(NightFacts),
}

/// What it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NightFacts {
    /// Nights before the last ones.
    pub before: usize,
    /// Median of the last nights over that of the nights before.
    pub ratio: f64,
    /// Chance of ranks like these by luck.
    pub p: f64,
    /// Tonight over the median of the nights before.
    pub tonight: f64,
    /// Correlation from one night to the next, as estimated, from 0 to 0.9.
    pub correlation: f64,
    /// The smallest slowing-down (a ratio above 1) of the last nights that would have been told.
    pub could_show: f64,
}

/// What a history says of its last nights. `again` is the last night run again, where it was suspect; `series` is how many
/// histories are looked at together (operations of a profile), so that the chance of a false alarm is that of all of them.
pub fn night_shift(nights: Nights<'_>, again: Option<f64>, series: usize) -> NightShift {
    let needed = NIGHTS_MIN + NIGHTS_RECENT;
    let usable: Vec<f64> = nights.values.iter().copied().filter(|value| *value > 0.0 && value.is_finite()).collect();
    if usable.len() < needed {
        return NightShift::TooFew { nights: usable.len(), needed };
    }
    let (all_before, recent) = usable.split_at(usable.len() - NIGHTS_RECENT);
    let before = &all_before[all_before.len().saturating_sub(NIGHTS_MAX)..];
    let old: Vec<f64> = before.iter().map(|value| value.ln()).collect();
    let mut new: Vec<f64> = recent.iter().map(|value| value.ln()).collect();
    let (usual, needed) = (median(before), shift_needed(&old, NIGHTS_RECENT, SUSPECT_P));
    let facts = NightFacts {
        before: before.len(),
        ratio: median(recent) / usual,
        p: mann_whitney_greater(before, recent),
        tonight: recent.last().map_or(1.0, |tonight| tonight / usual),
        correlation: correlation(&old),
        could_show: needed.exp().max(MEANINGFUL_RATIO),
    };
    let ranks_and_size = facts.p < RANKS_P && facts.ratio > MEANINGFUL_RATIO;
    if ranks_and_size && mean(&new) - mean(&old) > needed {
        let Some(again) = again.filter(|again| *again > 0.0) else { return NightShift::Suspect(facts) };
        new.push(again.ln());
        let shift = mean(&new) - mean(&old);
        if again / usual > MEANINGFUL_RATIO && shift > shift_needed(&old, new.len(), CONFIRMED_P / series.max(1) as f64)
        {
            return NightShift::Slower(facts);
        }
        return NightShift::Steady(facts);
    }
    let centre = median(&old);
    let spread: Vec<f64> = old.iter().map(|value| (value - centre).abs()).collect();
    let beyond = centre + WARNING_SIGMAS * MAD_TO_SIGMA * median(&spread);
    let tonight = new.last().copied().unwrap_or(f64::NEG_INFINITY);
    if tonight > beyond && facts.tonight > MEANINGFUL_RATIO {
        NightShift::Warning(facts)
    } else {
        NightShift::Steady(facts)
    }
}

/// The shift of the mean logarithm of `recent` nights that chance makes with the chance `p`.
fn shift_needed(old: &[f64], recent: usize, p: f64) -> f64 {
    let correlation = correlation(old);
    // The variance of the mean of m values whose neighbours correlate: σ²/m · (1 + 2 Σ (1 − j/m) ρ^j).
    let inflation = |m: usize| {
        let terms = (1..m).map(|j| (1.0 - j as f64 / m as f64) * correlation.powi(j as i32));
        1.0 + 2.0 * terms.sum::<f64>()
    };
    let (n, k) = (old.len(), recent);
    let error = (variance(old) * (inflation(n) / n as f64 + inflation(k) / k as f64)).sqrt();
    t_quantile(1.0 - p, n as f64 - 1.0) * error
}

/// Correlation of each night with the next. The usual estimate is too low by about (1 + 4ρ)/n in short series (Kendall,
/// Biometrika 1954); twice that is put back, to be on the safe side. What is below zero makes nothing safer, and is zero.
fn correlation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let corrected = |seen: f64| (seen + 2.0 * (1.0 + 4.0 * seen.max(0.0)) / n).clamp(0.0, CORRELATION_MAX);
    lag_one(values).map_or(0.0, corrected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    /// Nights that vary and correlate like this, with what chance there is to come.
    struct Sky {
        rng: ChaCha8Rng,
        state: f64,
        cv: f64,
        correlation: f64,
    }

    impl Sky {
        fn new(seed: u64, cv: f64, correlation: f64) -> Self {
            let mut sky = Self { rng: ChaCha8Rng::seed_from_u64(seed), state: 0.0, cv, correlation };
            sky.state = sky.normal();
            sky
        }

        fn normal(&mut self) -> f64 {
            self.rng.sample(StandardNormal)
        }

        /// What would come after this night.
        fn after(&mut self, state: f64) -> f64 {
            let fresh = self.normal();
            self.correlation * state + (1.0 - self.correlation * self.correlation).sqrt() * fresh
        }

        /// Whether a month of `nights`, slower by `slower` from the night `from` on, raises an alarm; on which night.
        fn month(&mut self, nights: usize, from: usize, slower: f64) -> Option<usize> {
            let value = |state: f64, night: usize, cv: f64| {
                100.0 * (cv * state).exp() * if night >= from { slower } else { 1.0 }
            };
            let mut values = Vec::new();
            for night in 0..nights {
                self.state = self.after(self.state);
                values.push(value(self.state, night, self.cv));
                if matches!(night_shift(Nights { values: &values }, None, 1), NightShift::Suspect(_)) {
                    let state = self.after(self.state);
                    let again = value(state, night, self.cv);
                    if matches!(night_shift(Nights { values: &values }, Some(again), 1), NightShift::Slower(_)) {
                        return Some(night);
                    }
                }
            }
            None
        }
    }

    #[test]
    fn steady_months_raise_few_alarms_also_where_nights_resemble_the_night_before() {
        for cv in [0.03, 0.05, 0.10] {
            for (correlation, most) in [(0.0, 2), (0.5, 8)] {
                let alarm = |seed: &u64| Sky::new(*seed, cv, correlation).month(30, 30, 1.0).is_some();
                let false_alarms = (0..400).filter(alarm).count();
                assert!(false_alarms <= most, "{false_alarms} of 400 months at {cv}, {correlation}");
            }
        }
    }

    #[test]
    fn a_tenth_more_is_told_within_three_nights_where_the_noise_lets_it() {
        let found = |cv: f64, nights: usize| {
            let told = |seed: &u64| {
                let month = Sky::new(*seed + 10_000, cv, 0.0).month(nights + 3, nights, 1.10);
                month.is_some_and(|night| night >= nights)
            };
            (0..300).filter(told).count()
        };
        let (at_3, at_5) = (found(0.03, 30), found(0.05, 30));
        assert!(at_3 >= 240, "{at_3} of 300 at 3 %");
        assert!(at_5 >= 60, "{at_5} of 300 at 5 %");
    }

    #[test]
    fn few_nights_say_nothing_and_one_night_only_warns() {
        let steady: Vec<f64> = [100.0, 101.0, 99.0, 100.0, 102.0, 98.0, 100.0].repeat(2);
        assert_eq!(night_shift(Nights { values: &steady }, None, 1), NightShift::TooFew { nights: 14, needed: 17 });
        let with = |last: [f64; 3]| [steady.as_slice(), &last].concat();
        let one_bad = with([100.0, 101.0, 150.0]);
        let said = night_shift(Nights { values: &one_bad }, None, 1);
        assert!(matches!(said, NightShift::Warning(facts) if facts.tonight > 1.49), "{said:?}");
        let all_bad = with([150.0, 151.0, 150.0]);
        assert!(matches!(night_shift(Nights { values: &all_bad }, None, 1), NightShift::Suspect(_)));
        assert!(matches!(night_shift(Nights { values: &all_bad }, Some(149.0), 1), NightShift::Slower(_)));
        // Run again, it was well: nobody is woken.
        assert!(matches!(night_shift(Nights { values: &all_bad }, Some(100.0), 1), NightShift::Steady(_)));
    }
}
