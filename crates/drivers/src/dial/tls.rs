//! Why TLS did not come about, and what to do about it.

use std::io;

use crate::failure::cause;

/// TLS that did not come about.
#[derive(Debug)]
pub(crate) struct TlsFailure {
    /// What it is counted as.
    pub(crate) kind: String,
    /// For people: what was said, and what to do.
    pub(crate) words: String,
}

impl TlsFailure {
    /// Of what a handshake ended with.
    pub(crate) fn of(error: &io::Error) -> Self {
        use rustls::{CertificateError as C, Error as E};
        let inner = error.get_ref().and_then(|e| cause::<E>(e));
        let (kind, help) = match inner {
            Some(E::InvalidCertificate(C::UnknownIssuer)) => (
                "tls: certificate of an unknown issuer".into(),
                "set `ca` of the endpoint to the certificate of the CA that signed the server's",
            ),
            Some(E::InvalidCertificate(C::Expired | C::ExpiredContext { .. })) => {
                ("tls: certificate expired".into(), "renew the server's certificate")
            }
            Some(E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. })) => (
                "tls: certificate for another name".into(),
                "use the name that the certificate is for in the endpoint of the target",
            ),
            Some(E::InvalidCertificate(_)) => ("tls: certificate refused".into(), "look at the server's certificate"),
            Some(E::AlertReceived(alert)) => (
                format!("tls: alert {alert:?}"),
                "the server refused the handshake; it may want a client certificate (`cert` and `key`)",
            ),
            Some(_) => ("tls: handshake failed".into(), "see whether the server speaks TLS on this port"),
            None => (format!("tls: {}", error.kind()), "see whether the server speaks TLS on this port"),
        };
        Self { kind, words: format!("TLS failed: {error}; {help}") }
    }
}
