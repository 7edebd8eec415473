//! Runs a program of the user's: in a process group of its own, within a time, its output kept as far as it
//! fits and without credentials.

mod settings;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout, timeout_at};

pub use settings::Program;

use super::FaultError;
use super::registry::path_from;
use slatest_core::model::hide;
use slatest_core::model::{Nanos, Span, redact};
use slatest_core::target::Text;

/// Longest that a program may take when it doesn't say.
const TIMEOUT_DEFAULT: Span = Span(Nanos::from_secs(60));
/// What a program is given to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// Most bytes of a stream that a program may write before it is ended.
const WRITTEN_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of its end that are kept of each stream.
const KEPT_BYTES: u64 = 8 * 1024;
/// How often it is looked at how much was written.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Variables of this process that a program is given; everything else is named in its `env`.
const KEPT_VARIABLES: [&str; 3] = ["PATH", "HOME", "LANG"];

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Whether its exit code is 0.
    pub success: bool,
    /// In words: `exit code 3`, `killed by SIGKILL`.
    pub words: String,
    /// The end of what it wrote to standard output, without credentials.
    pub output: String,
    /// The end of what it wrote to standard error, without credentials.
    pub errors: String,
}

impl Ended {
    /// How it ended, with the last of what it said.
    pub fn said(&self) -> String {
        let said = if self.errors.trim().is_empty() { self.output.trim() } else { self.errors.trim() };
        if said.is_empty() { self.words.clone() } else { format!("{}: {said}", self.words) }
    }
}

/// A program that is ready to run.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    program: Program,
    folder: PathBuf,
    /// How further variables begin that it is given.
    kept: &'static [&'static str],
}

impl Runner {
    /// `folder` is where relative paths start.
    pub fn new(program: &Program, folder: &std::path::Path) -> Self {
        Self { program: program.clone(), folder: folder.to_owned(), kept: &[] }
    }

    /// Gives it also the variables of this process whose names begin so.
    pub fn keeping(mut self, kept: &'static [&'static str]) -> Self {
        self.kept = kept;
        self
    }

    /// As a person would type it, without credentials.
    pub fn words(&self) -> String {
        let words = std::iter::once(&self.program.program).chain(&self.program.args);
        redact(&words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")).into_owned()
    }

    /// Whether it can be found.
    ///
    /// # Errors
    /// In words.
    pub fn find(&self) -> Result<PathBuf, FaultError> {
        let name = &self.program.program;
        let fits = |path: &PathBuf| nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok() && path.is_file();
        if name.contains('/') {
            let path = path_from(&self.folder, name);
            return if fits(&path) {
                Ok(path)
            } else {
                Err(FaultError::Refused(format!("{} is no program that can be run", path.display())))
            };
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(fits).ok_or_else(|| {
            FaultError::Refused(format!("the program `{name}` is not in PATH; install it, or write its whole path"))
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it can't be started, takes too long or writes too much; then it is gone with all that it started.
    pub async fn run(&self) -> Result<Ended, FaultError> {
        let words = self.words();
        let failed = |reason: String| FaultError::failed(format!("running `{words}`"), reason);
        let mut secrets: Vec<SecretString> = Vec::new();
        let mut command = Command::new(self.find()?);
        command.args(&self.program.args).env_clear();
        let kept = |name: &str| KEPT_VARIABLES.contains(&name) || self.kept.iter().any(|start| name.starts_with(start));
        command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(kept)));
        for (name, text) in &self.program.env {
            let value = text.resolve(&self.folder).map_err(FaultError::Refused)?;
            command.env(name.as_str(), value.expose_secret());
            if matches!(text, Text::Secret(_)) {
                secrets.push(value);
            }
        }
        let folder = self.program.folder.as_deref().map_or_else(|| self.folder.clone(), |f| path_from(&self.folder, f));
        if !folder.as_os_str().is_empty() {
            command.current_dir(&folder);
        }
        // Files and not pipes: a server that it starts and leaves behind would die of a pipe that nobody reads.
        let scratch = || tempfile::tempfile().map_err(|e| failed(format!("no file for its output: {e}")));
        let (mut out, mut err) = (scratch()?, scratch()?);
        let handed = |file: &File| file.try_clone().map(Stdio::from).map_err(|e| failed(e.to_string()));
        command.stdin(Stdio::null()).stdout(handed(&out)?).stderr(handed(&err)?).process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(|e| failed(format!("it can't be started in {}: {e}", folder.display())))?;
        drop(command);
        let group = Group::of(&child);
        let limit = self.program.timeout.unwrap_or(TIMEOUT_DEFAULT);
        let status = watched(child, group, limit, [&out, &err]).await.map_err(|reason| match reason {
            Cut::Slow => FaultError::Slow { doing: format!("`{words}`"), limit },
            Cut::Talkative => failed(format!("it wrote more than {} MiB and was ended", WRITTEN_BYTES_MAX >> 20)),
            Cut::Lost(reason) => failed(reason),
        })?;
        Ok(Ended {
            success: status.success(),
            words: status_words(status),
            output: last_words(&mut out, &secrets),
            errors: last_words(&mut err, &secrets),
        })
    }
}

/// Why a program was not let to its end.
enum Cut {
    Slow,
    Talkative,
    Lost(String),
}

async fn watched(mut child: Child, mut group: Group, limit: Span, written: [&File; 2]) -> Result<ExitStatus, Cut> {
    let deadline = Instant::now() + limit.0.as_duration();
    let mut looks = interval(LOOK_EVERY);
    let cut = loop {
        tokio::select! {
            status = child.wait() => {
                group.leave();
                return status.map_err(|e| Cut::Lost(e.to_string()));
            }
            _ = looks.tick() => {
                let over = |file: &&File| file.metadata().is_ok_and(|m| m.len() > WRITTEN_BYTES_MAX);
                if written.iter().any(over) {
                    break Cut::Talkative;
                }
            }
            () = tokio::time::sleep_until(deadline) => break Cut::Slow,
        }
    };
    group.signal(Signal::SIGTERM);
    // Its end is no news; that what it started is gone is what counts.
    let _ = timeout(GRACE, child.wait()).await;
    drop(group);
    let _ = timeout_at(Instant::now() + GRACE, child.wait()).await;
    Err(cut)
}

/// The process group of a program; killed when this is dropped, unless the program ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0
            && let Err(error) = killpg(group, signal)
            && error != Errno::ESRCH
        {
            tracing::warn!(%error, %group, "a process group could not be signalled");
        }
    }

    /// What is left running was meant to be: a server that was started.
    fn leave(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// How a process ended, in words.
fn status_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "exit code 0".into(),
        (Some(126), _) => "exit code 126 (a shell's word for: found, but can't be run)".into(),
        (Some(127), _) => "exit code 127 (a shell's word for: no such program)".into(),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {signal}"),
        },
        (None, None) => status.to_string(),
    }
}

/// The end of a file, whole characters, without credentials.
fn last_words(file: &mut File, secrets: &[SecretString]) -> String {
    let length = file.metadata().map_or(0, |m| m.len());
    let mut bytes = Vec::new();
    let read = file
        .seek(SeekFrom::Start(length.saturating_sub(KEPT_BYTES)))
        .and_then(|_| file.take(KEPT_BYTES).read_to_end(&mut bytes));
    if let Err(error) = read {
        return format!("(its output can't be read: {error})");
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    for secret in secrets.iter().map(|secret| secret.expose_secret()).filter(|secret| !secret.is_empty()) {
        text = hide(&text, secret);
    }
    let text = redact(&text);
    if length > KEPT_BYTES { format!("…{text}") } else { text.into_owned() }
}

fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn runner(yaml: &str, folder: &Path) -> Runner {
        Runner::new(&serde_saphyr::from_str(yaml).unwrap(), folder)
    }

    #[tokio::test]
    async fn ends_are_told_in_words_and_credentials_are_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "hunter2\n").unwrap();
        let ended = runner(
            "{ program: sh, args: [-c, 'echo \"I know $PW\"; echo postgres://u:p@h/d >&2; exit 3'], env: { PW: { file: secret } } }",
            folder.path(),
        );
        let ended = ended.run().await.unwrap();
        assert_eq!((ended.success, ended.words.as_str()), (false, "exit code 3"));
        assert_eq!((ended.output.as_str(), ended.errors.as_str()), ("I know ***\n", "postgres://***@h/d\n"));
        let killed = runner("{ program: sh, args: [-c, 'kill -9 $$'] }", folder.path()).run().await.unwrap();
        assert_eq!(killed.words, "killed by SIGKILL");
    }

    #[tokio::test]
    async fn it_gets_only_what_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let ended = runner("{ program: env, env: { NAMED: yes-please } }", folder.path()).run().await.unwrap();
        let names: Vec<&str> = ended.output.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "there is something to leave out");
        assert!(names.contains(&"NAMED") && names.contains(&"PATH"), "{names:?}");
        assert!(names.iter().all(|name| ["NAMED", "PATH", "HOME", "LANG"].contains(name)), "{names:?}");
    }

    #[tokio::test]
    async fn no_shell_reads_the_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let ended = runner("{ program: echo, args: ['$HOME; exit 1', \"a b\"] }", folder.path()).run().await.unwrap();
        assert_eq!(ended.output, "$HOME; exit 1 a b\n");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "{ program: sh, args: [-c, 'sleep 600 & echo $! > child; wait'], timeout: 1s }";
        let error = runner(yaml, folder.path()).run().await.unwrap_err();
        assert!(matches!(error, FaultError::Slow { .. }), "{error}");
        let child = std::fs::read_to_string(folder.path().join("child")).unwrap();
        let gone = async {
            while std::fs::read_to_string(format!("/proc/{}/stat", child.trim()))
                .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(30), gone).await.expect("the child is gone too");
    }

    #[tokio::test]
    async fn what_it_leaves_running_goes_on_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let yaml = "{ program: sh, args: [-c, 'sleep 600 & echo $!'] }";
        let ended = runner(yaml, folder.path()).run().await.unwrap();
        let pid = Pid::from_raw(ended.output.trim().parse().unwrap());
        nix::sys::signal::kill(pid, Signal::SIGKILL).expect("it was still there");
    }

    #[tokio::test]
    async fn a_flood_of_output_is_ended_and_only_its_end_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let flood = runner("{ program: 'yes' }", folder.path()).run().await.unwrap_err();
        assert!(flood.to_string().contains("more than 16 MiB"), "{flood}");
        let yaml = "{ program: sh, args: [-c, 'seq 1 20000; echo last'] }";
        let long = runner(yaml, folder.path()).run().await.unwrap();
        assert!(long.output.starts_with('…') && long.output.ends_with("20000\nlast\n"));
        assert!(long.output.len() < 9000);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for yaml in ["{ program: slatest-no-such-program }", "{ program: ./none }"] {
            let error = runner(yaml, folder.path()).run().await.unwrap_err();
            assert!(matches!(error, FaultError::Refused(_)), "{error}");
        }
    }
}
