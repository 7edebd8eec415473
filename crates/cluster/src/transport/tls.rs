//! What is asked of a certificate.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::identity::{AgentIdentity, Fingerprint, RunAuthority, Token, fingerprint};

const HTTP2: &[u8] = b"h2";

/// Certificates that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificates can't be used: {0}")]
pub struct TransportError(String);

impl From<Error> for TransportError {
    fn from(e: Error) -> Self {
        Self(e.to_string())
    }
}

/// How an agent knows its coordinator.
#[derive(Clone, Debug)]
pub enum Trust {
    /// By the fingerprint of its authority, which the coordinator sends along.
    Fingerprint(Fingerprint),
    /// By the authority's certificate.
    Authority(CertificateDer<'static>),
}

impl From<&Token> for Trust {
    fn from(token: &Token) -> Self {
        Self::Fingerprint(*token.fingerprint())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(ca: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    Ok(Arc::new(roots))
}

/// The coordinator's side.
pub(crate) fn server(authority: &RunAuthority) -> Result<Arc<ServerConfig>, TransportError> {
    let clients = WebPkiClientVerifier::builder_with_provider(roots(authority.ca())?, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|e| TransportError(e.to_string()))?;
    // The authority's certificate goes along: who has only its fingerprint needs it.
    let chain = vec![authority.certificate.clone(), authority.ca().clone()];
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(authority.key.clone_key()))?;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(Arc::new(config))
}

/// The agent's side.
pub(super) fn client(trust: &Trust, identity: Option<&AgentIdentity>) -> Result<Arc<ClientConfig>, TransportError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let builder = match trust {
        Trust::Authority(ca) => builder.with_root_certificates(roots(ca)?),
        Trust::Fingerprint(pinned) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned { pinned: *pinned, provider: provider() })),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(
            vec![identity.certificate.clone()],
            PrivateKeyDer::Pkcs8(identity.key.clone_key()),
        )?,
    };
    config.alpn_protocols = vec![HTTP2.to_vec()];
    // A conversation is a run long: nothing is gained by tickets for the next one.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// Takes a certificate that the authority with this fingerprint issued, for the name that was asked for.
#[derive(Debug)]
struct Pinned {
    pinned: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        sent_along: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = sent_along.iter().find(|sent| fingerprint(sent) == self.pinned);
        let authority = authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let roots = roots(&authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
            .build()
            .map_err(|e| Error::General(e.to_string()))?
            .verify_server_cert(certificate, &[], name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Why a handshake failed for good, in words; `None` where another try may succeed.
pub(crate) fn certificate_refused(error: &Error) -> Option<&'static str> {
    match error {
        Error::InvalidCertificate(_) => Some(
            "who listens there is not certified by the authority that this agent was told of; give it the token, or the \
             --ca file, of this very run",
        ),
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => Some("the coordinator doesn't take the agent's certificate: it is not one of this run"),
        _ => None,
    }
}
