//! However a run ends, what was measured is there.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::scratch::{Scratch, printed, wait_for};

const LONG: &str = "executor: constant-arrival-rate, rate: 100/s, duration: 120s";

fn pid(child: &std::process::Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid"))
}

#[test]
fn a_killed_run_leaves_a_result_that_report_reads() {
    let scratch = Scratch::new();
    scratch.profile(LONG, "");
    let mut child = scratch.slatest(&["run", "--profile", "p", "--quiet"]).spawn().expect("the program starts");
    wait_for("five windows", || scratch.windows() >= 5);
    kill(pid(&child), Signal::SIGKILL).expect("it can be killed");
    child.wait().expect("it ended");
    assert_eq!(scratch.record()["status"], "running", "nobody had the time to say more");
    let windows = scratch.windows();

    let output = scratch.run(&["report", "latest", "--format", "json"]);
    assert!(output.status.success(), "{}", printed(&output));
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(record["status"], "interrupted");
    let count = record["result"]["total"]["count"].as_u64().expect("a count");
    // Windows of 200 ms at 100/s: 20 arrivals each on average.
    assert!(count > 0 && count <= 40 * windows as u64, "{count} in {windows} windows");
    let output = scratch.run(&["report", "latest"]);
    assert!(output.status.success() && !output.stdout.is_empty(), "{}", printed(&output));
}

#[test]
fn ctrl_c_ends_gracefully_with_a_full_report() {
    let scratch = Scratch::new();
    scratch.profile(LONG, "");
    let child =
        scratch.slatest(&["run", "--profile", "p", "--quiet", "--verbose"]).spawn().expect("the program starts");
    wait_for("three windows", || scratch.windows() >= 3);
    kill(pid(&child), Signal::SIGINT).expect("it can be interrupted");
    let output = child.wait_with_output().expect("it ended");
    assert_eq!(output.status.code(), Some(105), "{}", printed(&output));
    let record = scratch.record();
    assert_eq!(record["status"], "interrupted");
    let generator = &record["result"]["generator"];
    let number = |key: &str| generator[key].as_u64().unwrap_or_else(|| panic!("{key} in {generator}"));
    assert!(number("planned") > 0);
    let outcomes = record["result"]["total"]["outcomes"].as_object().expect("outcomes");
    assert!(outcomes.values().filter_map(serde_json::Value::as_u64).sum::<u64>() > 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Operations"), "{}", printed(&output));
}

#[test]
fn a_target_that_is_not_there_is_named_before_the_start() {
    let scratch = Scratch::new();
    scratch.profile(LONG, "");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    scratch.write(
        "targets/gone.yaml",
        &format!(
            "name: gone\nenvironment: staging\nallow: {{ hosts: ['127.0.0.1'] }}\nendpoints: {{ api: {{ http: 'http://127.0.0.1:{port}' }} }}\n"
        ),
    );
    let output = scratch.run(&["run", "--profile", "p", "--target", "gone"]);
    assert_eq!(output.status.code(), Some(103), "{}", printed(&output));
    let text = printed(&output);
    assert!(text.contains("`api`") && text.contains(&port.to_string()), "{text}");
    assert!(scratch.result().is_none(), "nothing was run");
}

#[test]
fn an_objective_may_end_the_run_and_is_named() {
    let scratch = Scratch::new();
    let errors = "{ name: few-errors, scope: '*/*', indicator: error_rate, below: 1%, abort_on_fail: 1s }";
    scratch.profile(LONG, errors);
    let output = scratch.run(&["run", "--profile", "p", "--quiet", "--verbose", "--sandbox=--error-rate=*=50%"]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(99), "{text}");
    let record = scratch.record();
    assert_eq!(record["status"], "aborted");
    assert!(text.contains("ended early by `abort_on_fail`"), "{text}");
    assert!(text.contains("`few-errors` is shown not to hold"), "the notice says why: {text}");
    let second = 1_000_000_000;
    let length = record["result"]["length"].as_u64().expect("a length");
    assert!(length >= second && length < 60 * second, "{length}");
    let generator = &record["result"]["generator"];
    assert_eq!(generator["scheduled"], generator["fired"], "what was due by then was sent: {text}");
}

#[test]
fn a_generator_without_descriptors_is_void_not_a_failed_target() {
    let scratch = Scratch::new();
    scratch.profile("executor: constant-arrival-rate, rate: 200/s, duration: 3s, max_in_flight: 500", "");
    // The sandbox is a process of its own with the limits that it started with; the generator's are
    // lowered once it is up.
    let mut sandbox = scratch
        .slatest(&["sandbox", "--only", "api", "--ready-json", "--exit-with-parent", "--latency", "*=constant:1s"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the sandbox starts");
    let mut ready = String::new();
    BufReader::new(sandbox.stdout.take().expect("piped")).read_line(&mut ready).expect("stdout is read");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let base = ready["http"].as_str().expect("an address");
    scratch.write(
        "targets/t.yaml",
        &format!(
            "name: t\nenvironment: sandbox\nallow: {{ hosts: [127.0.0.1] }}\nendpoints:\n  api: {{ http: '{base}' }}\n"
        ),
    );
    let limited = format!("ulimit -n 60; exec {} run --profile p --target t --quiet", env!("CARGO_BIN_EXE_slatest"));
    let output = std::process::Command::new("bash")
        .args(["-c", &limited])
        .current_dir(scratch.path())
        .env("NO_COLOR", "1")
        .output()
        .expect("bash");
    drop(sandbox.stdin.take());
    sandbox.wait().expect("it ended");
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(97), "{text}");
    assert!(text.contains("files and ports out of bounds") || text.contains("out of file descriptors"), "{text}");
}
