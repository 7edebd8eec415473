//! Every endpoint, and the description of them all.

use reqwest::Method;
use serde_json::{Value, json};

use super::process::Started;

#[tokio::test]
async fn the_gateway_knows_who_is_logged_in() {
    let started = Started::new(&["--only", "api"]);
    assert_eq!(started.get("/health").await, (200.try_into().unwrap(), json!({ "status": "ok" })));
    assert_eq!(started.get("/api/v1/me").await.0, 401);

    let login = started
        .client
        .post(format!("{}/api/v1/auth/login", started.ready.http))
        .body(r#"{"user":"clinician-7"}"#)
        .send()
        .await
        .unwrap();
    let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let token = login.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    for (name, value) in [("authorization", format!("Bearer {token}")), ("cookie", format!("a=b; {cookie}"))] {
        let me = started.client.get(format!("{}/api/v1/me", started.ready.http)).header(name, value).send().await;
        assert_eq!(me.unwrap().json::<Value>().await.unwrap()["user"], "clinician-7", "{name}");
    }
}

#[tokio::test]
async fn a_task_is_created_listed_changed_and_published() {
    let started = Started::new(&[]);
    let new = json!({ "title": "Check", "assignee": "clinician-new", "patient": "patient-1", "priority": "high" });
    let (status, task) = started.post("/api/v1/tasks", new).await;
    assert_eq!(status, 201);
    let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    assert_eq!(started.get(&path).await.1, task);

    let (_, page) = started.get("/api/v1/tasks?assignee=clinician-new&limit=5").await;
    assert_eq!((&page["items"][0], &page["total"]), (&task, &json!(1)));
    let (_, page) = started.get("/api/v1/tasks?limit=3").await;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["total"]), (3, &json!(10_001)));

    let (status, changed) = started.ask(Method::PATCH, &path, Some(json!({ "status": "done" }))).await;
    assert_eq!((status.as_u16(), &changed["status"]), (200, &json!("done")));
    assert_eq!(started.get(&path).await.1["status"], "done");

    // Acknowledged by the embedded brokers, in their own time.
    let published = async {
        while started.get("/control/events").await.1["published"] != 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), published).await.expect("both events are published");
}

#[tokio::test]
async fn the_other_services_answer() {
    let started = Started::new(&["--only", "api"]);
    let new = json!({ "patient": "patient-1", "task": "task-1", "system": "cerner" });
    let (status, verification) = started.post("/api/v1/emr/verifications", new).await;
    assert_eq!((status.as_u16(), &verification["status"]), (201, &json!("pending")));
    let path = format!("/api/v1/emr/verifications/{}", verification["id"].as_str().unwrap());
    assert_eq!(started.get(&path).await.1["system"], "cerner");

    let (status, patient) = started.get("/api/v1/emr/patients/anyone").await;
    assert_eq!((status.as_u16(), &patient["synthetic"]), (200, &json!(true)));
    assert_eq!(started.get("/api/v1/emr/patients/anyone").await.1, patient);

    let new = json!({ "from": "clinician-1", "to": "clinician-2", "task": "task-1", "shift": "night" });
    let (status, handover) = started.post("/api/v1/handovers", new).await;
    assert_eq!((status.as_u16(), &handover["status"]), (201, &json!("pending")));
    let path = format!("/api/v1/handovers/{}/acknowledge", handover["id"].as_str().unwrap());
    let (status, acknowledged) = started.post(&path, json!({})).await;
    assert_eq!((status.as_u16(), &acknowledged["status"]), (200, &json!("acknowledged")));
    let again = started.post(&path, json!({})).await.1;
    assert_eq!(again["acknowledged_at"], acknowledged["acknowledged_at"]);
    assert_eq!(started.get("/api/v1/handovers?shift=night&limit=1").await.1["items"][0]["id"], handover["id"]);

    assert_eq!(started.get("/api/v1/sync/state/tablet-1").await.1["version"], 0);
    let batch = json!({ "client": "tablet-1", "operations": [{ "op": "insert" }, { "op": "delete" }] });
    assert_eq!(started.post("/api/v1/sync/operations", batch.clone()).await.0, 202);
    assert_eq!(started.post("/api/v1/sync/operations", batch).await.1["version"], 4);
    assert_eq!(started.get("/api/v1/sync/state/tablet-1").await.1["version"], 4);
}

#[tokio::test]
async fn mistakes_are_answered_with_a_message() {
    let started = Started::new(&["--only", "api"]);
    for (method, path, body, status, says) in [
        (Method::GET, "/api/v1/tasks/none", None, 404, "none"),
        (Method::GET, "/api/v1/emr/verifications/none", None, 404, "none"),
        (Method::POST, "/api/v1/handovers/none/acknowledge", None, 404, "none"),
        (Method::PATCH, "/api/v1/tasks/none", Some(json!({ "status": "done" })), 404, "none"),
        (Method::PATCH, "/api/v1/tasks/task-1", Some(json!({ "status": "gone" })), 400, "in-progress"),
        (Method::POST, "/api/v1/tasks", Some(json!({ "title": "" })), 400, "assignee"),
        (Method::POST, "/api/v1/tasks", Some(json!({ "title": "", "assignee": "a", "patient": "p" })), 400, "title"),
        (Method::POST, "/api/v1/auth/login", Some(json!("clinician-7")), 400, "line 1"),
        (Method::GET, "/api/v1/tasks?limit=0", None, 400, "limit"),
        (Method::GET, "/api/v1/tasks?limit=x", None, 400, "limit"),
        (Method::GET, "/api/v1/handovers?shift=noon", None, 400, "night"),
        (Method::POST, "/api/v1/sync/operations", Some(json!({ "client": "c", "operations": [] })), 400, "operations"),
        (Method::PUT, "/control/behaviour", Some(json!({ "operations": { "get-tusk": {} } })), 400, "get-tusk"),
    ] {
        let (got, answer) = started.ask(method, path, body).await;
        let message = answer["error"].as_str().unwrap_or_default();
        assert!(got == status && message.contains(says), "{path}: {got} {answer}");
    }
}

/// The document names every route, each route answers a status that it names, and nothing else is
/// served under those paths.
#[tokio::test]
async fn the_openapi_document_is_true() {
    let started = Started::new(&["--only", "api"]);
    let (_, document) = started.get("/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let bodies = json!({
        "Login": { "user": "u" },
        "NewTask": { "title": "t", "assignee": "a", "patient": "p" },
        "TaskChange": { "status": "done" },
        "NewVerification": { "patient": "p", "task": "t" },
        "NewHandover": { "from": "a", "to": "b" },
        "SyncBatch": { "client": "c", "operations": [{}] },
        "Behaviour": { "seed": 1, "operations": {} },
    });
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations += 1;
            let schema = operation.pointer("/requestBody/content/application~1json/schema/$ref");
            let body = schema.map(|name| bodies[name.as_str().unwrap().rsplit('/').next().unwrap()].clone());
            let method = method.to_uppercase().parse().unwrap();
            let asked = path.replace("{id}", "task-1").replace("{client}", "c");
            let (status, answer) = started.ask(method, &asked, body).await;
            let described = &operation["responses"][status.as_str()];
            assert!(described.is_object(), "{path}: {status} is not described: {answer}");
            let name = described.pointer("/content/application~1json/schema/$ref").unwrap().as_str().unwrap();
            let schema = document.pointer(name.trim_start_matches('#')).unwrap();
            for field in schema["required"].as_array().unwrap() {
                assert!(answer.get(field.as_str().unwrap()).is_some(), "{path}: no {field} in {answer}");
            }
            for field in answer.as_object().unwrap().keys() {
                assert!(schema["properties"].get(field).is_some(), "{path}: {field} is not described");
            }
            assert_eq!(started.ask(Method::DELETE, &asked, None).await.0, 405, "{path}");
        }
    }
    assert_eq!(operations, 18);
}
