//! Heals what a process that is gone has left broken, from what the journal says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::journal::{self, DrillKey, Entry, Journal, Phase, Remedy, Step};
use super::super::registry::{FaultContext, compile};
use super::super::{Fault, FaultError, Proxies, Soundness, Stopwatch};
use super::guard::heal;
use slatest_core::model::Nanos;
use slatest_core::target::{Allow, Guard};

/// Longest that a look at one fault may take.
const LOOK_WITHIN: Duration = Duration::from_secs(30);

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
    heal(&*compiled(remedy, stopwatch, None)?, &remedy.undo, within).await
}

/// The fault of a journal's line.
fn compiled(
    remedy: &Remedy,
    stopwatch: &Stopwatch,
    proxies: Option<Arc<Proxies>>,
) -> Result<Arc<dyn Fault>, FaultError> {
    let allow = Allow { hosts: remedy.hosts.clone(), max_rate: None, max_users: None, drills: true };
    let context = FaultContext {
        folder: remedy.folder.clone(),
        guard: Guard::new(&allow).map_err(FaultError::Undo)?,
        stopwatch: stopwatch.clone(),
        proxies,
    };
    compile(&remedy.fault, &context).map_err(|wrong| {
        let all: Vec<String> = wrong.into_iter().map(|(key, reason)| format!("{key}: {reason}")).collect();
        FaultError::failed("healing", all.join("; "))
    })
}

/// Looks once at everything that the journal of a run's folder says was injected: what is not sound, in words, and
/// what was not healed. Empty when all is sound, as far as anything tells. `proxies` are those of this process.
///
/// # Errors
/// In words, when the journal can't be read.
pub async fn unsound(
    folder: &Path,
    stopwatch: &Stopwatch,
    proxies: Option<Arc<Proxies>>,
) -> Result<Vec<String>, String> {
    let entries = journal::read(folder)?.entries;
    let mut wrong: Vec<String> =
        journal::unhealed(&entries).into_iter().map(|left| format!("`{}` was not healed", left.key.drill)).collect();
    for entry in &entries {
        // It stands with the line that says that it is about to be broken.
        let Some(remedy) = &entry.remedy else { continue };
        let looked = async {
            let fault = compiled(remedy, stopwatch, proxies.clone())?;
            timeout(LOOK_WITHIN, fault.probe(&remedy.undo)).await.unwrap_or_else(|_| {
                Err(FaultError::failed("looking at it", format!("no answer within {} s", LOOK_WITHIN.as_secs())))
            })
        };
        match looked.await {
            Ok(probe) if probe.state != Soundness::Broken => {}
            Ok(probe) => wrong.push(format!("`{}` is not sound: {}", entry.drill, probe.detail)),
            Err(error) => wrong.push(format!("`{}` can't be looked at: {error}", entry.drill)),
        }
    }
    Ok(wrong)
}
