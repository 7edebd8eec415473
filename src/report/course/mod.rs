//! A run over time, from its windows: what charts and explanations are made of. The windows are read once; they are taken
//! together into at most [`SLOTS_MAX`] slots, so that the report of a day is as large as that of a minute.

mod errors;
mod operation;
mod read;
#[cfg(test)]
mod tests;
mod track;

pub(super) use errors::KindCourse;
pub(super) use operation::{OperationCourse, QUANTILES};
pub(super) use read::read;
pub(super) use track::{Track, Unit};

use slatest_core::measure::WindowEvent;
use slatest_core::model::Nanos;

/// Most slots of a run.
const SLOTS_MAX: usize = 300;
/// Most cells (slots × operations) that are kept.
const CELLS_MAX: usize = 1 << 18;
/// Fewest slots, however many operations there are.
const SLOTS_MIN: usize = 24;

/// A run over time. Every list of it has one entry a slot.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Length of a slot; zero where there are no windows.
    pub slot: Nanos,
    /// Length of a window.
    pub window: Nanos,
    /// How many slots there are.
    pub slots: usize,
    /// Arrivals that were fired.
    pub fired: Vec<u64>,
    /// Operations under way at the end of the slot's last window.
    pub in_flight: Vec<u64>,
    /// The generator's own lateness at p99, in nanoseconds; `None` where nothing was fired.
    pub lateness: Vec<Option<u64>>,
    /// The longest time that the generator's machine stood still.
    pub stall: Vec<Nanos>,
    /// All operations together.
    pub total: OperationCourse,
    /// Each operation, in the plan's order.
    pub operations: Vec<OperationCourse>,
    /// Kinds of error, the most frequent first.
    pub errors: Vec<KindCourse>,
    /// One for each of the judged objectives that were asked for, `None` for the others.
    pub tracks: Vec<Option<Track>>,
    /// What happened besides requests.
    pub events: Vec<WindowEvent>,
    /// What could not be read, in words.
    pub flaws: Vec<String>,
}

impl Course {
    /// When a slot starts, in nanoseconds of the run's clock.
    pub fn start(&self, slot: usize) -> Nanos {
        Nanos(self.slot.0.saturating_mul(slot as u64))
    }

    /// The slot in which an instant lies.
    pub fn slot_of(&self, at: Nanos) -> usize {
        usize::try_from(at.0.checked_div(self.slot.0).unwrap_or_default()).unwrap_or(usize::MAX)
    }

    /// The slots that lie in a part of the run, at least in part.
    pub fn slots_of(&self, from: Nanos, to: Nanos) -> std::ops::Range<usize> {
        let first = self.slot_of(from).min(self.slots);
        let end = if to > from { self.slot_of(Nanos(to.0 - 1)).saturating_add(1) } else { first };
        first..end.clamp(first, self.slots)
    }
}
