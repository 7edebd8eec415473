//! The agent's side: its key, and the certificate that it was given.

use std::fmt;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::name::certified_name;
use super::{AGENT_NAME_RULE, IdentityError, files, is_agent_name};

/// A key that never leaves the agent.
pub struct AgentKey {
    pair: KeyPair,
    name: String,
}

impl AgentKey {
    /// Makes one for an agent of this name.
    ///
    /// # Errors
    /// When the name can't be one, or the machine gives no random numbers.
    pub fn generate(name: &str) -> Result<Self, IdentityError> {
        if !is_agent_name(name) {
            return Err(IdentityError::Name);
        }
        Ok(Self { pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?, name: name.to_owned() })
    }

    /// What asks for a certificate: PKCS #10, DER.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn request(&self) -> Result<Vec<u8>, IdentityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.name.as_str());
        Ok(params.serialize_request(&self.pair)?.der().to_vec())
    }

    /// Together with what the coordinator answered.
    ///
    /// # Errors
    /// When the certificate names another agent.
    pub fn with(self, ca: CertificateDer<'static>, certificate: Vec<u8>) -> Result<AgentIdentity, IdentityError> {
        let certificate = CertificateDer::from(certificate);
        if certified_name(&certificate).as_deref() != Some(&self.name) {
            return Err(IdentityError::Request("the certificate that came is another agent's"));
        }
        let key = PrivatePkcs8KeyDer::from(self.pair.serialize_der());
        Ok(AgentIdentity { name: self.name, ca, certificate, key })
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentKey({})", self.name)
    }
}

/// What an agent shows, and by whom its coordinator must be certified.
pub struct AgentIdentity {
    pub(crate) name: String,
    pub(crate) ca: CertificateDer<'static>,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivatePkcs8KeyDer<'static>,
}

impl AgentIdentity {
    /// Reads it from files (PEM): the authority's certificate, the agent's, and its key.
    ///
    /// # Errors
    /// When one can't be read or is none, or the certificate has no name that an agent may have.
    pub fn read(ca: &Path, certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let path = certificate;
        let certificate = files::certificate(path)?;
        let name = certified_name(&certificate).ok_or_else(|| IdentityError::File {
            path: path.to_owned(),
            what: format!("the certificate's common name is to be the agent's name; {AGENT_NAME_RULE}"),
        })?;
        Ok(Self { name, ca: files::certificate(ca)?, certificate, key: files::key(key)? })
    }

    /// Writes `ca.pem`, `agent.pem` and `agent.key` into a folder, for their owner only; the folder is made
    /// where there is none.
    ///
    /// # Errors
    /// When one can't be written.
    pub fn write(&self, folder: &Path) -> Result<(), IdentityError> {
        files::make_folder(folder)?;
        files::write(&folder.join("ca.pem"), &files::certificate_pem(&self.ca))?;
        files::write(&folder.join("agent.pem"), &files::certificate_pem(&self.certificate))?;
        files::write(&folder.join("agent.key"), &files::key_pem(&self.key))
    }

    /// The agent's name, as it stands in its certificate.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Clone for AgentIdentity {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            ca: self.ca.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl fmt::Debug for AgentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentIdentity({})", self.name)
    }
}
