//! The ledger of writes: every write of an operation with `ledger`, with its outcome, on disk; and what a store is
//! found to hold when it is read back, held against that.
//!
//! Workers hand entries to a thread that appends them to [`Ledger`]'s files; a write that could not be recorded is
//! counted, never waited for and never forgotten. Whoever reads a store back feeds [`Reconciliation`], which sorts on
//! disk: millions of entries take no more memory than thousands.

mod logs;
mod read;
mod reconcile;
mod record;
mod result;
mod rows;
mod segment;
mod sort;
mod write;

pub use read::{Ledger, LedgerError, Records};
pub use reconcile::{Found, Presence, Reconciliation};
pub use record::Record;
pub use result::{LedgerCheck, LogFindings, Loss, Losses, OperationWrites, UnknownWrites};
pub use write::{LEDGER_FOLDER, LedgerEnd, LedgerSink, LedgerWriter};
