//! Who may take part in a run: a certificate authority made for it, the certificates that it issued,
//! and a token that is exchanged for one.
//!
//! Certificates carry no dates that matter: the wall clocks of machines may disagree, and what limits a
//! certificate is that its authority is asked about by nobody once the run is over.

mod agent;
mod authority;
mod files;
mod name;
mod token;

pub use agent::{AgentIdentity, AgentKey};
pub use authority::{RunAuthority, TokenRefusal};
pub(super) use name::certified_name;
pub use name::{AGENT_NAME_RULE, is_agent_name};
pub use token::{Token, TokenError};

use std::path::PathBuf;

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;

/// The DNS name in the coordinator's certificate: agents ask for it whatever address they dial.
pub const COORDINATOR_NAME: &str = "coordinator.slatest";

/// SHA-256 of a certificate's DER.
pub type Fingerprint = [u8; 32];

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Keys or certificates can't be made.
    #[error("keys or certificates can't be made: {0}")]
    Make(#[from] rcgen::Error),
    /// A file can't be read, written, or understood.
    #[error("{}: {what}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, or with reading it.
        what: String,
    },
    /// A request for a certificate that can't be granted.
    #[error("the request for a certificate can't be granted: {0}")]
    Request(&'static str),
    /// A name that can't be one.
    #[error("{AGENT_NAME_RULE}")]
    Name,
}

/// A certificate's fingerprint.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, certificate).as_ref());
    bytes
}

#[cfg(test)]
mod tests;
