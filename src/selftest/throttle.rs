//! A generator that gets too little of its processor says that its run is void.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::act::{ActError, write_workloads};
use super::cases::throttled_profile;
use super::table::Row;
use slatest_core::model::Verdict;
use slatest_core::source::Source;
use slatest_engine::record;

/// In each turn the generator stands still for this long …
const STOPPED: Duration = Duration::from_millis(60);
/// … and then may run for this long.
const RUNNING: Duration = Duration::from_millis(40);
/// Longest time for all of it; it sends for 4 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where its result goes.
const RESULTS: &str = "results";

/// Runs `program run` (this very program) with a plain plan, taking the processor away from it for six
/// tenths of the time, and looks what it says of itself. Blocks for some seconds.
///
/// # Errors
/// When its files can't be written.
pub fn throttled(program: &Path, folder: &Path, target: &Source) -> Result<Row, ActError> {
    write_workloads(folder)?;
    for (name, text) in [("throttled.yaml", throttled_profile()), ("target.yaml", target.text.to_string())] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| ActError::Files { path, error })?;
    }
    let row =
        |measured: String, holds| Row::new("a generator without processor", "VOID, by exit code 97", measured, holds);
    let mut command = Command::new(program);
    command
        .args(["run", "--profile", "./throttled.yaml", "--target", "./target.yaml", "--quiet", "--out", RESULTS])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let ended = command.spawn().map(Throttled).and_then(|mut child| child.run());
    let status = match ended {
        Ok(Some(status)) => status,
        Ok(None) => return Ok(row(format!("still running after {} s", PATIENCE.as_secs()), false)),
        Err(error) => return Ok(row(format!("it could not be run: {error}"), false)),
    };
    let code = status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
    let record = record::locate(&folder.join(RESULTS), "latest").and_then(|folder| record::read(&folder));
    let Ok(record) = record else { return Ok(row(format!("{code}, and no result"), false)) };
    let reasons: Vec<String> = record
        .result
        .validity
        .iter()
        .filter(|check| check.voids())
        .map(|check| format!("{} {}", check.name, check.measured))
        .collect();
    let holds = status.code() == Some(97) && record.result.verdict == Verdict::Void && !reasons.is_empty();
    let measured = format!("{}, {code}", record.result.verdict.name().to_uppercase());
    Ok(row(measured, holds).with_words(reasons.join("; ")))
}

/// A child that stands still every now and then. Killed when dropped: nobody would wake it any more.
struct Throttled(Child);

impl Throttled {
    /// To its end; none when it takes too long.
    fn run(&mut self) -> std::io::Result<Option<ExitStatus>> {
        let pid = Pid::from_raw(self.0.id().cast_signed());
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            // Not waited for yet, so the id is still the child's.
            kill(pid, Signal::SIGSTOP)?;
            nap(STOPPED);
            kill(pid, Signal::SIGCONT)?;
            nap(RUNNING);
        }
        Ok(None)
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        // SIGKILL also ends who stands still; an error says that it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nap(length: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the length of the pause is what throttles")]
    std::thread::sleep(length);
}
