//! What became of what could not be done: said on standard error, and turned into an exit code, in one place.

use super::Exit;
use super::problems::report;
use slatest_cluster::coordinator::CoordinatorError;
use slatest_cluster::journal::JournalError;
#[cfg(feature = "kubernetes")]
use slatest_cluster::kubernetes::{KubernetesError, SettingsError};
use slatest_cluster::lead::{BringError, LeadError};
use slatest_core::say;
use slatest_core::source::Source;
use slatest_engine::run::RunError;

/// Says why there is no record of a run, and gives the exit code for that.
pub fn tell(error: &RunError) -> Exit {
    match error {
        RunError::Invalid { problems, sources, hint } => {
            report(problems, &sources.iter().collect::<Vec<&Source>>());
            hint.iter().for_each(|hint| say!("slatest: {hint}"));
        }
        RunError::Refused(reasons) => reasons.iter().for_each(|reason| say!("slatest: refused: {reason}")),
        RunError::Unreachable(endpoints) => endpoints.iter().for_each(|endpoint| say!("slatest: {endpoint}")),
        error => say!("slatest: {error}"),
    }
    error.into()
}

/// The same for a run that agents should have made.
pub fn tell_led(error: &LeadError) -> Exit {
    match error {
        LeadError::Run(error) => return tell(error),
        LeadError::NotStarted { placements, .. } => {
            say!("slatest: {error}");
            placements.iter().for_each(|message| say!("  {message}"));
        }
        error => say!("slatest: {error}"),
    }
    error.into()
}

impl From<&RunError> for Exit {
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Invalid { .. } | RunError::Alerts(_) => Self::Invalid,
            RunError::Usage(_) => Self::Usage,
            RunError::Refused(_) => Self::Refused,
            RunError::NotStarted(_) | RunError::Unreachable(_) | RunError::NotReady(_) => Self::Unreachable,
            RunError::Interrupted => Self::Interrupted,
            RunError::Worker { .. } => Self::Void,
            RunError::Proxy(_) | RunError::Ledger { .. } | RunError::Store(_) => Self::Unexpected,
            RunError::Unsaved(_) => Self::Unsaved,
        }
    }
}

impl From<&LeadError> for Exit {
    fn from(error: &LeadError) -> Self {
        match error {
            LeadError::Run(error) => error.into(),
            LeadError::Open(CoordinatorError::Listen { .. } | CoordinatorError::Resume(_))
            | LeadError::NothingToResume(_)
            | LeadError::NotLed { .. } => Self::Usage,
            LeadError::Bring(error) => error.into(),
            LeadError::NotStarted { interrupted: true, .. } => Self::Interrupted,
            LeadError::NotStarted { .. } => Self::Unreachable,
            LeadError::Lost { .. } | LeadError::Unresumable { error: JournalError::Damaged { .. }, .. } => Self::Void,
            LeadError::Identity(_) | LeadError::Secrets { .. } | LeadError::Open(_) | LeadError::Unresumable { .. } => {
                Self::Unexpected
            }
        }
    }
}

impl From<&BringError> for Exit {
    fn from(error: &BringError) -> Self {
        match error {
            #[cfg(feature = "kubernetes")]
            BringError::Kubernetes(KubernetesError::Settings(SettingsError::Agents(_))) => Self::Usage,
            #[cfg(feature = "kubernetes")]
            BringError::Kubernetes(KubernetesError::Settings(_)) => Self::Invalid,
            #[cfg(feature = "kubernetes")]
            BringError::Kubernetes(_) => Self::Unreachable,
            BringError::Token { .. } | BringError::Identity(_) | BringError::Process(_) => Self::Unexpected,
        }
    }
}
