//! What a run hands over of its drills: plain facts, from which they are judged.

mod controller;
mod detection;
mod exclusion;
mod killed;
mod runner;

pub use controller::{DrillController, ReadyDrills};
pub use exclusion::DrillExclusion;
pub use killed::KilledDrills;
pub use runner::DrillGround;

use crate::profile::{DrillPlan, Plan};
use slatest_core::measure::{Counter, Window};
use slatest_core::model::{Nanos, OperationId};
use slatest_stats::{Cells, DrillEnd, Heal, LedgerOf, Steady, Watched, recovery};

/// Windows before the fault from which it is known what is usual.
const USUAL: u64 = 60;
/// Windows beyond the end of the watch: a cell is whole when its last operation ended.
const BEYOND: u64 = 2;

/// What happened in one drill. All instants are on the run's clock.
#[derive(Clone, Debug)]
pub struct DrillFacts {
    /// Index of the drill in the plan.
    pub drill: usize,
    /// What became of it.
    pub end: DrillEnd,
    /// When the injector was called: t_fault. `None` when it never was.
    pub issued: Option<Nanos>,
    /// When it said that it was done.
    pub acknowledged: Option<Nanos>,
    /// When it happened, as the provider says.
    pub reported: Option<Nanos>,
    /// When an alert fired, and its name.
    pub detected: Option<(Nanos, String)>,
    /// What became of the heal.
    pub heal: Heal,
    /// Until when the operations were watched.
    pub watched_until: Nanos,
    /// How far the clock of `issued` and those of the operations may be apart; zero in one process.
    pub clock_bound: Nanos,
    /// The windows of every component, from before the fault on.
    pub cells: Vec<Cells>,
    /// What the stores were found to hold after the recovery, one for each scenario with a ledger; empty where none was
    /// kept, or nothing was read back.
    pub ledgers: Vec<LedgerOf>,
    /// From when until when operations were the drill's to judge, and no ordinary objective's.
    pub exclusion: Option<(Nanos, Nanos)>,
}

impl DrillFacts {
    /// What was watched; `None` when no fault was injected.
    pub fn watched(&self, drill: &DrillPlan) -> Option<Watched> {
        Some(Watched {
            fault: self.issued?,
            until: self.watched_until,
            restored_after: drill.restored_after,
            clock_bound: self.clock_bound,
        })
    }
}

/// Keeps the windows of a drill's components while the run goes: what is usual until the fault, and everything
/// from then on. Its memory is bounded by the drill's plan.
#[derive(Clone, Debug)]
pub struct DrillWatch {
    cells: Vec<Cells>,
    fault: Option<u64>,
}

impl DrillWatch {
    /// For a drill of a plan, from the window `first` on.
    pub fn new(plan: &Plan, drill: &DrillPlan, first: u64) -> Self {
        let windows = drill.watch.0 / plan.window.0.max(1);
        let room = usize::try_from(windows + 2 * USUAL + BEYOND).unwrap_or(usize::MAX);
        let cells = drill.components(plan).into_iter().map(|one| Cells::new(one, plan.window, first, room));
        Self { cells: cells.collect(), fault: None }
    }

    /// The injector was called at this instant: from now on nothing is forgotten.
    pub fn fault(&mut self, at: Nanos) {
        let window = |cells: &Cells| at.0 / cells.window.0.max(1);
        self.fault = self.cells.first().map(window);
    }

    /// A window closed.
    pub fn window(&mut self, window: &Window) {
        if self.fault.is_none() {
            // Operations may be under way that were meant to start long ago; they don't end a steady state.
            let oldest = window.index.saturating_sub(USUAL);
            self.cells.iter_mut().for_each(|cells| cells.forget_before(oldest));
        }
        self.cells.iter_mut().for_each(|cells| cells.add(window));
    }

    /// Whether a component was seen to serve again.
    pub fn restored(&self, component: &str, watched: &Watched) -> bool {
        let cells = self.cells.iter().find(|cells| cells.component.name == component);
        cells.is_some_and(|cells| recovery(cells, watched).restored.is_some())
    }

    /// What was kept.
    pub fn into_cells(self) -> Vec<Cells> {
        self.cells
    }
}

/// Watches a run until it is steady enough for a drill: every objective of the plan holds in so many windows in a row.
/// An `each: operation` objective is counted over its operations together: a window of one holds too few.
#[derive(Clone, Debug)]
pub struct SteadyWatch {
    steady: Steady,
    places: Vec<Vec<(OperationId, Counter)>>,
}

impl SteadyWatch {
    /// For `windows` in a row.
    pub fn new(plan: &Plan, windows: u64) -> Self {
        let (limits, places) = plan.steady_limits().into_iter().unzip();
        Self { steady: Steady::new(limits, windows), places }
    }

    /// A window closed. True once it is steady. One that a stall of the generator's machine spoiled counts as it is: it
    /// can only put the drill off.
    pub fn window(&mut self, window: &Window) -> bool {
        let count = |places: &Vec<(OperationId, Counter)>| {
            let of = |&(operation, counter): &(OperationId, Counter)| {
                let tallies = window.all().filter(move |(known, _)| *known == operation);
                tallies.map(move |(_, tally)| counter.bad_of(tally))
            };
            places.iter().flat_map(of).fold((0, 0), |sum, (bad, n)| (sum.0 + bad, sum.1 + n))
        };
        let counts: Vec<(u64, u64)> = self.places.iter().map(count).collect();
        self.steady.window(&counts)
    }

    /// Why it is not steady, in words.
    pub fn why_not(&self) -> String {
        self.steady.why_not()
    }
}
