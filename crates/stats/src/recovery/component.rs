//! What is watched as one: some operations, what was promised of them, and their windows.

use serde::{Deserialize, Serialize};

use slatest_core::measure::{CoarseTimes, Cohort, Counter, Window};
use slatest_core::model::{Nanos, OperationId};

/// Most windows of one component: ten hours of 1 s, one hour of 100 ms.
pub const CELLS_MAX: usize = 36_000;

/// A limit that an objective puts on the share of bad operations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// What it says, for people: `error_rate < 0.1%`.
    #[serde(alias = "words")]
    pub message: String,
    /// The share of bad ones that must not be reached, in (0, 1).
    pub share: f64,
    /// Where they are counted; ratios are no part of serving, and are not counted here.
    #[serde(skip)]
    pub counters: Vec<(OperationId, Counter)>,
}

/// A part of the platform as its users see it: the operations in a scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// The scope as written, or an operation's address.
    pub name: String,
    /// Its operations.
    pub operations: Vec<OperationId>,
    /// What was promised of them.
    pub promises: Vec<Promise>,
}

impl Component {
    /// The tightest share of failures that is promised of all its operations.
    pub(super) fn promised_failures(&self) -> Option<f64> {
        let covers = |promise: &&Promise| {
            self.operations.iter().all(|operation| promise.counters.contains(&(*operation, Counter::Failures)))
        };
        self.promises.iter().filter(covers).map(|promise| promise.share).min_by(f64::total_cmp)
    }

    /// Whether each of its operations has a promise on a time.
    pub(super) fn promises_times(&self) -> bool {
        let has = |operation: &OperationId| {
            let mut counters = self.promises.iter().flat_map(|promise| &promise.counters);
            counters.any(|(known, counter)| known == operation && matches!(counter, Counter::Threshold(_)))
        };
        self.operations.iter().all(has)
    }
}

/// What is known of the operations of a component that were meant to start in one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// How many became due.
    pub planned: u64,
    /// How many ended well.
    pub ok: u64,
    /// How many failed.
    pub failed: u64,
    /// How many a firewall kept from the target.
    pub blocked: u64,
    /// Per promise: (bad, out of).
    pub(super) counts: Vec<(u64, u64)>,
    /// Response times of those that ended well.
    pub times: CoarseTimes,
    /// When the first of those that ended well did.
    pub first_ok: Option<Nanos>,
    /// When the first of those that failed was meant to start.
    pub first_failed: Option<Nanos>,
    /// Whether the generator's machine stood still in it.
    pub spoiled: bool,
}

impl Cell {
    /// How many say something of the target.
    pub const fn countable(&self) -> u64 {
        self.ok + self.failed
    }

    /// Whether some of them have not ended.
    pub const fn is_pending(&self) -> bool {
        self.planned > self.ok + self.failed + self.blocked
    }

    fn add(&mut self, operation: OperationId, cohort: &Cohort, promises: &[Promise]) {
        self.planned += cohort.planned;
        self.ok += cohort.ok;
        self.failed += cohort.failed;
        self.blocked += cohort.blocked;
        self.counts.resize(promises.len(), (0, 0));
        for (count, promise) in self.counts.iter_mut().zip(promises) {
            for (_, counter) in promise.counters.iter().filter(|(known, _)| *known == operation) {
                let (bad, of) = match *counter {
                    Counter::Failures => (cohort.failed, cohort.ok + cohort.failed),
                    Counter::Threshold(index) => {
                        let at = |counts: &[u64]| counts.get(index).copied().unwrap_or_default();
                        (at(&cohort.exceeded), at(&cohort.observed))
                    }
                    // Recovery is read from the planned instants.
                    Counter::ByLateness(_) => continue,
                    Counter::Ratio(_) => (0, 0),
                };
                *count = (count.0 + bad, count.1 + of);
            }
        }
        self.times.merge(&cohort.times);
        let earlier = |a: Option<Nanos>, b: Option<Nanos>| a.into_iter().chain(b).min();
        self.first_ok = earlier(self.first_ok, cohort.first_ok);
        self.first_failed = earlier(self.first_failed, cohort.first_failed);
    }
}

/// The windows of a component, from one on. Windows of the timeline are added in any order; what they say
/// of windows before the first or beyond the room is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// Whose.
    pub component: Component,
    /// Length of a window.
    pub window: Nanos,
    /// Number of the first.
    pub first: u64,
    pub(super) cells: Vec<Cell>,
    room: usize,
}

impl Cells {
    /// Empty, for `room` windows from `first` on (at most [`CELLS_MAX`]). `window` is above zero.
    pub fn new(component: Component, window: Nanos, first: u64, room: usize) -> Self {
        Self { component, window, first, cells: Vec::new(), room: room.min(CELLS_MAX) }
    }

    /// Adds what a window of the timeline says.
    pub fn add(&mut self, window: &Window) {
        if window.spoiled
            && let Some(cell) = self.cell(window.index)
        {
            cell.spoiled = true;
        }
        let promises = std::mem::take(&mut self.component.promises);
        for (operation, cohorts) in &window.cohorts {
            if !self.component.operations.contains(operation) {
                continue;
            }
            for cohort in cohorts {
                if let Some(cell) = self.cell(cohort.window) {
                    cell.add(*operation, cohort, &promises);
                }
            }
        }
        self.component.promises = promises;
    }

    /// Leaves out what is known of windows before this one. The room is for as many as before, from there on.
    pub fn forget_before(&mut self, window: u64) {
        if window > self.first {
            let gone = usize::try_from(window - self.first).unwrap_or(usize::MAX);
            self.cells.drain(..gone.min(self.cells.len()));
            self.first = window;
        }
    }

    fn cell(&mut self, window: u64) -> Option<&mut Cell> {
        let at = usize::try_from(window.checked_sub(self.first)?).ok().filter(|at| *at < self.room)?;
        if self.cells.len() <= at {
            self.cells.resize_with(at + 1, Cell::default);
        }
        self.cells.get_mut(at)
    }

    /// What is known of a window; `None` where nothing is.
    pub fn get(&self, window: u64) -> Option<&Cell> {
        self.cells.get(usize::try_from(window.checked_sub(self.first)?).ok()?)
    }

    /// Those before a window.
    pub(super) fn before(&self, window: u64) -> impl Iterator<Item = &Cell> {
        let count = usize::try_from(window.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.cells.iter().take(count)
    }
}
