//! The search for a capacity, as the real program, against a sandbox whose capacity is known.

use std::process::Command;

use serde_json::Value;

const CAPACITY: f64 = 200.0;
const WORKLOAD: &str = "name: probe
driver: http
endpoint: api
operations:
  - { name: ask, timeout: 5s, request: { get: /probe/1 }, check: { status: 200 } }
";
const PROFILE: &str = "name: knee
scenarios:
  probe: { workload: probe, executor: constant-arrival-rate, rate: 140/s, duration: 10s }
  users: { workload: probe, executor: constant-vus, vus: 1, duration: 10s }
objectives:
  - { name: p95, scope: 'probe/*', indicator: response_time, quantile: 0.95, below: 300ms }
  - { name: errors, scope: '*/*', indicator: error_rate, below: 5% }
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("workloads")).expect("a folder");
    std::fs::write(folder.path().join("workloads/probe.yaml"), WORKLOAD).expect("written");
    std::fs::write(folder.path().join("knee.yaml"), PROFILE).expect("written");
    folder
}

fn capacity(folder: &tempfile::TempDir, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_slatest"))
        .args(["capacity", "--profile", "./knee.yaml", "--sandbox=--only=redis"])
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("SLATEST_TARGET")
        .output()
        .expect("the program starts")
}

#[test]
fn the_knee_of_a_known_server_is_found() {
    let folder = folder();
    let planted = format!("--sandbox=--capacity=probe-1={CAPACITY}/s");
    let output = capacity(&folder, &["--scenario", "probe", "--step", "3s", "--seed", "5", &planted]);
    let entry = std::fs::read_dir(folder.path().join("results")).expect("results").flatten().next();
    let path = entry.expect("a result").path().join("capacity.json");
    let account: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON");
    let end = &account["end"];
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("CAPACITY  probe "), "{output:?}");
    // A queue that grows by less than this needs longer steps to reach 300 ms.
    let most = CAPACITY * 1.1;
    for step in account["steps"].as_array().expect("steps") {
        let rate = step["rate"].as_f64().expect("a rate");
        match step["seen"].as_str() {
            Some("pass") => assert!(rate < most, "{step}"),
            Some("fail") => assert!(rate > 0.7 * CAPACITY, "{step}"),
            // Other tests compete for the machine.
            _ => {}
        }
    }
    match (output.status.code(), end["passes"].as_f64(), end["fails"].as_f64()) {
        (Some(0), Some(passes), Some(fails)) => assert!(fails <= passes * 1.0501, "{end}"),
        (Some(97..=99), None, _) => {}
        other => panic!("{other:?}: {output:?}"),
    }
}

#[test]
fn questions_without_an_answer_are_refused_before_anything_is_sent() {
    let folder = folder();
    for (scenario, says) in [("nope", "there is probe, users"), ("users", "has users, not a rate")] {
        let output = capacity(&folder, &["--scenario", scenario]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(104) && text.contains(says), "{output:?}");
    }
    assert!(!folder.path().join("results").exists());
}
