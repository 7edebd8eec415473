//! What an agent shows to get a certificate.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::Fingerprint;

/// What every token of this version begins with.
const VERSION: &str = "slatest1";
/// Bytes of the secret part.
pub(super) const SECRET_BYTES: usize = 16;

/// A secret that the coordinator knows, and the fingerprint of its authority:
/// `slatest1.<secret>.<fingerprint>`, both in base64url. [`fmt::Display`] shows it whole, for whoever
/// starts agents; nothing else does.
#[derive(Clone)]
pub struct Token {
    secret: SecretString,
    fingerprint: Fingerprint,
}

/// A text that is no token. Says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three parts, or not of this version.
    #[error("this is no token: one begins with `{VERSION}.` and has three parts, as the coordinator printed it")]
    Form,
    /// A part is torn.
    #[error("the token's {0} is cut short or was changed; copy it whole, as the coordinator printed it")]
    Part(&'static str),
}

impl Token {
    /// A new one for an authority.
    pub(super) fn new(fingerprint: Fingerprint) -> Self {
        let mut bytes = [0_u8; SECRET_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        Self { secret: SecretString::from(URL_SAFE_NO_PAD.encode(bytes)), fingerprint }
    }

    /// The part that only the coordinator and its agents know.
    pub fn secret(&self) -> &str {
        self.secret.expose_secret()
    }

    /// The fingerprint of the certificate of the coordinator's authority.
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut parts = text.trim().split('.');
        let (Some(VERSION), Some(secret), Some(fingerprint), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Form);
        };
        let bytes = URL_SAFE_NO_PAD.decode(secret).map_err(|_| TokenError::Part("secret"))?;
        if bytes.len() != SECRET_BYTES {
            return Err(TokenError::Part("secret"));
        }
        let fingerprint = URL_SAFE_NO_PAD.decode(fingerprint).map_err(|_| TokenError::Part("fingerprint"))?;
        let fingerprint = Fingerprint::try_from(fingerprint).map_err(|_| TokenError::Part("fingerprint"))?;
        Ok(Self { secret: SecretString::from(secret), fingerprint })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}.{}.{}", self.secret.expose_secret(), URL_SAFE_NO_PAD.encode(self.fingerprint))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
