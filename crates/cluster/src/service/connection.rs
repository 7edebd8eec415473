//! One connection, from its first byte to its last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::calls::Calls;
use super::places::Place;
use super::{Refused, notice};
use crate::identity::certified_name;
use crate::transport::{
    ANSWER_WITHIN, ASK_EVERY, CONNECTION_WINDOW, Carrier, HANDSHAKE_WITHIN, HEADERS_MAX, SEND_BUFFER, STREAM_WINDOW,
};

/// Calls that one connection may have under way; an agent makes one.
const CALLS_MAX: u32 = 4;
/// How long a connection may be there without a conversation: enough to exchange a token.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How long a connection has to be read to its end after it has been ended.
const LINGER: Duration = Duration::from_secs(3);
/// Bytes that are read of a peer after it was refused.
const LINGER_BYTES: usize = 1 << 20;

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) tls: TlsAcceptor,
    pub(super) calls: Calls,
    pub(super) tell: mpsc::Sender<Refused>,
    pub(super) stop: CancellationToken,
}

/// What a call knows of its connection.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) address: Arc<str>,
    /// The name in the certificate that it showed.
    pub(super) certified: Option<Arc<str>>,
    /// Whether a conversation has begun on it.
    pub(super) attending: Arc<AtomicBool>,
    /// Ends the connection when all calls on it are over.
    pub(super) close: CancellationToken,
}

impl Caller {
    /// For people.
    pub(super) fn name(&self) -> String {
        match &self.certified {
            Some(name) => format!("{} (agent {name})", self.address),
            None => self.address.to_string(),
        }
    }
}

impl Door {
    pub(super) async fn converse<S: Carrier>(self, carrier: S, address: String, mut place: Place) {
        let evicted = place.evicted.clone();
        let (tell, name) = (self.tell.clone(), address.clone());
        let conversing = async {
            let Some((tls, caller)) = self.shake_hands(carrier, address).await else { return };
            if caller.certified.is_some() && !place.name() {
                notice(&self.tell, caller.name(), "there are too many connections already".to_owned());
                return;
            }
            self.serve(tls, caller).await;
        };
        tokio::select! {
            () = conversing => {}
            () = evicted.cancelled() => {
                notice(&tell, name, "there are too many connections already without a certificate".to_owned());
            }
        }
    }

    async fn shake_hands<S: Carrier>(&self, carrier: S, address: String) -> Option<(TlsStream<S>, Caller)> {
        let handshake = tokio::time::timeout(HANDSHAKE_WITHIN, self.tls.accept(carrier).into_fallible());
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = self.stop.cancelled() => return None,
        };
        let tls = match shaken {
            Ok(Ok(tls)) => tls,
            Ok(Err((error, carrier))) => {
                notice(&self.tell, address, format!("no secure connection came about: {error}"));
                linger(carrier).await;
                return None;
            }
            Err(_) => {
                notice(&self.tell, address, "no secure connection came about in time".to_owned());
                return None;
            }
        };
        let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let caller = Caller {
            certified: certificate.and_then(certified_name).map(Into::into),
            address: address.into(),
            attending: Arc::default(),
            close: CancellationToken::new(),
        };
        Some((tls, caller))
    }

    async fn serve<S: Carrier>(self, tls: TlsStream<S>, caller: Caller) {
        let Caller { attending, close, .. } = caller.clone();
        let (name, calls, tell) = (caller.name(), self.calls.clone(), self.tell.clone());
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            calls.clone().answer(request.map(tonic::body::Body::new), caller.clone(), tell.clone())
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(CALLS_MAX)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEADERS_MAX)
            .keep_alive_interval(ASK_EVERY)
            .keep_alive_timeout(ANSWER_WITHIN)
            .serve_connection(TokioIo::new(tls), service);
        let mut connection = std::pin::pin!(connection);
        let idle = async {
            tokio::time::sleep(IDLE_MAX).await;
            if attending.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = close.cancelled() => None,
            () = self.stop.cancelled() => None,
            () = idle => None,
        };
        match ended {
            Some(Ok(())) => {}
            Some(Err(e)) => {
                tracing::debug!("the connection of {name} failed: {e}");
                if !attending.load(Ordering::Relaxed) && is_nonsense(&e) {
                    notice(&self.tell, name, format!("what it sent is no HTTP/2: {e}"));
                }
            }
            None => {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(LINGER, connection).await;
            }
        }
    }
}

/// Whether the peer spoke nonsense, rather than the network failing.
fn is_nonsense(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let mut source = error.source();
    while let Some(e) = source {
        if e.is::<std::io::Error>() {
            return false;
        }
        source = e.source();
    }
    !error.is_closed() && !error.is_incomplete_message() && !error.is_timeout()
}

/// Reads on for a moment after a refusal: a connection that is closed with bytes unread is reset, and the
/// peer would see the reset in place of the reason.
async fn linger<S: Carrier>(mut carrier: S) {
    let reading = async {
        let _ = carrier.shutdown().await;
        let mut scrap = [0; 4_096];
        let mut left = LINGER_BYTES;
        while let Ok(read @ 1..) = carrier.read(&mut scrap).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, reading).await;
}
