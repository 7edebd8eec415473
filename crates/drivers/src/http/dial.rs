//! Dialling: TCP, TLS where the origin wants it, and the version of HTTP that both agree on.

use std::fmt;

use tokio_rustls::TlsConnector;

use super::connection::{Connection, Home};
use super::file::Version;
use super::origin::Origin;
use crate::CONNECT_TIMEOUT;
use crate::dial::{self, Dial, TlsFailure};
use slatest_core::model::{Clock, Nanos};

/// Opens connections.
pub(super) struct Dialer {
    pub(super) version: Version,
    pub(super) tcp: Dial,
    /// Set where TLS can be needed.
    pub(super) tls: Option<TlsConnector>,
}

/// A connection, and what making it took.
pub(super) struct Dialed {
    pub(super) connection: Connection,
    /// Name resolution and TCP.
    pub(super) connect: Nanos,
    /// The TLS handshake.
    pub(super) tls: Option<Nanos>,
    /// What TLS was agreed, for people.
    pub(super) tls_detail: Option<String>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct DialError {
    /// Counted: `connect: connection refused`.
    pub(super) kind: String,
    /// For people: what happened and what to do.
    pub(super) words: String,
}

impl DialError {
    fn same(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { kind: text.clone(), words: text }
    }
}

impl Dialer {
    /// The protocols to offer in TLS.
    pub(super) const fn alpn(version: Version) -> &'static [&'static [u8]] {
        match version {
            Version::Http1 => &[b"http/1.1"],
            Version::Http2 => &[b"h2"],
            Version::Auto => &[b"h2", b"http/1.1"],
        }
    }

    /// Connects. The caller sets the time limit; TCP has [`CONNECT_TIMEOUT`] at most.
    pub(super) async fn dial(&self, origin: &Origin, home: Home, clock: &dyn Clock) -> Result<Dialed, DialError> {
        let start = clock.now();
        let tcp = self.tcp.connect(&origin.host, origin.port, CONNECT_TIMEOUT.as_duration()).await?;
        let connected = clock.now();
        let connect = connected.since(start);
        let Some(name) = &origin.server_name else {
            let connection = Connection::open(tcp, self.version == Version::Http2, home).await;
            let connection = connection.map_err(|e| handshake_error(&e))?;
            return Ok(Dialed { connection, connect, tls: None, tls_detail: None });
        };
        let connector = self.tls.as_ref().ok_or_else(|| DialError::same("tls: not set up"))?;
        let stream = connector.connect(name.clone(), tcp).await.map_err(|e| TlsFailure::of(&e))?;
        let agreed = stream.get_ref().1;
        let http2 = agreed.alpn_protocol() == Some(b"h2");
        if self.version == Version::Http2 && !http2 {
            return Err(DialError {
                kind: "tls: no http2".into(),
                words: "the server doesn't agree to HTTP/2 (ALPN); set `version: auto` or `http1`".into(),
            });
        }
        let tls_detail = agreed.protocol_version().map(|version| format!("{version:?}").replace('_', "."));
        let tls = Some(clock.now().since(connected));
        let connection = Connection::open(stream, http2, home).await.map_err(|e| handshake_error(&e))?;
        Ok(Dialed { connection, connect, tls, tls_detail })
    }
}

impl From<TlsFailure> for DialError {
    fn from(failure: TlsFailure) -> Self {
        Self { kind: failure.kind, words: failure.words }
    }
}

impl From<dial::DialError> for DialError {
    fn from(error: dial::DialError) -> Self {
        Self { kind: error.kind(), words: error.to_string() }
    }
}

fn handshake_error(error: &hyper::Error) -> DialError {
    DialError { kind: "connect: http handshake failed".into(), words: format!("no HTTP connection: {error}") }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("version", &self.version).field("tls", &self.tls.is_some()).finish()
    }
}
