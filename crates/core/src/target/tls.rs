//! TLS towards targets: system roots or a chosen CA, optionally a client certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::files::read_bytes;

/// Most bytes of a file of certificates or keys: a whole system's roots have a third of that.
pub const PEM_BYTES_MAX: u64 = 1 << 20;

/// Why TLS can't be set up; names the file, never its contents.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file that can't be read or holds nothing fit.
    #[error("{path} {reason}")]
    Pem {
        /// The key that names it: `ca`, `cert` or `key`.
        key: &'static str,
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// rustls refused what it was given.
    #[error("TLS can't be set up: {0}")]
    Setup(#[from] rustls::Error),
    /// A client certificate without its key, or the other way round.
    #[error("`cert` and `key` go together: a client certificate needs both")]
    HalfIdentity,
}

impl TlsError {
    /// The key of an endpoint at which it is.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Pem { key, .. } => key,
            Self::Setup(_) => "ca",
            Self::HalfIdentity => "cert",
        }
    }
}

/// The files that a TLS endpoint names, as written.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsFiles<'a> {
    /// CA certificates that replace the system's.
    pub ca: Option<&'a str>,
    /// The client's certificate chain.
    pub cert: Option<&'a str>,
    /// The client's private key.
    pub key: Option<&'a str>,
}

impl<'a> TlsFiles<'a> {
    /// Those that are named, each with its key.
    pub fn named(self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let all = [("ca", self.ca), ("cert", self.cert), ("key", self.key)];
        all.into_iter().filter_map(|(key, file)| Some((key, file?)))
    }
}

/// What of a server's certificate is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// That a known authority signed it, and that it is for the name that was asked for.
    AuthorityAndName,
    /// That a known authority signed it.
    Authority,
    /// Nothing; the server only proves that it has the certificate's key.
    Nothing,
}

/// What a client asks of a connection beyond who the server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsManner {
    /// Whether nothing below TLS 1.3 is taken; else 1.2 is, too.
    pub only_13: bool,
    /// Whether each connection makes a whole handshake, and no session is resumed.
    pub whole_handshakes: bool,
}

/// A client configuration that verifies certificates and their names; `folder` is where relative paths start, `alpn`
/// the protocols offered.
///
/// # Errors
/// When a file can't be used.
pub fn client_config(files: TlsFiles<'_>, folder: &Path, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    client_config_verifying(Verification::AuthorityAndName, files, folder, alpn)
}

/// The same in a manner of its own.
///
/// # Errors
/// When a file can't be used.
pub fn client_config_in(
    manner: TlsManner,
    files: TlsFiles<'_>,
    folder: &Path,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    configured(Verification::AuthorityAndName, manner, files, folder, alpn)
}

/// A client configuration that verifies as much as `verification` says, for protocols in which users can ask for less.
///
/// # Errors
/// When a file can't be used.
pub fn client_config_verifying(
    verification: Verification,
    files: TlsFiles<'_>,
    folder: &Path,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    configured(verification, TlsManner::default(), files, folder, alpn)
}

fn configured(
    verification: Verification,
    manner: TlsManner,
    files: TlsFiles<'_>,
    folder: &Path,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    let pem = |key, path: &Path, reason: String| TlsError::Pem { key, path: path.display().to_string(), reason };
    let certificates = |key, written: &str| -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let path = folder.join(written);
        let text = read_bytes(&path, PEM_BYTES_MAX).map_err(|error| pem(key, &path, error.to_string()))?;
        let found = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| pem(key, &path, "holds no certificate that can be read (PEM is wanted)".into()))?;
        if found.is_empty() { Err(pem(key, &path, "holds no certificate".into())) } else { Ok(found) }
    };
    let mut roots = RootCertStore::empty();
    match files.ca {
        Some(ca) => {
            for certificate in certificates("ca", ca)? {
                roots.add(certificate)?;
            }
        }
        None => {
            // A broken system store leaves it empty; the handshake then says which issuer is unknown.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = match manner.only_13 {
        true => builder.with_protocol_versions(&[&rustls::version::TLS13])?,
        false => builder.with_safe_default_protocol_versions()?,
    };
    let builder = match verification {
        Verification::AuthorityAndName => builder.with_root_certificates(roots),
        less => {
            let authorities = (less == Verification::Authority).then_some(roots);
            let verifier = Arc::new(Lenient { authorities, algorithms });
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let mut config = match (files.cert, files.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let path = folder.join(key);
            let text = read_bytes(&path, PEM_BYTES_MAX).map_err(|error| pem("key", &path, error.to_string()))?;
            let key = PrivateKeyDer::from_pem_slice(&text)
                .map_err(|_| pem("key", &path, "holds no private key that can be read (PEM is wanted)".into()))?;
            builder.with_client_auth_cert(certificates("cert", cert)?, key)?
        }
        _ => return Err(TlsError::HalfIdentity),
    };
    if manner.whole_handshakes {
        config.resumption = Resumption::disabled();
    }
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Verifies less than a name.
#[derive(Debug)]
struct Lenient {
    /// The authorities of which one must have signed; without any, everybody may.
    authorities: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(authorities) = &self.authorities {
            let parsed = ParsedCertificate::try_from(certificate)?;
            verify_server_cert_signed_by_trust_anchor(&parsed, authorities, others, now, self.algorithms.all)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
