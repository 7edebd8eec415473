//! Examples of files in the documents: each is taken by the program as it stands.

use std::path::Path;

use slatest_core::source::Source;
use slatest_engine::profile::{Library, Overrides, resolve};

use super::pages;

/// What a fragment of a target is put into, and what profiles of the documents are sent to.
const TARGET: &str = "\
name: documents
environment: sandbox
allow: { hosts: [127.0.0.1, \"*.staging.example.internal\", \"*.us-east-1.amazonaws.com\"], drills: true }
endpoints:
  api: { http: \"http://127.0.0.1:9\" }
  db: { postgres: { env: SLATEST_DOCUMENTS_DATABASE } }
  database: { sqlite: store.db }
  cache: { redis: [\"redis://127.0.0.1:9\"] }
";
const FAULTS: &str = "\
faults:
  database-primary-loss: { process: { pid_file: run/postgres.pid, signal: kill } }
  primary-kill: { process: { pid_file: run/postgres.pid, signal: kill } }
";
/// What a workload of the documents is run by.
const PROFILE: &str = "\
name: documents
scenarios:
  example: { workload: example, executor: constant-arrival-rate, rate: 10/s, duration: 10s }
";
const WORKLOAD: &str = "\
name: example
driver: http
endpoint: api
operations:
  - { name: health, request: { get: /health } }
";

/// What an example is, by the sections that only one kind of file has.
enum Kind {
    Profile,
    Workload,
    Target,
    PartOfTarget,
    /// Another program's file.
    Foreign,
}

fn kind(text: &str) -> Kind {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    if has("scenarios:") {
        Kind::Profile
    } else if has("driver:") {
        Kind::Workload
    } else if has("endpoints:") {
        Kind::Target
    } else if has("apiVersion:") || has("on:") || has("jobs:") || has("scrape_configs:") {
        Kind::Foreign
    } else {
        Kind::PartOfTarget
    }
}

/// Blocks of YAML with the line that each begins at.
fn examples(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match &mut open {
            None if line.trim_start().starts_with("```yaml") => open = Some((number + 1, String::new())),
            None => {}
            Some(_) if line.trim_start().starts_with("```") => found.extend(open.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    found
}

fn complaint(kind: &Kind, text: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    };
    let authority = rcgen::generate_simple_self_signed(vec!["documents".into()]).expect("a certificate");
    write("targets/certs/ca.pem", &authority.cert.pem());
    write("certs/ca.pem", &authority.cert.pem());
    write("workloads/wards.csv", "ward,beds\nw1,12\n");
    for file in std::fs::read_dir(root.join("workloads")).expect("the workloads") {
        let path = file.expect("a workload").path();
        let name = path.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
        write(&format!("workloads/{name}"), &std::fs::read_to_string(&path).expect("a workload"));
    }
    let whole = format!("{TARGET}{FAULTS}");
    let (profile, workload, target) = match kind {
        Kind::Profile => (text, WORKLOAD, whole.as_str()),
        Kind::Workload => (PROFILE, text, whole.as_str()),
        Kind::Target => (PROFILE, WORKLOAD, text),
        Kind::PartOfTarget => (PROFILE, WORKLOAD, &*format!("{TARGET}{text}")),
        Kind::Foreign => return None,
    };
    let workload = workload.replacen("name: my-api", "name: example", 1);
    write("workloads/example.yaml", &workload);
    let source = |file: &str, text: &str| Source::new(file, text, folder.path());
    let (profile, target) = (source("profiles/documents.yaml", profile), source("targets/documents.yaml", target));
    resolve(&Library::new(folder.path()), &profile, &target, &Overrides::default(), "run-1")
        .err()
        .map(|problems| {
            // A reader's environment has the credentials that an example names; that of the tests has none.
            let of_the_example = problems.0.iter().filter(|one| !one.message.contains("the environment variable"));
            of_the_example.map(ToString::to_string).collect::<Vec<_>>().join("\n")
        })
        .filter(|problems| !problems.is_empty())
}

#[test]
fn every_example_of_a_file_is_taken() {
    let mut refused = Vec::new();
    let mut seen = 0;
    for (page, text) in pages() {
        for (line, example) in examples(&text) {
            seen += 1;
            if let Some(problems) = complaint(&kind(&example), &example) {
                refused.push(format!("{}:{line}\n{problems}", page.display()));
            }
        }
    }
    assert!(seen >= 5, "the documents have examples");
    assert!(refused.is_empty(), "examples that are refused:\n{}", refused.join("\n\n"));
}
