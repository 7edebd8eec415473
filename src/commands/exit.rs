//! Exit codes: documented, stable, and what a release gate reads.

use slatest_core::model::Verdict;

/// Why the program ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything held (or the verb did what it was asked).
    Pass = 0,
    /// Something that should not happen.
    Unexpected = 1,
    /// Wrong usage of the command line.
    Usage = 2,
    /// Refused by the guard: production not named, drills not allowed, host not allowed.
    Refused = 3,
    /// Everything held, and the results could not be saved.
    Unsaved = 96,
    /// The run says nothing about the target.
    Void = 97,
    /// Too little evidence.
    Inconclusive = 98,
    /// An objective failed (what k6 users expect).
    Failed = 99,
    /// The target could not be reached before the start.
    Unreachable = 103,
    /// A profile, workload or target is invalid.
    Invalid = 104,
    /// Interrupted by the user.
    Interrupted = 105,
}

impl Exit {
    /// What it becomes where the results could not be saved: a pass is none any more. Everything else opens no gate
    /// as it is, and says more by its own code.
    pub const fn unsaved(self) -> Self {
        match self {
            Self::Pass => Self::Unsaved,
            other => other,
        }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Fail => Self::Failed,
            Verdict::Inconclusive => Self::Inconclusive,
            Verdict::Void => Self::Void,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
