//! What the ledger expects and what a store holds, write by write.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::logs::Logs;
use super::result::{LedgerCheck, LogFindings, Loss, LossCount, OperationWrites, PLACES_NAMED_MAX};
use super::rows::{Expected, ID_ROW, IdRow, LogRow, Position, Sighting};
use super::sort::Sorter;
use crate::model::{LedgerEntry, Nanos, OperationId, WriteId, WriteOutcome, WritePlace, WriteScope};

/// Most readers (a primary and its replicas) of one store.
const READERS_MAX: usize = 64;

/// Whether a write is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Present,
    /// Nobody can tell: it could not be asked for.
    Unreadable,
}

/// Something that was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which write; `None` for a record of a log that is nobody's of this run.
    pub id: Option<WriteId>,
    /// Who read it: 0 the primary, or the only one; then the replicas.
    pub reader: u8,
    /// Whether it is there.
    pub presence: Presence,
    /// Where it stands, in a log.
    pub place: Option<WritePlace>,
    /// Digest of its value, where it can be compared.
    pub value: Option<u64>,
}

impl Found {
    /// A write that is there.
    pub const fn present(id: WriteId) -> Self {
        Self { id: Some(id), reader: 0, presence: Presence::Present, place: None, value: None }
    }

    /// A write that could not be asked for.
    pub const fn unreadable(id: WriteId) -> Self {
        Self { id: Some(id), reader: 0, presence: Presence::Unreadable, place: None, value: None }
    }
}

/// Holds what a store is found to have against what the ledger expects of it. Feed both in any order.
///
/// It sorts on disk, in files without names and chunks of some megabytes: memory doesn't grow with the number of
/// writes.
#[derive(Debug)]
pub struct Reconciliation {
    scope: WriteScope,
    fault: Option<Nanos>,
    rows: Sorter<ID_ROW>,
    logs: Logs,
    /// Whether the store is a log.
    is_log: bool,
    readers: usize,
    /// The highest offset polled of each partition.
    polled: BTreeMap<(u16, i32), i64>,
}

impl Reconciliation {
    /// Of the writes of one scenario in one run. `fault`: when it was issued, on the run's clock.
    pub fn new(scratch: &Path, scope: WriteScope, fault: Option<Nanos>) -> Self {
        Self {
            scope,
            fault,
            rows: Sorter::new(scratch),
            logs: Logs::new(scratch),
            is_log: false,
            readers: 1,
            polled: BTreeMap::new(),
        }
    }

    /// A store with this many readers, the primary included; one without replicas has 1.
    pub fn set_readers(&mut self, readers: usize) {
        self.readers = readers.clamp(1, READERS_MAX);
    }

    /// A write of the ledger. Those of other scenarios are passed over.
    ///
    /// # Errors
    /// The disk's.
    pub fn expect(&mut self, entry: &LedgerEntry) -> io::Result<()> {
        if entry.id.scope() != self.scope {
            return Ok(());
        }
        let entry_row = Expected::of(entry);
        if let Some(position) = entry_row.position
            && entry_row.outcome == WriteOutcome::Acknowledged
        {
            self.is_log = true;
            self.logs.push(LogRow {
                position,
                polled: false,
                id: entry.id.bits(),
                sent: Nanos::ZERO,
                acknowledged: Nanos::MAX,
            })?;
        }
        self.rows.push(IdRow::Expected { id: entry.id, entry: entry_row }.to_bytes())
    }

    /// Something that was read back.
    ///
    /// # Errors
    /// The disk's.
    pub fn found(&mut self, found: &Found) -> io::Result<()> {
        let position = Position::of(found.place.as_ref());
        if let Some(position) = position {
            self.is_log = true;
            let highest = self.polled.entry(position.partition()).or_insert(position.offset);
            *highest = (*highest).max(position.offset);
        }
        let present = found.presence == Presence::Present;
        match (found.id.filter(|id| id.scope() == self.scope), position) {
            (Some(id), _) => {
                let sighting = Sighting { reader: found.reader, present, position, value: found.value };
                self.rows.push(IdRow::Found { id, sighting }.to_bytes())
            }
            // Who else writes there matters only where an acknowledged write should stand.
            (None, Some(position)) => {
                let id = found.id.map_or(0, WriteId::bits);
                self.logs.push(LogRow { position, polled: true, id, sent: Nanos::ZERO, acknowledged: Nanos::MAX })
            }
            (None, None) => Ok(()),
        }
    }

    /// What it comes to.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(self) -> io::Result<LedgerCheck> {
        let Self { fault, rows, mut logs, is_log, readers, polled, .. } = self;
        let mut findings = Findings {
            check: LedgerCheck { stale: vec![0; readers - 1], unasked: vec![0; readers - 1], ..LedgerCheck::default() },
            log: LogFindings::default(),
            lost: LossCount::default(),
            lost_after_fault: LossCount::default(),
            fault,
            polled,
            operations: BTreeMap::new(),
        };
        let mut current: Option<Write> = None;
        for row in rows.sorted()? {
            let Some(row) = IdRow::from_bytes(&row?) else { continue };
            let (IdRow::Expected { id, .. } | IdRow::Found { id, .. }) = row;
            if current.as_ref().is_none_or(|write| write.id != id)
                && let Some(done) = current.replace(Write::new(id))
            {
                findings.judge(&done);
            }
            let Some(write) = &mut current else { continue };
            match row {
                IdRow::Expected { entry, .. } => write.expected = Some(write.expected.unwrap_or(entry)),
                IdRow::Found { sighting, .. } => {
                    if let Some(row) = write.see(sighting) {
                        logs.push(row)?;
                    }
                }
            }
        }
        if let Some(done) = current {
            findings.judge(&done);
        }
        logs.finish(&mut findings.log)?;
        Ok(findings.finish(is_log))
    }
}

/// One write, as far as its rows were read.
struct Write {
    id: WriteId,
    expected: Option<Expected>,
    /// Which readers have it.
    seen_by: u64,
    /// Which readers could not be asked for it.
    unasked_by: u64,
    /// How often the primary has it.
    copies: u64,
    at_its_place: bool,
    unreadable: bool,
    wrong_value: bool,
}

impl Write {
    const fn new(id: WriteId) -> Self {
        Self {
            id,
            expected: None,
            seen_by: 0,
            unasked_by: 0,
            copies: 0,
            at_its_place: false,
            unreadable: false,
            wrong_value: false,
        }
    }

    /// Gives the row for its place in the log, where it has one.
    fn see(&mut self, sighting: Sighting) -> Option<LogRow> {
        let reader = 1_u64.checked_shl(sighting.reader.into()).unwrap_or(0);
        if !sighting.present {
            self.unreadable |= sighting.reader == 0;
            self.unasked_by |= reader;
            return None;
        }
        self.seen_by |= reader;
        let first = self.copies == 0;
        if sighting.reader == 0 {
            self.copies += 1;
            let differs = |entry: Expected| matches!((entry.value, sighting.value), (Some(a), Some(b)) if a != b);
            self.wrong_value |= self.expected.is_some_and(differs);
        }
        let position = sighting.position?;
        self.at_its_place |= self.expected.is_some_and(|entry| entry.position == Some(position));
        // A copy that a retry left says nothing of the order.
        let times = self.expected.filter(|_| first).map(|entry| {
            let acknowledged = if entry.outcome == WriteOutcome::Acknowledged { entry.done } else { Nanos::MAX };
            (entry.sent.unwrap_or_default(), acknowledged)
        });
        let (sent, acknowledged) = times.unwrap_or((Nanos::ZERO, Nanos::MAX));
        Some(LogRow { position, polled: true, id: self.id.bits(), sent, acknowledged })
    }

    const fn is_there(&self) -> bool {
        self.copies > 0
    }
}

struct Findings {
    check: LedgerCheck,
    log: LogFindings,
    lost: LossCount,
    lost_after_fault: LossCount,
    fault: Option<Nanos>,
    polled: BTreeMap<(u16, i32), i64>,
    operations: BTreeMap<OperationId, OperationWrites>,
}

impl Findings {
    fn judge(&mut self, write: &Write) {
        self.check.duplicates += write.copies.saturating_sub(1);
        let Some(entry) = write.expected else {
            if write.seen_by != 0 {
                self.check.never_written += 1;
                if self.check.never_written_named.len() < PLACES_NAMED_MAX {
                    self.check.never_written_named.push(write.id);
                }
            }
            return;
        };
        match entry.outcome {
            WriteOutcome::Acknowledged => self.judge_acknowledged(write, &entry),
            WriteOutcome::Rejected => {
                self.check.rejected += 1;
                self.check.rejected_found += u64::from(write.is_there());
            }
            WriteOutcome::Unknown => {
                self.check.unknown += 1;
                self.operation(entry.operation).unknown += 1;
                let unknown = &mut self.check.unknown_writes;
                match (write.is_there(), write.unreadable) {
                    (true, _) => unknown.found += 1,
                    (false, true) => unknown.unresolved += 1,
                    (false, false) => unknown.not_found += 1,
                }
            }
        }
    }

    fn operation(&mut self, operation: OperationId) -> &mut OperationWrites {
        self.operations.entry(operation).or_insert_with(|| OperationWrites::of(operation))
    }

    fn judge_acknowledged(&mut self, write: &Write, entry: &Expected) {
        self.check.acknowledged += 1;
        self.operation(entry.operation).acknowledged += 1;
        if write.is_there() {
            self.check.wrong_value += u64::from(write.wrong_value);
            self.log.moved += u64::from(entry.position.is_some() && !write.at_its_place);
            let replicas = self.check.stale.iter_mut().zip(&mut self.check.unasked).zip(1..);
            for ((stale, unasked), replica) in replicas {
                let bit = 1_u64.checked_shl(replica).unwrap_or(0);
                match (write.seen_by & bit != 0, write.unasked_by & bit != 0) {
                    (true, _) => {}
                    (false, true) => *unasked += 1,
                    (false, false) => *stale += 1,
                }
            }
            return;
        }
        if write.unreadable {
            self.check.unreadable += 1;
            self.operation(entry.operation).unreadable += 1;
            return;
        }
        if let Some(position) = entry.position {
            let highest = self.polled.get(&position.partition());
            self.log.lost_behind_end += u64::from(highest.is_none_or(|highest| position.offset > *highest));
        }
        let loss = Loss {
            id: write.id,
            operation: entry.operation,
            intended: entry.intended,
            sent: entry.sent,
            acknowledged: entry.done,
            place: entry.position.map(Position::place),
        };
        let is_after = self.fault.is_some_and(|fault| entry.done >= fault);
        let operation = self.operation(entry.operation);
        if is_after {
            operation.lost_after_fault += 1;
            self.lost_after_fault.add(loss);
        } else {
            operation.lost += 1;
            let oldest = operation.oldest_lost.unwrap_or(Nanos::MAX);
            operation.oldest_lost = Some(oldest.min(entry.done));
            self.lost.add(loss);
        }
    }

    fn finish(self, is_log: bool) -> LedgerCheck {
        let lost = self.lost.finish();
        // Named ones are the earliest, so the oldest of all is among them.
        let oldest = lost.named.first().map(|loss| loss.acknowledged);
        let recovery_point = match (self.fault, oldest) {
            (Some(fault), Some(oldest)) => fault.since(oldest),
            _ => Nanos::ZERO,
        };
        LedgerCheck {
            lost,
            recovery_point,
            lost_after_fault: self.lost_after_fault.finish(),
            log: is_log.then_some(self.log),
            operations: self.operations.into_values().collect(),
            ..self.check
        }
    }
}

#[cfg(test)]
mod tests;
