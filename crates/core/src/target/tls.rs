//! TLS towards targets: system roots or a chosen CA, optionally a client certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::files::read_bytes;

/// Most bytes of a file of certificates or keys: a whole system's roots have a third of that.
pub const PEM_BYTES_MAX: u64 = 1 << 20;

/// Why TLS can't be set up; names the file, never its contents.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file that can't be read or holds nothing fit.
    #[error("{path} {reason}")]
    Pem {
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

/// A client configuration; `folder` is where relative paths start, `alpn` the protocols offered.
///
/// # Errors
/// When a file can't be used.
pub fn client_config(files: TlsFiles<'_>, folder: &Path, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    let pem = |path: &Path, reason: String| TlsError::Pem { path: path.display().to_string(), reason };
    let certificates = |written: &str| -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let path = folder.join(written);
        let text = read_bytes(&path, PEM_BYTES_MAX).map_err(|error| pem(&path, error.to_string()))?;
        let found = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| pem(&path, "holds no certificate that can be read (PEM is wanted)".into()))?;
        if found.is_empty() { Err(pem(&path, "holds no certificate".into())) } else { Ok(found) }
    };
    let mut roots = RootCertStore::empty();
    match files.ca {
        Some(ca) => {
            for certificate in certificates(ca)? {
                roots.add(certificate)?;
            }
        }
        None => {
            // A broken system store leaves it empty; the handshake then says which issuer is unknown.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match (files.cert, files.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let path = folder.join(key);
            let text = read_bytes(&path, PEM_BYTES_MAX).map_err(|error| pem(&path, error.to_string()))?;
            let key = PrivateKeyDer::from_pem_slice(&text)
                .map_err(|_| pem(&path, "holds no private key that can be read (PEM is wanted)".into()))?;
            builder.with_client_auth_cert(certificates(cert)?, key)?
        }
        _ => return Err(TlsError::HalfIdentity),
    };
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}
