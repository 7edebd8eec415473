//! A folder with one of each file, all of them right until a test changes them.

use std::path::Path;

use slatest_core::model::{Problems, Rate, Span};
use slatest_core::source::Source;
use slatest_engine::profile::{Library, Overrides, Plan, Resolved, resolve};

pub const PROFILE: &str = "\
name: p
scenarios:
  events:
    workload: w
    executor: constant-arrival-rate
    rate: 10/s
    duration: 10s
objectives:
  - { name: o, scope: \"events/*\", indicator: response_time, quantile: 0.95, below: 500ms }
";

pub const WORKLOAD: &str = "\
name: w
driver: kafka
endpoint: bus
operations:
  - name: task
    weight: 3
    request: { produce: { topic: task-events, value: \"{{ seq }}\" } }
  - name: handover
    request: { produce: { topic: handover-events, value: \"{{ fake.sentence }}\" } }
";

pub const TARGET: &str = "\
name: t
environment: sandbox
allow: { hosts: [127.0.0.1] }
endpoints:
  bus: { kafka: [\"127.0.0.1:9\"] }
";

/// The files of one test.
pub struct Desk {
    pub profile: String,
    pub workload: String,
    pub target: String,
    pub overrides: Overrides,
    folder: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        Self {
            profile: PROFILE.into(),
            workload: WORKLOAD.into(),
            target: TARGET.into(),
            overrides: Overrides { seed: Some(1), ..Overrides::default() },
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn with_profile(profile: &str) -> Self {
        Self { profile: profile.into(), ..Self::new() }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn resolve(&self) -> Result<Resolved, Problems> {
        let folder = self.folder();
        std::fs::create_dir_all(folder.join("workloads")).unwrap();
        std::fs::write(folder.join("workloads/w.yaml"), &self.workload).unwrap();
        let profile = Source::new("profiles/p.yaml", self.profile.as_str(), folder);
        let target = Source::new("targets/t.yaml", self.target.as_str(), folder);
        resolve(&Library::new(folder), &profile, &target, &self.overrides, "run-1")
    }

    pub fn plan(&self) -> Plan {
        match self.resolve() {
            Ok(resolved) => resolved.plan,
            Err(problems) => panic!("{problems}"),
        }
    }

    /// What is said of the mistakes, with the folder's name taken out.
    pub fn complaint(&self) -> String {
        match self.resolve() {
            Ok(_) => "(taken without a word)".into(),
            Err(problems) => problems.to_string().replace(&self.folder().display().to_string(), "FOLDER"),
        }
    }
}

pub fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

pub fn span(text: &str) -> Span {
    text.parse().unwrap()
}
