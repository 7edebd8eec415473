//! One small run with fixed figures, for the tests of everything that writes or shows runs.

use std::path::Path;

use jiff::Timestamp;

use super::{HealthLine, Machine, Opening, RunRecord, RunWriter, TargetRecord};
use crate::load::{Resources, RunFacts, ScenarioFinding, judge, shapes};
use crate::profile::Plan;
use slatest_core::measure::{Recorder, Timeline, Window};
use slatest_core::model::{Completion, Nanos, OperationId, Outcome};
use slatest_core::target::Environment;

/// The plan in `tests/data`.
pub fn plan() -> Plan {
    serde_json::from_str(include_str!("../../../../tests/data/plan.json")).unwrap()
}

pub fn opening(plan: Plan) -> Opening {
    Opening {
        plan,
        target: TargetRecord {
            name: "sandbox".into(),
            environment: Environment::Sandbox,
            definition: serde_json::json!({ "name": "sandbox", "endpoints": { "db": "postgres://u:hunter2@127.0.0.1" } }),
        },
        command: vec!["slatest".into(), "run".into(), "--profile".into(), "peak".into()],
        health: vec![HealthLine {
            scenario: "api".into(),
            endpoint: "api".into(),
            message: "127.0.0.1:8080 answers".into(),
        }],
        started: "2026-11-20T01:00:00Z".parse().unwrap(),
    }
}

/// Twelve windows of 300 API operations and 100 reads of the cache, the first two unjudged.
pub fn windows(plan: &Plan) -> Vec<Window> {
    let mut recorder = Recorder::new(shapes(plan), plan.window);
    (0..12)
        .map(|second| {
            let judged = second >= 2;
            for i in 0..400_u64 {
                let intended = Nanos::from_secs(second) + Nanos::from_millis(i * 2);
                let operation = OperationId(if i % 4 == 3 { 2 } else { u16::from(i % 4 == 1) });
                let sent = intended + Nanos(40_000 + i * 100);
                recorder.fired(operation, judged, intended, intended + Nanos(20_000));
                // A long tail that is the same every time.
                let service =
                    Nanos(2_000_000 + (i * 7_919 % 400) * 25_000 + if i % 100 == 9 { 600_000_000 } else { 0 });
                let done = sent + service;
                let completion = match (second, i) {
                    (5, 40) => Completion::failed(Outcome::Rejected, Some(sent), done, "status 503"),
                    (7, 41) => Completion::failed(
                        Outcome::TimedOut,
                        Some(sent),
                        sent + Nanos::from_secs(1),
                        "no answer in time",
                    ),
                    _ if operation == OperationId(2) => {
                        Completion::ok(sent, sent + Nanos(150_000 + i * 500)).with_ratio(0, u32::from(i % 40 != 3), 1)
                    }
                    (_, 0) => Completion::ok(sent, done).with_timing(0, Nanos::from_millis(1)),
                    _ => Completion::ok(sent, done),
                };
                recorder.ended(operation, judged, intended, &completion);
            }
            recorder.close_window()
        })
        .collect()
}

pub fn facts(plan: &Plan, windows: &[Window]) -> RunFacts {
    let mut timeline = Timeline::new(&shapes(plan));
    windows.iter().for_each(|window| timeline.add(window));
    RunFacts {
        timeline,
        scheduled: 4_800,
        fired: 4_800,
        length: Nanos::from_secs(12),
        interrupted: false,
        aborted: None,
        arrival_law: Vec::new(),
        agents: Vec::new(),
        drills: Vec::new(),
        resources: Resources {
            workers: 2,
            cores: 2.0,
            cpu_secs: 1.2,
            wall_secs: 12.0,
            rss_bytes_max: 24 << 20,
            stall_max: Nanos::from_millis(12),
            stall_total: Nanos::from_millis(30),
            run_queue_secs: 0.004,
            steal_secs: Some(0.0),
            machine_cores: 2.0,
            suspended: Nanos::ZERO,
            clock_step: Nanos::ZERO,
            open_files_max: 75,
            open_files_limit: 20_000,
            writes_missed: 0,
            ..Resources::default()
        },
        findings: vec![ScenarioFinding {
            scenario: "sync".into(),
            check: "convergence".into(),
            holds: true,
            detail: "250 documents, all replicas equal".into(),
        }],
    }
}

/// Writes the sample run under a folder.
pub fn written(base: &Path) -> RunRecord {
    let plan = plan();
    let windows = windows(&plan);
    let mut writer = RunWriter::create(base, opening(plan.clone())).unwrap();
    for window in &windows {
        writer.window(window).unwrap();
    }
    writer.notice("sync: 3 sessions reconnected");
    let facts = facts(&plan, &windows);
    let judged = judge(&plan, &facts);
    let ended: Timestamp = "2026-11-20T01:00:12.5Z".parse().unwrap();
    writer.finish(&facts, judged, ended).unwrap()
}

/// The same record on every machine and in every run of the tests.
pub fn fixed(base: &Path) -> RunRecord {
    let mut record = written(base);
    record.id = "20261120T010000Z-peak-5a1e57".into();
    record.slatest = "0.1.0".into();
    record.machine = Machine { host: "bench-1".into(), kernel: "6.1.0".into(), cores: 2, memory_bytes: 24 << 30 };
    record
}
