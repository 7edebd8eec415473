//! Why a connection can't be made, or was lost.

use std::io;

use rustls::CertificateError;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::failure::Failure;
use crate::generator::io_kind;
use slatest_core::model::Outcome;

/// A connection that is lost.
fn lost(kind: impl Into<String>) -> Failure {
    Failure::new(Outcome::Disconnected, kind).broken()
}

/// A step that took too long.
pub(super) fn timed_out(step: &str) -> Failure {
    Failure::new(Outcome::TimedOut, format!("{step}: timed out")).broken()
}

/// A step that met an error of the network or of TLS.
pub(super) fn io(step: &str, error: &io::Error) -> Failure {
    match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(tls) => lost(format!("tls: {}", tls_kind(tls))).with_detail(format!("TLS: {tls}")),
        None => lost(io_kind(step, error)).with_detail(format!("{step}: {error}")),
    }
}

/// A handshake that failed.
pub(super) fn handshake(error: &WsError) -> Failure {
    match error {
        WsError::Io(e) => io("handshake", e),
        WsError::Http(answer) => {
            Failure::new(Outcome::Rejected, format!("handshake: status {}", answer.status().as_u16())).broken()
        }
        WsError::Protocol(ProtocolError::HandshakeIncomplete) => lost("handshake: closed by the server"),
        other => Failure::new(Outcome::Rejected, "handshake: no WebSocket answer")
            .broken()
            .with_detail(format!("handshake: no WebSocket answer: {other}")),
    }
}

/// An open connection that failed.
pub(super) fn stream(error: &WsError) -> Failure {
    match error {
        WsError::Io(e) => io("connection", e),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) | WsError::ConnectionClosed => {
            lost("closed: no close frame")
        }
        WsError::Capacity(_) => lost("protocol: message too large"),
        WsError::WriteBufferFull(_) => lost("connection: the server stopped reading"),
        other => lost("protocol: malformed frame").with_detail(format!("protocol: {other}")),
    }
}

/// A close frame of the server.
pub(super) fn closed(frame: Option<&CloseFrame>) -> Failure {
    match frame {
        Some(frame) => lost(format!("closed: {}", u16::from(frame.code))),
        None => lost("closed: no code"),
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
