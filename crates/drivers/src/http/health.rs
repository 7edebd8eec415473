//! The health check: connect, TLS, one GET.

use std::time::Instant;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use tokio::time::timeout;

use super::connection::{Body, Home};
use super::plan::Http;
use super::{body, encoding};
use crate::failure::Failure;
use crate::{CONNECT_TIMEOUT, Health, Unreachable};
use slatest_core::model::{Clock as _, MonotonicClock};

/// Reaches the endpoint and asks for its health path. Any answer below 500 will do, unless it says
/// that the token or this machine is not welcome.
pub(super) async fn health(http: &Http) -> Result<Health, Unreachable> {
    let server = &http.server;
    let unreachable = |reason: String| Unreachable {
        endpoint: server.endpoint.clone(),
        address: format!("{}{}", server.origin.text(), server.prefix),
        reason,
    };
    let limit = CONNECT_TIMEOUT.as_duration();
    match timeout(limit, ask(http)).await {
        Ok(answer) => answer.map_err(unreachable),
        Err(_) => Err(unreachable(format!("no answer to GET {} within {CONNECT_TIMEOUT}", http.health))),
    }
}

async fn ask(http: &Http) -> Result<Health, String> {
    let server = &http.server;
    let clock = MonotonicClock::starting_at(Instant::now());
    let mut dialed = server.dialer.dial(&server.origin, Home::Runtime, &clock).await.map_err(|e| e.words)?;
    let mut request: Request<Body> = Request::new(Full::new(Bytes::new()));
    *request.uri_mut() = Uri::from(http.health.clone());
    *request.headers_mut() = http.health_headers.clone();
    server.origin.address(&mut request, dialed.connection.is_http2());
    let path = &http.health;
    let failed = |failure: Failure| match failure.kind.as_str() {
        "answer: malformed" => {
            let help = "is the port right, and its URL https:// where it has TLS?";
            format!("GET {path} failed: what answers there isn't HTTP in plain text; {help}")
        }
        kind => format!("GET {path} failed: {kind}"),
    };
    let sent = clock.now();
    let response = dialed.connection.send(request).await.map_err(|e| failed(Failure::of_head(e.error())))?;
    let (head, incoming) = response.into_parts();
    let status = head.status;
    let read = body::read(&mut dialed.connection, incoming, server.block.is_some(), http.bytes_max);
    let (bytes, _) = read.await.map_err(failed)?;
    let round_trip = clock.now().since(sent);
    if let Some(block) = &server.block {
        let bytes_max = usize::try_from(http.bytes_max).unwrap_or(usize::MAX);
        let bytes = encoding::decode(&head.headers, None, bytes, bytes_max).unwrap_or_default();
        let blocked = block.test(status.as_u16(), &head.headers, &bytes);
        blocked.map_err(|_| {
            format!("GET {path}: the firewall blocks this machine (status {status}); have it put on the allow list")
        })?;
    }
    if status.is_server_error() {
        return Err(format!("GET {path} answered {status}; set `settings.health` to a path that answers below 500"));
    }
    if status == StatusCode::UNAUTHORIZED && server.has_token {
        return Err(format!("GET {path} answered {status}: the token is not accepted; look at the endpoint's `token`"));
    }
    let version = if dialed.connection.is_http2() { "HTTP/2" } else { "HTTP/1.1" };
    let tls = dialed.tls_detail.take().map_or_else(|| "no TLS".to_owned(), |tls| tls.replacen("TLSv1.", "TLS 1.", 1));
    dialed.connection.close().await;
    Ok(Health { detail: format!("{version}, {tls}, GET {path} {}, round trip {round_trip}", status.as_u16()) })
}
