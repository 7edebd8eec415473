//! Kinds of error over time.

use std::collections::BTreeMap;

use slatest_core::measure::Window;
use slatest_core::model::{Nanos, OperationId};

/// Most kinds that are told apart, over all operations; the rest is counted together.
const KINDS_MAX: usize = 64;
/// Most cells that are kept of a kind.
const CELLS_MAX: usize = 1 << 14;
/// The name of the rest.
const OTHERS: &str = "(other kinds)";

/// A kind of error over time, by the instants at which the operations ended.
#[derive(Clone, Debug)]
pub(in crate::report) struct KindCourse {
    /// The kind.
    pub kind: String,
    /// How often, by slot.
    pub counts: Vec<u64>,
    /// How often in all.
    pub count: u64,
    /// The window in which it was seen first, and of which operation: its start.
    pub first: (Nanos, OperationId),
    /// The end of the window in which it was seen last.
    pub last: Nanos,
    /// How often by operation.
    pub operations: BTreeMap<OperationId, u64>,
    /// How often by slot and operation, as far as there was room.
    pub cells: BTreeMap<(usize, OperationId), u64>,
}

/// All kinds while windows are read.
#[derive(Debug, Default)]
pub(super) struct Kinds(BTreeMap<String, KindCourse>);

impl Kinds {
    pub(super) fn add(&mut self, window: &Window, slot: usize, slots: usize) {
        for (operation, tally) in window.all() {
            for (kind, count) in tally.errors.top() {
                let kind = if self.0.contains_key(kind) || self.0.len() < KINDS_MAX { kind } else { OTHERS };
                let start = window.start();
                let known = self.0.entry(kind.to_owned()).or_insert_with(|| KindCourse {
                    kind: kind.to_owned(),
                    counts: vec![0; slots],
                    count: 0,
                    first: (start, *operation),
                    last: start,
                    operations: BTreeMap::new(),
                    cells: BTreeMap::new(),
                });
                known.counts[slot] += count;
                known.count += count;
                known.first = known.first.min((start, *operation));
                known.last = known.last.max(start + window.length);
                *known.operations.entry(*operation).or_default() += count;
                if known.cells.len() < CELLS_MAX || known.cells.contains_key(&(slot, *operation)) {
                    *known.cells.entry((slot, *operation)).or_default() += count;
                }
            }
        }
    }

    /// The most frequent first.
    pub(super) fn sorted(self) -> Vec<KindCourse> {
        let mut all: Vec<KindCourse> = self.0.into_values().collect();
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.kind.cmp(&b.kind)));
        all
    }
}
