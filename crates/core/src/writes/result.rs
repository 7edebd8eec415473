//! What holding a store against the ledger came to.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::model::{Nanos, OperationId, WriteId, WritePlace};

/// Most losses that are named one by one; all of them are counted.
pub const LOSSES_NAMED_MAX: usize = 1000;
/// Most places of a log that are named one by one.
pub(super) const PLACES_NAMED_MAX: usize = 100;

/// An acknowledged write that isn't there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Which write; the number of its arrival is in there.
    pub id: WriteId,
    /// The operation that wrote.
    pub operation: OperationId,
    /// When it was meant to start.
    pub intended: Nanos,
    /// When it was sent.
    pub sent: Option<Nanos>,
    /// When it was acknowledged.
    pub acknowledged: Nanos,
    /// Where the store said that it put it, in a log.
    pub place: Option<WritePlace>,
}

/// Losses: how many, and the earliest acknowledged of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// How many.
    pub count: u64,
    /// The first `LOSSES_NAMED_MAX` by the instant of their acknowledgement.
    pub named: Vec<Loss>,
}

/// What was lost of one operation's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationWrites {
    /// The operation that wrote.
    pub operation: OperationId,
    /// Writes that the store acknowledged.
    pub acknowledged: u64,
    /// Of these, how many could not be asked for.
    pub unreadable: u64,
    /// Acknowledged before the fault (all, without a fault) and not there.
    pub lost: u64,
    /// Acknowledged at or after the fault and not there.
    pub lost_after_fault: u64,
    /// The oldest acknowledgement among `lost`.
    pub oldest_lost: Option<Nanos>,
    /// Writes of which nobody knows.
    pub unknown: u64,
}

impl OperationWrites {
    /// Nothing yet of an operation.
    pub(super) const fn of(operation: OperationId) -> Self {
        Self { operation, acknowledged: 0, unreadable: 0, lost: 0, lost_after_fault: 0, oldest_lost: None, unknown: 0 }
    }
}

/// What became of the writes that nobody answered for. They are never lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownWrites {
    /// They were there.
    pub found: u64,
    /// They were not.
    pub not_found: u64,
    /// The store was not asked, or didn't say.
    pub unresolved: u64,
}

/// What only a log can be found to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFindings {
    /// Offsets that hold, or were said to hold, two values.
    pub conflicts: u64,
    /// Some of them.
    pub conflicts_named: Vec<WritePlace>,
    /// Acknowledged writes that are there, but not at the offset that was acknowledged.
    pub moved: u64,
    /// Writes that stand behind a write that was sent only after they were acknowledged.
    pub out_of_order: u64,
    /// Some of their places.
    pub out_of_order_named: Vec<WritePlace>,
    /// Those of the lost whose offset lies behind the highest that was polled: the log was cut. The others are
    /// gaps in what is there.
    pub lost_behind_end: u64,
}

/// A store held against the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCheck {
    /// Writes that the store acknowledged.
    pub acknowledged: u64,
    /// Writes that it refused, or that were never sent.
    pub rejected: u64,
    /// Writes of which nobody knows.
    pub unknown: u64,
    /// Acknowledged before the fault (all, without a fault) and not there.
    pub lost: Losses,
    /// Acknowledged at or after the fault and not there: two took writes at a time, or one forgot again.
    pub lost_after_fault: Losses,
    /// The fault − the oldest acknowledgement in `lost`; 0 when nothing was lost or nothing broke.
    pub recovery_point: Nanos,
    /// Acknowledged writes that could not be asked for: the check is inconclusive.
    pub unreadable: u64,
    /// Acknowledged writes that are there with another value than was written.
    pub wrong_value: u64,
    /// Copies beyond the first.
    pub duplicates: u64,
    /// Writes in the store, in the name of this scenario, that nobody did.
    pub never_written: u64,
    /// Some of them.
    pub never_written_named: Vec<WriteId>,
    /// Writes that were refused and are there.
    pub rejected_found: u64,
    /// What became of the unknown ones.
    pub unknown_writes: UnknownWrites,
    /// For each replica, acknowledged writes that the primary has, and it answers that it hasn't.
    pub stale: Vec<u64>,
    /// For each replica, acknowledged writes that the primary has and for which it was not asked: it doesn't answer, or
    /// is nobody's replica there.
    pub unasked: Vec<u64>,
    /// What only a log can be found to do; `None` for other stores.
    pub log: Option<LogFindings>,
    /// What was lost of each operation's writes, by its number: objectives ask for some of them.
    pub operations: Vec<OperationWrites>,
    /// Bytes at the end of the ledger that are the beginning of a block and no more: what stood in it is not known.
    #[serde(default)]
    pub torn_bytes: u64,
}

impl LedgerCheck {
    /// All acknowledged writes that are not there.
    pub const fn lost_count(&self) -> u64 {
        self.lost.count + self.lost_after_fault.count
    }

    /// Whether every acknowledged write could be asked for. Without that, what was not found to be lost may be.
    pub const fn is_complete(&self) -> bool {
        self.unreadable == 0
    }
}

/// Counts losses and keeps the earliest.
#[derive(Debug, Default)]
pub(super) struct LossCount {
    count: u64,
    /// The latest of those that are kept is on top.
    kept: BinaryHeap<ByAcknowledgement>,
}

#[derive(Debug)]
struct ByAcknowledgement(Loss);

impl ByAcknowledgement {
    const fn key(&self) -> (Nanos, WriteId) {
        (self.0.acknowledged, self.0.id)
    }
}

impl PartialEq for ByAcknowledgement {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ByAcknowledgement {}

impl PartialOrd for ByAcknowledgement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByAcknowledgement {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl LossCount {
    pub(super) fn add(&mut self, loss: Loss) {
        self.count += 1;
        self.kept.push(ByAcknowledgement(loss));
        if self.kept.len() > LOSSES_NAMED_MAX {
            self.kept.pop();
        }
    }

    pub(super) fn finish(self) -> Losses {
        let named = self.kept.into_sorted_vec().into_iter().map(|kept| kept.0).collect();
        Losses { count: self.count, named }
    }
}
