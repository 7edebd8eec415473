//! Which rate comes next: geometric growth until a step does not pass, then bisection. Pure.

use serde::{Deserialize, Serialize};

/// The factor from one step to the next while nothing has failed yet.
const GROWTH: f64 = 2.0;
/// The search ends when the lowest rate that does not pass is above the highest that does by this share.
pub const WIDTH: f64 = 0.05;
/// A target that doesn't even pass at this share of the first rate passes at none.
const LOWEST_SHARE: f64 = 1.0 / 64.0;

/// What a step showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepVerdict {
    /// Every objective passed.
    Pass,
    /// One failed.
    Fail,
    /// None failed, not all passed.
    Inconclusive,
    /// The generator was at fault.
    Void,
}

/// Why a rate did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ceiling {
    /// An objective failed: the target's knee.
    Objectives,
    /// Too little evidence, twice.
    Undecided,
    /// The generator gave out, twice.
    Generator,
    /// Nothing higher may be tried.
    Limit,
}

/// Where to search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// The first rate, per second.
    pub from: f64,
    /// The highest rate that may be tried.
    pub most: f64,
}

/// What the search wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// A step at this rate.
    Measure {
        /// Arrivals per second.
        rate: f64,
        /// 1 or 2.
        attempt: u8,
    },
    /// Nothing: this is it.
    Done(End),
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The highest rate that passed; none where none did.
    pub passes: Option<f64>,
    /// The lowest rate that did not; none where the highest that may be tried passed.
    pub fails: Option<f64>,
    /// Why there is no higher rate that passes.
    pub ceiling: Ceiling,
}

/// A search under way. Whatever the verdicts are, it ends: each narrows what is left.
#[derive(Clone, Debug)]
pub struct Search {
    limits: Limits,
    passes: Option<f64>,
    fails: Option<(f64, Ceiling)>,
    attempt: u8,
}

impl Search {
    /// Begins at `limits.from`, or at the highest rate that may be tried where that is lower.
    pub fn new(limits: Limits) -> Self {
        let from = limits.from.min(limits.most);
        Self { limits: Limits { from, ..limits }, passes: None, fails: None, attempt: 1 }
    }

    /// What to do now.
    pub fn next(&self) -> Next {
        let Limits { from, most } = self.limits;
        let end = |ceiling| Next::Done(End { passes: self.passes, fails: self.fails.map(|(rate, _)| rate), ceiling });
        let rate = match (self.passes, self.fails) {
            (None, None) => from,
            (Some(passes), None) if passes >= most => return end(Ceiling::Limit),
            (Some(passes), None) => (passes * GROWTH).min(most),
            // What disturbs a generator at the first rate is mostly not the rate.
            (None, Some((_, Ceiling::Generator))) => return end(Ceiling::Generator),
            (None, Some((fails, ceiling))) if fails / GROWTH < from * LOWEST_SHARE => return end(ceiling),
            (None, Some((fails, _))) => fails / GROWTH,
            (Some(passes), Some((fails, ceiling))) if fails <= passes * (1.0 + WIDTH) => return end(ceiling),
            // In the middle by ratio: each side leaves as many steps.
            (Some(passes), Some((fails, _))) => (passes * fails).sqrt(),
        };
        Next::Measure { rate, attempt: self.attempt }
    }

    /// Takes what the step that [`Search::next`] asked for showed. What is not clear is tried once more;
    /// then it counts as not passing.
    pub fn report(&mut self, verdict: StepVerdict) {
        let Next::Measure { rate, attempt } = self.next() else { return };
        let ceiling = match verdict {
            StepVerdict::Pass => {
                self.passes = Some(rate);
                self.attempt = 1;
                return;
            }
            StepVerdict::Inconclusive | StepVerdict::Void if attempt == 1 => {
                self.attempt = 2;
                return;
            }
            StepVerdict::Fail => Ceiling::Objectives,
            StepVerdict::Inconclusive => Ceiling::Undecided,
            StepVerdict::Void => Ceiling::Generator,
        };
        self.fails = Some((rate, ceiling));
        self.attempt = 1;
    }

    /// What is known if it ends here.
    pub fn so_far(&self) -> End {
        let (fails, ceiling) = self.fails.map_or((None, Ceiling::Limit), |(rate, reason)| (Some(rate), reason));
        End { passes: self.passes, fails, ceiling }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a search to its end: what it found, and every rate with what was seen there.
    fn searched(limits: Limits, mut target: impl FnMut(f64, u8) -> StepVerdict) -> (End, Vec<(f64, StepVerdict)>) {
        let mut search = Search::new(limits);
        let mut steps = Vec::new();
        loop {
            match search.next() {
                Next::Done(end) => return (end, steps),
                Next::Measure { rate, attempt } => {
                    let verdict = target(rate, attempt);
                    steps.push((rate, verdict));
                    search.report(verdict);
                    assert!(steps.len() <= most_steps(limits), "{steps:?}");
                }
            }
        }
    }

    /// Up to the limit or down to the lowest share, by factors of two; then from two to 1.05 by halving
    /// the logarithm: log2(ln 2 / ln 1.05) = 3.8. Each at most twice.
    fn most_steps(limits: Limits) -> usize {
        let up = (limits.most / limits.from).max(1.0).log2().ceil() as usize;
        2 * (1 + up.max(6) + 4)
    }

    fn knee(knee: f64) -> impl FnMut(f64, u8) -> StepVerdict {
        move |rate, _| if rate <= knee { StepVerdict::Pass } else { StepVerdict::Fail }
    }

    #[test]
    fn grows_then_halves() {
        let (end, steps) = searched(Limits { from: 300.0, most: 1e6 }, knee(1_000.0));
        let rates: Vec<f64> = steps.iter().map(|step| step.0.round()).collect();
        assert_eq!(rates, [300.0, 600.0, 1_200.0, 849.0, 1_009.0, 925.0, 966.0]);
        assert_eq!(end.ceiling, Ceiling::Objectives);
        assert!(end.passes.unwrap() <= 1_000.0 && end.fails.unwrap() > 1_000.0, "{end:?}");
    }

    #[test]
    fn the_generator_giving_out_is_not_the_targets_knee() {
        let (end, _) = searched(Limits { from: 100.0, most: 1e6 }, |rate, _| match rate {
            rate if rate > 700.0 => StepVerdict::Void,
            _ => StepVerdict::Pass,
        });
        assert_eq!(end.ceiling, Ceiling::Generator);
        // But where the target fails below that, it is the target.
        let (end, _) = searched(Limits { from: 100.0, most: 1e6 }, |rate, _| match rate {
            rate if rate > 700.0 => StepVerdict::Void,
            rate if rate > 500.0 => StepVerdict::Fail,
            _ => StepVerdict::Pass,
        });
        assert_eq!(end.ceiling, Ceiling::Objectives);
        assert!(end.passes.unwrap() <= 500.0);
    }

    #[test]
    fn a_generator_that_gives_out_at_once_ends_it() {
        let (end, steps) = searched(Limits { from: 100.0, most: 1e6 }, |_, _| StepVerdict::Void);
        assert_eq!((steps.len(), end.passes, end.ceiling), (2, None, Ceiling::Generator));
    }

    #[test]
    fn what_is_not_clear_is_tried_once_more() {
        let (end, steps) = searched(Limits { from: 100.0, most: 100.0 }, |_, attempt| match attempt {
            1 => StepVerdict::Inconclusive,
            _ => StepVerdict::Pass,
        });
        assert_eq!((steps.len(), end.passes, end.ceiling), (2, Some(100.0), Ceiling::Limit));
    }

    #[test]
    fn a_target_that_passes_at_no_rate_ends_it_too() {
        let (end, _) = searched(Limits { from: 100.0, most: 1e6 }, |_, _| StepVerdict::Fail);
        assert_eq!((end.passes, end.ceiling), (None, Ceiling::Objectives));
    }

    proptest! {
        #[test]
        fn the_bracket_holds_the_knee(from in 0.1..10_000.0_f64, times in 0.02..1_000.0_f64) {
            let limits = Limits { from, most: 1e7 };
            let truth = from * times;
            let (end, _) = searched(limits, knee(truth));
            let (Some(passes), Some(fails)) = (end.passes, end.fails) else {
                return Err(TestCaseError::fail(format!("no bracket: {end:?}")));
            };
            prop_assert!(passes <= truth && truth < fails, "{end:?}");
            prop_assert!(fails <= passes * (1.0 + WIDTH) * (1.0 + 1e-12), "{end:?}");
        }

        #[test]
        fn it_ends_whatever_is_seen(
            from in 0.1..10_000.0_f64,
            times in 0.5..10_000.0_f64,
            verdict in prop::collection::vec(0..4_u8, 60..61),
        ) {
            let limits = Limits { from, most: from * times };
            let mut verdict = verdict.into_iter().cycle();
            let (end, steps) = searched(limits, |rate, _| {
                assert!(rate <= limits.most);
                match verdict.next() {
                    Some(0) => StepVerdict::Pass,
                    Some(1) => StepVerdict::Fail,
                    Some(2) => StepVerdict::Inconclusive,
                    _ => StepVerdict::Void,
                }
            });
            // What is said was seen.
            if let Some(passes) = end.passes {
                prop_assert!(steps.contains(&(passes, StepVerdict::Pass)));
            }
            if let (Some(passes), Some(fails)) = (end.passes, end.fails) {
                prop_assert!(passes < fails && fails <= passes * (1.0 + WIDTH) * (1.0 + 1e-12));
            }
        }
    }
}
