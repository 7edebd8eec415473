//! What can go wrong with a cluster, in words that say what to do.

use kube::Error;

use super::settings::SettingsError;
use slatest_core::model::error_chain;

/// Why agents can't be started on a cluster, or what was made there not taken away.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// What is asked for makes no Job.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No kubeconfig, or one that can't be used.
    #[error(
        "no cluster can be found: {0}; name a kubeconfig with KUBECONFIG, put one at ~/.kube/config, or run in a pod with a service account"
    )]
    Config(String),
    /// It doesn't answer.
    #[error("the cluster's API server can't be reached while {doing}: {reason}")]
    Unreachable {
        /// What was tried.
        doing: &'static str,
        /// Why, as the connection says.
        reason: String,
    },
    /// It doesn't know who asks.
    #[error("the cluster doesn't accept the credentials of the kubeconfig ({doing}): {reason}")]
    Unauthorized {
        /// What was tried.
        doing: &'static str,
        /// As it says.
        reason: String,
    },
    /// Who asks may not.
    #[error(
        "the cluster forbids {doing}: {reason}. Needed in the namespace: create, get and delete jobs; create and delete secrets; list and watch pods and events"
    )]
    Forbidden {
        /// What was tried.
        doing: &'static str,
        /// As it says.
        reason: String,
    },
    /// It refuses what it is asked for.
    #[error("the cluster refuses {doing}: {reason}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// As it says.
        reason: String,
    },
    /// Something of that name is there that this run has not made.
    #[error("`{0}` is there already and was not made by this run; delete it, or look at who made it")]
    Taken(String),
    /// No answer in time.
    #[error("the cluster's API server did not answer within {secs} s while {doing}")]
    Slow {
        /// What was tried.
        doing: &'static str,
        /// How long was waited.
        secs: u64,
    },
    /// What was made is still there.
    #[error(
        "`{name}` in namespace `{namespace}` could not be deleted: {reason}. Delete it by hand: kubectl delete job {name} --namespace {namespace}; the cluster ends it by itself {ends_after_secs} s after its start"
    )]
    Left {
        /// Name of the Job.
        name: String,
        /// Where it is.
        namespace: String,
        /// Why.
        reason: String,
        /// Its deadline.
        ends_after_secs: i64,
    },
    /// No thread or runtime to talk to it with.
    #[error("nothing to talk to the cluster with: {0}")]
    Runtime(String),
}

impl KubernetesError {
    /// From what the client says.
    pub(super) fn new(doing: &'static str, error: Error) -> Self {
        match error {
            Error::Api(status) => {
                let reason = status.message.clone();
                match status.code {
                    401 => Self::Unauthorized { doing, reason },
                    403 => Self::Forbidden { doing, reason },
                    _ => {
                        Self::Refused { doing, reason: if reason.is_empty() { status.reason.clone() } else { reason } }
                    }
                }
            }
            Error::Auth(error) => Self::Unauthorized { doing, reason: error_chain(&error) },
            Error::InferConfig(error) => Self::Config(error_chain(&error)),
            Error::InferKubeconfig(error) => Self::Config(error_chain(&error)),
            error => Self::Unreachable { doing, reason: error_chain(&error) },
        }
    }
}
