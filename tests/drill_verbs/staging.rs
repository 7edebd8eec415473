//! The staging example: what drills break on AWS and Kubernetes, by the names that shipped profiles use.

use slatest_engine::profile::Shelf;

use crate::desk::{Desk, Said};

/// What the example names, and nobody has here.
const CREDENTIALS: &[(&str, &str)] = &[
    ("KAFKA_PASSWORD", "x"),
    ("DATABASE_URL", "postgres://u:x@db.staging.example.internal/x"),
    ("REPLICA_URL", "postgres://u:x@replica.staging.example.internal/x"),
    ("REDIS_TOKEN", "x"),
    ("ALERTMANAGER_TOKEN", "x"),
];
/// Breaks what only a stack of our own lets break: replication that is held back.
const STACK_ONLY: &str = "drill-database-forced-loss";

fn staging(arguments: &[&str]) -> Said {
    let desk = Desk::new();
    let mut command = desk.command(&[arguments, &["--target", "staging"]].concat());
    command.envs(CREDENTIALS.iter().copied());
    Said::new(&command.output().expect("the program starts"), desk.path())
}

#[test]
fn every_fault_of_the_example_is_sound() {
    let said = staging(&["drill", "list", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.whole()));
    let faults = told["faults"].as_array().expect("faults");
    assert!(faults.len() >= 10, "{}", said.whole());
    for fault in faults {
        assert!(fault["wrong"].as_array().is_some_and(Vec::is_empty) && fault["rights"].is_string(), "{fault:#}");
    }
}

#[test]
fn drills_that_ship_run_there_unchanged_or_say_what_staging_does_not_have() {
    let profiles = Shelf::Profiles.built_in().filter_map(|(file, _)| file.strip_suffix(".yaml"));
    for profile in profiles.filter(|name| name.starts_with("drill-") && *name != STACK_ONLY) {
        let said = staging(&["check", "--profile", profile, "--drills", "--offline"]);
        let absent = said.err.contains("nothing is left to run on the target `staging`");
        assert!(said.code == Some(0) || absent, "{profile}: {}", said.whole());
    }
    let peak = staging(&["check", "--profile", "peak", "--offline"]);
    assert_eq!(peak.code, Some(0), "{}", peak.whole());
}
