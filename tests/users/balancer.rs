//! A balancer with sticky sessions before ten pods, which counts what it sees. It answers as the platform does, without
//! keeping anything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Pods behind the balancer.
pub const PODS: usize = 10;
/// The balancer's cookie, as AWS calls it.
const COOKIE: &str = "AWSALB";

/// What the balancer does besides counting.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Seconds that a token is good for, as the answer says and as it is kept to.
    pub expires_in: Option<u64>,
    /// Every token that was given so far ends at the request of this number.
    pub revoked_at: Option<u64>,
}

/// What it has seen.
#[derive(Default)]
pub struct Seen {
    /// Requests that were no sign-ins and no health checks.
    pub requests: u64,
    pub sign_ins: u64,
    /// Answers of 401.
    pub unauthorized: u64,
    /// Requests with a token that was given to somebody with another cookie.
    pub strangers: u64,
    /// Tokens in use, and when each was given.
    pub tokens: BTreeMap<String, (String, Instant)>,
    /// Tokens that requests came with.
    pub used: BTreeSet<String>,
    pub cookies: BTreeSet<String>,
    /// By the client's address and port.
    pub connections: BTreeSet<SocketAddr>,
    /// Requests by pod.
    pub pods: [u64; PODS],
    /// Requests by method and the path's first words.
    pub kinds: BTreeMap<String, u64>,
    /// Bytes of the bodies of tasks that were created, each.
    pub bodies: Vec<usize>,
    /// Users that signed in, by name.
    pub names: BTreeSet<String>,
}

#[derive(Clone)]
struct Shared {
    manner: Manner,
    seen: Arc<Mutex<Seen>>,
}

/// It runs until it is dropped.
pub struct Balancer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _runtime: Runtime,
}

impl Balancer {
    pub fn start(manner: Manner) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::<Mutex<Seen>>::default();
        let router = Router::new().fallback(answer).with_state(Shared { manner, seen: Arc::clone(&seen) });
        runtime.spawn(async move {
            drop(axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await);
        });
        Self { address, seen, _runtime: runtime }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panicked")
    }

    /// A target file with nothing but this.
    pub fn target(&self) -> String {
        let address = self.address;
        format!(
            "name: lb\nenvironment: staging\nallow: {{ hosts: [127.0.0.1] }}\nendpoints:\n  api: {{ http: \"http://{address}\" }}\n\
             absent: {{ sync: none, events: none, database: none, cache: none, queue: none }}\n"
        )
    }
}

async fn answer(
    State(shared): State<Shared>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches("/api/v1/").to_owned();
    if path == "/health" {
        return "ok".into_response();
    }
    let mut seen = shared.seen.lock().expect("nobody panicked");
    seen.connections.insert(from);
    let kept = headers.get(header::COOKIE).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("AWSALB="));
    let cookie = kept.map_or_else(|| format!("{}-{}", seen.cookies.len(), seen.cookies.len() % PODS), str::to_owned);
    seen.cookies.insert(cookie.clone());
    let pod: usize = cookie.rsplit('-').next().and_then(|pod| pod.parse().ok()).unwrap_or(0);
    let set_cookie = [(header::SET_COOKIE, format!("{COOKIE}={cookie}; Path=/; Max-Age=86400"))];
    if (&method, path.as_str()) == (&Method::POST, "auth/login") {
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        seen.sign_ins += 1;
        seen.names.insert(asked["user"].as_str().unwrap_or_default().to_owned());
        let token = format!("token-{}", seen.sign_ins);
        seen.tokens.insert(token.clone(), (cookie, Instant::now()));
        let said = json!({ "token": token, "user": asked["user"], "expires_in": shared.manner.expires_in });
        return (set_cookie, axum::Json(said)).into_response();
    }
    seen.requests += 1;
    seen.pods[pod] += 1;
    if shared.manner.revoked_at == Some(seen.requests) {
        seen.tokens.clear();
    }
    let token = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let token = token.trim_start_matches("Bearer ").to_owned();
    let lives = |given: Instant| shared.manner.expires_in.is_none_or(|secs| given.elapsed().as_secs() < secs);
    match seen.tokens.get(&token) {
        Some((owner, given)) if lives(*given) => {
            let stranger = *owner != cookie;
            seen.strangers += u64::from(stranger);
            seen.used.insert(token);
        }
        _ => {
            seen.unauthorized += 1;
            return (StatusCode::UNAUTHORIZED, set_cookie).into_response();
        }
    }
    let kind = path.split('/').next().unwrap_or_default();
    *seen.kinds.entry(format!("{method} {kind}")).or_default() += 1;
    if (&method, path.as_str()) == (&Method::POST, "tasks") {
        seen.bodies.push(body.len());
    }
    let status = match (method.as_str(), path.as_str()) {
        ("POST", "sync/operations") => StatusCode::ACCEPTED,
        ("POST", path) if !path.ends_with("/acknowledge") => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    (status, set_cookie, axum::Json(json!({ "id": "x-1", "items": [], "synthetic": true }))).into_response()
}
