//! Networks that break: through a proxy of the program's own, and a service that swallows what it is asked. Who waits
//! in vain there must not make the outage longer than it was.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::agreement::{agrees, holds, observed};
use crate::machine::measured;
use crate::outages::{plain, profile};
use crate::stage::{RUN, Stage, hold};

/// How long the observer waits where nothing answers: what is in time for the objective is in time for it.
const SHORT: Duration = Duration::from_millis(500);

/// Where a limit on times must tell who was served. It is far above what the target takes.
const IN_TIME: &str = "[{ name: works, scope: '*/*', indicator: error_rate, below: 1% }, \
                       { name: fast, scope: '*/*', indicator: response_time, quantile: 0.99, below: 500ms }]";

/// Breaks the network for 3 s. `timeout` is how long operations wait for an answer.
fn broken(mode: &str, timeout: &str) {
    let stage = Stage::new();
    let (proxy, held) = hold();
    drop(held);
    stage.scratch.write(
        "workloads/plain.yaml",
        &format!(
            "name: plain\ndriver: http\nendpoint: api\noperations:\n  \
             - {{ name: ask, timeout: {timeout}, request: {{ get: /serve }} }}\n"
        ),
    );
    let proxies =
        format!("proxies:\n  line: {{ listen: '{proxy}', upstream: '{}', max_connections: 8000 }}\n", stage.service);
    let faults = format!("  cut: {{ network: {{ proxy: line, {mode} }} }}");
    stage.target_at(proxy, "staging", true, &faults, &proxies);
    plain(
        &stage,
        "200ms",
        13,
        IN_TIME,
        "  - { name: cut, at: 3s, inject: { fault: cut }, hold: 3s, watch: 9s, restored_after: 10, scope: 'api/*' }",
        "  - { name: comes-back, drill: cut, rto: 6s }",
    );
    let told = stage.observed(proxy, SHORT, &RUN);
    let outage = observed(&told, "cut", Timestamp::MAX);
    let recovery = told.recovery("cut", "api/*").unwrap_or_else(|| panic!("not restored: {}", told.drill("cut")));
    let back = holds(&recovery, &outage);
    eprintln!("{mode}: {recovery:?}; observed {back:?}");
    assert!(told.says("cut", "heal", "done"), "{:?}", told.journal);
    let undisturbed = !recovery.gaps && !told.seen().stood_still(recovery.issued, recovery.upper + recovery.window);
    if undisturbed {
        // What waited was answered when it was over, within the limit that is in time; then one window.
        let most = SignedDuration::from_millis(500) + recovery.window * 2;
        assert!(recovery.upper <= back.1 + most, "longer than it was: {recovery:?} {back:?}");
        told.judged("cut", "pass");
    }
}

#[test]
fn a_network_that_refuses_is_timed() {
    measured(|| broken("mode: refuse", "5s"));
}

#[test]
fn a_network_that_resets_is_timed() {
    measured(|| broken("mode: reset", "5s"));
}

#[test]
fn a_black_hole_is_timed() {
    measured(|| broken("mode: blackhole", "2s"));
}

#[test]
fn a_network_that_is_slow_is_timed() {
    measured(|| broken("mode: slow, latency: 1500ms", "10s"));
}

#[test]
fn what_waits_in_vain_makes_no_outage_longer() {
    measured(|| {
        let stage = Stage::new();
        // Longer than what is watched after it is over.
        stage.scratch.write(
            "workloads/plain.yaml",
            "name: plain\ndriver: http\nendpoint: api\noperations:\n  \
         - { name: ask, timeout: 8s, request: { get: /serve } }\n",
        );
        let faults = format!(
            "  swallowed:\n    http: {{ inject: {{ post: '{}' }}, heal: {{ post: '{}' }} }}",
            stage.order("outage=2000&manner=silent"),
            stage.order("mend=true"),
        );
        stage.target("staging", true, &faults, "");
        profile(
            &stage,
            "200ms",
            18,
            "  - { name: swallowed, at: 3s, inject: { fault: swallowed }, watch: 14s, restored_after: 10, scope: 'api/*' }",
            "  - { name: comes-back, drill: swallowed, rto: 6s }",
        );
        let told = stage.observed(stage.service, SHORT, &RUN);
        // The last requests of the outage ended 8 s after it: nothing of that may stand in the recovery time.
        let recovery = agrees(&told, "swallowed", "api/*");
        let after = recovery.upper.duration_since(recovery.issued);
        assert!(recovery.gaps || after < SignedDuration::from_secs(8), "{recovery:?}");
        told.judged("swallowed", "pass");
        told.ended(0);
    });
}
