//! What makes the load of an agent: the engine, or something that stands in for it.

mod engine;
mod simulated;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

pub use self::engine::EngineGenerator;
pub use self::simulated::{Ledger, SimulatedGenerator};
use crate::wire;
use slatest_engine::load::{Order, Stop};
use slatest_engine::profile::OnCoordinatorLoss;

/// What a generator is to do, and how it is led.
pub struct Task {
    /// What the coordinator wants.
    pub assignment: Arc<wire::Assignment>,
    /// The agent's number, and of how many: it owns the arrivals with `seq % of == index`.
    pub index: u64,
    /// Of how many.
    pub of: u64,
    /// Worker threads.
    pub workers: usize,
    /// Where files are looked for that never travel.
    pub working_directory: PathBuf,
    /// When to start, and what else to do.
    pub orders: std::sync::mpsc::Receiver<Order>,
    /// The wish that it ends early.
    pub stop: Stop,
    /// Where it tells what it makes; its last word is `Finished` or `Failed`.
    pub made: mpsc::Sender<Made>,
}

/// What a generator tells.
#[derive(Debug)]
pub enum Made {
    /// The plan is the coordinator's, and says what to do when that is lost.
    Planned(OnCoordinatorLoss),
    /// Sessions opened so far, of how many.
    Opened(u64, u64),
    /// It waits for the order to start.
    Ready,
    /// A window closed.
    Window {
        /// The window.
        window: wire::Window,
        /// Share of the machine's processors that this process used in it, 0 to 1.
        cpu_share: f64,
    },
    /// Something that the user should know; one line.
    Notice(String),
    /// It is over. The number of the last interval is filled in by who numbers them.
    Finished(Box<wire::Finished>),
    /// It could not get ready, or broke down.
    Failed(Failure),
}

/// Why a generator could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// In words.
    pub reason: String,
}

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The assignment can't be taken on: a file is missing, or the plan is another one here.
    Assignment,
    /// An endpoint can't be used from this machine.
    Unreachable,
    /// A scenario could not get ready.
    NotReady,
    /// It broke down under way.
    Broken,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Makes an agent's load.
pub trait Generator: Send {
    /// Starts it on a thread or task of its own, and comes back at once.
    ///
    /// # Errors
    /// In words, when there is nothing to start it on.
    fn start(self: Box<Self>, task: Task) -> Result<(), String>;
}
