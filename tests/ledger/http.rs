//! A service that forgets, answers an error for what it did, and answers an error for what it didn't.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use slatest_core::model::{WriteId, WriteOutcome, WritePlace};

use crate::harness::{exactly, middle, play, play_until};

/// What it holds, by key, with the write that each is; and how often it was asked to write.
#[derive(Clone, Default)]
struct Service {
    things: Arc<Mutex<BTreeMap<String, WriteId>>>,
    asked: Arc<AtomicU64>,
    /// The key that can't be read.
    broken: Arc<Mutex<Option<String>>>,
}

async fn create(State(service): State<Service>, headers: HeaderMap) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let write = headers.get("idempotency-key").and_then(|value| value.to_str().ok()?.parse().ok());
    let write: WriteId = write.ok_or(StatusCode::IM_A_TEAPOT)?;
    let number = service.asked.fetch_add(1, Ordering::Relaxed);
    // A key that must be encoded to be asked for.
    let key = format!("thing/{number} é");
    match number % 20 {
        3 => Err(StatusCode::UNPROCESSABLE_ENTITY),
        5 => Err(StatusCode::BAD_GATEWAY),
        _ => {
            service.things.lock().expect("a lock").insert(key.clone(), write);
            if number % 20 == 7 {
                Err(StatusCode::GATEWAY_TIMEOUT)
            } else {
                Ok((StatusCode::CREATED, Json(json!({ "id": key }))))
            }
        }
    }
}

async fn one(State(service): State<Service>, Path(key): Path<String>) -> StatusCode {
    if service.broken.lock().expect("a lock").as_ref() == Some(&key) {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let there = service.things.lock().expect("a lock").contains_key(&key);
    if there { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

async fn by_write(State(service): State<Service>, Path(write): Path<String>) -> StatusCode {
    let there = service.things.lock().expect("a lock").values().any(|held| held.to_string() == write);
    if there { StatusCode::OK } else { StatusCode::GONE }
}

/// Serves on a thread of its own until the test is over; gives where.
fn serve(service: Service) -> String {
    let (told, at) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            told.send(listener.local_addr().expect("an address")).expect("the test listens");
            let router = Router::new()
                .route("/things", post(create))
                .route("/things/{key}", get(one))
                .route("/writes/{write}", get(by_write))
                .route("/silence", post(std::future::pending::<StatusCode>))
                .with_state(service);
            axum::serve(listener, router).await.expect("it serves");
        });
    });
    format!("{{ http: \"http://{}\" }}", at.recv().expect("it listens"))
}

fn workload(ledger: &str) -> String {
    format!(
        "name: w\ndriver: http\nendpoint: api\noperations:\n  - name: write\n    timeout: 10s\n    request: {{ post: \
         /things, json: {{ note: \"{{{{ random.text(20) }}}}\" }} }}\n    check: {{ status: 201 }}\n    ledger: {ledger}\n"
    )
}

#[test]
fn forgotten_writes_are_lost_and_those_without_an_answer_are_resolved() {
    let service = Service::default();
    let endpoint = serve(service.clone());
    let played = play(&workload("{ get: \"/writes/{{ write_id }}\" }"), "api", &endpoint);
    let writes = played.writes();
    let count = |outcome| writes.iter().filter(|write| write.outcome == outcome).count() as u64;
    let each = writes.len() as u64 / 20;
    assert!(count(WriteOutcome::Rejected) >= each && count(WriteOutcome::Unknown) >= 2 * each, "{each}");
    let acknowledged: Vec<_> =
        writes.iter().filter(|write| write.outcome == WriteOutcome::Acknowledged).cloned().collect();
    let taken: Vec<_> = acknowledged.iter().step_by(7).collect();
    service.things.lock().expect("a lock").retain(|_, write| !taken.iter().any(|taken| taken.id == *write));
    let fault = middle(&acknowledged);
    let check = played.check(Some(fault));
    exactly(&check, &taken, fault);
    assert_eq!((check.acknowledged, check.rejected_found), (acknowledged.len() as u64, 0));
    let held: Vec<_> = service.things.lock().expect("a lock").values().copied().collect();
    let unknown = writes.iter().filter(|write| write.outcome == WriteOutcome::Unknown);
    let (found, not_found): (Vec<_>, Vec<_>) = unknown.partition(|write| held.contains(&write.id));
    let resolved = (check.unknown_writes.found, check.unknown_writes.not_found, check.unknown_writes.unresolved);
    assert_eq!(resolved, (found.len() as u64, not_found.len() as u64, 0));
    assert!(!found.is_empty() && !not_found.is_empty());
}

#[test]
fn by_the_key_of_the_answer_what_had_none_stays_unresolved() {
    let service = Service::default();
    let endpoint = serve(service.clone());
    let played = play(&workload("{ key: \"$.id\", get: \"/things/{{ key }}\" }"), "api", &endpoint);
    let writes = played.writes();
    let acknowledged: Vec<_> =
        writes.iter().filter(|write| write.outcome == WriteOutcome::Acknowledged).cloned().collect();
    let key = |write: &slatest_core::model::LedgerEntry| match &write.place {
        Some(WritePlace::Key(key)) => key.to_string(),
        other => panic!("no key: {other:?}"),
    };
    let taken: Vec<_> = acknowledged.iter().step_by(9).collect();
    for write in &taken {
        service.things.lock().expect("a lock").remove(&key(write)).expect("it was there");
    }
    *service.broken.lock().expect("a lock") = Some(key(&acknowledged[1]));
    let fault = middle(&acknowledged);
    let check = played.check(Some(fault));
    exactly(&check, &taken, fault);
    assert_eq!(check.unreadable, 1);
    assert!(!check.is_complete());
    assert_eq!((check.unknown_writes.unresolved, check.unknown_writes.not_found), (check.unknown, 0));
}

#[test]
fn what_is_under_way_when_the_run_ends_is_in_the_ledger_and_unknown() {
    let endpoint = serve(Service::default());
    let workload = workload("{ get: \"/writes/{{ write_id }}\" }").replace("/things", "/silence").replace("10s", "60s");
    let played = play_until(&workload, "api", &endpoint, "200ms");
    let writes = played.writes();
    let numbers: Vec<u64> = writes.iter().map(|write| write.id.seq()).collect();
    assert_eq!(numbers, (0..played.fired).collect::<Vec<_>>(), "each once");
    assert!(writes.iter().all(|write| write.outcome == WriteOutcome::Unknown));
    let check = played.check(None);
    assert_eq!((check.unknown, check.unknown_writes.not_found, check.lost_count()), (played.fired, played.fired, 0));
}
