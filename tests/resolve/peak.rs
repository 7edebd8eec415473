//! The profiles that ship resolve against a target that has everything.

use slatest_core::source::Source;
use slatest_engine::profile::{Library, Overrides, Plan, Shelf, peak_rate, resolve};

const EVERYTHING: &str = "\
name: everything
environment: sandbox
allow: { hosts: [127.0.0.1] }
endpoints:
  api: { http: \"http://127.0.0.1:9\" }
  sync: { websocket: \"ws://127.0.0.1:9/sync\" }
  events: { kafka: [\"127.0.0.1:9\"] }
  database: { sqlite: nowhere.db }
  cache: { redis: [\"redis://127.0.0.1:9\"] }
absent:
  queue: this target has no AMQP broker
";

/// What drills break; each name is one that shipped profiles use.
const FAULTS: &[&str] = &[
    "api-database-blackhole",
    "api-process-loss",
    "cache-primary-loss",
    "database-forced-loss",
    "database-primary-loss",
    "kafka-controller-loss",
    "kafka-leader-loss",
    "queue-node-loss",
    "region-loss",
    "sync-process-loss",
    "zone-loss",
];

/// A target with a pooler, a queue and everything that can be broken.
fn breakable() -> String {
    let queue = "  queue: { amqp: { file: broker } }\n  pooled: { sqlite: nowhere.db }\nfaults:\n";
    let (with, _) = EVERYTHING.split_once("absent:").unwrap();
    let fault = |name: &&str| format!("  {name}: {{ process: {{ pid_file: a.pid, signal: kill }} }}\n");
    format!("{with}{queue}{}", FAULTS.iter().map(fault).collect::<String>())
        .replace("127.0.0.1] }", "127.0.0.1], drills: true }")
}

fn plan(profile: &str) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("broker"), "amqp://127.0.0.1:9").unwrap();
    let library = Library::new(folder.path());
    let written = if profile.starts_with("drill-") { breakable() } else { EVERYTHING.to_owned() };
    let target = Source::new("targets/everything.yaml", written, folder.path());
    let profile = library.profile(profile).unwrap();
    let overrides = Overrides { seed: Some(1), ..Overrides::default() };
    match resolve(&library, &profile, &target, &overrides, "run-1") {
        Ok(resolved) => resolved.plan,
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn the_plan_of_peak() {
    insta::assert_json_snapshot!(plan("peak"));
}

#[test]
fn every_profile_that_ships_resolves() {
    for name in Library::new("/nonexistent").names(Shelf::Profiles) {
        let plan = plan(&name);
        assert!(!plan.objectives.is_empty() && peak_rate(&plan.scenarios) > 0.0, "{name}");
        assert_eq!(name.starts_with("drill-"), !plan.drills.is_empty(), "{name}");
        assert!(plan.drills.iter().all(|drill| !drill.objectives.is_empty()), "{name} asks nothing of the recovery");
    }
}

/// How many arrivals the stages of a scenario plan: the area below them.
fn area(plan: &Plan, scenario: usize) -> f64 {
    let stages = plan.scenarios[scenario].executor.stages();
    stages.iter().map(|stage| stage.duration.as_secs_f64() * f64::midpoint(stage.from, stage.to)).sum()
}

#[test]
fn a_day_of_emr_is_what_its_documents_project() {
    // A plan counts arrivals; flows are several requests each. `peak` has the same workload and holds 300 requests a
    // second, so it says how many requests an arrival is.
    let (day, peak) = (plan("emr-day"), plan("peak"));
    let stages = day.scenarios[0].executor.stages();
    assert_eq!(stages.len(), 24);
    let busiest = stages.iter().map(|stage| stage.to).fold(0.0, f64::max);
    let held = peak.scenarios[0].executor.stages()[1].to;
    assert!((busiest / held - 1.0).abs() < 1e-9, "the day's busiest second is that of peak");
    let requests = area(&day, 0) * 300.0 / held;
    assert!((requests / 6e6 - 1.0).abs() < 0.01, "{requests} requests");
    assert_eq!(stages.iter().filter(|stage| (stage.to / busiest - 1.0).abs() < 1e-9).count(), 3, "shift changes");
}
