//! A run is the same twice with one seed: the same requests with the same bodies, and the same
//! number of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::{Json, Router};

use super::scratch::{Scratch, printed};

type Seen = Arc<Mutex<Vec<(String, String, String)>>>;

async fn note(
    State(seen): State<Seen>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> (StatusCode, Json<serde_json::Value>) {
    if uri.path() != "/health" {
        let entry = (method.to_string(), uri.to_string(), String::from_utf8_lossy(&body).into_owned());
        seen.lock().expect("no panic while held").push(entry);
    }
    (StatusCode::OK, Json(serde_json::json!({ "id": "x" })))
}

/// A server that keeps what it was asked.
pub fn listen() -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let app = Router::new().fallback(note).with_state(Arc::clone(&seen));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener for tokio");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, app).await
        })
    });
    (address, seen)
}

fn requests(seed: &str, workers: &str) -> Vec<(String, String, String)> {
    requests_of(&Scratch::new(), seed, workers)
}

fn requests_of(scratch: &Scratch, seed: &str, workers: &str) -> Vec<(String, String, String)> {
    let (address, seen) = listen();
    scratch.profile("executor: constant-arrival-rate, rate: 150/s, duration: 2s", "");
    scratch.write(
        "targets/t.yaml",
        &format!(
            "name: t\nenvironment: staging\nallow: {{ hosts: ['127.0.0.1'] }}\nendpoints: {{ api: {{ http: 'http://{address}' }} }}\n"
        ),
    );
    let output = scratch.run(&["run", "-p", "p", "-t", "t", "-q", "--seed", seed, "--workers", workers]);
    assert!(output.status.code().is_some_and(|c| c != 1 && c < 100), "{}", printed(&output));
    let mut all = seen.lock().expect("no panic while held").clone();
    all.sort();
    all
}

#[test]
fn one_seed_sends_the_same_requests_whatever_the_workers() {
    let first = requests("11", "1");
    assert!(first.len() > 200, "{} requests", first.len());
    assert_eq!(first, requests("11", "1"));
    assert_eq!(first, requests("11", "2"));
    assert_ne!(first, requests("12", "1"));
}

#[test]
fn a_flow_that_does_one_thing_twice_sends_two_payloads_about_one_row() {
    let scratch = Scratch::new();
    scratch.write(
        "workloads/plain.yaml",
        r#"
name: plain
driver: http
endpoint: api
data:
  patients: { keys: uniform, count: 1000000 }
operations:
  - { name: note, weight: 0, request: { post: "/notes/{{ seq }}", body: "{{ patients.id }} {{ random.uuid() }}" } }
flows:
  - { name: round, steps: [note, { think: 1ms }, note, note] }
"#,
    );
    let all = requests_of(&scratch, "5", "1");
    assert!(all.len() > 600 && all.len().is_multiple_of(3), "{} requests", all.len());
    for round in all.chunks(3) {
        let texts: Vec<_> = round.iter().map(|(_, _, body)| body.split_once(' ').expect("two words")).collect();
        assert!(round.iter().all(|(_, path, _)| *path == round[0].1), "one arrival: {round:?}");
        assert!(texts.iter().all(|(patient, _)| *patient == texts[0].0), "one patient: {texts:?}");
        assert!(texts[0].1 != texts[1].1 && texts[1].1 != texts[2].1, "three notes: {texts:?}");
    }
    assert_eq!(all, requests_of(&scratch, "5", "2"), "and the same ones every time");
}
