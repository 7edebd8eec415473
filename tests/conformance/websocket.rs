//! WebSockets against the stack's balancer and the platform's API behind it: documents in sync
//! over TLS, and the echo endpoint for requests by correlation id.

use std::net::SocketAddr;

use futures_util::future::join_all;
use slatest_core::model::{Clock, Nanos, Outcome};

use crate::relay::{Mode, Refusing, Relay};
use crate::stack::stack;
use crate::suite::{self, Subject, worker};

/// `NAME` keeps the documents of tests, and of runs of the tests, apart.
const EDITS: &str = r#"
name: edits
driver: websocket
endpoint: sync
settings: { replicas: 4, document_bytes: 2000, path: "/sync/{{ document }}", document: "NAME-{{ n }}" }
operations:
  - { name: edit, timeout: 20s, request: { edit: { bytes: 40 } } }
  - { name: write, timeout: 20s, request: { edit: "{{ fake.sentence }} " } }
"#;

const CALLS: &str = r#"
name: calls
driver: websocket
endpoint: sync
settings: { path: /echo }
operations:
  - name: call
    timeout: 2s
    request: { send: { id: "{{ seq }}", text: "{{ fake.sentence }}" }, correlate: $.id }
    check: { json: { $.text: present } }
  - name: refused
    request: { send: { id: "{{ seq }}" }, correlate: $.id, value: "{{ seq }}" }
    check: { json: { $.text: present } }
"#;

fn secure(port: &str, rest: &str) -> String {
    let port = stack().port("nginx", port);
    format!("{{ websocket: \"wss://127.0.0.1:{port}\", ca: \"{}\"{rest} }}", stack().ca())
}

fn edits() -> Subject {
    let name = uuid::Uuid::new_v4().to_string();
    Subject::new("websocket", EDITS.replace("NAME", &name), secure("HTTPS_PORT", "")).with_sessions(8)
}

fn calls() -> Subject {
    Subject::new("websocket", CALLS, secure("HTTPS_PORT", ""))
}

/// A relay before one of the API's processes, and the endpoint that leads through it.
fn relayed() -> (Relay, String) {
    let upstream = SocketAddr::from(([127, 0, 0, 1], stack().port("api", "SYNC_1_PORT")));
    let relay = Relay::to(upstream);
    let endpoint = format!("{{ websocket: \"ws://{}\" }}", relay.address());
    (relay, endpoint)
}

#[test]
fn health_opens_a_document() {
    let detail = worker(suite::health_answers(&edits()));
    assert!(detail.contains("handshake in") && detail.contains("Yjs sync in"), "{detail}");
    worker(suite::health_answers(&calls()));
}

#[test]
fn an_endpoint_that_is_no_websocket_is_said_so() {
    let subject = Subject { workload: CALLS.replace("/echo", "/health"), ..calls() };
    let workload = subject.compile().expect("a workload");
    let error = worker(workload.health()).expect_err("it answers, but not with a WebSocket");
    assert!(error.reason.contains("handshake: status 200"), "{error}");
}

#[test]
fn an_unreachable_endpoint_is_named() {
    let refusing = Refusing::new();
    let address = refusing.address().to_string();
    let token = stack().secret_file("redis");
    let endpoint = format!("{{ websocket: \"ws://{address}/\", token: {{ file: \"{token}\" }} }}");
    worker(suite::unreachable_is_named(&edits().on(endpoint), &address, &[&stack().secret("redis")]));
}

#[test]
fn a_call_is_answered() {
    worker(suite::operation_works(&calls(), "call"));
}

#[test]
fn edits_reach_every_replica_and_the_documents_converge() {
    worker(async {
        let bench = edits().prepare().await;
        assert_eq!(bench.workload.session_group(), 4);
        let mut sessions = join_all((0..8).map(|i| bench.session(i))).await;
        for round in 0..5 {
            let all = sessions.iter_mut().zip(0..).map(async |(session, i)| {
                let operation = if i % 2 == 0 { "edit" } else { "write" };
                let edit = bench.execute(&mut **session, operation, round * 8 + i).await;
                assert_eq!(edit.outcome, Outcome::Ok, "{edit:?}");
                let sent = edit.sent.expect("sent");
                assert_eq!(edit.timings.last(), Some(&(1, edit.done.since(sent))), "over with the last replica");
            });
            join_all(all).await;
        }
        let findings = bench.workload.settle(Nanos::from_secs(20)).await;
        assert!(findings.iter().all(|f| f.holds), "{findings:?}");
        assert!(findings[0].detail.starts_with("2 of 2 documents equal"), "{findings:?}");
        join_all(sessions.into_iter().map(|s| s.close())).await;
    });
}

#[test]
fn replicas_that_lost_their_connection_come_back_in_sync() {
    let (relay, endpoint) = relayed();
    worker(async {
        let bench = edits().on(endpoint).prepare().await;
        let mut sessions = join_all((0..4).map(|i| bench.session(i))).await;
        let before = bench.execute(&mut *sessions[0], "edit", 0).await;
        assert_eq!(before.outcome, Outcome::Ok, "{before:?}");
        relay.set(Mode::Broken);
        let during = bench.execute(&mut *sessions[0], "edit", 1).await;
        assert_eq!(during.outcome, Outcome::Disconnected, "{during:?}");
        relay.set(Mode::Pass);
        let deadline = bench.clock.now() + Nanos::from_secs(30);
        let mut seq = 2;
        while bench.execute(&mut *sessions[1], "edit", seq).await.outcome != Outcome::Ok {
            assert!(bench.clock.now() < deadline, "the sessions never work again");
            seq += 1;
        }
        let findings = bench.workload.settle(Nanos::from_secs(20)).await;
        assert!(findings.iter().all(|f| f.holds), "{findings:?}");
        let reconnects = bench.workload.gauges().into_iter().find(|(name, _)| name == "reconnects");
        // The relay may pass again before it has broken the others.
        assert!(reconnects.is_some_and(|(_, n)| n >= 1.0), "the one that failed came back");
    });
}

#[test]
fn an_edit_that_a_silent_server_keeps_times_out() {
    let (relay, endpoint) = relayed();
    let subject = edits().on(endpoint);
    let subject = Subject { workload: subject.workload.replace("timeout: 20s", "timeout: 2s"), ..subject };
    worker(async {
        let bench = subject.prepare().await;
        let mut sessions = join_all((0..4).map(|i| bench.session(i))).await;
        relay.set(Mode::Silent);
        let during = bench.execute(&mut *sessions[0], "edit", 0).await;
        assert_eq!(during.outcome, Outcome::TimedOut, "{during:?}");
        let findings = bench.workload.settle(Nanos::from_millis(100)).await;
        assert!(!findings[0].holds, "three replicas lack the edit: {findings:?}");
        relay.set(Mode::Pass);
        let findings = bench.workload.settle(Nanos::from_secs(20)).await;
        assert!(findings[0].holds, "late, but there: {findings:?}");
    });
}

#[test]
fn a_refused_connection_is_disconnected() {
    let refusing = Refusing::new();
    let endpoint = format!("{{ websocket: \"ws://{}\" }}", refusing.address());
    worker(suite::refusal_is_disconnected(&calls().on(endpoint.clone()), "call"));
    worker(suite::refusal_is_disconnected(&edits().on(endpoint), "edit"));
}

#[test]
fn a_silent_server_times_out() {
    let (relay, endpoint) = relayed();
    let silent = |silent| relay.set(if silent { Mode::Silent } else { Mode::Pass });
    worker(suite::silence_times_out(&calls().on(endpoint), "call", silent));
}

#[test]
fn a_dropped_execution_is_harmless() {
    let (relay, endpoint) = relayed();
    let silent = |silent| relay.set(if silent { Mode::Silent } else { Mode::Pass });
    worker(suite::dropped_execution_is_harmless(&calls().on(endpoint), "call", silent));
}

#[test]
fn an_answer_that_a_check_refuses_is_rejected() {
    worker(suite::error_is_rejected(&calls(), "refused", "check: $.text missing"));
}

#[test]
fn a_client_certificate_opens_what_demands_one() {
    let (cert, key) = stack().client();
    let with = secure("HTTPS_MTLS_PORT", &format!(", cert: \"{cert}\", key: \"{key}\""));
    worker(suite::operation_works(&calls().on(with), "call"));
    let workload = calls().on(secure("HTTPS_MTLS_PORT", "")).compile().expect("a workload");
    worker(workload.health()).expect_err("it demands a certificate");
}

#[test]
fn a_wrong_ca_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).expect("a certificate");
    let path = folder.path().join("other.pem");
    std::fs::write(&path, other.cert.pem()).expect("a file");
    let port = stack().port("nginx", "HTTPS_PORT");
    let endpoint = format!("{{ websocket: \"wss://127.0.0.1:{port}\", ca: \"{}\" }}", path.display());
    worker(suite::wrong_ca_is_refused(&calls().on(endpoint)));
}

#[test]
fn a_host_that_is_not_allowed_is_never_contacted() {
    let (relay, endpoint) = relayed();
    let subject = calls().on(endpoint).allowing(&["elsewhere.example"]);
    worker(suite::forbidden_host_is_never_contacted(&subject, "call", || relay.connections()));
}

#[test]
fn one_execution_has_one_payload() {
    worker(suite::same_execution_same_payload(async |seed, seq| {
        let (relay, endpoint) = relayed();
        let bench = calls().on(endpoint).seeded(seed).prepare().await;
        let mut session = bench.session(0).await;
        let call = bench.execute(&mut *session, "call", seq).await;
        assert_eq!(call.outcome, Outcome::Ok, "{call:?}");
        unmasked(&relay.taken())
    }));
}

/// The payload of the first frame after the handshake. Frames of clients are masked with a fresh
/// key each (RFC 6455, 5.3), which is no part of the payload.
fn unmasked(taken: &[u8]) -> Vec<u8> {
    let start = taken.windows(4).position(|w| w == b"\r\n\r\n").expect("a handshake") + 4;
    let frame = &taken[start..];
    assert_eq!(frame[0], 0x81, "one text frame");
    assert!((0x80..0x80 + 126).contains(&frame[1]), "masked, with a short length");
    let length = usize::from(frame[1] & 0x7f);
    let key = &frame[2..6];
    frame[6..6 + length].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}
