//! What an agent is told before it dials.

use std::path::PathBuf;
use std::time::Duration;

/// How long an agent goes on trying to reach its coordinator again.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// How an agent shows who it is.
#[derive(Clone)]
pub enum Credentials {
    /// A token that the coordinator printed: exchanged for a certificate of the run.
    Token(String),
    /// Certificates that were made beforehand, PEM.
    Files {
        /// Whom the coordinator must be certified by.
        ca: PathBuf,
        /// The agent's certificate; its common name is the agent's name.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token(…)"),
            Self::Files { cert, .. } => write!(f, "Files({})", cert.display()),
        }
    }
}

/// What an agent is told before it dials.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The coordinator's address, `host:port`.
    pub coordinator: String,
    /// The name that the agent is known by; unique in a run.
    pub name: String,
    /// How it shows who it is.
    pub credentials: Credentials,
    /// Folder for what the coordinator has not got yet. Without one it is a temporary folder, which stays
    /// only when something is left in it.
    pub state: Option<PathBuf>,
    /// How long to go on trying when the coordinator can't be reached; [`PATIENCE`] unless told otherwise.
    pub patience: Duration,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// The working directory: where client keys and secrets are looked for that a target names by file.
    pub working_directory: PathBuf,
}
