//! Writing a run as it goes.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::agents::agents;
use super::figures::figures;
use super::hlog;
use super::over_time::over_time;
use super::read::load;
use super::{LOG_FILE, Machine, Opening, RECORD_FILE, RunRecord, RunResult, Status, StoreError, VERSION, WINDOWS_FILE};
use crate::load::{Judged, RunFacts};
use crate::profile::Plan;
use slatest_core::intact::{seal, seal_document};
use slatest_core::measure::Window;
use slatest_core::model::{redact, redact_value};

/// How often another id is tried where a folder of that name exists.
const ID_TRIES: usize = 8;
/// Most notices that are kept.
const NOTICES_MAX: usize = 200;

/// A run being written. What was handed to it is in the files when each call returns; a killed run
/// loses at most the window that was open.
#[derive(Debug)]
pub struct RunWriter {
    record: RunRecord,
    windows: Appended,
    log: Appended,
}

impl RunWriter {
    /// Makes the run's folder under `base` (made too when absent) and writes what is known.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn create(base: &Path, mut opening: Opening) -> Result<Self, StoreError> {
        clean(&mut opening);
        let (id, folder) = result_folder(base, &opening.plan.profile, opening.started)?;
        let record = RunRecord {
            version: VERSION,
            id,
            status: Status::Running,
            started: opening.started,
            ended: None,
            slatest: env!("CARGO_PKG_VERSION").into(),
            command: opening.command,
            seed: opening.plan.seed,
            target: opening.target,
            machine: Machine::this(),
            health: opening.health,
            notices: Vec::new(),
            result: RunResult::default(),
            plan: opening.plan,
            folder,
        };
        save(&record)?;
        Self::begin(record)
    }

    /// Goes on with a run that was killed. Its windows are written anew: whoever resumes it has them all.
    ///
    /// # Errors
    /// When there is no such run, it has ended already, or the file system says no.
    pub fn resume(folder: &Path) -> Result<Self, StoreError> {
        let record = resumable(folder)?;
        for file in [WINDOWS_FILE, LOG_FILE] {
            let path = folder.join(file);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io(&path, "removed")(error));
                }
                _ => {}
            }
        }
        Self::begin(record)
    }

    fn begin(record: RunRecord) -> Result<Self, StoreError> {
        let windows = Appended::create(&record.folder.join(WINDOWS_FILE))?;
        let mut log = Appended::create(&record.folder.join(LOG_FILE))?;
        let started = record.started;
        log.append(|out| hlog::write_head(out, started))?;
        Ok(Self { record, windows, log })
    }

    /// The run's clock read zero then: where agents had to be awaited, long after the record was made.
    /// For before the first window.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn starts(&mut self, zero: Timestamp) -> Result<(), StoreError> {
        self.record.started = zero;
        save(&self.record)?;
        self.log.empty()?;
        self.log.append(|out| hlog::write_head(out, zero))
    }

    /// What is to be done.
    pub const fn plan(&self) -> &Plan {
        &self.record.plan
    }

    /// Name of the target.
    pub fn target(&self) -> &str {
        &self.record.target.name
    }

    /// Where the run is written.
    pub fn folder(&self) -> &Path {
        &self.record.folder
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Appends a window that closed.
    ///
    /// # Errors
    /// When the file system says no; the files then end with the window before.
    pub fn window(&mut self, window: &Window) -> Result<(), StoreError> {
        self.windows.append(|out| {
            serde_json::to_writer(&mut *out, window)?;
            seal(out);
            out.push(b'\n');
            Ok(())
        })?;
        let plan = &self.record.plan;
        self.log.append(|out| hlog::write_window(out, plan, window))
    }

    /// Keeps something that the reader of the record should know. Beyond a bound they are dropped.
    pub fn notice(&mut self, notice: impl Into<String>) {
        if self.record.notices.len() < NOTICES_MAX {
            self.record.notices.push(redact(&notice.into()).into_owned());
        }
    }

    /// Writes what came of the run, and gives its record.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn finish(self, facts: &RunFacts, judged: Judged, ended: Timestamp) -> Result<RunRecord, StoreError> {
        let (record, written) = self.finish_anyway(facts, judged, ended);
        written.map(|()| record)
    }

    /// The same, with the record also where it could not be written.
    pub fn finish_anyway(
        mut self,
        facts: &RunFacts,
        judged: Judged,
        ended: Timestamp,
    ) -> (RunRecord, Result<(), StoreError>) {
        self.record.status = match facts {
            RunFacts { interrupted: true, .. } => Status::Interrupted,
            RunFacts { aborted: Some(_), .. } => Status::Aborted,
            _ => Status::Finished,
        };
        self.record.ended = Some(ended);
        self.record.result = result(&self.record.plan, facts, judged);
        let written = self.windows.sync().and_then(|()| self.log.sync());
        // The record is worth the most: it is tried whatever became of the rest.
        let saved = save(&self.record);
        (self.record, written.and(saved))
    }
}

/// The record of a run that did not come to its end.
///
/// # Errors
/// When there is no such run, or it has ended already.
pub fn resumable(folder: &Path) -> Result<RunRecord, StoreError> {
    let record = load(folder)?;
    if record.status == Status::Running { Ok(record) } else { Err(StoreError::Ended { id: record.id }) }
}

/// Takes credentials out of what a user typed.
fn clean(opening: &mut Opening) {
    redact_value(&mut opening.target.definition);
    for text in opening.command.iter_mut().chain(opening.health.iter_mut().map(|line| &mut line.message)) {
        *text = redact(text).into_owned();
    }
}

/// What came of a run, from its facts and what is said of it.
pub(super) fn result(plan: &Plan, facts: &RunFacts, judged: Judged) -> RunResult {
    let (operations, total, generator) = figures(plan, facts);
    RunResult {
        verdict: judged.verdict,
        objectives: judged.objectives,
        validity: judged.validity,
        findings: facts.findings.clone(),
        operations,
        total,
        generator,
        agents: agents(facts),
        drills: judged.drills,
        incidents: judged.incidents,
        over_time: over_time(plan, facts),
        length: facts.length,
    }
}

/// Makes a folder `<UTC time>-<label>-<short id>` under `base` (made too when absent); its name and where
/// it is.
///
/// # Errors
/// When the file system says no.
pub fn result_folder(base: &Path, label: &str, started: Timestamp) -> Result<(String, PathBuf), StoreError> {
    fs::create_dir_all(base).map_err(StoreError::io(base, "created"))?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let label: String = label.chars().take(80).map(plain).collect();
    let time = started.strftime("%Y%m%dT%H%M%SZ");
    let mut tries = 0;
    loop {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let id = format!("{time}-{label}-{}", &unique[..6]);
        let folder = base.join(&id);
        tries += 1;
        match fs::create_dir(&folder) {
            Ok(()) => return Ok((id, folder)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && tries < ID_TRIES => {}
            Err(e) => return Err(StoreError::io(&folder, "created")(e)),
        }
    }
}

fn save(record: &RunRecord) -> Result<(), StoreError> {
    save_json(&record.folder, RECORD_FILE, record)
}

/// Writes a value as `name` in a folder, without anything that looks like a credential, and with a checksum as its last
/// field. Replaces what was there in one step: a reader sees the old one or the new one.
///
/// # Errors
/// When the file system says no.
pub fn save_json(folder: &Path, name: &str, value: &impl serde::Serialize) -> Result<(), StoreError> {
    let path = folder.join(name);
    let text = to_json(value).map_err(|e| StoreError::malformed(&path, None, e))?;
    let fresh = folder.join(format!("{name}.new"));
    let written = || -> std::io::Result<()> {
        let mut file = File::create(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(StoreError::io(&path, "written"))
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut value = value.serialize(serde_json::value::Serializer)?;
    redact_value(&mut value);
    let mut text = serde_json::to_vec_pretty(&value)?;
    text.push(b'\n');
    seal_document(&mut text);
    Ok(text)
}

/// A file that grows by whole pieces: each is put together in memory and written at once.
#[derive(Debug)]
struct Appended {
    path: PathBuf,
    file: File,
    piece: Vec<u8>,
}

impl Appended {
    fn create(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new().create_new(true).append(true).open(path);
        Ok(Self { path: path.to_owned(), file: file.map_err(StoreError::io(path, "created"))?, piece: Vec::new() })
    }

    fn append(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Result<(), StoreError> {
        self.piece.clear();
        fill(&mut self.piece)
            .and_then(|()| self.file.write_all(&self.piece))
            .map_err(StoreError::io(&self.path, "written"))
    }

    fn empty(&self) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(StoreError::io(&self.path, "emptied"))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(StoreError::io(&self.path, "written"))
    }
}
