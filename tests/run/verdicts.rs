//! The exit code decides: each verdict is reached on purpose.

use super::scratch::{Scratch, printed};

const STEADY: &str = "executor: constant-arrival-rate, arrivals: uniform, rate: 100/s, duration: 2s";
const ERRORS_5: &str = "{ name: errors, scope: '*/*', indicator: error_rate, below: 5% }";
const ERRORS_01: &str = "{ name: errors, scope: '*/*', indicator: error_rate, below: 0.1% }";

/// A generator that shares two busy cores with the rest of the tests may well be late, and then a
/// run is void, as it should be. These tests are about the objectives, so the limits that lateness
/// is judged by are out of the way: no objective here is about a time.
fn verdict_of(flags: &[&str], objectives: &str, executor: &str) -> (Option<i32>, String, Scratch) {
    let scratch = Scratch::new();
    scratch.profile(executor, objectives);
    let mut arguments = vec!["run", "--profile", "p", "--quiet", "--seed", "1"];
    arguments.extend(flags);
    let output = scratch.run(&arguments);
    (output.status.code(), printed(&output), scratch)
}

#[test]
fn a_sound_target_passes_with_everything_on_disk() {
    let (code, text, scratch) = verdict_of(&[], ERRORS_5, STEADY);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("PASS"), "{text}");
    let record = scratch.record();
    assert_eq!((record["version"].as_u64(), record["status"].as_str()), (Some(1), Some("finished")));
    assert_eq!(record["result"]["verdict"], "pass");
    let result = scratch.result().unwrap();
    for file in ["run.json", "windows.jsonl", "timeline.hlog", "junit.xml"] {
        let size = std::fs::metadata(result.join(file)).map(|m| m.len()).unwrap_or(0);
        assert!(size > 0, "{file} is empty or missing");
    }
    assert!(std::fs::read_to_string(result.join("junit.xml")).unwrap().contains("<testsuites"));
}

#[test]
fn planted_errors_fail() {
    let (code, text, _) = verdict_of(&["--sandbox=--error-rate=*=30%"], ERRORS_5, STEADY);
    assert_eq!(code, Some(99), "{text}");
    assert!(text.contains("status 500") || text.contains("status 503"), "the kind of error is told: {text}");
}

#[test]
fn too_few_samples_are_inconclusive() {
    let (code, text, _) = verdict_of(&[], ERRORS_01, STEADY);
    assert_eq!(code, Some(98), "{text}");
}

#[test]
fn dropped_arrivals_never_pass() {
    let executor = format!("{STEADY}, max_in_flight: 1");
    let (code, text, _) = verdict_of(&["--sandbox=--latency=*=constant:300ms"], ERRORS_5, &executor);
    assert!(code == Some(99) || code == Some(97), "{code:?}: {text}");
    assert!(text.contains("dropped"), "{text}");
}

#[test]
fn every_executor_runs_on_the_real_thing() {
    let executors = [
        "executor: ramping-arrival-rate, stages: [{ duration: 1s, target: 100/s }, { duration: 1s, target: 100/s }]",
        "executor: constant-vus, vus: 5, duration: 2s, think: 10ms",
        "executor: ramping-vus, stages: [{ duration: 1s, target: 5 }, { duration: 1s, target: 5 }]",
    ];
    for executor in executors {
        let (code, text, scratch) = verdict_of(&[], ERRORS_5, executor);
        assert_eq!(code, Some(0), "{executor}: {text}");
        let total = &scratch.record()["result"]["total"];
        assert!(total["count"].as_u64().unwrap() > 59, "{executor}: {total}");
    }
}
