//! Operations by the window in which they were meant to start, whenever they ended.
//!
//! A window of the timeline holds what ended in it. A request that waits 30 s for a dead server ends
//! 30 s later, long after the server may be back: by their ends, an outage is as much longer as the
//! requests waited. So recovery is read from the instants at which users asked.

use serde::{Deserialize, Serialize};

use super::tally::COUNT_MAX;
use crate::model::{Completion, Nanos, Outcome};

/// Times in steps of a quarter of an octave (19 %), as many as were seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CoarseTimes(Vec<(u8, u64)>);

impl CoarseTimes {
    /// The step of a time.
    const fn step(time: Nanos) -> u8 {
        let nanos = if time.0 < 4 { 4 } else { time.0 };
        let octave = 63 - nanos.leading_zeros();
        // Two bits after the first.
        (octave * 4 + (nanos >> (octave - 2) & 3) as u32) as u8
    }

    /// Where a step ends.
    const fn end(step: u8) -> Nanos {
        let octave = step / 4;
        let octave = if octave < 2 { 2 } else { octave };
        let quarter = 1_u64 << (octave - 2);
        Nanos((1_u64 << octave).saturating_add(quarter.saturating_mul(step as u64 % 4 + 1)))
    }

    /// Counts one.
    pub fn record(&mut self, time: Nanos) {
        self.add(Self::step(time), 1);
    }

    fn add(&mut self, step: u8, count: u64) {
        match self.0.binary_search_by_key(&step, |(step, _)| *step) {
            Ok(at) => self.0[at].1 += count,
            Err(at) => self.0.insert(at, (step, count)),
        }
    }

    /// Adds everything that another one holds.
    pub fn merge(&mut self, other: &Self) {
        for &(step, count) in &other.0 {
            self.add(step, count);
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// How many are in steps that end above `limit`: every one that is longer, and of those a hair
    /// shorter some.
    pub fn above(&self, limit: Nanos) -> u64 {
        self.0.iter().filter(|(step, _)| Self::end(*step) > limit).map(|(_, count)| count).sum()
    }

    /// The end of the step that holds the quantile; `None` where there are no times.
    pub fn quantile(&self, quantile: f64) -> Option<Nanos> {
        let rank = (self.count() as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = |&&(_, count): &&(u8, u64)| {
            seen += count;
            seen >= rank
        };
        self.0.iter().find(reached).map(|&(step, _)| Self::end(step))
    }

    /// The end of the last step; `None` where there are no times.
    pub fn max(&self) -> Option<Nanos> {
        self.0.last().map(|&(step, _)| Self::end(step))
    }

    fn is_possible(&self) -> bool {
        self.0.windows(2).all(|pair| pair[0].0 < pair[1].0) && self.0.iter().all(|(_, count)| *count <= COUNT_MAX)
    }
}

/// Operations of one kind that were meant to start in one window: what was heard of them so far, or
/// in the window that carries this.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// Number of the window in which they were meant to start.
    pub window: u64,
    /// How many became due.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub planned: u64,
    /// How many ended well.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ok: u64,
    /// How many failed, in the sense of [`Outcome::is_failure`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// How many a firewall kept from the target.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub blocked: u64,
    /// Exceedances per threshold, in the order of the operation's plan. Failures are exceedances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceeded: Vec<u64>,
    /// Samples per threshold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<u64>,
    /// Response times of those that ended well.
    #[serde(default)]
    pub times: CoarseTimes,
    /// When the first of those that ended well did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ok: Option<Nanos>,
    /// When the first of those that failed was meant to start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failed: Option<Nanos>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Cohort {
    /// How many ended.
    pub const fn ended(&self) -> u64 {
        self.ok + self.failed + self.blocked
    }

    /// One of them ended. Its exceedances are counted apart.
    pub(super) fn count(&mut self, intended: Nanos, completion: &Completion) {
        match completion.outcome {
            Outcome::Ok => {
                self.ok += 1;
                self.times.record(completion.done - intended);
                self.first_ok = earlier(self.first_ok, Some(completion.done));
            }
            // Neither says anything of the target.
            Outcome::Blocked => self.blocked += 1,
            _ if completion.is_unsent() => self.blocked += 1,
            _ => {
                self.failed += 1;
                self.first_failed = earlier(self.first_failed, Some(intended));
            }
        }
    }

    /// Adds what is known besides of the same operations.
    pub fn merge(&mut self, other: &Self) {
        self.planned += other.planned;
        self.ok += other.ok;
        self.failed += other.failed;
        self.blocked += other.blocked;
        for (mine, theirs) in [(&mut self.exceeded, &other.exceeded), (&mut self.observed, &other.observed)] {
            mine.resize(mine.len().max(theirs.len()), 0);
            for (sum, part) in mine.iter_mut().zip(theirs) {
                *sum += part;
            }
        }
        self.times.merge(&other.times);
        self.first_ok = earlier(self.first_ok, other.first_ok);
        self.first_failed = earlier(self.first_failed, other.first_failed);
    }

    /// Whether it can have been counted.
    pub(super) fn is_possible(&self) -> bool {
        let counts = [self.planned, self.ok, self.failed, self.blocked];
        counts.iter().chain(&self.exceeded).chain(&self.observed).all(|count| *count <= COUNT_MAX)
            && self.exceeded.len() == self.observed.len()
            && self.exceeded.iter().zip(&self.observed).all(|(part, whole)| part <= whole)
            && self.times.is_possible()
    }
}

/// The earlier of two instants that may not be known.
fn earlier(a: Option<Nanos>, b: Option<Nanos>) -> Option<Nanos> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Adds cohorts of one operation to others of it, both in order of their windows.
pub(super) fn merge_cohorts(mine: &mut Vec<Cohort>, theirs: Vec<Cohort>) {
    for cohort in theirs {
        match mine.binary_search_by_key(&cohort.window, |known| known.window) {
            Ok(at) => mine[at].merge(&cohort),
            Err(at) => mine.insert(at, cohort),
        }
    }
}

/// The cohort of a window, made where there is none. What is asked for is mostly the last.
pub(super) fn cohort_of(cohorts: &mut Vec<Cohort>, window: u64) -> &mut Cohort {
    let at = match cohorts.binary_search_by_key(&window, |known| known.window) {
        Ok(at) => at,
        Err(at) => {
            cohorts.insert(at, Cohort { window, ..Cohort::default() });
            at
        }
    };
    &mut cohorts[at]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_lies_in_its_step(nanos in 4..u64::MAX / 4) {
            let end = CoarseTimes::end(CoarseTimes::step(Nanos(nanos)));
            prop_assert!(Nanos(nanos) < end && end.0 as f64 <= nanos as f64 * 1.25 + 1.0, "{nanos} {end:?}");
        }

        #[test]
        fn parts_say_what_the_whole_says(times in prop::collection::vec((0..1_u64 << 40, any::<bool>()), 1..60)) {
            let mut whole = Cohort::default();
            let mut parts = [Cohort::default(), Cohort::default()];
            for (i, (nanos, ok)) in times.iter().enumerate() {
                let completion = if *ok {
                    Completion::ok(Nanos(7), Nanos(*nanos + 7))
                } else {
                    Completion::failed(Outcome::TimedOut, None, Nanos(*nanos + 7), "late")
                };
                whole.count(Nanos(7), &completion);
                parts[i % 2].count(Nanos(7), &completion);
            }
            let [mut first, second] = parts;
            first.merge(&second);
            prop_assert_eq!(first.ended(), times.len() as u64);
            prop_assert_eq!(first, whole);
        }
    }

    #[test]
    fn quantiles_and_what_is_above() {
        let mut times = CoarseTimes::default();
        assert_eq!((times.quantile(0.5), times.max()), (None, None));
        (1..=100).for_each(|ms| times.record(Nanos::from_millis(ms)));
        let p50 = times.quantile(0.5).unwrap().as_millis_f64();
        assert!((50.0..63.0).contains(&p50), "{p50}");
        // 20 are longer, and up to 13 more share their step.
        assert!((20..=33).contains(&times.above(Nanos::from_millis(80))), "{}", times.above(Nanos::from_millis(80)));
        assert_eq!(times.above(Nanos::from_secs(1)), 0);
    }
}
