//! What went wrong, by the window in which it was meant to start. What went well is not in it, so that it costs
//! nothing where nothing goes wrong.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tally::COUNT_MAX;
use super::{ErrorKinds, Window};
use crate::model::{Nanos, OperationId};

/// Most kinds of error that one of these tells apart.
const KINDS_MAX: usize = 8;
/// Most cells that are kept of a run; slots are merged in pairs before there are more.
const CELLS_MAX: usize = 1 << 14;
/// Slots are never longer than so many windows.
const SLOT_MAX: u64 = 1 << 40;

/// What went wrong among the operations of one kind that were meant to start in one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Number of that window.
    pub window: u64,
    /// How many failed.
    pub failed: u64,
    /// Exceedances per threshold, in the order of the operation's plan. Failures are exceedances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceeded: Vec<u64>,
    /// Kinds of error of those that failed.
    #[serde(default, skip_serializing_if = "ErrorKinds::is_empty")]
    pub errors: ErrorKinds,
}

impl Trouble {
    /// One failed.
    pub(super) fn fail(&mut self, kind: Option<&str>) {
        self.failed += 1;
        if let Some(kind) = kind {
            self.errors.add_within(kind, 1, KINDS_MAX);
        }
    }

    /// One exceeded the threshold of this index, of so many.
    pub(super) fn exceed(&mut self, index: usize, thresholds: usize) {
        self.exceeded.resize(thresholds, 0);
        self.exceeded[index] += 1;
    }

    /// Adds what else went wrong.
    pub fn merge(&mut self, other: &Self) {
        self.failed += other.failed;
        self.exceeded.resize(self.exceeded.len().max(other.exceeded.len()), 0);
        self.exceeded.iter_mut().zip(&other.exceeded).for_each(|(sum, part)| *sum += part);
        for (kind, count) in other.errors.top() {
            self.errors.add_within(kind, count, KINDS_MAX);
        }
    }

    /// Whether it can have been counted in window `index`.
    pub(super) fn is_possible(&self, index: u64) -> bool {
        self.window <= index.saturating_add(1)
            && [self.failed].iter().chain(&self.exceeded).all(|count| *count <= COUNT_MAX)
            && self.errors.counts().all(|count| count <= COUNT_MAX)
    }
}

/// Adds what went wrong among operations of one kind to what else did, both in order of their windows.
pub(super) fn merge_troubles(mine: &mut Vec<Trouble>, theirs: Vec<Trouble>) {
    for trouble in theirs {
        match mine.binary_search_by_key(&trouble.window, |known| known.window) {
            Ok(at) => mine[at].merge(&trouble),
            Err(at) => mine.insert(at, trouble),
        }
    }
}

/// What went wrong in a run, by operation and slot of time; a slot is a window, or 2, 4, 8… where much went wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Troubles {
    window: Nanos,
    windows_per_slot: u64,
    cells: BTreeMap<(u64, OperationId), Trouble>,
}

impl Default for Troubles {
    fn default() -> Self {
        Self { window: Nanos::ZERO, windows_per_slot: 1, cells: BTreeMap::new() }
    }
}

impl Troubles {
    /// Adds what a window says. Windows of one run have one length.
    pub fn add(&mut self, window: &Window) {
        self.window = window.length;
        for (operation, troubles) in &window.troubles {
            for trouble in troubles {
                let slot = trouble.window / self.windows_per_slot;
                self.cells.entry((slot, *operation)).or_default().merge(trouble);
            }
        }
        while self.cells.len() > CELLS_MAX && self.windows_per_slot < SLOT_MAX {
            let mut halved: BTreeMap<(u64, OperationId), Trouble> = BTreeMap::new();
            for ((slot, operation), trouble) in std::mem::take(&mut self.cells) {
                halved.entry((slot / 2, operation)).or_default().merge(&trouble);
            }
            self.cells = halved;
            self.windows_per_slot *= 2;
        }
    }

    /// The length of a slot.
    pub const fn slot(&self) -> Nanos {
        Nanos(self.window.0.saturating_mul(self.windows_per_slot))
    }

    /// What went wrong, with the start of its slot, in order of time.
    pub fn cells(&self) -> impl Iterator<Item = (Nanos, OperationId, &Trouble)> {
        let slot = self.slot().0;
        self.cells.iter().map(move |((at, id), trouble)| (Nanos(at.saturating_mul(slot)), *id, trouble))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_which_all_goes_wrong_keeps_its_sums_in_bounded_memory() {
        let mut troubles = Troubles::default();
        for index in 0..10_000_u64 {
            let of = |id: u16| {
                let mut trouble = Trouble { window: index, ..Trouble::default() };
                (0..3).for_each(|i| trouble.fail(Some(&format!("kind {index} {i}"))));
                trouble.exceed(0, 1);
                (OperationId(id), vec![trouble])
            };
            let window =
                Window { index, length: Nanos::from_secs(1), troubles: vec![of(0), of(1), of(2)], ..Window::default() };
            assert!(window.is_possible());
            troubles.add(&window);
        }
        assert!(troubles.cells.len() <= CELLS_MAX);
        assert_eq!(troubles.slot(), Nanos::from_secs(2));
        let (mut failed, mut exceeded) = (0, 0);
        for (_, _, trouble) in troubles.cells() {
            failed += trouble.failed;
            exceeded += trouble.exceeded[0];
            assert!(trouble.errors.top().len() <= KINDS_MAX + 1);
        }
        assert_eq!((failed, exceeded), (90_000, 30_000));
    }
}
