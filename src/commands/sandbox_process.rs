//! The sandbox of a run: another process, so that it can be killed for real and its CPU is not the
//! generator's.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::process::end_by;
use slatest_core::source::Source;
use slatest_sandbox::Ready;

/// How long the sandbox may take until it is ready.
const READY: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END: Duration = Duration::from_secs(5);

/// A sandbox that lives as long as this value.
#[derive(Debug)]
pub struct SandboxProcess {
    child: Child,
    ready: Ready,
}

impl SandboxProcess {
    /// Starts one from this very program and waits until it is ready. `extra` are further flags of
    /// `slatest sandbox`.
    ///
    /// # Errors
    /// In words, when it can't be started or isn't ready in time.
    pub fn start(extra: &[String]) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|e| format!("this program's own path is unknown: {e}"))?;
        let mut command = Command::new(program);
        // What a stack on this machine exports for its own sandboxes is not for the embedded one.
        for part in ["POSTGRES", "REDIS", "KAFKA", "AMQP"] {
            command.env_remove(format!("SLATEST_SANDBOX_{part}"));
        }
        let mut child = command
            .args(["sandbox", "--ready-json", "--exit-with-parent"])
            .args(extra)
            // A group of its own: Ctrl-C is for the run, which ends the sandbox when it is done.
            .process_group(0)
            // Its end is its sign that we are gone.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|e| format!("the sandbox can't be started: {e}"))?;
        let stdout = child.stdout.take();
        let (tell, told) = mpsc::sync_channel(1);
        // Reading a pipe can't be given a limit, so a thread does it; it ends with the pipe.
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            if let Some(stdout) = stdout {
                let mut lines = BufReader::new(stdout);
                let read = lines.read_line(&mut line);
                let _ = tell.send(read.map(|_| line));
                // Kept open, or the sandbox would get an error when it prints.
                let _ = std::io::copy(&mut lines, &mut std::io::sink());
            }
        });
        drop(reader);
        let line = told.recv_timeout(READY);
        let ready = match line {
            Ok(Ok(line)) => serde_json::from_str::<Ready>(&line)
                .map_err(|e| format!("the sandbox ended or said something unexpected before it was ready: {e}")),
            Ok(Err(e)) => Err(format!("the sandbox's output can't be read: {e}")),
            Err(_) => Err(format!("the sandbox was not ready within {} s", READY.as_secs())),
        };
        match ready {
            Ok(ready) => Ok(Self { child, ready }),
            Err(reason) => {
                // Nothing to be done about a child that is already gone.
                let _ = child.kill();
                let _ = child.wait();
                Err(reason)
            }
        }
    }

    /// The target file that points to it.
    pub fn target(&self) -> Source {
        Source::new("built-in sandbox target", self.ready.to_target(), ".")
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        // Closing its standard input asks it to end and clean up; what does not is killed.
        drop(self.child.stdin.take());
        end_by(&mut self.child, Instant::now() + END);
    }
}
