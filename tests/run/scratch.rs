//! A working directory for one test, and what is asked of a run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A working directory that is removed with it.
pub struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    /// With a workload of one GET and one POST against the endpoint `api`.
    pub fn new() -> Self {
        let scratch = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        scratch.write(
            "workloads/plain.yaml",
            r#"
name: plain
driver: http
endpoint: api
data:
  tasks: { keys: zipfian, count: 10000, prefix: task- }
operations:
  - { name: read, weight: 3, timeout: 5s, request: { get: "/api/v1/tasks/{{ tasks.id }}" } }
  - name: write
    timeout: 5s
    request:
      post: /api/v1/tasks
      json: { title: "{{ fake.sentence }}", assignee: clinician-1, patient: "patient-{{ random.int(0, 1999) }}" }
"#,
        );
        scratch
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, its folders too.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }

    /// A profile of one scenario over the workload `plain`.
    pub fn profile(&self, executor: &str, objectives: &str) {
        let text = format!(
            "name: p\nwindow: 200ms\ngraceful_stop: 2s\nscenarios:\n  api: {{ workload: plain, {executor} }}\nobjectives: [{objectives}]\n"
        );
        self.write("profiles/p.yaml", &text);
    }

    /// The program in this folder, without the caller's own settings.
    pub fn slatest(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slatest"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("SLATEST_TARGET")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.slatest(arguments).output().expect("the program starts")
    }

    /// The folder of the only run.
    pub fn result(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(self.path().join("results")).ok()?;
        entries.flatten().map(|e| e.path()).find(|p| p.join("run.json").is_file())
    }

    /// The record of the only run.
    pub fn record(&self) -> Value {
        let path = self.result().expect("a result").join("run.json");
        serde_json::from_str(&std::fs::read_to_string(path).expect("a record")).expect("JSON")
    }

    /// Lines of the only run's windows so far.
    pub fn windows(&self) -> usize {
        let text = self.result().and_then(|r| std::fs::read_to_string(r.join("windows.jsonl")).ok());
        text.map_or(0, |t| t.lines().count())
    }
}

/// Waits until something holds.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "waited in vain for {what}");
        #[expect(clippy::disallowed_methods, reason = "a pause between two looks at the condition")]
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everything that a process printed.
pub fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
