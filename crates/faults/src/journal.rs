//! The journal of drills: each step is on disk before it acts, so that what was injected can be healed
//! after a crash, by another process, on another day.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::mark;
use super::{FaultError, Injected, Undo};
use crate::FaultSpec;
use slatest_core::files::open_regular;
use slatest_core::intact::{has_turned, seal};
use slatest_core::model::{Nanos, redact};

/// The latest instant of a run that a line may name.
const RUN_MAX: Nanos = Nanos::from_secs(400 * 24 * 3600);
/// Name of the journal in a run's folder.
pub const JOURNAL_FILE: &str = "drills.jsonl";
/// Version of what is written.
const VERSION: u32 = 1;
/// Most bytes of one line that are read.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Most lines that are read.
const LINES_MAX: usize = 1_000_000;

/// One line: a step of a drill, before or after it acted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of the line.
    pub version: u32,
    /// Name of the drill.
    pub drill: String,
    /// Which of its repeats, from 1.
    pub repeat: u32,
    /// What is done.
    pub step: Step,
    /// How far it is.
    pub phase: Phase,
    /// The wall clock.
    pub at: Timestamp,
    /// What heals it, with the step that breaks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// That this user wrote the remedy on this machine, see `mark.rs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// When it was injected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injected: Option<Injected>,
    /// What was done, or went wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A step of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It is broken.
    Inject,
    /// It is mended.
    Heal,
    /// It is looked at.
    Verify,
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It begins now.
    AboutTo,
    /// It was done.
    Done,
    /// It failed.
    Failed,
}

/// Everything that healing needs, and no secret: credentials stand in it by where they come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remedy {
    /// The fault, as it was written.
    pub fault: FaultSpec,
    /// What was found out before it was injected.
    pub undo: Undo,
    /// Folder that relative paths start from.
    pub folder: PathBuf,
    /// Hosts that the target allowed.
    pub hosts: Vec<String>,
}

/// A drill in the journal, by its name and repeat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DrillKey {
    /// Name of the drill.
    pub drill: String,
    /// Which of its repeats, from 1.
    pub repeat: u32,
}

impl Entry {
    /// A step of a drill, at this moment.
    pub fn new(key: &DrillKey, step: Step, phase: Phase, detail: impl AsRef<str>) -> Self {
        Self {
            version: VERSION,
            drill: key.drill.clone(),
            repeat: key.repeat,
            step,
            phase,
            at: Timestamp::now(),
            remedy: None,
            mark: None,
            injected: None,
            detail: redact(detail.as_ref()).into_owned(),
        }
    }

    /// Whether its instants are some that a run can come to: what is shown of them takes room by their size.
    fn is_in_time(&self) -> bool {
        self.injected.as_ref().is_none_or(|injected| {
            let reported = injected.reported.as_ref().map_or(Nanos::ZERO, |reported| reported.run);
            [injected.issued.run, injected.acknowledged.run, reported].into_iter().all(|run| run <= RUN_MAX)
        })
    }

    /// Which drill it is of.
    pub fn key(&self) -> DrillKey {
        DrillKey { drill: self.drill.clone(), repeat: self.repeat }
    }
}

/// A journal that is written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal of a run's folder, to be added to.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn open(folder: &Path) -> Result<Self, FaultError> {
        let path = folder.join(JOURNAL_FILE);
        let wrong = |e: std::io::Error| FaultError::Journal { path: path.display().to_string(), reason: e.to_string() };
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(wrong)?;
        // A line that a crash tore off would swallow the next one.
        if !ends_with_line(&mut file).map_err(wrong)? {
            file.write_all(b"\n").map_err(wrong)?;
        }
        // Who heals later must know whether this run still heals by itself. Where locks can't be had, it doesn't.
        if let Err(error) = file.lock_shared() {
            tracing::debug!(%error, "the journal can't be locked");
        }
        // The file's name must outlive a crash, too.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(wrong)?;
        Ok(Self { path, file })
    }

    /// A journal in a file that is open.
    #[cfg(test)]
    pub(super) fn to(path: PathBuf, file: File) -> Self {
        Self { path, file }
    }

    /// Adds a line. When this returns it is on disk.
    ///
    /// # Errors
    /// When it can't be written: don't act then.
    pub fn append(&mut self, entry: &Entry) -> Result<(), FaultError> {
        let wrong = |reason: String| FaultError::Journal { path: self.path.display().to_string(), reason };
        let marked = entry.remedy.as_ref().filter(|_| entry.mark.is_none()).and_then(mark::of);
        let marked = marked.map(|mark| Entry { mark: Some(mark), ..entry.clone() });
        let mut line = serde_json::to_vec(marked.as_ref().unwrap_or(entry)).map_err(|e| wrong(e.to_string()))?;
        seal(&mut line);
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_all()).map_err(|e| wrong(e.to_string()))
    }
}

/// Whether somebody has the journal of a run's folder open to write it: its run is under way, or it is being healed.
pub fn under_way(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(JOURNAL_FILE)) else { return false };
    matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock))
}

fn ends_with_line(file: &mut File) -> std::io::Result<bool> {
    use std::io::{Seek as _, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// What a journal says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// Its lines, in order.
    pub entries: Vec<Entry>,
    /// Lines that can't be read, in words: one that a crash tore off, or of another version.
    pub unreadable: Vec<String>,
}

/// Reads the journal of a run's folder; one that is not there has no lines.
///
/// # Errors
/// In words, when there is one and it can't be read.
pub fn read(folder: &Path) -> Result<Read, String> {
    let path = folder.join(JOURNAL_FILE);
    let wrong = |e: std::io::Error| format!("{} can't be read: {e}", path.display());
    let file = match open_regular(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Read::default()),
        Err(e) => return Err(wrong(e)),
    };
    let mut lines = BufReader::new(file);
    let mut read = Read::default();
    for number in 1..=LINES_MAX {
        let mut line = Vec::new();
        if lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(wrong)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        if has_turned(&line) {
            let reason = format!("line {number}: its checksum is wrong, it has changed since it was written");
            read.unreadable.push(reason);
            continue;
        }
        match serde_json::from_slice::<Entry>(&line) {
            Ok(entry) if !entry.is_in_time() => {
                read.unreadable.push(format!("line {number}: an instant that no run comes to"));
            }
            Ok(entry) if entry.version == VERSION => read.entries.push(entry),
            Ok(entry) => read.unreadable.push(format!("line {number} has version {}", entry.version)),
            Err(e) => read.unreadable.push(format!("line {number}: {e}")),
        }
    }
    Ok(read)
}

/// A drill whose fault was injected, or may have been, and was not healed.
#[derive(Clone, Debug, PartialEq)]
pub struct Unhealed {
    /// Which.
    pub key: DrillKey,
    /// What heals it; none when the line that said so can't be used.
    pub remedy: Option<Remedy>,
    /// Whether this user wrote that on this machine.
    pub own: bool,
    /// When it was about to be injected.
    pub since: Timestamp,
    /// Why healing failed, when it was tried.
    pub tried: Option<String>,
}

/// What was injected and not healed, the last first: what was broken last stands on what was broken before.
pub fn unhealed(entries: &[Entry]) -> Vec<Unhealed> {
    let mut open: Vec<Unhealed> = Vec::new();
    for entry in entries {
        let key = entry.key();
        let at = open.iter().position(|unhealed| unhealed.key == key);
        match (entry.step, entry.phase, at) {
            (Step::Inject, Phase::AboutTo, None) => {
                let own = entry.remedy.as_ref().is_some_and(|remedy| mark::fits(remedy, entry.mark.as_deref()));
                open.push(Unhealed { key, remedy: entry.remedy.clone(), own, since: entry.at, tried: None });
            }
            (Step::Heal, Phase::Done, Some(at)) => drop(open.remove(at)),
            (Step::Heal, Phase::Failed, Some(at)) => open[at].tried = Some(entry.detail.clone()),
            _ => {}
        }
    }
    open.reverse();
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(drill: &str, repeat: u32) -> DrillKey {
        DrillKey { drill: drill.into(), repeat }
    }

    fn entry(drill: &str, repeat: u32, step: Step, phase: Phase) -> Entry {
        let mut entry = Entry::new(&key(drill, repeat), step, phase, "postgres://u:hunter2@db/x");
        if (step, phase) == (Step::Inject, Phase::AboutTo) {
            let text = "{ http: { inject: { post: 'http://127.0.0.1/x', headers: { X: { env: HOOK_TOKEN } } } } }";
            entry.remedy = Some(Remedy {
                fault: serde_saphyr::from_str(text).unwrap(),
                undo: Undo::of(&serde_json::json!({ "pid": 7 })).unwrap(),
                folder: "/targets".into(),
                hosts: vec!["127.0.0.1".into()],
            });
        }
        entry
    }

    /// What was written, without the marks that the journal added.
    fn unmarked(read: &Read) -> Vec<Entry> {
        read.entries.iter().map(|entry| Entry { mark: None, ..entry.clone() }).collect()
    }

    #[test]
    fn what_was_injected_and_not_healed_is_found_with_what_heals_it() {
        use Phase::{AboutTo, Done, Failed};
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        let all = [
            entry("primary", 1, Step::Inject, AboutTo),
            entry("primary", 1, Step::Inject, Done),
            entry("primary", 1, Step::Heal, AboutTo),
            entry("primary", 1, Step::Heal, Done),
            entry("primary", 2, Step::Inject, AboutTo),
            entry("primary", 2, Step::Inject, Failed),
            entry("cache", 1, Step::Inject, AboutTo),
            entry("cache", 1, Step::Heal, AboutTo),
            entry("cache", 1, Step::Heal, Failed),
        ];
        for entry in &all {
            journal.append(entry).unwrap();
        }
        let read = read(folder.path()).unwrap();
        assert_eq!(unmarked(&read), all);
        let left = unhealed(&read.entries);
        assert_eq!(left.iter().map(|u| u.key.clone()).collect::<Vec<_>>(), [key("cache", 1), key("primary", 2)]);
        assert!(left[0].tried.is_some() && left[1].tried.is_none());
        assert_eq!(left[1].remedy, all[4].remedy);
        let text = std::fs::read_to_string(folder.path().join(JOURNAL_FILE)).unwrap();
        assert!(!text.contains("hunter2") && text.contains("HOOK_TOKEN"));
    }

    #[test]
    fn a_line_that_a_crash_tore_off_costs_that_line_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = entry("primary", 1, Step::Inject, Phase::AboutTo);
        Journal::open(folder.path()).unwrap().append(&first).unwrap();
        let path = folder.path().join(JOURNAL_FILE);
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"{\"version\":1,\"drill\":\"prim").unwrap();
        let last = entry("primary", 1, Step::Heal, Phase::Done);
        Journal::open(folder.path()).unwrap().append(&last).unwrap();
        let read = read(folder.path()).unwrap();
        assert_eq!(unmarked(&read), [first, last]);
        assert_eq!(read.unreadable.len(), 1, "{:?}", read.unreadable);
        assert!(unhealed(&read.entries).is_empty());
    }

    /// What a line says is believed whole or not at all: a turned digit of a process to kill is no small thing.
    #[test]
    fn each_bit_that_turns_costs_its_line_and_is_told_and_the_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let steps = [(Step::Inject, Phase::AboutTo), (Step::Inject, Phase::Done), (Step::Heal, Phase::Done)];
        let all = steps.map(|(step, phase)| entry("primary", 1, step, phase));
        let mut journal = Journal::open(folder.path()).unwrap();
        all.iter().for_each(|entry| journal.append(entry).unwrap());
        drop(journal);
        let path = folder.path().join(JOURNAL_FILE);
        let whole = std::fs::read(&path).unwrap();
        let good = read(folder.path()).unwrap();
        assert_eq!((good.entries.len(), good.unreadable.len()), (3, 0));
        for bit in 0..whole.len() * 8 {
            let mut turned = whole.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &turned).unwrap();
            let now = read(folder.path()).unwrap();
            let line = 1 + whole[..bit / 8].iter().filter(|byte| **byte == b'\n').count();
            let told = now.unreadable.first().is_some_and(|reason| reason.contains(&format!("line {line}")));
            assert!(told || now == good, "bit {bit}: {:?}", now.unreadable);
            assert!(now.entries.iter().all(|entry| good.entries.contains(entry)), "bit {bit}");
            assert_eq!(std::fs::read(&path).unwrap(), turned);
        }
    }

    /// A number of any size is read or refused; what shows it never takes room by it.
    #[test]
    fn absurd_instants_are_left_out_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut done = entry("primary", 1, Step::Inject, Phase::Done);
        let moment = crate::Moment { wall: done.at, run: Nanos::from_secs(4) };
        let injected = Injected { issued: moment, acknowledged: moment, reported: None, detail: String::new() };
        done.injected = Some(injected);
        let line = serde_json::to_string(&done).unwrap();
        for absurd in ["18446744073709551615", "1e308", "-1", "9223372036854775808", "99999999999999999999999", "null"]
        {
            for at in 0..2 {
                let mut parts: Vec<&str> = line.split("4000000000").collect();
                assert_eq!(parts.len(), 3, "{line}");
                let mut text = parts.remove(0).to_owned();
                for (index, part) in parts.into_iter().enumerate() {
                    text += if index == at { absurd } else { "4000000000" };
                    text += part;
                }
                std::fs::write(folder.path().join(JOURNAL_FILE), text + "\n").unwrap();
                let read = read(folder.path()).unwrap();
                assert!(read.entries.is_empty() && read.unreadable[0].starts_with("line 1"), "{absurd}: {read:?}");
            }
        }
    }

    #[test]
    fn who_writes_it_is_seen_until_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!under_way(folder.path()));
        let first = Journal::open(folder.path()).unwrap();
        let second = Journal::open(folder.path()).unwrap();
        drop(first);
        assert!(under_way(folder.path()));
        drop(second);
        assert!(!under_way(folder.path()));
    }

    #[test]
    fn no_journal_is_no_mistake_and_one_that_can_t_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(super::read(folder.path()).unwrap(), Read::default());
        let error = Journal::open(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("drills.jsonl"), "{error}");
    }
}
