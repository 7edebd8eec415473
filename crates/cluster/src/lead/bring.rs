//! How agents are brought to a run.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::Sender;

use crate::identity::{IdentityError, RunAuthority, Token};
#[cfg(feature = "kubernetes")]
use crate::kubernetes::KubernetesError;
use slatest_engine::profile::{Plan, Target};

/// Where agents get in, and what they are wanted for.
pub struct JoinInfo<'a> {
    /// Where the coordinator listens.
    pub address: SocketAddr,
    /// How many agents are wanted.
    pub agents: u64,
    /// What lets them in.
    pub token: Token,
    /// Who certifies them.
    pub authority: &'a RunAuthority,
    /// A folder that only its owner reads, and that is gone when the run is over.
    pub secrets: &'a Path,
    /// What they do.
    pub plan: &'a Plan,
    /// Where they send it.
    pub target: &'a Target,
}

/// Brings agents to a coordinator that listens.
pub trait BringAgents {
    /// Starts them, or says how they come. `news` takes what becomes of them, a line each: it is told again where they
    /// don't come.
    ///
    /// # Errors
    /// Why they can't be brought; nothing is left of the attempt then.
    fn bring(&self, join: &JoinInfo<'_>, news: Sender<String>) -> Result<Box<dyn BroughtAgents>, BringError>;
}

/// Agents that were brought.
pub trait BroughtAgents {
    /// They are not wanted any more.
    ///
    /// # Errors
    /// What is left of them.
    fn end(self: Box<Self>) -> Result<(), BringError>;
}

/// Agents that somebody else starts and ends.
impl BroughtAgents for () {
    fn end(self: Box<Self>) -> Result<(), BringError> {
        Ok(())
    }
}

/// Why agents can't be brought.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    /// What lets them in can't be written.
    #[error("{path}: the token can't be written: {error}")]
    Token {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A certificate can't be made or written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A process can't be started.
    #[error("an agent can't be started: {0}")]
    Process(std::io::Error),
    /// The cluster doesn't do as it is asked.
    #[cfg(feature = "kubernetes")]
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
}
