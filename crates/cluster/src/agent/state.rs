//! The folder in which an agent keeps what must survive it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{AgentError, AgentSettings};
use crate::identity::{AGENT_NAME_RULE, is_agent_name};

/// The folder for what must survive.
pub(super) struct State {
    pub(super) folder: PathBuf,
    /// Gone at the end unless something is left in it.
    pub(super) temporary: Option<TempDir>,
}

impl State {
    pub(super) fn find(settings: &AgentSettings) -> Result<Self, AgentError> {
        let name = &settings.name;
        // A name of dots alone is a folder of its own kind.
        if !is_agent_name(name) || name.starts_with('.') {
            return Err(AgentError::Settings(format!("`{name}` can't name an agent: {AGENT_NAME_RULE}")));
        }
        match &settings.state {
            // Agents that share one don't get into each other's way.
            Some(folder) => Ok(Self { folder: folder.join(name), temporary: None }),
            None => {
                let temporary = tempfile::Builder::new()
                    .prefix("slatest-agent-state-")
                    .tempdir()
                    .map_err(|e| AgentError::Machine(format!("no temporary folder can be made: {e}")))?;
                Ok(Self { folder: temporary.path().join(name), temporary: Some(temporary) })
            }
        }
    }

    /// The folder as `--state` takes it.
    pub(super) fn as_given(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }
}
