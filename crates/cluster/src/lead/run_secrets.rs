//! The secrets of a run on disk.

use std::path::{Path, PathBuf};

use super::LeadError;
use crate::identity::{IdentityError, RunAuthority};
use slatest_engine::run::Observer;

/// Where they lie in a run's folder until the run is over.
const FOLDER: &str = "cluster/authority";

/// The secrets of a run on disk. When the run is over the authority has done its part, and nobody can join with what it
/// signed any more. A coordinator that is killed leaves them, for the one that resumes the run.
#[derive(Debug)]
pub(super) struct RunSecrets(PathBuf);

impl RunSecrets {
    /// Of the run in this folder.
    pub(super) fn of(run: &Path) -> Self {
        Self(run.join(FOLDER))
    }

    /// Where they lie.
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Writes them; what could not be written whole is not left there.
    ///
    /// # Errors
    /// When the file system says no.
    pub(super) fn keep(&self, authority: &RunAuthority) -> Result<(), LeadError> {
        authority.save(&self.0).map_err(|error| {
            // The file system said no already: that is told.
            let _ = std::fs::remove_dir_all(&self.0);
            LeadError::Secrets { folder: self.0.clone(), error }
        })
    }

    /// Reads them.
    ///
    /// # Errors
    /// When they are not there, or not what they should be.
    pub(super) fn read(&self) -> Result<RunAuthority, IdentityError> {
        RunAuthority::load(&self.0)
    }

    /// Removes them.
    pub(super) fn remove(self, observer: &mut dyn Observer) {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let path = self.0.display();
                observer.notice(&format!("warning: {path}: the run's certificates could not be removed: {error}"));
            }
            _ => {}
        }
    }
}
