//! When a window is good.

use serde::{Deserialize, Serialize};

use super::component::{Cell, Cells};
use crate::binomial::{ALPHA, at_least, clopper_pearson};
use crate::judged::Reading;
use slatest_core::measure::CoarseTimes;
use slatest_core::model::Nanos;

/// Chance that a window of a target at its limit is called bad. A row of 30 windows must not be broken by
/// chance, and one that is bad is far beyond this.
const WINDOW_ALPHA: f64 = 1e-3;

/// Chance that a window is called bad in an outage, from as many operations on as make it known.
const WINDOW_POWER: f64 = 0.99;

/// Without a promise on times, an operation is late when it takes longer than so many times the 99th
/// percentile of the steady state.
const SLOW_FACTOR: u64 = 4;

/// The quantile that this is a multiple of; as many may be late as lie above it.
const SLOW_QUANTILE: f64 = 0.99;

/// Most operations that a window can be asked for.
const FEWEST_MAX: u64 = 100_000;

/// What a window says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowState {
    /// Enough operations to have shown an outage, and none shows.
    Good,
    /// More failed or were late than what was promised leaves room for.
    Bad,
    /// Too few operations, or some that have not ended.
    Unknown,
}

/// What one limit counts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Counts {
    /// A promise of the component, by its index.
    Promise(usize),
    /// Failures of all its operations.
    Failures,
    /// Failures, and those that took longer than this.
    LaterThan(Nanos),
}

#[derive(Clone, Debug, PartialEq)]
struct Limit {
    counts: Counts,
    share: f64,
    message: String,
}

/// What makes a window of a component good, decided from what was promised and, where nothing was, from
/// the steady state before the fault:
/// - every promise (error rate, quantiles of times) on its operations;
/// - where no promise on failures covers them all: no more failures than the steady state's own share, at its
///   upper bound of 95 %;
/// - where promises on times don't cover them all: no more than 1 % later than four times the steady
///   state's 99th percentile (or as many as there were, at their upper bound).
///
/// A window breaks a limit when so many bad ones would be seen at the limit with a chance of at most 0.1 %.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    limits: Vec<Limit>,
    /// Fewest operations with which a window is known; `None` where no number is enough.
    pub fewest: Option<u64>,
}

impl Rule {
    /// The rule of a component whose fault came in the window `fault`.
    pub fn of(cells: &Cells, fault: u64) -> Self {
        let component = &cells.component;
        let promise = |(index, promise): (usize, &super::Promise)| Limit {
            counts: Counts::Promise(index),
            share: promise.share,
            message: promise.message.clone(),
        };
        let mut limits: Vec<Limit> = component.promises.iter().enumerate().map(promise).collect();
        let (failed, countable, times) = usual(cells, fault);
        let failing = component.promised_failures().unwrap_or_else(|| {
            let share = clopper_pearson(failed, countable, ALPHA).upper;
            let message =
                format!("failures as before the fault ({failed} of {countable}, at most {})", Reading::Share(share));
            limits.push(Limit { counts: Counts::Failures, share, message });
            share
        });
        if !component.promises_times()
            && let Some(usual) = times.quantile(SLOW_QUANTILE)
        {
            let limit = Nanos(usual.0.saturating_mul(SLOW_FACTOR));
            let late = failed + times.above(limit);
            let share = clopper_pearson(late, countable, ALPHA).upper.max(1.0 - SLOW_QUANTILE);
            let message = format!(
                "within {limit} ({SLOW_FACTOR} × the 99th percentile before the fault) for all but {}",
                Reading::Share(share)
            );
            limits.push(Limit { counts: Counts::LaterThan(limit), share, message });
        }
        Self { limits, fewest: fewest_operations(failing) }
    }

    /// What a good window keeps, in words.
    pub fn message(&self) -> Vec<String> {
        self.limits.iter().map(|limit| limit.message.clone()).collect()
    }

    /// Per limit: its share, and (bad, out of) of a cell.
    pub(super) fn counts(&self, cell: &Cell) -> Vec<(u64, u64)> {
        let count = |limit: &Limit| match limit.counts {
            Counts::Promise(index) => cell.counts.get(index).copied().unwrap_or_default(),
            Counts::Failures => (cell.failed, cell.countable()),
            Counts::LaterThan(time) => (cell.failed + cell.times.above(time), cell.countable()),
        };
        self.limits.iter().map(count).collect()
    }

    /// The shares that must not be exceeded, in the order of the counts.
    pub(super) fn shares(&self) -> Vec<f64> {
        self.limits.iter().map(|limit| limit.share).collect()
    }

    /// What a window says. One in which the generator's own machine stood still is never bad: it says
    /// nothing of the target.
    pub fn state(&self, cell: Option<&Cell>) -> WindowState {
        let Some(cell) = cell else { return WindowState::Unknown };
        let broken =
            self.counts(cell).into_iter().zip(&self.limits).any(|((bad, n), limit)| breaks(bad, n, limit.share));
        if broken {
            return if cell.spoiled { WindowState::Unknown } else { WindowState::Bad };
        }
        let known = !cell.is_pending() && self.fewest.is_some_and(|fewest| cell.countable() >= fewest);
        if known { WindowState::Good } else { WindowState::Unknown }
    }
}

/// What was usual before the fault: failures, of how many, and the times of the others.
fn usual(cells: &Cells, fault: u64) -> (u64, u64, CoarseTimes) {
    let (mut failed, mut countable, mut times) = (0, 0, CoarseTimes::default());
    for cell in cells.before(usual_until(cells, fault)) {
        failed += cell.failed;
        countable += cell.countable();
        times.merge(&cell.times);
    }
    (failed, countable, times)
}

/// The window before which everything is as usual. The last windows before the fault are left out, as many as a
/// usual operation may take: what was under way when it came met it.
pub(super) fn usual_until(cells: &Cells, fault: u64) -> u64 {
    let mut times = CoarseTimes::default();
    cells.before(fault).for_each(|cell| times.merge(&cell.times));
    let longest = times.quantile(SLOW_QUANTILE).unwrap_or_default();
    let under_way = longest.0.div_ceil(cells.window.0.max(1));
    // At least half of what there is stays.
    fault - under_way.min(fault.saturating_sub(cells.first) / 2)
}

/// Whether one window's counts break a limit.
pub(crate) fn breaks(bad: u64, n: u64, limit: f64) -> bool {
    is_shown_above(bad, n, limit, WINDOW_ALPHA)
}

/// Whether so many bad ones would be seen at the limit with a chance of at most `alpha`.
pub(crate) fn is_shown_above(bad: u64, n: u64, limit: f64, alpha: f64) -> bool {
    bad as f64 > limit * n as f64 && at_least(n, limit, bad) <= alpha
}

/// Fewest operations from which on a window shows an outage with a chance of 99 %, where `share` of them may
/// fail. An outage is a window in which at least half of what may still go wrong does: half of all where
/// none may fail. `None` where no number of operations that a window can hold is enough.
pub fn fewest_operations(share: f64) -> Option<u64> {
    if !(0.0..1.0).contains(&share) {
        return None;
    }
    let outage = f64::midpoint(share, 1.0);
    let shows = |n: u64| {
        // Fewest bad ones that break the limit.
        let (mut low, mut high) = (0, n + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if breaks(middle, n, share) { high = middle } else { low = middle + 1 }
        }
        at_least(n, outage, low) >= WINDOW_POWER
    };
    // The chance is a saw: it leaps where one more is forgiven. A whole tooth must be above.
    let mut fewest = 1;
    let mut n = 1;
    while n < FEWEST_MAX {
        if !shows(n) {
            fewest = n + 1;
        } else if n >= fewest + fewest / 2 {
            return Some(fewest);
        }
        n += 1 + n / 200;
    }
    None
}
