//! Reading back what a run wrote, and holding it against the ledger.

use std::io;
use std::path::Path;

use tokio::time::Instant;

use super::Workload;
use slatest_core::model::{LedgerEntry, Nanos, OperationId, WriteScope};
use slatest_core::writes::{Found, Ledger, LedgerCheck, LedgerError, Reconciliation, Record, Records};

/// Why what was written could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadBackError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The disk that it is sorted on.
    #[error("sorting what was read back: {0}")]
    Scratch(#[from] io::Error),
    /// The store, in words without secrets.
    #[error("the store can't be read back: {0}")]
    Store(String),
}

/// What a driver reads back with.
pub struct ReadBack<'a> {
    ledger: &'a Ledger,
    scope: WriteScope,
    first_operation: OperationId,
    reconciliation: &'a mut Reconciliation,
    patience: Nanos,
}

impl ReadBack<'_> {
    /// Whose writes are wanted.
    pub const fn scope(&self) -> WriteScope {
        self.scope
    }

    /// The number that the workload's first operation has in the run.
    pub const fn first_operation(&self) -> OperationId {
        self.first_operation
    }

    /// When the run began, in nanoseconds since 1970.
    pub const fn begun(&self) -> i64 {
        self.ledger.begun()
    }

    /// Longest that the store may give no answer, or nothing new.
    pub const fn patience(&self) -> Nanos {
        self.patience
    }

    /// When what is asked for now has taken too long.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.patience.as_duration()
    }

    /// How many can be asked: a primary and its replicas.
    pub fn set_readers(&mut self, readers: usize) {
        self.reconciliation.set_readers(readers);
    }

    /// Tells of something that was found.
    ///
    /// # Errors
    /// The disk's.
    pub fn found(&mut self, found: &Found) -> Result<(), ReadBackError> {
        Ok(self.reconciliation.found(found)?)
    }

    /// The writes of this scenario in the ledger, for stores that are asked for one after another.
    pub fn writes(&self) -> Writes {
        Writes { records: self.ledger.records(), scope: self.scope }
    }
}

/// The writes of one scenario in a ledger.
pub struct Writes {
    records: Records,
    scope: WriteScope,
}

impl Iterator for Writes {
    type Item = Result<LedgerEntry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let scope = self.scope;
        self.records.find_map(|record| match record {
            Ok(Record::Write(entry)) if entry.id.scope() == scope => Some(Ok(entry)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }
}

/// Holds what a workload's store has against the ledger, for a scenario whose operations are numbered from
/// `first_operation` on in the run. `fault`: when it was issued, on the run's clock; `scratch`: a
/// folder to sort in; `patience`: the longest that the store may be silent. May block its thread.
///
/// # Errors
/// A ledger that can't be read, a disk that is full, a store that can't be read to the end.
pub async fn check_ledger(
    workload: &dyn Workload,
    ledger: &Ledger,
    (scenario, first_operation): (&str, OperationId),
    fault: Option<Nanos>,
    scratch: &Path,
    patience: Nanos,
) -> Result<LedgerCheck, ReadBackError> {
    let scope = ledger.scope(scenario);
    let mut reconciliation = Reconciliation::new(scratch, scope, fault);
    let mut records = ledger.records();
    for record in records.by_ref() {
        match record? {
            Record::Write(entry) => reconciliation.expect(&entry)?,
            Record::Seen { id, .. } => reconciliation.found(&Found::present(id))?,
        }
    }
    let mut reading = ReadBack { ledger, scope, first_operation, reconciliation: &mut reconciliation, patience };
    workload.read_back(&mut reading).await?;
    Ok(LedgerCheck { torn_bytes: records.torn_bytes(), ..reconciliation.finish()? })
}
