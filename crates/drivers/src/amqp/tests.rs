//! Every mistake that a user can make is told with its place, and nobody is contacted for it.

use std::path::Path;

use super::AmqpDriver;
use crate::{CompileContext, Driver, Endpoint};
use slatest_core::source::Source;
use slatest_core::target::{Allow, Guard};

const OPERATION: &str = "{ name: send, request: { publish: { queue: jobs, body: x } } }";
const URI: &str = "amqp://slatest:the-password@127.0.0.1:5672/v";

/// What compiling says; empty when it works. The endpoint's secret is a file that holds `uri`.
fn said(settings: &str, operation: &str, uri: &str, more: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("uri"), uri).unwrap();
    std::fs::write(folder.path().join("other-vhost"), "amqp://slatest:the-password@127.0.0.1:5673/w").unwrap();
    std::fs::write(folder.path().join("encrypted"), "amqps://slatest:the-password@127.0.0.1:5671/v").unwrap();
    let workload = format!("name: jobs\ndriver: amqp\nendpoint: queue\n{settings}\noperations:\n  - {operation}\n");
    let source = Source::new("workloads/jobs.yaml", workload, "");
    let target = Source::new("targets/t.yaml", format!("{{ amqp: {{ file: uri }}{more} }}"), "");
    compile(&source, &target, folder.path())
}

fn compile(source: &Source, target: &Source, folder: &Path) -> String {
    let endpoint: Endpoint = target.parse().unwrap();
    let allow = Allow { hosts: vec!["*".into()], max_rate: None, max_users: None, drills: false };
    let compiled = AmqpDriver.compile(&CompileContext {
        source,
        endpoint: &endpoint,
        endpoint_name: "queue",
        target,
        target_folder: folder,
        guard: &Guard::new(&allow).unwrap(),
        scenario: "jobs",
        sessions: None,
        seed: 1,
        run: "run",
    });
    compiled.err().map(|problems| problems.to_string()).unwrap_or_default()
}

#[test]
fn a_workload_without_mistakes_compiles() {
    assert_eq!(said("", OPERATION, URI, ""), "");
    let settings = "settings: { queues: [{ name: jobs, type: quorum }], connections: 2, channels: 4, prefetch: 10 }";
    assert_eq!(said(settings, OPERATION, "amqps://u:p@h/v", ""), "");
    let known = "?auth_mechanism=plain&channel_max=16&connection_timeout=900&frame_max=8192&heartbeat=5";
    assert_eq!(said("", OPERATION, &format!("amqp://u:p@[::1]:5673/v{known}"), ""), "");
    assert_eq!(said("", OPERATION, URI, ", nodes: [{ file: uri }]"), "");
    assert_eq!(said("", "{ name: take, request: { consume: { queue: jobs } } }", URI, ""), "");
}

#[test]
fn mistakes_in_the_workload_are_told_with_their_place() {
    let long = "x".repeat(256);
    let cases = [
        ("", "{ name: a, request: {} }", "exactly one of `publish` and `consume`"),
        ("", "{ name: a, request: { publish: { exchange: e, body: x } } }", "needs a `routing_key`"),
        ("", "{ name: a, request: { publish: { routing_key: k, until: consumed } } }", "needs the `queue`"),
        ("", "{ name: a, request: { publish: { queue: q, body: x, json: {} } } }", "not both"),
        ("", "{ name: a, request: { publish: { queue: q, headers: { slatest-x: why } } } }", "doesn't start with"),
        ("", "{ name: a, request: { publish: { queue: q } }, capture: { id: $.id } }", "nothing to capture"),
        ("", "{ name: a, request: { consume: { queue: '' } } }", "workloads/jobs.yaml:6:45: "),
        ("", "{ name: a, request: { publish: { qeue: q } } }", "qeue"),
        ("settings: { queues: [{ name: q, type: quorum, durable: false }] }", OPERATION, "always durable"),
        ("settings: { queues: [{ name: q }, { name: q }] }", OPERATION, "is there twice"),
        ("settings: { connections: 0 }", OPERATION, "from 1 to 1000"),
        ("settings: { channels: 1001 }", OPERATION, "from 1 to 1000"),
        ("settings: { prefetch: 65536 }", OPERATION, "from 1 to 65535"),
        ("settings: { answer_max_mib: 513 }", OPERATION, "from 1 to 512"),
        ("", "{ name: a, request: { publish: { queue: q, headers: { x-api-key: geheim } } } }", "{ env: NAME }"),
        (&format!("settings: {{ queues: [{{ name: {long} }}] }}"), OPERATION, "1 to 255 bytes"),
    ];
    for (settings, operation, expected) in cases {
        let said = said(settings, operation, URI, "");
        assert!(said.contains(expected), "{settings} {operation}: {said}");
    }
}

#[test]
fn mistakes_in_the_endpoint_are_told_without_the_uri() {
    let cases = [
        ("http://slatest:the-password@h/", "", "not an AMQP URI"),
        ("slatest:the-password", "", "not an AMQP URI"),
        ("amqp://slatest:the-password@h/v?verify=verify_peer", "", "the parameter `verify`, which is not known"),
        ("amqps://slatest:the-password@h/v?heartbeat=10&cacertfile=the-password", "", "`cacertfile`"),
        ("amqp://slatest:the-password@h/v?heartbeat=1&heartbeat=2", "", "`heartbeat` twice"),
        ("amqp://slatest:the-password@h/v?heartbeat=the-password", "", "`heartbeat` has a value"),
        ("amqp://slatest:the-password@h/v?channel_max=70000", "", "`channel_max` has a value"),
        ("amqp://slatest:the-password@h/v?auth_mechanism=none", "", "`auth_mechanism` has a value"),
        ("amqp://slatest:the-password@h/v?frame_max=100", "", "from 4096 to 1048576"),
        ("amqp://slatest:the-password@h/v#x", "", "fragment"),
        (URI, ", ca: ca.pem", "without TLS"),
        ("amqps://slatest:the-password@h/", ", ca: no-such.pem", "no-such.pem"),
        ("amqps://slatest:the-password@h/", ", cert: c.pem", "go together"),
        (URI, ", nodes: [{ file: uri }, { file: no-such-uri }]", "endpoints.queue.nodes[1]"),
        (URI, ", nodes: [{ file: other-vhost }]", "another virtual host"),
        (URI, ", nodes: [{ file: uri }, { file: encrypted }]", "either all nodes"),
    ];
    for (uri, more, expected) in cases {
        let said = said("", OPERATION, uri, more);
        assert!(said.contains(expected), "{uri} {more}: {said}");
        assert!(!said.contains("the-password"), "{said}");
    }
    let source = Source::new(
        "workloads/jobs.yaml",
        format!("name: jobs\ndriver: amqp\nendpoint: queue\noperations:\n  - {OPERATION}\n"),
        "",
    );
    let missing = compile(&source, &Source::new("t", "{ amqp: { env: SLATEST_NOT_SET } }", ""), Path::new(""));
    assert!(missing.contains("SLATEST_NOT_SET"), "{missing}");
    let other = compile(&source, &Source::new("t", "{ http: 'http://h' }", ""), Path::new(""));
    assert!(other.contains("needs an endpoint that starts with `amqp`"), "{other}");
}
