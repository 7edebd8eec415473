//! A value that may be a credential: plain text, or where a secret comes from.

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Secret;
use crate::model::redact;
use crate::source::CREDENTIAL_WRITTEN;

/// Names of headers and variables whose values are credentials.
const CREDENTIALS: &[&str] =
    &["password", "passwd", "pwd", "secret", "token", "authorization", "cookie", "api-key", "api_key", "apikey"];

/// Plain text, or a credential by where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Text {
    /// As written.
    Plain(String),
    /// Read when it is needed.
    Secret(Secret),
}

impl Text {
    /// A value from elsewhere under this name: as it is or, where it is a credential, the environment variable
    /// that is to hold it. The value itself is let go then.
    pub fn adopted(name: &str, value: &str) -> Self {
        if !is_credential(name) && !holds_credential(value) {
            return Self::Plain(value.to_owned());
        }
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        Self::Secret(Secret::Env(name.chars().map(letter).collect()))
    }

    /// What it says. `folder` is where relative paths start.
    ///
    /// # Errors
    /// In words, naming the variable or file that is not there.
    pub fn resolve(&self, folder: &Path) -> Result<SecretString, String> {
        match self {
            Self::Plain(text) => Ok(SecretString::from(text.clone())),
            Self::Secret(secret) => secret.resolve(folder),
        }
    }

    /// What is wrong with it under this name.
    pub fn mistake(&self, name: &str, folder: &Path) -> Option<String> {
        match self {
            Self::Plain(text) => (is_credential(name) || holds_credential(text))
                .then(|| format!("{CREDENTIAL_WRITTEN}: say where it comes from, {{ env: NAME }} or {{ file: PATH }}")),
            Self::Secret(secret) => secret.resolve(folder).err(),
        }
    }
}

/// What is wrong with a value that a workload sends under this name (a header, a property): a credential that stands
/// in the file itself. What a template fills in (`Bearer {{ token }}`) is none.
///
/// # Errors
/// In words that don't quote it; the problem made of them must be veiled.
pub fn check_sent(name: &str, value: &str) -> Result<(), String> {
    if (is_credential(name) && !value.trim().is_empty() && !value.contains("{{")) || holds_credential(value) {
        return Err(format!("{CREDENTIAL_WRITTEN}: say where it comes from, {{ env: NAME }} or {{ file: PATH }}"));
    }
    Ok(())
}

/// Whether what is called so is a credential.
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.iter().any(|word| name.contains(word))
}

/// Whether a text holds a credential itself: the user information of a URL, or the value of a parameter that
/// is called like one. What a shell is to put there (`PGPASSWORD=$PW`) is none.
pub fn holds_credential(text: &str) -> bool {
    let text = text.replace("=$", " ");
    redact(&text) != text
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text (in quotes where YAML reads a number or a yes), { env: NAME } or { file: PATH }")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::Plain(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text, A::Error> {
                Secret::deserialize(MapAccessDeserializer::new(map)).map(Text::Secret)
            }
        }
        deserializer.deserialize_any(Forms)
    }
}
