//! Cases that once failed, from the program's door to what it says: each names what is right.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::scratch::{Scratch, printed};

/// Serves on a thread of its own until the test ends.
fn serve(app: impl FnOnce() -> Router + Send + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener for tokio");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, app()).await
        })
    });
    address
}

fn on(address: SocketAddr, executor: &str, objectives: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.profile(executor, objectives);
    scratch.write(
        "targets/t.yaml",
        &format!(
            "name: t\nenvironment: staging\nallow: {{ hosts: ['127.0.0.1'] }}\nendpoints: {{ api: {{ http: 'http://{address}' }} }}\n"
        ),
    );
    scratch
}

/// A server that serves 100/s at most, first in, first out, and is offered 300/s; what waits stays below `max_in_flight`, so that nothing is dropped.
#[test]
fn a_target_that_does_not_keep_up_fails_its_throughput_and_the_report_says_so() {
    let address = serve(|| {
        let mut ticks: Interval = interval(Duration::from_millis(10));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The lock is fair: who came first is served first.
        let ticks = Arc::new(Mutex::new(ticks));
        Router::new().fallback(move || {
            let ticks = Arc::clone(&ticks);
            async move {
                ticks.lock().await.tick().await;
                "{}"
            }
        })
    });
    let scratch = on(
        address,
        "executor: constant-arrival-rate, rate: 300/s, duration: 6s, max_in_flight: 5000",
        "{ name: much, scope: '*/*', indicator: throughput, above: 270/s }",
    );
    let text = std::fs::read_to_string(scratch.path().join("workloads/plain.yaml")).expect("the workload");
    scratch.write("workloads/plain.yaml", &text.replace("timeout: 5s", "timeout: 60s"));
    let profile = std::fs::read_to_string(scratch.path().join("profiles/p.yaml")).expect("the profile");
    scratch.write("profiles/p.yaml", &profile.replace("graceful_stop: 2s", "graceful_stop: 30s"));
    let output = scratch.run(&["run", "-p", "p", "-t", "t", "--verbose"]);
    let said = printed(&output);
    assert!(said.contains("does not keep up: serves about "), "{said}");
    assert_ne!(output.status.code(), Some(0), "{said}");
    let record = scratch.record();
    let objective = &record["result"]["objectives"][0];
    assert_ne!(objective["verdict"], "pass", "{objective}");
}

/// A target that serves, fails for a time, and serves again, without any drill.
#[test]
fn an_outage_that_nobody_declared_is_an_incident_with_its_beginning_and_its_end() {
    let address = serve(|| {
        let first = Arc::new(std::sync::OnceLock::new());
        Router::new().fallback(move || {
            let since = first.get_or_init(Instant::now).elapsed();
            let down = (Duration::from_secs(3)..Duration::from_secs(5)).contains(&since);
            let answer = if down { (StatusCode::SERVICE_UNAVAILABLE, "") } else { (StatusCode::OK, "{}") };
            std::future::ready(answer)
        })
    });
    let scratch = on(
        address,
        "executor: constant-arrival-rate, rate: 100/s, duration: 8s",
        "{ name: works, scope: '*/*', indicator: error_rate, below: 1% }",
    );
    let output = scratch.run(&["run", "-p", "p", "-t", "t", "--verbose"]);
    let said = printed(&output);
    assert!(said.contains("Incidents (by when operations were meant to start)"), "{said}");
    let record = scratch.record();
    let incidents = record["result"]["incidents"].as_array().expect("incidents");
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    let began = incidents[0]["began"].as_u64().expect("an instant");
    // Windows of 200 ms; the server's clock begins with the check of its health at the earliest.
    assert!((500_000_000..=3_500_000_000).contains(&began), "{incidents:?}");
}

#[test]
fn an_empty_secret_is_refused_by_name_before_anything_is_sent() {
    let scratch =
        on("127.0.0.1:1".parse().expect("an address"), "executor: constant-arrival-rate, rate: 5/s, duration: 1s", "");
    scratch.write(
        "targets/t.yaml",
        "name: t\nenvironment: staging\nallow: { hosts: ['127.0.0.1'] }\nendpoints: { api: { http: 'http://127.0.0.1:1', token: { env: SEC_TOKEN } } }\n",
    );
    for verb in ["check", "run"] {
        let mut command = scratch.slatest(&[verb, "-p", "p", "-t", "t"]);
        let output = command.env("SEC_TOKEN", "").output().expect("the program starts");
        let said = printed(&output);
        assert!(said.contains("SEC_TOKEN") && said.contains("empty"), "{said}");
        assert_eq!(output.status.code(), Some(104), "{said}");
    }
}
