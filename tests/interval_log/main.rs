//! The interval log is read by a reader that isn't ours (HdrHistogram's own Python port, from
//! PyPI), which finds the same counts and quantiles as `run.json` shows.

use std::path::PathBuf;
use std::process::Command;

use rand::{RngExt as _, SeedableRng as _};
use slatest_core::measure::{Recorder, Timeline};
use slatest_core::model::{Completion, Nanos, OperationId, Outcome};
use slatest_core::target::Environment;
use slatest_engine::load::{Resources, RunFacts, judge, shapes};
use slatest_engine::profile::Plan;
use slatest_engine::record::{Opening, RunWriter, TargetRecord};

/// A run of 20 windows whose times range from microseconds to seconds, some of them failures.
fn run(base: &std::path::Path) -> PathBuf {
    let plan: Plan = serde_json::from_str(include_str!("../data/plan.json")).expect("the plan");
    let opening = Opening {
        plan: plan.clone(),
        target: TargetRecord {
            name: "none".into(),
            environment: Environment::Sandbox,
            definition: serde_json::Value::Null,
        },
        command: Vec::new(),
        health: Vec::new(),
        started: "2026-11-20T01:00:00Z".parse().expect("a time"),
    };
    let mut writer = RunWriter::create(base, opening).expect("a folder");
    let mut recorder = Recorder::new(shapes(&plan), plan.window);
    let mut timeline = Timeline::new(&shapes(&plan));
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    for second in 0..20_u64 {
        for _ in 0..500 {
            let operation = OperationId(random.random_range(0..plan.operations.len() as u16));
            let intended = Nanos::from_secs(second);
            let judged = second >= 2;
            // Log-uniform over six decades.
            let length = Nanos::from_secs_f64(10_f64.powf(random.random_range(-6.0..0.5)));
            recorder.fired(operation, judged, intended, intended);
            let done = intended + length;
            let completion = match random.random_range(0..20) {
                0 => Completion::failed(Outcome::Rejected, Some(intended), done, "status 500"),
                1 => Completion::failed(Outcome::Dropped, None, intended, "no free session"),
                _ => Completion::ok(intended, done),
            };
            recorder.ended(operation, judged, intended, &completion);
        }
        let window = recorder.close_window();
        writer.window(&window).expect("a window is written");
        timeline.add(&window);
    }
    let facts = RunFacts {
        timeline,
        scheduled: 10_000,
        fired: 10_000,
        length: Nanos::from_secs(20),
        interrupted: false,
        aborted: None,
        arrival_law: Vec::new(),
        resources: Resources::default(),
        findings: Vec::new(),
        agents: Vec::new(),
        drills: Vec::new(),
    };
    let judged = judge(&plan, &facts);
    writer.finish(&facts, judged, "2026-11-20T01:00:20Z".parse().expect("a time")).expect("the record").folder
}

#[test]
fn another_reader_finds_the_same_quantiles() {
    let base = tempfile::tempdir().expect("a folder");
    let folder = run(base.path());
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interval_log/check");
    let output = Command::new(&script).arg(&folder).output().expect("tests/interval_log/check can be started");
    let message = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    assert!(message.contains("4 series agree"), "{message}");

    // The check itself must be able to say no.
    let record = folder.join("run.json");
    let text = std::fs::read_to_string(&record).expect("the record");
    let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let p99 = &mut value["result"]["operations"][0]["response"]["p99"];
    *p99 = (p99.as_u64().expect("a time") / 2).into();
    std::fs::write(&record, value.to_string()).expect("written");
    let output = Command::new(&script).arg(&folder).output().expect("tests/interval_log/check can be started");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("p99"), "{output:?}");
}
