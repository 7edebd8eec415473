//! Drills of real runs: one that a real Alertmanager detects, and one whose run is killed in the middle of it.
//! The Alertmanager is the target, too: it answers HTTP.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alerts::{Alertmanager, client};
use crate::desk::Desk;

/// Longest wait for anything; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A desk whose target is this server, with a drill on the fault.
fn desk(url: &str, drill: &str) -> Desk {
    let desk = Desk::new();
    let target = format!(
        "\
name: desk
environment: staging
allow: {{ hosts: [127.0.0.1], drills: true }}
endpoints:
  api: {{ http: '{url}' }}
alerts: {{ alertmanager: '{url}', names: [DatabaseDown] }}
faults:
  flag: {{ command: {{ inject: {{ program: rm, args: [flag] }}, heal: {{ program: touch, args: [flag] }} }} }}
  alarm: {{ http: {{ inject: {{ post: '{url}/api/v2/alerts', json: [{{ labels: {{ alertname: DatabaseDown, instance: a }} }}] }} }} }}
"
    );
    desk.write("targets/desk.yaml", &target);
    desk.write(
        "workloads/w.yaml",
        "name: w\ndriver: http\nendpoint: api\noperations:\n  - { name: read, request: { get: /-/healthy } }\n",
    );
    let profile = format!(
        "\
name: night
window: 200ms
scenarios:
  api: {{ workload: w, executor: constant-arrival-rate, rate: 100/s, duration: 30s }}
drills:
  - {{ name: loss, at: 2s, {drill}, restored_after: 5, scope: 'api/*' }}
"
    );
    desk.write("profiles/night.yaml", &profile);
    desk
}

const RUN: &[&str] = &["run", "--profile", "night", "--target", "desk", "--drills"];

#[tokio::test]
async fn the_alert_that_a_fault_makes_fire_is_its_detection_in_the_record() {
    let http = client();
    let server = Alertmanager::start(&http).await;
    server.fire(&http, "DatabaseDown", jiff::Timestamp::now()).await;
    // One of its name fires already, of another instance: that is no detection.
    let desk = desk(&server.url, "inject: { fault: alarm }, watch: 10s");
    let run = desk.slatest(&[RUN, &["--duration", "20s"]].concat());
    let shown = desk.slatest(&["report", "latest", "--format", "json"]);
    let record: Value = serde_json::from_str(&shown.out).unwrap_or_else(|_| panic!("{}", run.whole()));
    let drill = &record["result"]["drills"][0];
    assert_eq!(drill["end"], "watched", "{drill:#}");
    assert_eq!(drill["detected"][1], "DatabaseDown", "{drill:#}\n{}", run.whole());
    let after = Duration::from_nanos(drill["detected"][0].as_u64().expect("nanoseconds"));
    assert!(after < Duration::from_secs(10), "{after:?} after the fault");
    let report = desk.slatest(&["report", "latest", "--verbose"]);
    assert!(report.out.contains("detected after"), "{}", report.whole());

    // The platform never felt it, so by their words the steady state did not have to come back, and did not.
    let journal = desk.slatest(&["drill", "journal", "latest"]);
    let told: Value = serde_json::from_str(&journal.out).unwrap_or_else(|_| panic!("{}", journal.whole()));
    assert_eq!(
        (&told["run"][0]["status"], &told["rollbacks"][0]["status"]),
        (&"succeeded".into(), &"succeeded".into())
    );
}

#[tokio::test]
async fn what_a_run_broke_that_was_killed_is_healed_from_its_journal() {
    let server = Alertmanager::start(&client()).await;
    let desk = desk(&server.url, "inject: { fault: flag }, watch: 20s");
    let flag = desk.path().join("targets/flag");
    let mut run = desk.command(RUN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let begun = Instant::now();
    while flag.exists() && begun.elapsed() < PATIENCE && run.try_wait().expect("its state").is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!flag.exists(), "the drill broke nothing");
    let refused = desk.slatest(&["drill", "heal", "latest"]);
    assert!(refused.code == Some(3) && !flag.exists(), "{}", refused.whole());
    run.kill().expect("it is killed");
    run.wait().expect("it has ended");

    let healed = desk.slatest(&["drill", "heal", "latest"]);
    assert!(healed.code == Some(0) && flag.exists(), "{}", healed.whole());
    let journal = desk.slatest(&["drill", "journal", "latest"]);
    let told: Value = serde_json::from_str(&journal.out).unwrap_or_else(|_| panic!("{}", journal.whole()));
    assert_eq!((&told["status"], &told["rollbacks"][0]["status"]), (&"interrupted".into(), &"succeeded".into()));
}
