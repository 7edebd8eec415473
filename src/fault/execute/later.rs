//! Heals what a process that is gone has left broken, from what the journal says.

use std::path::Path;

use super::super::journal::{self, DrillKey, Entry, Journal, Phase, Remedy, Step};
use super::super::registry::{FaultContext, compile};
use super::super::{FaultError, Stopwatch};
use super::guard::heal;
use crate::model::Nanos;
use crate::target::{Allow, Guard};

/// What became of something that was left unhealed.
#[derive(Debug)]
pub struct Mended {
    /// Which drill.
    pub key: DrillKey,
    /// What was done, or what is still broken.
    pub end: Result<String, FaultError>,
}

/// Heals what the journal of a run's folder says was injected and not healed, the last first, each within
/// its time. What fails doesn't keep the others from being healed.
///
/// # Errors
/// In words, when the journal can't be read or written.
pub async fn heal_unhealed(folder: &Path, stopwatch: &Stopwatch, within: Nanos) -> Result<Vec<Mended>, String> {
    let read = journal::read(folder)?;
    for line in &read.unreadable {
        tracing::warn!(%line, "the journal has a line that can't be read");
    }
    let left = journal::unhealed(&read.entries);
    if left.is_empty() {
        return Ok(Vec::new());
    }
    let mut journal = Journal::open(folder).map_err(|e| e.to_string())?;
    let mut mended = Vec::new();
    for unhealed in left {
        let mut note = |phase, detail: &str| journal.append(&Entry::new(&unhealed.key, Step::Heal, phase, detail));
        note(Phase::AboutTo, "asked for later").map_err(|e| e.to_string())?;
        let end = match unhealed.remedy {
            Some(remedy) => heal_later(&remedy, stopwatch, within).await,
            None => Err(FaultError::Undo("the line that says how to heal it is missing".into())),
        };
        let noted = match &end {
            Ok(did) => note(Phase::Done, did),
            Err(error) => note(Phase::Failed, &error.to_string()),
        };
        noted.map_err(|e| e.to_string())?;
        mended.push(Mended { key: unhealed.key, end });
    }
    Ok(mended)
}

async fn heal_later(remedy: &Remedy, stopwatch: &Stopwatch, within: Nanos) -> Result<String, FaultError> {
    let allow = Allow { hosts: remedy.hosts.clone(), max_rate: None, drills: true };
    let context = FaultContext {
        folder: remedy.folder.clone(),
        guard: Guard::new(&allow).map_err(FaultError::Undo)?,
        stopwatch: stopwatch.clone(),
        proxies: None,
    };
    let fault = compile(&remedy.fault, &context).map_err(|wrong| {
        let all: Vec<String> = wrong.into_iter().map(|(key, why)| format!("{key}: {why}")).collect();
        FaultError::failed("healing", all.join("; "))
    })?;
    heal(&*fault, &remedy.undo, within).await
}
