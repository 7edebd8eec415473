//! A fault by a signal.

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProcessFault;
use crate::program::Program;
use crate::{Fault, FaultContext, FaultSection, Mistake};
use slatest_core::target::Guard;

/// Signals a process of this machine and all that it started.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessSpec {
    /// File whose first line is the process's id and whose second is its start time in clock ticks since
    /// boot (field 22 of /proc/PID/stat): a number that was given out again is never taken for it.
    pub pid_file: String,
    /// What is done to it.
    pub signal: ProcessSignal,
    /// Only those of its children whose command line contains this (`walreceiver`); itself and all of them
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// Starts again what was ended. It writes the pid file anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Program>,
    /// Looks, where the process is there and goes on, whether all that hangs on it is well too: exit code 0
    /// says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Program>,
}

/// What is done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessSignal {
    /// Ended at once, with all its children (SIGKILL).
    Kill,
    /// Asked to end (SIGTERM); its children are its own to end.
    Terminate,
    /// Held where it is (SIGSTOP), until it is healed (SIGCONT).
    Stop,
    /// Let go on (SIGCONT): undoes what somebody else has stopped.
    Continue,
}

impl FaultSection for ProcessSpec {
    fn programs(&self) -> Vec<&str> {
        [&self.restart, &self.probe].into_iter().flatten().map(|program| program.program.as_str()).collect()
    }

    fn compile(&self, context: &FaultContext) -> Result<Arc<dyn Fault>, Mistake> {
        Ok(Arc::new(ProcessFault::new(self, context)))
    }

    fn mistakes(&self, folder: &Path, _: &Guard, found: &mut Vec<Mistake>) {
        if self.pid_file.trim().is_empty() {
            found.push(("pid_file".into(), "names no file".into()));
        }
        if self.only.as_ref().is_some_and(|only| only.trim().is_empty()) {
            found.push(("only".into(), "would fit every process: name a part of a command line".into()));
        }
        if let Some(restart) = &self.restart {
            if matches!(self.signal, ProcessSignal::Stop | ProcessSignal::Continue) {
                let message = "goes with kill and terminate: what was stopped is continued, not started again";
                found.push(("restart".into(), message.into()));
            }
            restart.mistakes("restart", folder, found);
        }
        if let Some(probe) = &self.probe {
            probe.mistakes("probe", folder, found);
        }
    }
}
