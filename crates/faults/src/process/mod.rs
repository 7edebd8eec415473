//! Signals a process that a pid file names, and what it started.
//!
//! A tree is killed in two rounds: it is stopped from its root, again until nobody new appears, and then killed.
//! A parent that is killed first leaves orphans that go on: PostgreSQL's commit for some milliseconds more.

mod settings;

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

pub use settings::{ProcessSignal, ProcessSpec};

use super::process_tree::{Life, ProcessId, descendants};
use super::program::Runner;
use super::registry::{FaultContext, path_from};
use super::{Fault, FaultError, Injected, Probe, Stopwatch, Undo};
use slatest_core::model::{Nanos, Span};

/// How often new children are looked for while a tree is being stopped; each round finds fewer.
const ROUNDS_MAX: usize = 50;
/// How long a killed process may take to be gone.
const GONE_WITHIN: Span = Span(Nanos::from_secs(10));
/// How often it is looked whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Signals a process.
pub(super) struct ProcessFault {
    pid_file: PathBuf,
    signal: ProcessSignal,
    only: Option<String>,
    restart: Option<Runner>,
    probe: Option<Runner>,
    stopwatch: Stopwatch,
}

/// What healing needs to know.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    root: ProcessId,
    /// What it had started when it was looked at, or those of it that are meant.
    children: Vec<ProcessId>,
}

impl ProcessFault {
    pub fn new(spec: &ProcessSpec, context: &FaultContext) -> Self {
        let runner = |program| Runner::new(program, &context.folder);
        Self {
            pid_file: path_from(&context.folder, &spec.pid_file),
            signal: spec.signal,
            only: spec.only.clone(),
            restart: spec.restart.as_ref().map(runner),
            probe: spec.probe.as_ref().map(runner),
            stopwatch: context.stopwatch.clone(),
        }
    }

    /// The name of the pid file, which is what people call the process.
    fn name(&self) -> String {
        self.pid_file
            .file_stem()
            .map_or_else(|| self.pid_file.display().to_string(), |n| n.to_string_lossy().into_owned())
    }

    /// What the pid file means, if that is there.
    fn root(&self) -> Result<ProcessId, FaultError> {
        let root = ProcessId::read(&self.pid_file)?;
        if root.life() == Life::Gone {
            return Err(FaultError::Refused(format!(
                "process {} of {} has ended, or its number is another process's by now (it does not have the start time {} of the pid file)",
                root.pid,
                self.pid_file.display(),
                root.started
            )));
        }
        Ok(root)
    }

    /// Those that are signalled besides the root.
    fn children(&self, root: ProcessId) -> Result<Vec<ProcessId>, FaultError> {
        // Of another process of its number, nothing is its child.
        let mut children = if root.life() == Life::Gone { Vec::new() } else { descendants(root)? };
        if let Some(only) = &self.only {
            children.retain(|child| child.command_line().contains(only));
        }
        Ok(children)
    }

    /// Stops a tree so that nobody in it can start anybody new, and gives all of it.
    async fn stop_all(&self, root: ProcessId) -> Result<Vec<ProcessId>, FaultError> {
        let mut stopped = if self.only.is_none() { vec![root] } else { Vec::new() };
        for process in &stopped {
            process.signal(Signal::STOP)?;
        }
        let mut found = false;
        for _ in 0..ROUNDS_MAX {
            // Looked at before the children are: who runs now can start one that is not seen.
            let running = stopped.iter().any(|process| process.life() == Life::Alive);
            let new: Vec<_> = self.children(root)?.into_iter().filter(|child| !stopped.contains(child)).collect();
            found = !new.is_empty();
            if !found && !running {
                return Ok(stopped);
            }
            for child in new {
                child.signal(Signal::STOP)?;
                stopped.push(child);
            }
            if running && !found {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        if !found {
            // Who waits for a disk stops when that answers, and starts nobody before.
            return Ok(stopped);
        }
        let reason = format!("it starts children faster than they can be stopped ({} so far)", stopped.len());
        Err(FaultError::failed(format!("stopping process {}", root.pid), reason))
    }

    async fn act(&self, root: ProcessId) -> Result<String, FaultError> {
        match self.signal {
            ProcessSignal::Kill => {
                let all = self.stop_all(root).await?;
                for process in &all {
                    process.signal(Signal::KILL)?;
                }
                let gone = async {
                    while all.iter().any(|process| process.life() != Life::Gone) {
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                };
                let late = |_| FaultError::Slow { doing: format!("killing process {}", root.pid), limit: GONE_WITHIN };
                tokio::time::timeout(GONE_WITHIN.0.as_duration(), gone).await.map_err(late)?;
                Ok(format!("killed {}", count(all.len())))
            }
            ProcessSignal::Terminate => {
                let all = if self.only.is_none() { vec![root] } else { self.children(root)? };
                for process in &all {
                    process.signal(Signal::TERM)?;
                }
                Ok(format!("asked {} to end", count(all.len())))
            }
            ProcessSignal::Stop => self.stop_all(root).await.map(|all| format!("stopped {}", count(all.len()))),
            ProcessSignal::Continue => self.go_on(root, &[]),
        }
    }

    /// Lets everything of a tree go on, children first, so that a parent finds them awake.
    fn go_on(&self, root: ProcessId, children: &[ProcessId]) -> Result<String, FaultError> {
        let mut all = children.to_vec();
        all.extend(self.children(root)?);
        all.sort_unstable();
        all.dedup();
        if self.only.is_none() {
            all.push(root);
        }
        let mut gone_on = 0;
        let mut wrong = None;
        for process in &all {
            match process.signal(Signal::CONT) {
                Ok(there) => gone_on += usize::from(there),
                // The others are let go all the same.
                Err(error) => wrong = Some(error),
            }
        }
        wrong.map_or_else(|| Ok(format!("continued {}", count(gone_on))), Err)
    }
}

fn count(processes: usize) -> String {
    if processes == 1 { "1 process".into() } else { format!("{processes} processes") }
}

impl Fault for ProcessFault {
    fn describe(&self) -> String {
        let does = match self.signal {
            ProcessSignal::Kill => "kills",
            ProcessSignal::Terminate => "terminates",
            ProcessSignal::Stop => "stops",
            ProcessSignal::Continue => "continues",
        };
        let name = self.name();
        match &self.only {
            Some(only) => format!("{does} the children of {name} whose command line contains `{only}`"),
            None if self.signal == ProcessSignal::Terminate => format!("{does} {name}"),
            None => format!("{does} {name} and all its children"),
        }
    }

    fn remedy(&self) -> Option<String> {
        match (self.signal, &self.restart) {
            (ProcessSignal::Stop, _) => Some("continues what was stopped (SIGCONT)".into()),
            (_, restart) => restart.as_ref().map(|restart| format!("runs `{}`", restart.words())),
        }
    }

    fn rights(&self) -> String {
        format!("to signal the process that {} names: its user's, or root's", self.pid_file.display())
    }

    fn plan(&self) -> BoxFuture<'_, Result<Undo, FaultError>> {
        Box::pin(async {
            let root = self.root()?;
            let children = self.children(root)?;
            if let (Some(only), true) = (&self.only, children.is_empty()) {
                let name = self.name();
                return Err(FaultError::Refused(format!("no child of {name} has `{only}` in its command line")));
            }
            for program in [&self.restart, &self.probe].into_iter().flatten() {
                program.find()?;
            }
            Undo::of(&Known { root, children })
        })
    }

    fn inject<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<Injected, FaultError>> {
        Box::pin(async {
            let Known { root, .. } = undo.read()?;
            if root.life() == Life::Gone {
                return Err(FaultError::Refused(format!("process {} has ended meanwhile", root.pid)));
            }
            let issued = self.stopwatch.now();
            let detail = self.act(root).await?;
            Ok(Injected { issued, acknowledged: self.stopwatch.now(), reported: None, detail })
        })
    }

    fn probe<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Probe, FaultError>> {
        Box::pin(async {
            // A restart writes the pid file anew.
            let root = ProcessId::read(&self.pid_file)?;
            let stopped = match root.life() {
                Life::Gone => return Ok(Probe::found(false, format!("process {} is gone", root.pid))),
                Life::Stopped => return Ok(Probe::found(false, format!("process {} is stopped", root.pid))),
                Life::Alive => self.children(root)?.iter().filter(|c| c.life() == Life::Stopped).count(),
            };
            if stopped > 0 {
                let words = format!("process {} is there, {} of it stopped", root.pid, count(stopped));
                return Ok(Probe::found(false, words));
            }
            let Some(probe) = &self.probe else {
                return Ok(Probe::found(true, format!("process {} is there", root.pid)));
            };
            let ended = probe.run().await?;
            let words = format!("process {} is there; `{}`: {}", root.pid, probe.words(), ended.said());
            Ok(Probe::found(ended.success, words))
        })
    }

    fn heal<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<String, FaultError>> {
        Box::pin(async {
            let Known { root, children } = undo.read()?;
            // A kill that was broken off has stopped what it did not come to kill.
            let mut words = match self.signal {
                ProcessSignal::Stop | ProcessSignal::Kill => self.go_on(root, &children)?,
                ProcessSignal::Terminate | ProcessSignal::Continue => "nothing was left stopped".into(),
            };
            if let Some(restart) = &self.restart {
                let now = ProcessId::read(&self.pid_file);
                if now.as_ref().is_ok_and(|now| now.life() != Life::Gone) {
                    return Ok(format!("{words}; {} is there, so it was not started again", self.name()));
                }
                let ended = restart.run().await?;
                let run = format!("`{}`", restart.words());
                if !ended.success {
                    return Err(FaultError::failed(run, ended.said()));
                }
                words = format!("{run}: {}", ended.words);
            }
            Ok(words)
        })
    }
}

#[cfg(test)]
mod postgres;
#[cfg(test)]
mod tests;
