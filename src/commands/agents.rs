//! How agents find a coordinator, and how they are brought to it: by hand, or as processes of this machine. Pods stand in
//! [`super::pods`].

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use clap::Args;

use super::join::{hand_out, write_token};
use super::process::end_by;
use slatest_cluster::lead::{BringAgents, BringError, BroughtAgents, JoinInfo, LeadOptions};
use slatest_core::model::{Nanos, Span};

/// How long an agent that is done may take to end.
const END: Duration = Duration::from_secs(10);
/// How long they look for a coordinator that is gone: as long as somebody may need to start it again.
const PATIENCE: &str = "2m";

/// How agents find their way in.
#[derive(Clone, Debug, Args)]
pub struct JoinOptions {
    /// Where agents reach the coordinator. Anything but a loopback address is open to the network
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7420")]
    pub listen: String,
    /// How long to wait until all agents have joined, and then until all are ready
    #[arg(long, value_name = "DURATION", default_value_t = Span(Nanos::from_secs(600)))]
    pub wait: Span,
    /// How long the token lets agents in
    #[arg(long, value_name = "DURATION", default_value_t = Span(Nanos::from_secs(3_600)))]
    pub token_ttl: Span,
    /// Writes the token to a file that only its owner reads, instead of printing it
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl JoinOptions {
    /// How so many agents, which send from so many addresses, are led.
    pub(super) fn lead_options(&self, agents: u64, addresses: u64, out: PathBuf, command: Vec<String>) -> LeadOptions {
        LeadOptions {
            out,
            command,
            agents,
            addresses,
            listen: self.listen.clone(),
            wait: self.wait.0,
            token_ttl: self.token_ttl.0,
        }
    }
}

/// Agents that somebody starts, anywhere: a person is told how.
#[derive(Clone, Debug)]
pub struct ByHand {
    /// How they find their way in.
    pub join_options: JoinOptions,
    /// Where certificates go for those that join by files.
    pub certificates: Option<PathBuf>,
}

impl BringAgents for ByHand {
    fn bring(&self, join: &JoinInfo<'_>, _news: Sender<String>) -> Result<Box<dyn BroughtAgents>, BringError> {
        hand_out(join, &self.join_options, self.certificates.as_deref())?;
        Ok(Box::new(()))
    }
}

/// Agents that are processes of this machine: `--local-agents`.
#[derive(Clone, Copy, Debug)]
pub struct LocalAgents {
    /// Worker threads of each.
    pub workers: usize,
    /// Whether these are in the real-time class.
    pub realtime: bool,
}

impl BringAgents for LocalAgents {
    fn bring(&self, join: &JoinInfo<'_>, _news: Sender<String>) -> Result<Box<dyn BroughtAgents>, BringError> {
        // Beside the other secrets of the run, and gone with them.
        let token_file = join.secrets.join("token-for-agents");
        write_token(join, &token_file)?;
        let agents = Processes::start(join.agents, join.address, &token_file, *self).map_err(BringError::Process)?;
        Ok(Box::new(agents))
    }
}

/// Agents that live as long as this value.
#[derive(Debug, Default)]
struct Processes {
    children: Vec<Child>,
}

impl Processes {
    /// Starts `count` of them from this very program.
    fn start(count: u64, coordinator: SocketAddr, token_file: &Path, how: LocalAgents) -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut agents = Self::default();
        for number in 0..count {
            let child = Command::new(&program)
                .args(["agent", "--quiet", "--patience", PATIENCE])
                .args(["--name", &format!("local-{number}"), "--workers", &how.workers.to_string()])
                .args(["--coordinator", &coordinator.to_string()])
                .arg("--token-file")
                .arg(token_file)
                .args(how.realtime.then_some("--realtime"))
                // A group of their own: Ctrl-C is for the coordinator, which tells them.
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::inherit())
                .spawn()?;
            agents.children.push(child);
        }
        Ok(agents)
    }
}

impl BroughtAgents for Processes {
    fn end(self: Box<Self>) -> Result<(), BringError> {
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let when = Instant::now() + END;
        self.children.iter_mut().for_each(|child| end_by(child, when));
    }
}
