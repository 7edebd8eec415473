//! The coordinator's side: the authority of a run.

use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use ring::hmac;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

use super::{AgentIdentity, AgentKey, COORDINATOR_NAME, IdentityError, Token, files, fingerprint, is_agent_name};

/// Longest request for a certificate, in bytes; ours have 300.
const REQUEST_BYTES_MAX: usize = 4_096;
const CA: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const COORDINATOR: &str = "coordinator.pem";
const COORDINATOR_KEY: &str = "coordinator.key";
const TOKEN: &str = "token.json";

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Not the one that was issued.
    #[error("the token is not that of this run; copy the one that its coordinator printed")]
    Wrong,
    /// Its time is over.
    #[error("the token's time ended at {0}; start the coordinator anew, or with a longer --token-life")]
    Expired(Timestamp),
}

/// What is kept of a token: enough to know it again, not enough to make it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Issued {
    /// SHA-256 of the secret, base64.
    hash: String,
    end: Timestamp,
}

/// The certificate authority of one run, with the coordinator's own certificate.
pub struct RunAuthority {
    ca: CertificateDer<'static>,
    ca_key: KeyPair,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivatePkcs8KeyDer<'static>,
    token: Option<Issued>,
}

impl RunAuthority {
    /// Makes one: ECDSA P-256 throughout.
    ///
    /// # Errors
    /// When the machine gives no random numbers.
    pub fn new() -> Result<Self, IdentityError> {
        let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("slatest run");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = params.self_signed(&ca_key)?.der().clone();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new([COORDINATOR_NAME.to_owned()])?;
        params.distinguished_name = named(COORDINATOR_NAME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &Issuer::from_ca_cert_der(&ca, &ca_key)?)?.der().clone();
        Ok(Self { ca, ca_key, certificate, key: PrivatePkcs8KeyDer::from(key.serialize_der()), token: None })
    }

    /// Makes a token that is good until `end`. An earlier one is good no more.
    pub fn issue_token(&mut self, end: Timestamp) -> Token {
        let token = Token::new(fingerprint(&self.ca));
        self.token = Some(Issued { hash: hash_of(token.secret()), end });
        token
    }

    /// Whether this is the secret of the token that was issued. Takes the same time whichever bytes differ.
    ///
    /// # Errors
    /// When it is not, or its time is over.
    pub fn check_secret(&self, secret: &str, now: Timestamp) -> Result<(), TokenRefusal> {
        let issued = self.token.as_ref().ok_or(TokenRefusal::Wrong)?;
        // Equal under a key that nobody knows: how the comparison goes says nothing of what is compared.
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.secret_pkcs8_der());
        let kept = hmac::sign(&key, issued.hash.as_bytes());
        hmac::verify(&key, hash_of(secret).as_bytes(), kept.as_ref()).map_err(|_| TokenRefusal::Wrong)?;
        if now < issued.end { Ok(()) } else { Err(TokenRefusal::Expired(issued.end)) }
    }

    /// A certificate for the key of a request (PKCS #10, DER), for an agent of this name. Nothing else of
    /// what the request asks for is granted.
    ///
    /// # Errors
    /// When the name can't be one, the request is none, or not signed by its own key.
    pub fn certify(&self, agent: &str, request: &[u8]) -> Result<CertificateDer<'static>, IdentityError> {
        if !is_agent_name(agent) {
            return Err(IdentityError::Name);
        }
        if request.len() > REQUEST_BYTES_MAX {
            return Err(IdentityError::Request("it is too long"));
        }
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
            .map_err(|_| IdentityError::Request("it is no PKCS #10 request that its own key has signed"))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(agent);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(&request.public_key, &self.issuer()?)?.der().clone())
    }

    /// An identity for an agent that joins by files: a key and a certificate with this name.
    ///
    /// # Errors
    /// When the name can't be one, or the machine gives no random numbers.
    pub fn identity(&self, agent: &str) -> Result<AgentIdentity, IdentityError> {
        let key = AgentKey::generate(agent)?;
        let certificate = self.certify(agent, &key.request()?)?;
        key.with(self.ca.clone(), certificate.to_vec())
    }

    /// The authority's certificate.
    pub const fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// The authority's certificate as PEM.
    pub fn ca_pem(&self) -> String {
        files::certificate_pem(&self.ca)
    }

    /// Writes everything to a folder that only its owner may enter, for a coordinator that is started again.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn save(&self, folder: &Path) -> Result<(), IdentityError> {
        files::make_folder(folder)?;
        files::write(&folder.join(CA), &files::certificate_pem(&self.ca))?;
        let ca_key = PrivatePkcs8KeyDer::from(self.ca_key.serialized_der());
        files::write(&folder.join(CA_KEY), &files::key_pem(&ca_key))?;
        files::write(&folder.join(COORDINATOR), &files::certificate_pem(&self.certificate))?;
        files::write(&folder.join(COORDINATOR_KEY), &files::key_pem(&self.key))?;
        let token = serde_json::to_string(&self.token)
            .map_err(|e| IdentityError::File { path: folder.join(TOKEN), what: e.to_string() })?;
        files::write(&folder.join(TOKEN), &token)
    }

    /// Reads what [`RunAuthority::save`] wrote.
    ///
    /// # Errors
    /// When a file can't be read or is not what it should be.
    pub fn load(folder: &Path) -> Result<Self, IdentityError> {
        let wrong = |name: &str, what: String| IdentityError::File { path: folder.join(name), what };
        let ca_key = files::key(&folder.join(CA_KEY))?;
        let ca_key = KeyPair::from_pkcs8_der_and_sign_algo(&ca_key, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| wrong(CA_KEY, "no ECDSA P-256 key".to_owned()))?;
        let token = serde_json::from_str(&files::read(&folder.join(TOKEN))?)
            .map_err(|_| wrong(TOKEN, "not the file that was written".to_owned()))?;
        Ok(Self {
            ca: files::certificate(&folder.join(CA))?,
            ca_key,
            certificate: files::certificate(&folder.join(COORDINATOR))?,
            key: files::key(&folder.join(COORDINATOR_KEY))?,
            token,
        })
    }

    fn issuer(&self) -> Result<Issuer<'_, &KeyPair>, rcgen::Error> {
        Issuer::from_ca_cert_der(&self.ca, &self.ca_key)
    }
}

impl fmt::Debug for RunAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunAuthority(…)")
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn hash_of(secret: &str) -> String {
    use base64::Engine as _;
    let hash = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash)
}
