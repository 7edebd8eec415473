//! Agents as processes of this machine: `--local-agents`.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::process::end_by;

/// How long an agent that is done may take to end.
const END: Duration = Duration::from_secs(10);
/// How long they look for a coordinator that is gone: as long as somebody may need to start it again.
const PATIENCE: &str = "2m";

/// Agents that live as long as this value.
#[derive(Debug)]
pub struct LocalAgents {
    children: Vec<Child>,
}

impl LocalAgents {
    /// Starts `count` of them from this very program.
    ///
    /// # Errors
    /// In words, when one can't be started.
    pub fn start(
        count: u64,
        coordinator: SocketAddr,
        token_file: &Path,
        workers: usize,
        realtime: bool,
    ) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| format!("this program's own path is unknown: {e}"))?;
        let mut agents = Self { children: Vec::new() };
        for number in 0..count {
            let child = Command::new(&program)
                .args(["agent", "--quiet", "--patience", PATIENCE])
                .args(["--name", &format!("local-{number}"), "--workers", &workers.to_string()])
                .args(["--coordinator", &coordinator.to_string()])
                .arg("--token-file")
                .arg(token_file)
                .args(realtime.then_some("--realtime"))
                // A group of their own: Ctrl-C is for the coordinator, which tells them.
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::inherit())
                .spawn()
                .map_err(|e| format!("an agent can't be started: {e}"))?;
            agents.children.push(child);
        }
        Ok(agents)
    }
}

impl Drop for LocalAgents {
    fn drop(&mut self) {
        let when = Instant::now() + END;
        self.children.iter_mut().for_each(|child| end_by(child, when));
    }
}
