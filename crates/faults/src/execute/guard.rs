//! The guard of a drill that is broken off: dropped before its fault was healed, it heals.

use std::sync::Arc;

use tokio::time::timeout;

use super::super::journal::{DrillKey, Entry, Phase, Step};
use super::super::{Fault, FaultError, Undo};
use super::{SharedJournal, caught, lock};
use slatest_core::model::{Nanos, Span};
use slatest_core::say;

/// Heals when it is dropped armed: on a thread of its own, because the runtime may be ending.
pub(super) struct HealGuard(pub Option<Armed>);

/// What it heals, and where it says so.
pub(super) struct Armed {
    pub fault: Arc<dyn Fault>,
    pub undo: Undo,
    pub journal: SharedJournal,
    pub key: DrillKey,
    pub within: Nanos,
}

impl HealGuard {
    /// Nothing is left to heal, or it was tried.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for HealGuard {
    fn drop(&mut self) {
        let Some(armed) = self.0.take() else { return };
        let drill = armed.key.drill.clone();
        let healing = std::thread::Builder::new().name("heal".into()).spawn(move || armed.heal());
        match healing.map(std::thread::JoinHandle::join) {
            Ok(Ok(Ok(did))) => tracing::warn!(%drill, %did, "the drill was broken off, and healed"),
            Ok(Ok(Err(error))) => loud(&drill, &error.to_string()),
            Ok(Err(_)) => loud(&drill, "healing panicked"),
            Err(error) => loud(&drill, &format!("no thread to heal on: {error}")),
        }
    }
}

/// What is left broken is said where it can't be missed.
fn loud(drill: &str, reason: &str) {
    tracing::error!(%drill, %reason, "HEALING FAILED: something is left broken");
    say!("slatest: HEALING FAILED: the drill `{drill}` has left something broken: {reason}");
}

impl Armed {
    fn heal(self) -> Result<String, FaultError> {
        let note = |phase, detail: &str| {
            if let Err(error) = lock(&self.journal).append(&Entry::new(&self.key, Step::Heal, phase, detail)) {
                tracing::error!(%error, "a line of the journal is lost");
            }
        };
        note(Phase::AboutTo, "the drill was broken off");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let healed = match runtime {
            Ok(runtime) => runtime.block_on(heal(&*self.fault, &self.undo, self.within)),
            Err(error) => Err(FaultError::failed("healing", error)),
        };
        match &healed {
            Ok(did) => note(Phase::Done, did),
            Err(error) => note(Phase::Failed, &error.to_string()),
        }
        healed
    }
}

/// Heals within a time.
///
/// # Errors
/// When it fails, takes longer or panics.
pub(super) async fn heal(fault: &dyn Fault, undo: &Undo, within: Nanos) -> Result<String, FaultError> {
    let slow = |_| FaultError::Slow { doing: "healing".into(), limit: Span(within) };
    timeout(within.as_duration(), caught("healing", fault.heal(undo))).await.map_err(slow)?
}
