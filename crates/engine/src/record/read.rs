//! Reading a run back.

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::windows::Windows;
use super::write::result;
use super::{RECORD_FILE, RunRecord, SERIES_FILE, SERIES_VERSION, Series, Status, StoreError, VERSION};
use crate::load::{KilledDrills, Resources, RunFacts, judge, shapes};
use slatest_core::files::open_regular;
use slatest_core::intact::document_has_turned;
use slatest_core::measure::Timeline;
use slatest_core::model::Nanos;
use slatest_faults::journal::{self, Entry, JOURNAL_FILE, Phase, Step};
use slatest_stats::Heal;

/// Largest record that is read, in bytes.
const RECORD_BYTES_MAX: u64 = 256 << 20;

/// What every version of the format has.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// Reads the record of a run. One that did not come to its end (it was killed, or is still under
/// way) is rebuilt from its windows and judged as interrupted; a notice says so.
///
/// # Errors
/// When the folder holds no record, or one that can't be understood.
pub fn read(folder: &Path) -> Result<RunRecord, StoreError> {
    let mut record = load(folder)?;
    if record.status == Status::Running {
        rebuild(&mut record)?;
    } else {
        healed_since(&mut record);
    }
    Ok(record)
}

/// Reads the account of a series as it stands in its file.
///
/// # Errors
/// When the folder holds none, or one that can't be understood.
pub fn read_series(folder: &Path) -> Result<Series, StoreError> {
    read_json(&folder.join(SERIES_FILE), SERIES_VERSION)
}

/// Reads the record as it stands in its file.
pub(super) fn load(folder: &Path) -> Result<RunRecord, StoreError> {
    let mut record: RunRecord = read_json(&folder.join(RECORD_FILE), VERSION)?;
    folder.clone_into(&mut record.folder);
    Ok(record)
}

/// What a run left broken may have been mended later: its journal says so.
fn healed_since(record: &mut RunRecord) {
    if !record.result.drills.iter().any(|drill| matches!(drill.heal, Heal::Failed(_))) {
        return;
    }
    // Without a journal nobody mended anything.
    let Ok(journal) = journal::read(&record.folder) else { return };
    for drill in &mut record.result.drills {
        let healed = |entry: &&Entry| (&entry.drill, entry.step, entry.phase) == (&drill.name, Step::Heal, Phase::Done);
        if let Heal::Failed(reason) = &drill.heal
            && let Some(done) = journal.entries.iter().rfind(healed)
        {
            let text = format!(
                "drill {}: healing failed in the run ({reason}), and was done later, at {}",
                drill.name, done.at
            );
            record.notices.push(text);
            drill.heal = Heal::Done(Nanos::from(done.at.duration_since(record.started).unsigned_abs()));
        }
    }
}

/// What the journal of a run that was killed says of its drills.
fn drills(record: &mut RunRecord) -> KilledDrills {
    if record.plan.drills.is_empty() {
        return KilledDrills::default();
    }
    let journal = journal::read(&record.folder).unwrap_or_else(|reason| {
        record.notices.push(format!("what became of the drills is not known: {reason}"));
        journal::Read::default()
    });
    for line in &journal.unreadable {
        record.notices.push(format!("{JOURNAL_FILE}: {line}; it was left out"));
    }
    KilledDrills::of(&record.plan, &journal.entries, record.started)
}

/// Reads a file of JSON that says its `version`, as [`save_json`](super::save_json) writes it.
///
/// # Errors
/// When it is not there, can't be understood, is of another version, or its checksum says that it has changed since it was
/// written. One without a checksum is of an older slatest, and is believed.
pub fn read_json<T: DeserializeOwned>(path: &Path, version: u32) -> Result<T, StoreError> {
    let mut text = Vec::new();
    let file = open_regular(path).map_err(StoreError::io(path, "read"))?;
    file.take(RECORD_BYTES_MAX).read_to_end(&mut text).map_err(StoreError::io(path, "read"))?;
    if document_has_turned(&text) {
        return Err(StoreError::Turned { path: path.to_owned() });
    }
    let malformed = |e: serde_json::Error| StoreError::malformed(path, Some(e.line() as u64), e);
    let Versioned { version: found } = serde_json::from_slice(&text).map_err(malformed)?;
    if found != u64::from(version) {
        return Err(StoreError::Version { path: path.to_owned(), found, supported: version });
    }
    serde_json::from_slice(&text).map_err(malformed)
}

fn rebuild(record: &mut RunRecord) -> Result<(), StoreError> {
    let mut drills = drills(record);
    let mut timeline = Timeline::new(&shapes(&record.plan));
    let mut torn = false;
    if let Some(mut windows) = Windows::open(&record.folder)? {
        while let Some(window) = windows.next()? {
            timeline.add(&window);
            drills.window(&window);
        }
        torn = windows.torn;
    }
    record.notices.push(format!(
        "this run did not come to its end (it was killed, or is still under way): what is shown was rebuilt from its {} \
         closed windows{}",
        timeline.windows,
        if torn { "; the last line of windows.jsonl was torn and left out" } else { "" }
    ));
    let facts = RunFacts {
        drills: drills.into_facts(&record.plan, timeline.end),
        length: timeline.end,
        timeline,
        scheduled: 0,
        fired: 0,
        interrupted: true,
        aborted: None,
        arrival_law: Vec::new(),
        resources: Resources::default(),
        findings: Vec::new(),
        agents: Vec::new(),
    };
    record.status = Status::Interrupted;
    let judged = judge(&record.plan, &facts);
    record.result = result(&record.plan, &facts, judged);
    Ok(())
}
