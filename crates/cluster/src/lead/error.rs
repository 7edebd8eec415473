//! Why there is no record of a run that agents should have made.

use std::path::PathBuf;

use super::BringError;
use crate::coordinator::CoordinatorError;
use crate::identity::IdentityError;
use crate::journal::JournalError;
use slatest_engine::record::StoreError;
use slatest_engine::run::RunError;

/// Why there is no record of a run that agents should have made. The program turns each into its exit code in one place.
#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    /// As for a run of one process.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The run's certificates can't be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// They can't be kept.
    #[error("{}: the certificates of the run can't be kept: {error}", folder.display())]
    Secrets {
        /// Where.
        folder: PathBuf,
        /// Why.
        error: IdentityError,
    },
    /// The coordinator can't listen, or can't go on.
    #[error(transparent)]
    Open(CoordinatorError),
    /// Agents can't be brought.
    #[error(transparent)]
    Bring(#[from] BringError),
    /// Not all joined, one was not ready, or somebody ended it: the load never started.
    #[error("{reason}")]
    NotStarted {
        /// In words.
        reason: String,
        /// Whether its user ended it.
        interrupted: bool,
        /// What was told of those that were brought, last.
        placements: Vec<String>,
    },
    /// The coordinator failed under way.
    #[error("{error}; what was measured until then is in {}", folder.display())]
    Lost {
        /// Why.
        error: CoordinatorError,
        /// The run's folder.
        folder: PathBuf,
    },
    /// There is no such run, or it came to its end.
    #[error(transparent)]
    NothingToResume(StoreError),
    /// It was made by one process.
    #[error("run `{run}` can't be gone on with, it was not led by a coordinator: {error}")]
    NotLed {
        /// Which.
        run: String,
        /// What is missing.
        error: IdentityError,
    },
    /// Its journal can't be read.
    #[error("run `{run}` can't be gone on with, it is void: {error}")]
    Unresumable {
        /// Which.
        run: String,
        /// Why.
        error: JournalError,
    },
}
