//! What can go wrong with results.

use std::io;
use std::path::{Path, PathBuf};

/// Why a result can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("{}: can't be {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `read`, `written`, `created`, `removed`.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}{}: not a result that can be read: {reason}", path.display(), line.map_or_else(String::new, |l| format!(":{l}")))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, where it is one.
        line: Option<u64>,
        /// Why.
        reason: String,
    },
    /// It has changed since it was written.
    #[error(
        "{}: its checksum is wrong: it has changed since it was written, and none of its figures can be believed; take the \
         file from a copy. If somebody changed it on purpose, take its last field, `crc32`, out",
        path.display()
    )]
    Turned {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version of the format.
    #[error(
        "{}: written in version {found} of the result format, this slatest reads version {supported}; use the slatest that \
         wrote it (its version stands in the file)",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The one that can be read.
        supported: u32,
    },
    /// It can't be gone on with.
    #[error("run `{id}` has come to its end; there is nothing to resume")]
    Ended {
        /// Its id.
        id: String,
    },
    /// No such result.
    #[error("no result `{wanted}`: {hint}")]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// Where was looked, and what there is.
        hint: String,
    },
}

impl StoreError {
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }

    pub(super) fn malformed(path: &Path, line: Option<u64>, reason: impl ToString) -> Self {
        Self::Malformed { path: path.to_owned(), line, reason: reason.to_string() }
    }
}
