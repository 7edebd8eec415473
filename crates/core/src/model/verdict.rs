//! What the judge says.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The four verdicts. Ordered from best to worst, so that the worst of many is their maximum;
/// `void` outranks all: it says that the run tells nothing about the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The target is shown to hold.
    Pass,
    /// Too little evidence either way, or none at all. Never a pass.
    Inconclusive,
    /// Shown not to hold.
    Fail,
    /// The generator, an agent or the clock was at fault.
    Void,
}

impl Verdict {
    /// The worst of many; with none at all there is no evidence, so `Inconclusive`.
    pub fn worst(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts.into_iter().max().unwrap_or(Self::Inconclusive)
    }

    /// The name used in files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
            Self::Void => "void",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_wins_and_nothing_is_no_pass() {
        use Verdict::{Fail, Inconclusive, Pass, Void};
        assert_eq!(Verdict::worst([Pass, Inconclusive]), Inconclusive);
        assert_eq!(Verdict::worst([Pass, Fail, Inconclusive]), Fail);
        assert_eq!(Verdict::worst([Fail, Void, Pass]), Void);
        assert_eq!(Verdict::worst([]), Inconclusive);
    }
}
