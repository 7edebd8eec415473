//! The agent's end of a connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tonic::body::Body;

use super::watched::{Watched, tls_error};
use super::{
    ANSWER_WITHIN, ASK_EVERY, CONNECTION_WINDOW, Carrier, HANDSHAKE_WITHIN, HEADERS_MAX, SEND_BUFFER, STREAM_WINDOW,
    Trust, certificate_refused, tls,
};
use crate::client::ClientError;
use crate::identity::{AgentIdentity, COORDINATOR_NAME, fingerprint};

/// A connection to a coordinator, on which calls can be made. It ends when it is dropped.
pub struct Link {
    requests: http2::SendRequest<Body>,
    /// The certificate of the coordinator's authority.
    pub(crate) authority: CertificateDer<'static>,
    seen: Arc<OnceLock<rustls::Error>>,
    _driver: Driver,
}

/// Who keeps a connection going.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    /// Why TLS ended the connection, when it did so for good.
    pub(crate) fn refused(&self) -> Option<&'static str> {
        self.seen.get().and_then(certificate_refused)
    }

    /// Calls on it, for a generated client.
    pub fn calls(&self) -> Calls {
        Calls(self.requests.clone())
    }
}

/// Makes a connection secure: the coordinator must be the one that is trusted.
///
/// # Errors
/// [`ClientError::Refused`] where it is another one, [`ClientError::Lost`] where the network fails.
pub async fn dial<S: Carrier>(
    carrier: S,
    trust: &Trust,
    identity: Option<&AgentIdentity>,
) -> Result<Link, ClientError> {
    let config = tls::client(trust, identity).map_err(|e| ClientError::Refused(e.to_string()))?;
    let lost = |what: &str| ClientError::Lost(format!("the connection could not be made secure: {what}"));
    let name = ServerName::try_from(COORDINATOR_NAME).map_err(|e| lost(&e.to_string()))?;
    let shaken = tokio::time::timeout(HANDSHAKE_WITHIN, TlsConnector::from(config).connect(name, carrier)).await;
    let tls =
        shaken.map_err(|_| lost("no answer"))?.map_err(|e| match tls_error(&e).and_then(certificate_refused) {
            Some(words) => ClientError::Refused(words.to_owned()),
            None => lost(&e.to_string()),
        })?;
    let authority = match trust {
        Trust::Authority(ca) => ca.clone(),
        Trust::Fingerprint(pinned) => {
            let sent = tls.get_ref().1.peer_certificates().unwrap_or_default();
            let authority = sent.iter().find(|certificate| fingerprint(certificate) == *pinned);
            authority.ok_or_else(|| lost("its certificate is gone"))?.clone().into_owned()
        }
    };
    let (watched, seen) = Watched::new(tls);
    let (requests, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEADERS_MAX)
        .keep_alive_interval(ASK_EVERY)
        .keep_alive_timeout(ANSWER_WITHIN)
        .handshake(TokioIo::new(watched))
        .await
        .map_err(|e| lost(&e.to_string()))?;
    let driver = Driver(tokio::spawn(connection).abort_handle());
    Ok(Link { requests, authority, seen, _driver: driver })
}

/// The connection as the generated client wants it.
#[derive(Clone)]
pub struct Calls(http2::SendRequest<Body>);

impl tower::Service<http::Request<Body>> for Calls {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
