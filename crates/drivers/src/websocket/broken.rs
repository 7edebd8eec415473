//! Why a connection can't be made, or was lost.

use std::io;

use rustls::CertificateError;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::generator::io_kind;
use slatest_core::model::Outcome;

/// Why a connection can't be made, or was lost. Carries no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Outcome of an operation that met it.
    pub(super) outcome: Outcome,
    /// The kind, without variable parts.
    pub(super) kind: String,
    /// The same in full, for a person.
    pub(super) detail: String,
}

impl Broken {
    /// One whose kind says it all.
    pub(super) fn new(outcome: Outcome, kind: impl Into<String>) -> Self {
        let kind = kind.into();
        Self { outcome, detail: kind.clone(), kind }
    }

    /// Says it in full.
    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// A step that took too long.
    pub(super) fn timed_out(step: &str) -> Self {
        Self::new(Outcome::TimedOut, format!("{step}: timed out"))
    }

    /// A step that met an error of the network or of TLS.
    pub(super) fn io(step: &str, error: &io::Error) -> Self {
        match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
            Some(tls) => Self {
                outcome: Outcome::Disconnected,
                kind: format!("tls: {}", tls_kind(tls)),
                detail: format!("TLS: {tls}"),
            },
            None => {
                Self { outcome: Outcome::Disconnected, kind: io_kind(step, error), detail: format!("{step}: {error}") }
            }
        }
    }

    /// A handshake that failed.
    pub(super) fn handshake(error: &WsError) -> Self {
        match error {
            WsError::Io(e) => Self::io("handshake", e),
            WsError::Http(answer) => {
                Self::new(Outcome::Rejected, format!("handshake: status {}", answer.status().as_u16()))
            }
            WsError::Protocol(ProtocolError::HandshakeIncomplete) => {
                Self::new(Outcome::Disconnected, "handshake: closed by the server")
            }
            other => Self {
                outcome: Outcome::Rejected,
                kind: "handshake: no WebSocket answer".into(),
                detail: format!("handshake: no WebSocket answer: {other}"),
            },
        }
    }

    /// An open connection that failed.
    pub(super) fn stream(error: &WsError) -> Self {
        match error {
            WsError::Io(e) => Self::io("connection", e),
            WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) | WsError::ConnectionClosed => {
                Self::new(Outcome::Disconnected, "closed: no close frame")
            }
            WsError::Capacity(_) => Self::new(Outcome::Disconnected, "protocol: message too large"),
            WsError::WriteBufferFull(_) => Self::new(Outcome::Disconnected, "connection: the server stopped reading"),
            other => Self {
                outcome: Outcome::Disconnected,
                kind: "protocol: malformed frame".into(),
                detail: format!("protocol: {other}"),
            },
        }
    }

    /// A close frame of the server.
    pub(super) fn closed(frame: Option<&CloseFrame>) -> Self {
        match frame {
            Some(frame) => Self::new(Outcome::Disconnected, format!("closed: {}", u16::from(frame.code))),
            None => Self::new(Outcome::Disconnected, "closed: no code"),
        }
    }
}

/// A short name for what TLS refused.
fn tls_kind(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::UnknownIssuer => "unknown issuer",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "certificate not valid yet",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "certificate not valid for the name"
            }
            CertificateError::Revoked => "certificate revoked",
            _ => "invalid certificate",
        },
        rustls::Error::AlertReceived(_) => "refused by the server",
        rustls::Error::InvalidMessage(_) => "no TLS answer",
        _ => "handshake failed",
    }
}
