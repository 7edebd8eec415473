//! Names of agents.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// What a name must be, in words.
pub const AGENT_NAME_RULE: &str = "an agent's name has 1 to 128 letters, digits, dots, dashes or underscores";

/// Whether an agent may be called so: names stand in certificates, files and logs.
pub fn is_agent_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// The name in a certificate, its subject's only common name; `None` where there is no such name, or
/// more than one.
pub(crate) fn certified_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (rest, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?;
    let only = rest.is_empty() && names.next().is_none() && is_agent_name(name);
    only.then(|| name.to_owned())
}
