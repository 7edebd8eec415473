//! CTRF, the common test report format (ctrf.io): the same test cases as in JUnit, as JSON.

use std::io;

use serde_json::{Value, json};

use super::Render;
use super::harmless::harmless;
use super::phrases::{explanation, plain};
use slatest_core::model::Verdict;
use slatest_engine::record::{RunRecord, Status};

/// One JSON object by CTRF's schema, version 0.0.0 of its specification. Void and inconclusive are failed tests: only a
/// pass opens a gate; which of them it was stands in `rawStatus`.
#[derive(Clone, Copy, Debug)]
pub struct Ctrf;

impl Render for Ctrf {
    fn render(&self, run: &RunRecord, out: &mut dyn io::Write) -> io::Result<()> {
        let run = &*harmless(run);
        let tests = tests(run);
        let count = |status: &str| tests.iter().filter(|test| test["status"] == status).count();
        let start = run.started.as_millisecond();
        let length = i64::try_from(run.result.length.0 / 1_000_000).unwrap_or(i64::MAX);
        let stop = run.ended.map_or(start.saturating_add(length), |ended| ended.as_millisecond());
        let report = json!({
            "reportFormat": "CTRF",
            "specVersion": "0.0.0",
            "generatedBy": "slatest",
            "timestamp": run.started.to_string(),
            "results": {
                "tool": { "name": "slatest", "version": run.slatest },
                "summary": {
                    "tests": tests.len(),
                    "passed": count("passed"),
                    "failed": count("failed"),
                    "pending": 0,
                    "skipped": count("skipped"),
                    "other": count("other"),
                    "start": start,
                    "stop": stop,
                },
                "tests": tests,
                "environment": {
                    "appName": run.target.name,
                    "testEnvironment": run.target.name,
                    "reportName": run.plan.profile,
                    "buildName": run.id,
                },
                "extra": { "run": run.id, "seed": run.seed, "verdict": run.result.verdict.name(), "explanation": explanation(run) },
            },
        });
        writeln!(out, "{}", super::harmless::harmless_json(&serde_json::to_string_pretty(&report)?))
    }
}

fn tests(run: &RunRecord) -> Vec<Value> {
    let result = &run.result;
    let length = result.length.0 / 1_000_000;
    let void = result.verdict == Verdict::Void;
    let case = |suite: &str, name: String, verdict: Verdict, message: String| {
        // A run that says nothing of the target is no pass of anything that was asked of it.
        let verdict = if void && suite != "run" { Verdict::Void } else { verdict };
        let status = if verdict == Verdict::Pass { "passed" } else { "failed" };
        let mut test = json!({
            "name": plain(&name),
            "status": status,
            "duration": length,
            "suite": [run.plan.profile, suite],
            "rawStatus": verdict.name(),
        });
        if !message.is_empty() {
            test["message"] = json!(plain(&message));
        }
        test
    };
    let mut tests: Vec<Value> = Vec::new();
    for one in &result.objectives {
        let mut message = format!("{} {} measured {}", one.indicator, one.bound_text(), one.measured_text());
        for note in one.stretch.map(|stretch| stretch.message()).into_iter().chain(one.notes()) {
            message = format!("{message}; {note}");
        }
        tests.push(case("objectives", format!("{} {}", one.name, one.scope), one.verdict, message));
    }
    if result.objectives.is_empty() {
        tests.push(case("objectives", "no objectives".into(), result.verdict, explanation(run)));
    }
    for drill in &result.drills {
        tests.push(case("drills", drill.name.clone(), drill.verdict, super::drills::story(drill)));
    }
    for finding in &result.findings {
        let verdict = if finding.holds { Verdict::Pass } else { Verdict::Fail };
        tests.push(case(
            "findings",
            format!("{} {}", finding.scenario, finding.check),
            verdict,
            finding.detail.clone(),
        ));
    }
    let (ended, message) = match run.status {
        Status::Finished => (Verdict::Pass, ""),
        Status::Running | Status::Interrupted => (Verdict::Inconclusive, "the run was interrupted"),
        Status::Aborted => (Verdict::Fail, "an objective with `abort_on_fail` ended the run early"),
    };
    tests.push(case("run", "ran to its end".into(), ended, message.into()));
    for check in &result.validity {
        let message = format!("{}; must be: {}. {}", check.measured, check.bound, check.message);
        let mut test =
            case("run", check.name.clone(), if check.holds { Verdict::Pass } else { Verdict::Void }, message);
        if !check.holds && !check.voids() {
            test["status"] = json!("other");
            test["rawStatus"] = json!("warning");
        }
        tests.push(test);
    }
    tests
}
