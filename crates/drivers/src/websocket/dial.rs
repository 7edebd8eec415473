//! From an address to an open WebSocket: guard, TCP, TLS, handshake.

use std::future::Future;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;
use url::{Host, Url};

use super::WebsocketEndpoint;
use super::failure;
use crate::CompileContext;
use crate::dial::{Dial, DialError};
use crate::endpoint_url::refuse_extras;
use crate::failure::Failure;
use slatest_core::model::{Outcome, Problems};
use slatest_core::target::client_config;

/// An open connection.
pub(super) type Socket = WebSocketStream<Either<TcpStream, Box<TlsStream<TcpStream>>>>;

/// Most bytes of one message that is received.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes that wait for a server which stopped reading.
const UNSENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The default of 128 KiB would be spent on every idle connection.
const READ_BUFFER_BYTES: usize = 1024;

/// Opens connections to one endpoint.
pub(super) struct Dialer {
    url: Url,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    authorization: Option<HeaderValue>,
    pub(super) tcp: Dial,
    /// Longest wait for one connection.
    pub(super) timeout: Duration,
}

impl Dialer {
    /// Reads the endpoint and its credentials.
    pub(super) fn new(
        context: &CompileContext<'_>,
        endpoint: &WebsocketEndpoint,
        timeout: Duration,
    ) -> Result<Self, Problems> {
        let key = |name: &str| format!("endpoints.{}.{name}", context.endpoint_name);
        let written = &endpoint.websocket;
        let wrong = |reason: String| context.target.problem_at(written, key("websocket"), reason);
        let url = Url::parse(written).map_err(|e| wrong(format!("is not a URL: {e}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            let problem = wrong("credentials don't belong in the URL".into());
            return Err(problem.with_help("use `token: { env: NAME }`").into());
        }
        refuse_extras(&url).map_err(|error| wrong(error.to_string()))?;
        let secure = match url.scheme() {
            "ws" => false,
            "wss" => true,
            other => return Err(wrong(format!("`{other}:` is not a WebSocket scheme: use ws:// or wss://")).into()),
        };
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(wrong("the URL names no host".into()).into()),
        };
        let port = url.port_or_known_default().unwrap_or(if secure { 443 } else { 80 });
        let mut problems = Problems::default();
        let tls = secure
            .then(|| -> Result<_, Problems> {
                let at = || format!("endpoints.{}", context.endpoint_name);
                let config = client_config(endpoint.tls_files(), context.target_folder, &[])
                    .map_err(|e| context.target.problem(at(), e.to_string()))?;
                let name = ServerName::try_from(host.clone())
                    .map_err(|e| wrong(format!("`{host}` is no name that a certificate can carry: {e}")))?;
                Ok((TlsConnector::from(config), name))
            })
            .transpose();
        let tls = problems.take(tls).flatten();
        let authorization = endpoint
            .token
            .as_ref()
            .map(|token| -> Result<_, Problems> {
                let token =
                    token.resolve(context.target_folder).map_err(|e| context.target.problem(key("token"), e))?;
                let mut value =
                    HeaderValue::from_str(&format!("Bearer {}", secrecy::ExposeSecret::expose_secret(&token)))
                        .map_err(|_| {
                            context.target.problem(key("token"), "holds characters that no header can carry")
                        })?;
                value.set_sensitive(true);
                Ok(value)
            })
            .transpose();
        let authorization = problems.take(authorization).flatten();
        problems.or(Self { url, host, port, tls, authorization, tcp: Dial::new(context.guard.clone()), timeout })
    }

    /// Where it is, without credentials and without a query that may hold one.
    pub(super) fn address(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }

    /// Opens one connection at `path` (with query) below the endpoint's URL.
    pub(super) async fn dial(&self, path: &str) -> Result<Socket, Failure> {
        let deadline = Instant::now() + self.timeout;
        let tcp = self.tcp.connect(&self.host, self.port, self.timeout).await.map_err(|e| match e {
            DialError::TimedOut(_) => failure::timed_out("connect"),
            DialError::Connect(error) => failure::io("connect", &error),
            other => Failure::new(Outcome::Disconnected, other.kind()).with_detail(other.to_string()),
        })?;
        let wire = match &self.tls {
            None => Either::Left(tcp),
            Some((connector, name)) => {
                let stream = within(deadline, "tls", connector.connect(name.clone(), tcp)).await?;
                Either::Right(Box::new(stream.map_err(|e| failure::io("tls", &e))?))
            }
        };
        let mut request = self
            .url_of(path)
            .as_str()
            .into_client_request()
            .map_err(|e| Failure::new(Outcome::Rejected, "path: no URL").with_detail(e.to_string()))?;
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(http::header::AUTHORIZATION, value.clone());
        }
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(UNSENT_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let open = client_async_with_config(request, wire, Some(config));
        let (socket, _) = within(deadline, "handshake", open).await?.map_err(|e| failure::handshake(&e))?;
        Ok(socket)
    }

    fn url_of(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        if !path.is_empty() {
            let base = url.path().trim_end_matches('/').to_owned();
            url.set_path(&format!("{base}/{}", path.trim_start_matches('/')));
        }
        if query.is_some() {
            url.set_query(query);
        }
        url
    }
}

async fn within<T>(deadline: Instant, step: &str, work: impl Future<Output = T>) -> Result<T, Failure> {
    timeout_at(deadline, work).await.map_err(|_| failure::timed_out(step))
}
