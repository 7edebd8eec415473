//! Where a run is scraped: `/metrics`, on a thread of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::{prometheus_protobuf, text};
use prometheus_client::registry::Registry;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use crate::collector::RunCollector;
use crate::live::LiveMetrics;

/// The variable that holds what a scraper must bring as a bearer token.
pub const TOKEN_VARIABLE: &str = "SLATEST_METRICS_TOKEN";
/// Ports that are tried after the one that was asked for.
const PORTS_TRIED: u16 = 20;
/// Connections at once; more are closed.
const CONNECTIONS_MAX: usize = 32;
/// Longest that one connection may take, idle or not: scrapers come again.
const CONNECTION_MAX: Duration = Duration::from_secs(120);
/// Longest that a request's head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Content type of OpenMetrics' text, which Prometheus asks for.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Content type of Prometheus' protobuf, the only one that carries native histograms.
const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Why nothing can be scraped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Everybody on the network could read it.
    #[error(
        "{0} is no loopback address, and what is measured would be open to the network: set {TOKEN_VARIABLE} to what a scraper must bring as a bearer token, or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// Neither the port nor one of those after it is free.
    #[error("can't listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The machine can't give what is needed.
    #[error("metrics can't be served: {0}")]
    Machine(std::io::Error),
}

/// A server of metrics, as long as this value lives.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    registry: Registry,
    token: Option<SecretString>,
}

impl MetricsServer {
    /// Serves what is known of a run. Where the port is taken, the next free one is listened on: a busy port is no reason
    /// to leave a run unseen. Where `token` is given, a scraper must bring it.
    ///
    /// # Errors
    /// When the address is open to the network and there is no token, or it can't be listened on.
    pub fn start(
        address: SocketAddr,
        token: Option<SecretString>,
        metrics: Arc<LiveMetrics>,
    ) -> Result<Self, ServeError> {
        if token.is_none() && !address.ip().is_loopback() {
            return Err(ServeError::Open(address));
        }
        let listener = listen(address)?;
        let bound = listener.local_addr().map_err(ServeError::Machine)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Machine)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(ServeError::Machine)?
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(RunCollector(metrics)));
        let shared = Arc::new(Shared { registry, token });
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("metrics".into())
            .spawn(move || runtime.block_on(serve(listener, shared, ended)))
            .map_err(ServeError::Machine)?;
        Ok(Self { address: bound, end: Some(end), thread: Some(thread) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Listens there, or on the next port that is free.
fn listen(address: SocketAddr) -> Result<std::net::TcpListener, ServeError> {
    let ports = if address.port() == 0 { 0 } else { PORTS_TRIED };
    let mut first = None;
    for port in (address.port()..=u16::MAX).take(usize::from(ports) + 1) {
        match std::net::TcpListener::bind((address.ip(), port)) {
            Ok(listener) => {
                listener.set_nonblocking(true).map_err(ServeError::Machine)?;
                return Ok(listener);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                first.get_or_insert(error);
            }
            Err(error) => return Err(ServeError::Listen { address, error }),
        }
    }
    let error = first.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into());
    Err(ServeError::Listen { address, error })
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, ended: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accept = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, for a moment.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let answer = service_fn(move |request| {
                    let answer = shared.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_WITHIN)
                    .serve_connection(TokioIo::new(stream), answer);
                if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_MAX, connection).await {
                    tracing::debug!(%error, "a scraper's connection broke");
                }
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        _ = ended => {}
    }
}

impl Shared {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.may(request) {
            let mut refused = plain(StatusCode::UNAUTHORIZED, "a bearer token is needed\n");
            refused.headers_mut().insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
            return refused;
        }
        if request.uri().path() != "/metrics" {
            return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics are read with GET\n");
            refused.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let encoded = if accept.contains("application/vnd.google.protobuf") {
            prometheus_protobuf::encode_to_vec(&self.registry).map(|bytes| (bytes, PROTOBUF)).ok()
        } else {
            let mut out = String::new();
            text::encode(&mut out, &self.registry).map(|()| (out.into_bytes(), TEXT)).ok()
        };
        let Some((bytes, kind)) = encoded else {
            return plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n");
        };
        let mut answer = Response::new(Full::new(Bytes::from(bytes)));
        answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
        answer
    }

    /// Whether who asks brought the token; compared in a time that tells nothing of it.
    fn may(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = &self.token else { return true };
        let brought = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let brought = brought.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let token = token.expose_secret();
        let differences = brought.bytes().zip(token.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        brought.len() == token.len() && differences == 0
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    answer
}
