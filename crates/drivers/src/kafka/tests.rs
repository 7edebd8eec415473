//! Every mistake that a user can make is told with its place, and nobody is contacted for it.

use std::path::Path;

use super::KafkaDriver;
use crate::{CompileContext, Driver, Endpoint};
use slatest_core::source::Source;
use slatest_core::target::{Allow, Guard};

const OPERATION: &str = "{ name: send, request: { produce: { topic: task-events, value: x } } }";

/// What compiling says; empty when it works.
fn said(settings: &str, operation: &str, endpoint: &str) -> String {
    let workload = format!("name: events\ndriver: kafka\nendpoint: events\n{settings}\noperations:\n  - {operation}\n");
    let source = Source::new("workloads/events.yaml", workload, "");
    let target = Source::new("targets/t.yaml", endpoint, "");
    let endpoint: Endpoint = target.parse().unwrap();
    let allow = Allow { hosts: vec!["*".into()], max_rate: None, max_users: None, drills: false };
    let compiled = KafkaDriver.compile(&CompileContext {
        source: &source,
        endpoint: &endpoint,
        endpoint_name: "events",
        target: &target,
        target_folder: Path::new(""),
        guard: &Guard::new(&allow).unwrap(),
        scenario: "events",
        sessions: None,
        seed: 1,
        run: "run",
    });
    compiled.err().map(|problems| problems.to_string()).unwrap_or_default()
}

#[test]
fn a_workload_without_mistakes_compiles() {
    assert_eq!(said("", OPERATION, "{ kafka: [b1:9092] }"), "");
    let settings = "settings: { compression: zstd, linger: 5ms, acks: leader, group: g }";
    assert_eq!(said(settings, OPERATION, "{ kafka: [b1:9092, b2:9092] }"), "");
    assert_eq!(said("", "{ name: take, request: { consume: { topic: t } } }", "{ kafka: [b1:9092] }"), "");
}

#[test]
fn mistakes_in_the_workload_are_told_with_their_place() {
    let cases = [
        ("", "{ name: a, request: {} }", "exactly one of `produce` and `consume`"),
        ("", "{ name: a, request: { produce: { topic: t }, consume: { topic: t } } }", "exactly one"),
        ("", "{ name: a, request: { produce: { topic: 'a b' } } }", "workloads/events.yaml:6:45: "),
        ("", "{ name: a, request: { produce: { topic: t, value: x, json: {} } } }", "not both"),
        ("", "{ name: a, request: { produce: { topic: t, headers: { slatest-x: why } } } }", "slatest's own"),
        ("", "{ name: a, request: { produce: { topic: t, headers: { cookie: geheim } } } }", "{ env: NAME }"),
        ("", "{ name: a, request: { produce: { topic: t, headers: { cookie: { env: SLATEST_NONE } } } } }", "not set"),
        ("", "{ name: a, request: { produce: { topic: t } }, capture: { id: $.id } }", "nothing to capture"),
        ("", "{ name: a, request: { produce: { topik: t } } }", "topik"),
        ("settings: { linger: 5s }", "{ name: a, timeout: 1s, request: { produce: { topic: t } } }", "must be shorter"),
        ("settings: { group: '' }", OPERATION, "needs a name"),
        ("settings: { compression: brotli }", OPERATION, "brotli"),
    ];
    for (settings, operation, expected) in cases {
        let said = said(settings, operation, "{ kafka: [b1:9092] }");
        assert!(said.contains(expected), "{operation}: {said}");
    }
}

#[test]
fn mistakes_in_the_endpoint_are_told_with_their_place() {
    let scram = "security: sasl_ssl, mechanism: SCRAM-SHA-512";
    let cases = [
        ("{ kafka: [] }".to_owned(), "at least one broker"),
        ("{ kafka: [b1] }".to_owned(), "targets/t.yaml:1:11: "),
        ("{ kafka: [b1:1], ca: no-such.pem, security: ssl }".to_owned(), "no-such.pem"),
        ("{ kafka: [b1:1], ca: ca.pem }".to_owned(), "without TLS"),
        ("{ kafka: [b1:1], security: ssl, cert: Cargo.toml }".to_owned(), "go together"),
        ("{ kafka: [b1:1], username: u }".to_owned(), "without SASL"),
        ("{ kafka: [b1:1], security: sasl_ssl }".to_owned(), "needs a mechanism"),
        ("{ kafka: [b1:1], security: sasl_ssl, mechanism: GSSAPI }".to_owned(), "`GSSAPI` is not a mechanism"),
        (format!("{{ kafka: [b1:1], {scram}, username: u }}"), "`endpoints.events.password`: is missing"),
        (format!("{{ kafka: [b1:1], {scram}, username: u, password: {{ env: SLATEST_NOT_SET }} }}"), "SLATEST_NOT_SET"),
        (
            "{ kafka: [b1:1], security: sasl_ssl, mechanism: OAUTHBEARER, token: { file: no-such-token } }".to_owned(),
            "no-such-token",
        ),
        ("{ http: 'http://h' }".to_owned(), "needs an endpoint that starts with `kafka`"),
    ];
    for (endpoint, expected) in cases {
        let said = said("", OPERATION, &endpoint);
        assert!(said.contains(expected), "{endpoint}: {said}");
    }
}
