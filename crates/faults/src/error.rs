//! What can go wrong with a fault.

/// Why something could not be broken, looked at or mended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// It is not what was meant, or must not be broken: nothing was done.
    #[error("{0}; nothing was done")]
    Refused(String),
    /// It was tried and failed.
    #[error("{doing}: {reason}")]
    Failed {
        /// What was tried.
        doing: String,
        /// Why it failed, and what to do where that is known.
        reason: String,
    },
    /// It took too long and was given up.
    #[error("{doing} took longer than {limit} and was given up; it may have had its effect")]
    Slow {
        /// What was tried.
        doing: String,
        /// How long was waited.
        limit: slatest_core::model::Span,
    },
    /// The journal could not be written, so nothing was done.
    #[error("the journal {path} can't be written: {reason}; nothing is broken that could not be mended after a crash")]
    Journal {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// What healing needs to know is not what was written.
    #[error("what the journal says of this fault can't be read: {0}; mend it by hand")]
    Undo(String),
    /// Ours.
    #[error("{0}: a mistake in slatest; please report it")]
    Panicked(String),
}

impl FaultError {
    /// Something that was tried and failed.
    pub fn failed(doing: impl Into<String>, reason: impl ToString) -> Self {
        Self::Failed { doing: doing.into(), reason: reason.to_string() }
    }
}
