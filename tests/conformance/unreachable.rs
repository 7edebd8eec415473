//! What is said of endpoints that can't be reached: what, where, and what to do, in each driver.

use std::fmt::Write as _;

use crate::relay::Refusing;
use crate::stack::stack;
use crate::suite::{Subject, worker};

const HTTP: &str = "name: w\ndriver: http\nendpoint: e\noperations: [{ name: a, request: { get: / } }]\n";
const SQL: &str = "name: w\ndriver: sql\nendpoint: e\noperations: [{ name: a, request: { query: select 1 } }]\n";
const KAFKA: &str =
    "name: w\ndriver: kafka\nendpoint: e\noperations: [{ name: a, request: { produce: { topic: t, value: x } } }]\n";
const AMQP: &str = "name: w\ndriver: amqp\nendpoint: e\n\
                    operations: [{ name: a, request: { publish: { routing_key: q, body: x } } }]\n";

/// How an endpoint is written, with TLS or without.
struct Kind {
    driver: &'static str,
    workload: &'static str,
    endpoint: fn(&str, bool, &std::path::Path) -> String,
}

fn secret(folder: &std::path::Path, text: String) -> String {
    let path = folder.join(uuid::Uuid::new_v4().to_string());
    std::fs::write(&path, text).expect("a file");
    format!("{{ file: \"{}\" }}", path.display())
}

const KINDS: [Kind; 4] = [
    Kind {
        driver: "http",
        workload: HTTP,
        endpoint: |at, tls, _| format!("{{ http: \"http{}://{at}\" }}", if tls { "s" } else { "" }),
    },
    Kind {
        driver: "sql",
        workload: SQL,
        endpoint: |at, tls, folder| {
            let mode = if tls { "verify-full" } else { "disable" };
            format!("{{ postgres: {} }}", secret(folder, format!("postgres://u:geheim@{at}/d?sslmode={mode}")))
        },
    },
    Kind {
        driver: "kafka",
        workload: KAFKA,
        endpoint: |at, tls, _| format!("{{ kafka: [\"{at}\"]{} }}", if tls { ", security: ssl" } else { "" }),
    },
    Kind {
        driver: "amqp",
        workload: AMQP,
        endpoint: |at, tls, folder| {
            let scheme = if tls { "amqps" } else { "amqp" };
            format!("{{ amqp: {} }}", secret(folder, format!("{scheme}://u:geheim@{at}/v")))
        },
    },
];

fn said(kind: &Kind, at: &str, tls: bool) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let subject = Subject::new(kind.driver, kind.workload, (kind.endpoint)(at, tls, folder.path()));
    let workload = subject.allowing(&["127.0.0.1", "nowhere.invalid"]).compile().expect("a workload");
    worker(workload.health()).expect_err("nobody serves there").to_string()
}

#[test]
fn each_driver_says_what_is_wrong_where_and_what_to_do() {
    let refusing = Refusing::new();
    let (refused, encrypted, plain) = (
        refusing.address().to_string(),
        format!("127.0.0.1:{}", stack().port("rabbitmq", "AMQPS_PORT")),
        format!("127.0.0.1:{}", stack().port("api", "API_1_PORT")),
    );
    let cases: [(&str, &str, bool, &[&str]); 4] = [
        ("a port that refuses", &refused, false, &["refused", "port"]),
        ("a name that is none", "nowhere.invalid:4444", false, &["nowhere.invalid", "name"]),
        ("plain talk to a TLS port", &encrypted, false, &["TLS"]),
        ("TLS to a plain port", &plain, true, &["TLS"]),
    ];
    let mut wrong = String::new();
    for (case, at, tls, message) in cases {
        for kind in &KINDS {
            let said = said(kind, at, tls);
            let missing: Vec<_> = message.iter().copied().chain([at]).filter(|word| !said.contains(word)).collect();
            if !missing.is_empty() || said.contains("geheim") {
                writeln!(wrong, "{case}, {}: {said} [lacks {missing:?}]", kind.driver).expect("a text");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
