//! Why there is no record of a run.

use std::io;
use std::path::PathBuf;

use super::Refusal;
use crate::record::StoreError;
use slatest_core::model::Problems;
use slatest_core::source::Source;
use slatest_drivers::Unreachable;
use slatest_faults::ProxyError;

/// Why a run did not come about, or why nothing is recorded of it. The program turns each into its exit code in one
/// place.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file that its user wrote is wrong.
    #[error("{problems}")]
    Invalid {
        /// Every mistake, with its place.
        problems: Problems,
        /// The texts in which they stand, to be shown with them.
        sources: Vec<Source>,
        /// What may be behind it, as a sentence.
        hint: Option<String>,
    },
    /// What was asked for can't be done together.
    #[error("{0}")]
    Usage(String),
    /// The files are valid, and it is not sent all the same. One reason each; all of them hold.
    #[error("refused: {}", each(.0))]
    Refused(Vec<Refusal>),
    /// What the target needs on this machine could not be started.
    #[error("{0}")]
    NotStarted(String),
    /// Endpoints can't be used.
    #[error("{}", each(.0))]
    Unreachable(Vec<Unreachable>),
    /// A proxy of the target can't be put up.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// Who says when a fault was detected can't be asked as it is written.
    #[error("{0}")]
    Alerts(String),
    /// Its user ended it.
    #[error("interrupted before anything was sent")]
    Interrupted,
    /// A scenario could not get ready: nothing was judged.
    #[error("{0}")]
    NotReady(String),
    /// A worker failed under way.
    #[error("a worker failed: {reason}; what was measured until then is in {}", folder.display())]
    Worker {
        /// Why.
        reason: String,
        /// The run's folder.
        folder: PathBuf,
    },
    /// The ledger of writes can't be begun.
    #[error("the ledger of writes can't be begun in {}: {error}", folder.display())]
    Ledger {
        /// The run's folder.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The record can't be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A run came to its verdict, and not all of it is on disk.
    #[error("the results are not saved: {0}")]
    Unsaved(String),
}

fn each(parts: &[impl ToString]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
