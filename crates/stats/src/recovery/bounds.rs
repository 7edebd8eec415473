//! The recovery time of one component, with its bounds.

use serde::{Deserialize, Serialize};

use super::component::Cells;
use super::picture::letters;
use super::rows::first_row;
use super::rule::{Rule, WindowState, usual_until};
use slatest_core::model::Nanos;

/// Windows before the fault that a picture shows.
const BEFORE_SHOWN: u64 = 5;

/// What was watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// When the fault's injector was called, on the run's clock: t_fault.
    pub fault: Nanos,
    /// Until when, on the run's clock.
    pub until: Nanos,
    /// How many good windows in a row are a recovery. At least one.
    pub restored_after: u64,
    /// How far the fault's clock and the operations' may be apart.
    pub clock_bound: Nanos,
}

/// When a component was restored, counted from the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The start of the first good window of the row.
    pub after: Nanos,
    /// It was not earlier than this: the start of the last bad window before, less the clocks' bound.
    pub lower: Nanos,
    /// It was not later than this: the end of the first good window (or of the last that may hold a rest
    /// of the outage), with the slowest answer in these and the clocks' bound.
    pub upper: Nanos,
}

/// What a fault did to one component. Times are counted from the fault unless said otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentRecovery {
    /// The scope, or an operation's address.
    pub name: String,
    /// When the first operation that failed in the first bad window was meant to start; the start of that window,
    /// where operations were late. `None`: the fault did nothing that shows.
    pub first_error: Option<Nanos>,
    /// When the first operation planned after that ended well, to the window.
    pub first_success: Option<Nanos>,
    /// When it was restored; `None`: not while it was watched.
    pub restored: Option<Restored>,
    /// Not restored before this: the start of the last bad window, less the clocks' bound. Zero without impact.
    pub down_until: Nanos,
    /// Length of all bad windows since the fault.
    pub bad: Nanos,
    /// Length of all bad windows since it was restored: it did not stay so.
    pub bad_again: Nanos,
    /// Length of all unknown windows since the fault.
    pub unknown: Nanos,
    /// Length of all bad windows that are known from before the fault.
    #[serde(default)]
    pub bad_before: Nanos,
    /// Length of all windows, good or bad, that are known from before the fault.
    #[serde(default)]
    pub known_before: Nanos,
    /// How often it turned bad: more than once is flapping.
    pub spells: u64,
    /// Operations that were meant to start since the fault's window and failed.
    pub failed: u64,
    /// Operations that were meant to start since then and say something.
    pub operations: u64,
    /// How long it was watched, in whole windows.
    pub watched: Nanos,
    /// Fewest operations with which a window is known; `None`: no number would be.
    pub fewest: Option<u64>,
    /// What a good window keeps, in words.
    pub good: Vec<String>,
    /// Length of a window.
    pub window: Nanos,
    /// Its windows, from some before the fault on: `g`ood, `b`ad, `u`nknown.
    pub timeline: String,
    /// When the first of these starts, on the run's clock.
    pub timeline_from: Nanos,
}

/// Reads the recovery of a component from its windows. Pure; the same windows say the same.
///
/// - The fault did something when one of the windows from the fault's on is bad.
/// - It was restored at the start of the first of `restored_after` good windows in a row after the first bad one,
///   which hold together as well as each by itself. An unknown window ends a row.
/// - The truth lies between the start of the last bad window before (an operation that was meant to start in it
///   met the outage) and the end of the first good one. An answer that was slow, yet in time, may have waited for the
///   recovery: the slowest of that window is added (the probe's gap). An outage of which few operations
///   suffer may have gone on while windows were good by luck: those that fail with the row's beginning are added.
///   Unknown windows between the last bad one and the row widen the bounds by themselves.
pub fn recovery(cells: &Cells, watched: &Watched) -> ComponentRecovery {
    let w = cells.window.0.max(1);
    let fault_window = watched.fault.0 / w;
    let end = (watched.until.0 / w).max(fault_window);
    let rule = Rule::of(cells, fault_window);
    let shares = rule.shares();
    // Everything below counts windows from the fault's on.
    let count = usize::try_from(end - fault_window).unwrap_or(usize::MAX).min(super::CELLS_MAX);
    let cell = |i: usize| cells.get(fault_window + i as u64);
    let states: Vec<WindowState> = (0..count).map(|i| rule.state(cell(i))).collect();
    let since = |instant: Nanos| instant - watched.fault;
    let start = |i: usize| Nanos((fault_window + i as u64) * w);
    let length_of = |state: WindowState, from: usize| {
        Nanos(states.iter().skip(from).filter(|known| **known == state).count() as u64 * w)
    };

    let first_bad = states.iter().position(|state| *state == WindowState::Bad);
    let beginning = first_bad.and_then(|bad| {
        let counts: Vec<_> = states
            .iter()
            .enumerate()
            .map(|(i, state)| (*state == WindowState::Good).then(|| cell(i).map(|c| rule.counts(c))).flatten())
            .collect();
        let length = usize::try_from(watched.restored_after.max(1)).unwrap_or(usize::MAX);
        first_row(&counts, &shares, bad + 1, length)
    });
    let last_bad = |until: usize| states[..until].iter().rposition(|state| *state == WindowState::Bad);
    let down_until = last_bad(beginning.map_or(count, |row| row.start))
        .map_or(Nanos::ZERO, |bad| since(start(bad)) - watched.clock_bound);
    let restored = beginning.map(|row| {
        let first = row.start..row.start + row.doubtful;
        let slowest = first.clone().filter_map(|i| cell(i)?.times.max()).max().unwrap_or_default();
        Restored {
            after: since(start(row.start)),
            lower: down_until,
            upper: since(start(first.end)) + slowest + watched.clock_bound,
        }
    });
    let first_error = first_bad.map(|bad| since(cell(bad).and_then(|c| c.first_failed).unwrap_or_else(|| start(bad))));
    let first_success = first_bad.and_then(|bad| (bad + 1..count).find_map(|i| cell(i)?.first_ok)).map(since);
    let (mut failed, mut operations) = (0, 0);
    for cell in (0..count).filter_map(cell) {
        failed += cell.failed;
        operations += cell.countable();
    }
    let spells = states
        .iter()
        .enumerate()
        .filter(|&(i, state)| *state == WindowState::Bad && last_known(&states[..i]) != Some(WindowState::Bad))
        .count() as u64;
    let usual = cells.first.min(fault_window)..usual_until(cells, fault_window);
    let usual: Vec<WindowState> = usual.map(|window| rule.state(cells.get(window))).collect();
    let usual = |wanted: &[WindowState]| Nanos(usual.iter().filter(|state| wanted.contains(state)).count() as u64 * w);
    let shown_from = fault_window.saturating_sub(BEFORE_SHOWN).max(cells.first.min(fault_window));
    let before = (shown_from..fault_window).map(|window| rule.state(cells.get(window)));
    ComponentRecovery {
        name: cells.component.name.clone(),
        first_error,
        first_success,
        restored,
        down_until,
        bad: length_of(WindowState::Bad, 0),
        bad_again: beginning.map_or(Nanos::ZERO, |row| length_of(WindowState::Bad, row.start)),
        unknown: length_of(WindowState::Unknown, 0),
        bad_before: usual(&[WindowState::Bad]),
        known_before: usual(&[WindowState::Bad, WindowState::Good]),
        spells,
        failed,
        operations,
        watched: Nanos(count as u64 * w),
        fewest: rule.fewest,
        good: rule.message(),
        window: Nanos(w),
        timeline: letters(before.chain(states.iter().copied())),
        timeline_from: Nanos(shown_from * w),
    }
}

/// The last state that is not unknown.
fn last_known(states: &[WindowState]) -> Option<WindowState> {
    states.iter().rev().copied().find(|state| *state != WindowState::Unknown)
}
