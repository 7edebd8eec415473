//! Processes of this machine: which one a pid file means, and what it started.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use procfs::process::{Process, all_processes};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::FaultError;
use slatest_core::files::read_text;

/// Most bytes of a pid file.
const PID_FILE_BYTES_MAX: u64 = 4096;

/// Most processes of one tree.
const PROCESSES_MAX: usize = 10_000;

/// A process, told apart from a later one of the same number by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot (field 22 of /proc/PID/stat).
    pub started: u64,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It runs, or waits for something.
    Alive,
    /// It was stopped.
    Stopped,
    /// It is gone, or only its parent has not taken notice.
    Gone,
}

impl ProcessId {
    /// The process that a pid file means, alive or not.
    ///
    /// # Errors
    /// In words, when the file is not one of those.
    pub fn read(file: &Path) -> Result<Self, FaultError> {
        let refused = |reason: String| FaultError::Refused(format!("the pid file {} {reason}", file.display()));
        let text = read_text(file, PID_FILE_BYTES_MAX).map_err(|error| refused(error.to_string()))?;
        let mut lines = text.lines().map(str::trim);
        let pid = lines.next().and_then(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 1);
        let pid = pid.ok_or_else(|| refused("holds no process id in its first line".into()))?;
        let started = lines.next().and_then(|line| line.parse::<u64>().ok());
        let started = started.ok_or_else(|| {
            refused(format!(
                "holds no start time in its second line, without which {pid} could be anybody's by now; write field 22 of /proc/{pid}/stat there"
            ))
        })?;
        Ok(Self { pid, started })
    }

    /// What it is doing. Another process of its number is not it.
    pub fn life(self) -> Life {
        match Process::new(self.pid).and_then(|process| process.stat()) {
            Ok(stat) if stat.starttime != self.started || matches!(stat.state, 'Z' | 'X' | 'x') => Life::Gone,
            Ok(stat) if matches!(stat.state, 'T' | 't') => Life::Stopped,
            Ok(_) => Life::Alive,
            Err(_) => Life::Gone,
        }
    }

    /// Sends it a signal, and nobody else: what is signalled is held open, then seen to be it.
    /// `false` when it is gone.
    ///
    /// # Errors
    /// When that is not allowed.
    pub fn signal(self, signal: Signal) -> Result<bool, FaultError> {
        let doing = || format!("signalling process {}", self.pid);
        let Some(process) = self.open().map_err(|e| FaultError::failed(doing(), e))? else { return Ok(false) };
        match pidfd_send_signal(&process, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(rustix::io::Errno::PERM) => {
                let reason = "not permitted; run slatest as the process's user or as root";
                Err(FaultError::failed(doing(), reason))
            }
            Err(e) => Err(FaultError::failed(doing(), e)),
        }
    }

    fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) if self.life() != Life::Gone => Ok(Some(process)),
            Ok(_) | Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Its command line, as far as it has one.
    pub fn command_line(self) -> String {
        let process = Process::new(self.pid).ok();
        let words = process.and_then(|process| process.cmdline().ok()).unwrap_or_default();
        // Servers write their state into it and leave the rest of its room as it was.
        words.join(" ").trim_end_matches([' ', '\0']).to_owned()
    }
}

/// Everything that `root` started and that is there, with what that started, in the order of the numbers.
///
/// # Errors
/// When /proc can't be read, or there is too much.
pub(super) fn descendants(root: ProcessId) -> Result<Vec<ProcessId>, FaultError> {
    let failed =
        |reason: String| FaultError::failed(format!("looking for the children of process {}", root.pid), reason);
    let mut children: BTreeMap<i32, Vec<ProcessId>> = BTreeMap::new();
    for process in all_processes().map_err(|e| failed(e.to_string()))? {
        // What ends while it is looked at is no longer there.
        let Ok(stat) = process.and_then(|process| process.stat()) else { continue };
        if !matches!(stat.state, 'Z' | 'X' | 'x') {
            children.entry(stat.ppid).or_default().push(ProcessId { pid: stat.pid, started: stat.starttime });
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for child in children.remove(&parent.pid).unwrap_or_default() {
            found.push(child);
            parents.push(child);
        }
        if found.len() > PROCESSES_MAX {
            return Err(failed(format!("there are more than {PROCESSES_MAX}")));
        }
    }
    found.sort_unstable();
    Ok(found)
}
