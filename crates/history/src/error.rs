//! Why history says nothing.

use slatest_engine::record::StoreError;

/// Why runs can't be held against each other.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A run can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A void run says nothing about the target, so nothing can be held against it.
    #[error("run `{id}` is void: it says nothing about the target; name another one (slatest history lists them)")]
    Void {
        /// Which.
        id: String,
    },
    /// A run did not come to its end.
    #[error("run `{id}` did not come to its end: only whole runs are compared")]
    NotWhole {
        /// Which.
        id: String,
    },
    /// Nothing was measured by both.
    #[error("the runs `{before}` and `{after}` have no operation in common: nothing can be compared")]
    NothingInCommon {
        /// The first.
        before: String,
        /// The second.
        after: String,
    },
    /// There is no such run.
    #[error("no run of the profile `{profile}`{on} under {folder}: run it first, or look elsewhere with --results", on = target.as_ref().map(|target| format!(" on `{target}`")).unwrap_or_default())]
    NoRuns {
        /// The profile.
        profile: String,
        /// The target, where one was named.
        target: Option<String>,
        /// Where was looked.
        folder: String,
    },
}
