//! What a workload file must say so that a write can be found again, and what it is told when it doesn't.

use slatest_core::source::Source;
use slatest_engine::profile::{Library, Overrides, resolve};

/// The mistakes in a workload, in words.
fn mistakes(driver: &str, endpoint: &str, operation: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("workloads")).expect("a folder");
    std::fs::write(folder.path().join("amqp.uri"), "amqp://guest:guest@127.0.0.1:1/v").expect("a file");
    let workload = format!("name: w\ndriver: {driver}\nendpoint: e\noperations:\n  - {{ name: write, {operation} }}\n");
    std::fs::write(folder.path().join("workloads/w.yaml"), workload).expect("a file");
    let profile =
        "name: p\nscenarios: { s: { workload: w, executor: constant-arrival-rate, rate: 1/s, duration: 1s } }\n";
    let target =
        format!("name: t\nenvironment: sandbox\nallow: {{ hosts: [\"127.0.0.1\"] }}\nendpoints:\n  e: {endpoint}\n");
    let profile = Source::new("profiles/p.yaml", profile, folder.path());
    let target = Source::new("targets/t.yaml", target, folder.path());
    match resolve(&Library::new(folder.path()), &profile, &target, &Overrides::default(), "run") {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

const HTTP: &str = "{ http: \"http://127.0.0.1:1\" }";
const SQL: &str = "{ sqlite: store.db }";
const REDIS: &str = "{ redis: [\"redis://127.0.0.1:1\"] }";
const AMQP: &str = "{ amqp: { file: amqp.uri } }";
const SYNC: &str = "{ websocket: \"ws://127.0.0.1:1\" }";

#[test]
fn what_can_be_found_again_is_taken() {
    let insert = "request: { query: \"insert into t values ($1)\", params: [\"{{ write_id }}\"] }";
    for (driver, endpoint, operation) in [
        ("http", HTTP, "request: { post: /t }, ledger: false".to_owned()),
        ("http", HTTP, "request: { put: \"/t/{{ write_id }}\" }, ledger: { get: \"/t/{{ write_id }}\" }".into()),
        ("http", HTTP, "request: { post: /t }, ledger: { key: \"header:location\", get: \"/t/{{ key }}\" }".into()),
        ("sql", SQL, format!("{insert}, ledger: {{ table: t, id: id }}")),
        ("redis", REDIS, "request: { command: [SET, \"k:{{ write_id }}\", v, EX, 60] }, ledger: true".into()),
        ("amqp", AMQP, "request: { publish: { queue: q, body: x } }, ledger: true".into()),
        ("websocket", SYNC, "request: { edit: { bytes: 4 } }, ledger: true".into()),
    ] {
        assert_eq!(mistakes(driver, endpoint, &operation), "", "{driver}: {operation}");
    }
}

#[test]
fn what_cannot_be_found_again_is_refused_with_a_way_out() {
    let insert = "request: { query: \"insert into t values ($1)\", params: [\"{{ seq }}\"] }";
    for (driver, endpoint, operation, message) in [
        ("http", HTTP, "request: { post: /t }, ledger: true".to_owned(), "how a write is read back"),
        ("http", HTTP, "request: { post: /t }, ledger: { get: /t }".into(), "names no write"),
        ("http", HTTP, "request: { post: /t }, ledger: { get: \"/t/{{ key }}\" }".into(), "needs `key`"),
        ("http", HTTP, "request: { post: /t }, ledger: { get: \"/t/{{ seq }}\" }".into(), "`seq` is not known"),
        ("sql", SQL, format!("{insert}, ledger: true"), "how a write is read back"),
        ("sql", SQL, format!("{insert}, ledger: {{ table: t, id: id }}"), "no value of this operation is it"),
        ("sql", SQL, format!("{insert}, ledger: {{ table: t, key: id }}"), "unknown field `key`"),
        ("redis", REDIS, "request: { command: [SET, k, v] }, ledger: true".into(), "only a plain SET"),
        (
            "redis",
            REDIS,
            "request: { command: [SET, \"{{ write_id }}\", v, NX] }, ledger: true".into(),
            "only a plain SET",
        ),
        ("redis", REDIS, "request: { command: [INCR, \"{{ write_id }}\"] }, ledger: true".into(), "only a plain SET"),
        (
            "amqp",
            AMQP,
            "request: { publish: { exchange: e, routing_key: k } }, ledger: true".into(),
            "needs the `queue`",
        ),
        ("websocket", SYNC, "request: { send: { id: 1 }, correlate: $.id }, ledger: true".into(), "only edits"),
    ] {
        let said = mistakes(driver, endpoint, &operation);
        assert!(said.contains(message), "{driver}: {operation}: {said}");
    }
}
