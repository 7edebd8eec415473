//! A protocol is one folder and its two lines: nothing else knows this one, and it works.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::workload::WorkloadHead;
use crate::{CompileContext, SessionContext, TIMEOUT_DEFAULT, Target, Workload, protocol};
use slatest_core::model::{Arrival, Clock, MonotonicClock, Outcome, Problems};
use slatest_core::schedule::Share;
use slatest_core::source::Source;
use slatest_core::target::{Allow, Guard};

const WORKLOAD: &str = "name: w\ndriver: toy\nendpoint: box\noperations:\n  - { name: greet, request: { say: hello } }\n  - { name: mumble, request: { say: '' } }\n";

fn source(endpoint: &str) -> Source {
    let head = "name: t\nenvironment: sandbox\nallow: { hosts: [\"here\"] }\nendpoints:\n";
    Source::new("targets/t.yaml", format!("{head}  box: {endpoint}\n"), "/")
}

/// Finds the driver by the workload's words, as a profile does.
fn compile(workload: &str, endpoint: &str) -> Result<Arc<dyn Workload>, Problems> {
    let (target_source, source) = (source(endpoint), Source::new("workloads/w.yaml", workload, "/"));
    let target: Target = target_source.parse()?;
    let head: WorkloadHead = source.parse()?;
    let protocol = protocol(&head.driver).unwrap();
    let endpoint = &target.endpoints[head.endpoint.as_str()];
    protocol.driver.unwrap().compile(&CompileContext {
        source: &source,
        endpoint,
        endpoint_name: &head.endpoint,
        target: &target_source,
        target_folder: Path::new("/"),
        guard: &Guard::new(&target.allow).unwrap(),
        scenario: "s",
        sessions: None,
        seed: 7,
        run: "r1",
    })
}

#[tokio::test]
async fn a_workload_resolves_and_its_operations_are_executed() {
    let workload = compile(WORKLOAD, "{ toy: \"here:1\" }").unwrap();
    assert_eq!(workload.health().await.unwrap().detail, "nobody at here:1");
    let clock = Arc::new(MonotonicClock::starting_at(Instant::now()));
    let context =
        SessionContext { index: 0, worker: 0, share: Share::WHOLE, process: Share::WHOLE, clock: clock.clone() };
    let mut session = workload.connect(&context).await.unwrap();
    let at = clock.now();
    let arrival = |operation| Arrival { seq: 0, at, deadline: at + TIMEOUT_DEFAULT, operation, step: 0 };
    let names: Vec<&str> = workload.operations().iter().map(|operation| operation.name.as_str()).collect();
    assert_eq!(names, ["greet", "mumble"]);
    assert_eq!(session.execute(&arrival(0)).await.outcome, Outcome::Ok);
    assert_eq!(session.execute(&arrival(1)).await.outcome, Outcome::Rejected);
    session.close().await;
}

#[test]
fn its_endpoint_is_read_and_guarded_as_every_other() {
    let target: Target = source("{ toy: \"there:1\", password: { env: SLATEST_NOT_SET } }").parse().unwrap();
    let endpoint = &target.endpoints["box"];
    assert_eq!(endpoint.kind(), "toy");
    assert!(protocol("toy").unwrap().endpoint_kinds.contains(&endpoint.kind()));
    let allow = Allow { hosts: vec!["here".into()], max_rate: None, max_users: None, drills: false };
    let faults = endpoint.faults(Path::new("/"), &Guard::new(&allow).unwrap());
    let keys: Vec<&str> = faults.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["toy", "password"], "{faults:?}");
}

/// A mistake within an endpoint is told with its line, whichever protocol's it is.
#[test]
fn a_mistake_in_an_endpoint_has_its_place() {
    let problems = source("\n    toy: \"here:1\"\n    pasword: x").parse::<Target>().unwrap_err();
    let problem = &problems.0[0];
    assert_eq!(problem.place.line, 7, "{problem:?}");
    assert!(problem.message.contains("pasword"), "{problem:?}");
    let unknown = source("{ pigeon: x }").parse::<Target>().unwrap_err();
    assert!(unknown.0[0].message.contains("start with one of `http`"), "{unknown:?}");
}

#[test]
fn an_endpoint_of_another_protocol_is_refused() {
    let problems = compile(WORKLOAD, "{ sqlite: data.db }").err().unwrap();
    assert!(problems.0[0].message.contains("`sqlite`"), "{problems:?}");
}

/// Source files of the whole workspace that name this protocol.
fn named_in(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            named_in(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap().to_lowercase();
            if text.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with("toy")) {
                found.push(path);
            }
        }
    }
}

#[test]
fn no_other_source_file_knows_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut found = Vec::new();
    for folder in ["crates", "src"] {
        named_in(&root.join(folder), &mut found);
    }
    let places: Vec<&str> = found.iter().map(|path| path.strip_prefix(root).unwrap().to_str().unwrap()).collect();
    let mut others: Vec<&str> = places.into_iter().filter(|p| !p.starts_with("crates/drivers/src/toy/")).collect();
    others.sort_unstable();
    assert_eq!(others, ["crates/drivers/src/lib.rs", "crates/drivers/src/registry.rs"]);
}
