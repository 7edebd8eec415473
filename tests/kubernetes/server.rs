//! The stand-in's API: just what agents as pods need, and a note of whatever else is asked.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::admission;
use super::cluster::{Answer, Asked, BEARER, Cluster};
use super::controller;

pub async fn serve(cluster: Cluster, listener: std::net::TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let app = Router::new()
        .route("/apis/batch/v1/namespaces/{namespace}/{resource}", any(collection))
        .route("/apis/batch/v1/namespaces/{namespace}/{resource}/{name}", any(single))
        .route("/api/v1/namespaces/{namespace}/{resource}", any(collection))
        .route("/api/v1/namespaces/{namespace}/{resource}/{name}", any(single))
        .fallback(unknown)
        .with_state(cluster);
    axum::serve(listener, app).await.expect("it serves");
}

fn status(code: u16, reason: &str, message: impl Into<String>) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message.into(), "reason": reason, "code": code,
    });
    (StatusCode::from_u16(code).expect("a status"), axum::Json(body)).into_response()
}

async fn unknown(Shared(cluster): Shared<Cluster>, request: Request) -> Response {
    cluster.state().unexpected.push(format!("{} {}", request.method(), request.uri()));
    status(404, "NotFound", "the server could not find the requested resource")
}

/// Notes a request, and says who may not or what is scripted.
fn admitted(
    cluster: &Cluster,
    asked: Asked,
    namespace: &str,
    headers: &HeaderMap,
) -> Result<Option<Answer>, Box<Response>> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let mut state = cluster.state();
    let answer = state.answer(&asked.method, &asked.resource);
    let message = format!("{} {}?{}", asked.method, asked.resource, asked.query);
    state.asked.push(asked);
    if bearer != Some(&format!("Bearer {BEARER}")) {
        state.unexpected.push(format!("{message} by {bearer:?}"));
        return Err(status(401, "Unauthorized", "Unauthorized").into());
    }
    if namespace != "load" {
        return Err(status(404, "NotFound", format!("namespaces \"{namespace}\" not found")).into());
    }
    match answer {
        Some(Answer::Refuse(code, message)) => Err(status(code, "Scripted", message).into()),
        other => Ok(other),
    }
}

async fn collection(
    Shared(cluster): Shared<Cluster>,
    Path((namespace, resource)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut message: Vec<String> = query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    message.sort();
    let asked =
        Asked { method: method.to_string(), resource: resource.clone(), query: message.join("&"), body: body.clone() };
    let answer = match admitted(&cluster, asked, &namespace, &headers) {
        Ok(answer) => answer,
        Err(refused) => return *refused,
    };
    match (method.as_str(), resource.as_str()) {
        ("POST", "jobs") => {
            let checked = admission::whole::<Job>(&body).and_then(|job| admission::job(&job).map(|()| job));
            create(&cluster, "jobs", checked.map(|_| body), answer)
        }
        ("POST", "secrets") => {
            let checked = admission::whole::<Secret>(&body).and_then(|secret| admission::secret(&secret));
            create(&cluster, "secrets", checked.map(|()| body), answer)
        }
        ("GET", "pods" | "events") if query.get("watch").is_some_and(|on| on == "true") => {
            watch(cluster, &resource, &query)
        }
        ("GET", "pods") => list(&cluster, "Pod", "pods", &query),
        ("GET", "events") => list(&cluster, "Event", "events", &query),
        (method, resource) => {
            cluster.state().unexpected.push(format!("{method} {resource}"));
            status(405, "MethodNotAllowed", "not here")
        }
    }
}

fn create(cluster: &Cluster, resource: &'static str, body: Result<Value, String>, answer: Option<Answer>) -> Response {
    let mut object = match body {
        Ok(object) => object,
        Err(reason) => return status(422, "Invalid", reason),
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if cluster.state().get(resource, &name).is_some() {
        return status(409, "AlreadyExists", format!("{resource} \"{name}\" already exists"));
    }
    let made = cluster.change(|state| {
        object["metadata"]["uid"] = format!("uid-{}", state.serial()).into();
        object["metadata"]["namespace"] = "load".into();
        state.put(resource, object)
    });
    if resource == "jobs" {
        controller::pods_of(cluster, &made);
    }
    match answer {
        Some(Answer::DoneButLost) => status(500, "InternalError", "the answer was lost"),
        _ => (StatusCode::CREATED, axum::Json(made)).into_response(),
    }
}

async fn single(
    Shared(cluster): Shared<Cluster>,
    Path((namespace, resource, name)): Path<(String, String, String)>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let asked =
        Asked { method: method.to_string(), resource: resource.clone(), query: name.clone(), body: body.clone() };
    if let Err(refused) = admitted(&cluster, asked, &namespace, &headers) {
        return *refused;
    }
    let found = cluster.state().get(&resource, &name).cloned();
    let Some(object) = found else {
        return status(404, "NotFound", format!("{resource} \"{name}\" not found"));
    };
    match (method.as_str(), resource.as_str()) {
        ("GET", "jobs" | "secrets") => {
            let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if accept.contains("PartialObjectMetadata") {
                let part = json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"],
                });
                return axum::Json(part).into_response();
            }
            axum::Json(object).into_response()
        }
        ("DELETE", "jobs" | "secrets") => {
            let wanted = &body["preconditions"]["uid"];
            if wanted.is_string() && *wanted != object["metadata"]["uid"] {
                return status(409, "Conflict", "Precondition failed: UID in precondition is another one");
            }
            if resource == "secrets" {
                cluster.change(|state| state.take("secrets", &name));
            } else if body["propagationPolicy"] == "Foreground" {
                controller::delete(&cluster, &name);
            } else {
                cluster.state().unexpected.push(format!("a Job deleted without its pods: {body}"));
                cluster.change(|state| state.take("jobs", &name));
            }
            axum::Json(object).into_response()
        }
        (method, resource) => {
            cluster.state().unexpected.push(format!("{method} {resource}/{name}"));
            status(405, "MethodNotAllowed", "not here")
        }
    }
}

/// Whether an object is meant by the selectors of a query.
fn meant(object: &Value, query: &HashMap<String, String>) -> bool {
    let labels = query.get("labelSelector").into_iter().flat_map(|all| all.split(',')).filter(|s| !s.is_empty());
    let fields = query.get("fieldSelector").into_iter().flat_map(|all| all.split(',')).filter(|s| !s.is_empty());
    let pair = |text: &str| text.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("key=value");
    labels.map(pair).all(|(key, value)| object["metadata"]["labels"][key] == value)
        && fields.map(pair).all(|(key, value)| object[key] == value)
}

fn list(cluster: &Cluster, kind: &str, resource: &str, query: &HashMap<String, String>) -> Response {
    let state = cluster.state();
    let items: Vec<Value> = state.all(resource).into_iter().filter(|object| meant(object, query)).collect();
    let list = json!({
        "kind": format!("{kind}List"), "apiVersion": "v1",
        "metadata": { "resourceVersion": state.version().to_string() }, "items": items,
    });
    axum::Json(list).into_response()
}

/// A line for each change, until the watches of its generation are ended.
fn watch(cluster: Cluster, resource: &str, query: &HashMap<String, String>) -> Response {
    let asked = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
    let (generation, forgotten) = {
        let state = cluster.state();
        (state.generation, state.forgotten)
    };
    let (lines, query, resource) = (cluster.changes(), query.clone(), resource.to_owned());
    let gone = (asked < forgotten).then(|| {
        json!({ "type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "too old resource version", "reason": "Expired", "code": 410,
        } })
    });
    let start = (cluster, lines, asked, gone);
    let stream = futures_util::stream::unfold(start, move |(cluster, mut lines, mut seen, gone)| {
        let (query, resource) = (query.clone(), resource.clone());
        async move {
            if seen == u64::MAX {
                return None;
            }
            if let Some(gone) = gone {
                return Some((Ok::<_, Infallible>(Bytes::from(format!("{gone}\n"))), (cluster, lines, u64::MAX, None)));
            }
            loop {
                // Noted before looking, so that no change falls in between.
                lines.borrow_and_update();
                let (changes, ended) = {
                    let state = cluster.state();
                    (state.changes_after(&resource, seen), state.generation != generation)
                };
                if let Some((last, ..)) = changes.last() {
                    seen = *last;
                }
                let fitting = changes.iter().filter(|(_, _, object)| meant(object, &query));
                let text: String = fitting.map(|(_, line, _)| format!("{line}\n")).collect();
                if !text.is_empty() {
                    return Some((Ok(Bytes::from(text)), (cluster, lines, seen, None)));
                }
                if ended || lines.changed().await.is_err() {
                    return None;
                }
            }
        }
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(stream)).into_response()
}
