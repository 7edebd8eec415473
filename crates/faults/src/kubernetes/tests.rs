//! Against an API server that keeps what it is told and remembers what it was asked.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

use super::super::Soundness;
use super::super::registry::tests::context;
use super::*;

#[derive(Default)]
struct State {
    pods: Vec<Value>,
    nodes: Vec<Value>,
    replicas: i32,
    /// How often evictions are refused before they are granted.
    budget: usize,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<State>>;

fn pod(name: &str, node: &str, more: Value) -> Value {
    let mut pod = json!({
        "metadata": { "name": name, "namespace": "emr", "uid": format!("uid-{name}"), "labels": { "app": "api" } },
        "spec": { "nodeName": node, "containers": [] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    merge(&mut pod, more);
    pod
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn node(name: &str, zone: &str, cordoned: bool) -> Value {
    let labels = json!({ "topology.kubernetes.io/zone": zone });
    json!({ "metadata": { "name": name, "labels": labels }, "spec": { "unschedulable": cordoned } })
}

fn no(code: u16, message: &str) -> (u16, Value) {
    (
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "No", "message": message }),
    )
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, query: &str, body: &Value) -> (u16, Value) {
        let words: Vec<&str> = path.trim_matches('/').split('/').collect();
        self.asked.push(format!("{method} {path}"));
        match (method.as_str(), words.as_slice()) {
            ("GET", [.., "pods"]) => {
                let fits = |pod: &&Value| {
                    let node = pod["spec"]["nodeName"].as_str().unwrap();
                    !query.contains("fieldSelector") || query.ends_with(node) || query.contains(&format!("%3D{node}&"))
                };
                let pods: Vec<&Value> = self.pods.iter().filter(fits).collect();
                (200, json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods }))
            }
            ("DELETE", [.., "pods", name]) => {
                match self.pods.iter().position(|pod| pod["metadata"]["name"] == **name) {
                    Some(at) if self.pods[at]["metadata"]["uid"] == body["preconditions"]["uid"] => {
                        (200, self.pods.remove(at))
                    }
                    Some(_) => no(409, "another uid"),
                    None => no(404, "none"),
                }
            }
            ("POST", [.., "pods", _, "eviction"]) if self.budget > 0 => {
                self.budget -= 1;
                no(429, "Cannot evict pod as it would violate the pod's disruption budget.")
            }
            ("POST", [.., "pods", name, "eviction"]) => {
                self.pods.retain(|pod| pod["metadata"]["name"] != **name);
                (201, json!({ "kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}, "code": 201 }))
            }
            ("GET", [.., "nodes"]) => {
                let zone = query.rsplit("zone%3D").next().unwrap().split('&').next().unwrap().to_owned();
                let fits = |node: &&Value| node["metadata"]["labels"]["topology.kubernetes.io/zone"] == zone;
                let nodes: Vec<&Value> = self.nodes.iter().filter(fits).collect();
                (200, json!({ "kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": nodes }))
            }
            (method, [.., "nodes", name]) => {
                let Some(node) = self.nodes.iter_mut().find(|node| node["metadata"]["name"] == **name) else {
                    return no(404, "nodes not found");
                };
                if method == "PATCH" {
                    merge(node, body.clone());
                }
                (200, node.clone())
            }
            (method, [.., "deployments", name, "scale"]) => {
                if method == "PATCH" {
                    self.replicas = i32::try_from(body["spec"]["replicas"].as_i64().unwrap()).unwrap();
                }
                let meta = json!({ "name": name, "namespace": "emr" });
                (
                    200,
                    json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": { "replicas": self.replicas } }),
                )
            }
            ("GET", [.., "deployments", name]) => {
                let spec = json!({ "replicas": self.replicas, "selector": {}, "template": {} });
                let status = json!({ "readyReplicas": self.replicas });
                (200, json!({ "metadata": { "name": name }, "spec": spec, "status": status }))
            }
            _ => no(403, "no such right"),
        }
    }
}

fn fault(state: State, yaml: &str) -> (KubernetesFault, Shared) {
    let shared = Arc::new(Mutex::new(state));
    let server = Arc::clone(&shared);
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = Arc::clone(&server);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let query = parts.uri.query().unwrap_or_default();
            let (code, answer) = server.lock().unwrap().answer(&parts.method, parts.uri.path(), query, &body);
            let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap();
            Ok::<_, Infallible>(answer)
        }
    });
    let spec: KubernetesSpec = serde_saphyr::from_str(yaml).unwrap();
    let client = Some(kube::Client::new(service, "default"));
    (KubernetesFault { client, ..KubernetesFault::new(&spec, &context(Path::new("/"))) }, shared)
}

fn names(values: &[Value]) -> Vec<&str> {
    values.iter().map(|value| value["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pods_are_deleted_by_selector_and_seen_to_come_back() {
    let pods = ["api-2", "api-1", "api-3"].map(|name| pod(name, "n1", json!({}))).to_vec();
    let state = State { pods, ..State::default() };
    let (fault, state) = fault(state, "{ namespace: emr, delete_pods: { selector: app=api, count: 2 } }");
    let undo = fault.plan().await.unwrap();
    assert_eq!(fault.inject(&undo).await.unwrap().detail, "deleted api-1, api-2");
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken);
    // Their replacements have names of their own; injecting again touches none of them.
    state.lock().unwrap().pods.extend(["api-4", "api-5"].map(|name| pod(name, "n1", json!({}))));
    assert_eq!(fault.inject(&undo).await.unwrap().detail, "no pod was left to delete");
    fault.heal(&undo).await.unwrap();
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
    state.lock().unwrap().pods.clear();
    assert!(matches!(fault.plan().await.unwrap_err(), FaultError::Refused(_)));
}

#[tokio::test(start_paused = true)]
async fn a_node_is_drained_as_budgets_allow_and_uncordoned() {
    let daemon = json!({ "metadata": { "ownerReferences": [{ "kind": "DaemonSet", "name": "d", "uid": "d", "apiVersion": "apps/v1" }] } });
    let mirror = json!({ "metadata": { "annotations": { "kubernetes.io/config.mirror": "x" } } });
    let pods = vec![
        pod("api-1", "n1", json!({})),
        pod("logs", "n1", daemon),
        pod("etcd", "n1", mirror),
        pod("done", "n1", json!({ "status": { "phase": "Succeeded" } })),
        pod("api-2", "n2", json!({})),
    ];
    let nodes = vec![node("n1", "a", false), node("n2", "b", false)];
    let state = State { pods, nodes, budget: 3, ..State::default() };
    let (fault, state) = fault(state, "{ namespace: emr, drain_node: { of_pod: app=api }, timeout: 60s }");
    let undo = fault.plan().await.unwrap();
    assert_eq!(fault.inject(&undo).await.unwrap().detail, "drained n1: evicted api-1");
    assert_eq!(names(&state.lock().unwrap().pods), ["logs", "etcd", "done", "api-2"]);
    assert_eq!(fault.probe(&undo).await.unwrap().detail, "cordoned: n1");
    assert_eq!(fault.heal(&undo).await.unwrap(), "uncordoned n1");
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_never_allows_it_is_said_in_words() {
    let pods = vec![pod("api-1", "n1", json!({}))];
    let state = State { pods, nodes: vec![node("n1", "a", false)], budget: usize::MAX, ..State::default() };
    let (fault, _) = fault(state, "{ drain_node: { node: n1 }, timeout: 20s }");
    let undo = fault.plan().await.unwrap();
    let error = fault.inject(&undo).await.unwrap_err().to_string();
    assert!(error.contains("disruption budgets keep pods where they are (api-1: Cannot evict pod"), "{error}");
    assert_eq!(fault.heal(&undo).await.unwrap(), "uncordoned n1");
}

#[tokio::test]
async fn a_deployment_is_scaled_and_back_unless_somebody_else_scaled_it() {
    let state = State { replicas: 3, ..State::default() };
    let (fault, state) = fault(state, "{ namespace: emr, scale: { deployment: api, replicas: 0 } }");
    let undo = fault.plan().await.unwrap();
    fault.inject(&undo).await.unwrap();
    assert_eq!(state.lock().unwrap().replicas, 0);
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken);
    assert!(fault.plan().await.is_err(), "it has none to take away");
    fault.heal(&undo).await.unwrap();
    assert_eq!(state.lock().unwrap().replicas, 3);
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
    state.lock().unwrap().replicas = 5;
    assert!(fault.heal(&undo).await.unwrap().contains("it keeps them"));
    assert_eq!(state.lock().unwrap().replicas, 5);
}

#[tokio::test]
async fn a_zone_is_cut_and_only_what_was_cordoned_here_is_uncordoned() {
    let system = json!({ "metadata": { "namespace": "kube-system" } });
    let pods = vec![
        pod("api-1", "n1", json!({})),
        pod("api-2", "n2", json!({})),
        pod("dns", "n2", system),
        pod("api-3", "n3", json!({})),
    ];
    let nodes = vec![node("n1", "a", false), node("n2", "a", true), node("n3", "b", false)];
    let (fault, state) = fault(State { pods, nodes, ..State::default() }, "{ cut_zone: { zone: a } }");
    let undo = fault.plan().await.unwrap();
    assert_eq!(fault.inject(&undo).await.unwrap().detail, "cordoned n1, n2; deleted api-1, api-2");
    assert_eq!(names(&state.lock().unwrap().pods), ["dns", "api-3"]);
    fault.heal(&undo).await.unwrap();
    let state = state.lock().unwrap();
    let cordoned: Vec<bool> = state.nodes.iter().map(|n| n["spec"]["unschedulable"] == true).collect();
    assert_eq!(cordoned, [false, true, false]);
    assert!(!state.asked.iter().any(|asked| asked == "PATCH /api/v1/nodes/n3"), "{:?}", state.asked);
}

#[tokio::test]
async fn the_current_context_is_never_taken() {
    let spec = serde_saphyr::from_str("{ cut_zone: { zone: a } }").unwrap();
    let error = KubernetesFault::new(&spec, &context(Path::new("/"))).plan().await.unwrap_err().to_string();
    assert!(error.contains("name a `context`"), "{error}");
}
