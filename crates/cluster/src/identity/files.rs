//! Files of keys and certificates: for their owner's eyes only, and never half written.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::IdentityError;
use slatest_core::files::read_text;

/// More than any file of ours has.
const FILE_BYTES_MAX: u64 = 1 << 20;

fn wrong(path: &Path, what: impl ToString) -> IdentityError {
    IdentityError::File { path: path.to_owned(), what: what.to_string() }
}

/// Makes a folder that only its owner may enter; one that is there is left as it is.
pub(super) fn make_folder(folder: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| wrong(folder, e))
}

/// Writes a file that only its owner may read.
pub(super) fn write(path: &Path, content: &str) -> Result<(), IdentityError> {
    let folder = path.parent().ok_or_else(|| wrong(path, "no folder to write to"))?;
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.write_all(content.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|e| wrong(path, e))
}

/// Reads one of ours.
pub(super) fn read(path: &Path) -> Result<String, IdentityError> {
    read_text(path, FILE_BYTES_MAX).map_err(|error| wrong(path, error))
}

/// The only certificate of a file.
pub(super) fn certificate(path: &Path) -> Result<CertificateDer<'static>, IdentityError> {
    CertificateDer::from_pem_slice(read(path)?.as_bytes())
        .map_err(|e| wrong(path, format!("no certificate (PEM) could be read: {e}")))
}

/// The only key of a file, PKCS #8.
pub(super) fn key(path: &Path) -> Result<PrivatePkcs8KeyDer<'static>, IdentityError> {
    PrivatePkcs8KeyDer::from_pem_slice(read(path)?.as_bytes())
        .map_err(|_| wrong(path, "no private key (PKCS #8, PEM) could be read"))
}

/// A certificate as text.
pub(super) fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    armour("CERTIFICATE", certificate)
}

/// A key as text.
pub(super) fn key_pem(key: &PrivatePkcs8KeyDer<'_>) -> String {
    armour("PRIVATE KEY", key.secret_pkcs8_der())
}

/// RFC 7468.
fn armour(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}
