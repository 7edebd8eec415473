//! Told to misbehave, it does, and stops when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use reqwest::Method;
use serde_json::json;

use super::process::Started;

#[tokio::test]
async fn errors_come_at_their_rate_and_repeat_with_the_seed() {
    let started = Started::new(&["--only", "api"]);
    let mut runs = Vec::new();
    for _ in 0..2 {
        started.behave(json!({ "seed": 5, "operations": { "get-patient": { "error": "20%:500" } } })).await;
        let mut failed = Vec::new();
        for i in 0..400 {
            if started.get("/api/v1/emr/patients/p").await.0 == 500 {
                failed.push(i);
            }
        }
        runs.push(failed);
    }
    // n p = 80, standard deviation 8: five of them to each side.
    assert!((40..=120).contains(&runs[0].len()), "{}", runs[0].len());
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn a_stall_holds_every_answer_until_it_ends() {
    let started = Arc::new(Started::new(&["--only", "api"]));
    started.behave(json!({ "operations": { "*": { "stall": "1h" } } })).await;
    let answered = Arc::new(AtomicUsize::new(0));
    let asked: Vec<_> = (0..20)
        .map(|i| {
            let (started, answered) = (started.clone(), answered.clone());
            tokio::spawn(async move {
                let (status, _) = started.get(&format!("/api/v1/tasks/task-{i}")).await;
                answered.fetch_add(1, Ordering::SeqCst);
                status
            })
        })
        .collect();
    // Control is never stalled: its answers come while the others wait.
    for _ in 0..50 {
        assert_eq!(started.get("/control/behaviour").await.0, 200);
    }
    assert_eq!(answered.load(Ordering::SeqCst), 0);
    started.behave(json!({})).await;
    for answer in asked {
        assert_eq!(answer.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_stall_that_ends_by_itself_lets_everything_through() {
    let started = Started::new(&["--only", "api"]);
    let set = Instant::now();
    started.behave(json!({ "operations": { "list-tasks": { "stall": "300ms" } } })).await;
    assert_eq!(started.get("/api/v1/tasks").await.0, 200);
    // Never sooner; how much later is the machine's affair.
    assert!(set.elapsed().as_millis() >= 300);
}

#[tokio::test]
async fn latency_is_added_and_blocks_look_like_a_firewall() {
    let flags = ["--only", "api", "--latency", "me=constant:50ms", "--block-rate", "login=100%"];
    let started = Started::new(&flags);
    let asked = Instant::now();
    assert_eq!(started.get("/api/v1/me").await.0, 401);
    assert!(asked.elapsed().as_millis() >= 50);

    let login = format!("{}/api/v1/auth/login", started.ready.http);
    let blocked = started.client.post(login).body(r#"{"user":"u"}"#).send().await.unwrap();
    assert_eq!(blocked.status(), 403);
    assert_eq!(blocked.headers()["x-waf-action"], "block");
    assert!(blocked.text().await.unwrap().contains("web application firewall"));

    let (_, given) = started.ask(Method::GET, "/control/behaviour", None).await;
    assert_eq!(given["operations"]["login"]["block"], "100%");
}
