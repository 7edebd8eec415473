//! How the run's conductor leads its workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::facts::ScenarioFinding;
use slatest_core::measure::Window;

/// How often somebody who waits looks for the user's wish.
const LOOK: Duration = Duration::from_millis(50);

/// What workers do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Open sessions and say when ready.
    Opening,
    /// Send load until the schedule ends.
    Running,
    /// Send nothing more; what is under way may end within the graceful stop.
    Stopping,
    /// Send nothing more and let go of what is under way.
    Aborting,
    /// The worker of this number checks what can only be checked at the end.
    Settling(usize),
    /// Close the sessions and end.
    Closing,
}

/// What workers tell the conductor.
pub enum Message {
    /// One more session of those opened before the start is open.
    Opened,
    /// Ready to start.
    Ready,
    /// Could not get ready; in words.
    Failed(String),
    /// A window closed.
    Window(Box<Window>),
    /// Nothing is under way any more.
    Drained {
        /// Arrivals that were due until the worker stopped.
        scheduled: u64,
        /// Arrivals that it fired.
        fired: u64,
        /// Gaps between these, as uniforms under the planned law.
        arrival_law: Vec<f64>,
    },
    /// What was found when settling.
    Findings(Vec<ScenarioFinding>),
    /// The worker's thread is about to end.
    Done,
}

/// The user's wish to end a run early; shared with the signal handler.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Asks to end gracefully; asked again, to end at once.
    pub fn ask(&self) {
        let asked = self.0.load(Ordering::SeqCst);
        self.0.store(asked.saturating_add(1).min(2), Ordering::SeqCst);
    }

    /// Whether an end was asked for.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    /// How often it was asked for; twice at most.
    pub fn times(&self) -> u8 {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits until it is asked for more often than `times`; at once where that can't be any more.
    pub async fn asked_beyond(&self, times: u8) {
        while self.times() <= times && times < 2 {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether it was asked for twice.
    pub fn is_urgent(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 1
    }
}
