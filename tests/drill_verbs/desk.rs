//! A working directory with a target whose faults are programs, and what the real binary says there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A target of which every kind of trouble is there.
pub const TARGET: &str = "\
name: desk
environment: staging
allow: { hosts: [127.0.0.1, rds.us-east-1.amazonaws.com], drills: true }
endpoints:
  api: { http: 'http://127.0.0.1:9' }
alerts: { alertmanager: 'http://127.0.0.1:9093/am' }
faults:
  flag:
    command:
      inject: { program: rm, args: [flag] }
      heal: { program: touch, args: [flag] }
      probe: { program: test, args: [-e, flag] }
  gone: { process: { pid_file: gone.pid, signal: kill, restart: { program: 'true' } } }
  cut: { network: { proxy: db, mode: blackhole } }
  hook: { http: { inject: { post: 'http://127.0.0.1:9/', headers: { Authorization: { env: SLATEST_NOT_SET_9 } } } } }
proxies:
  db: { listen: '127.0.0.1:0', upstream: '127.0.0.1:9' }
";

const WORKLOAD: &str = "\
name: w
driver: http
endpoint: api
operations:
  - { name: read, request: { get: / } }
";

const PROFILE: &str = "\
name: night
scenarios:
  api: { workload: w, executor: constant-arrival-rate, rate: 100/s, duration: 3m }
drills:
  - { name: flag-loss, after_steady: 10, inject: { fault: flag }, watch: 1m, scope: 'api/*' }
";

pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a temporary folder"));
        desk.write("targets/desk.yaml", TARGET);
        desk.write("workloads/w.yaml", WORKLOAD);
        desk.write("profiles/night.yaml", PROFILE);
        desk.write("targets/flag", "");
        desk
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(&path, text).expect("the file can be written");
        path
    }

    /// The real binary in this folder, to its end.
    pub fn slatest(&self, arguments: &[&str]) -> Said {
        Said::new(&self.command(arguments).output().expect("the program starts"), self.path())
    }

    /// The real binary in this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slatest"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command.env_remove("SLATEST_TARGET").env("NO_COLOR", "1");
        command
    }
}

/// What it said, with the folder's own name left out.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn new(output: &Output, folder: &Path) -> Self {
        // Where lines break depends on how long the folder's name is.
        let whole = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\n              ", " ");
        let text = |bytes: &[u8]| whole(bytes).replace(&folder.display().to_string(), "HERE");
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Everything in one text.
    pub fn whole(&self) -> String {
        format!("exit code {}\n--- stdout\n{}--- stderr\n{}", self.code.unwrap_or(-1), self.out, self.err)
    }
}
