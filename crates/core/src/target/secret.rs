//! Credentials: named in files, never written in them, never shown.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::files::read_text;
use crate::source::CREDENTIAL_WRITTEN;

/// Most bytes of a credential: tokens have some thousand.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A credential, by where it comes from: `{ env: NAME }` or `{ file: PATH }`. Target files hold no
/// secret itself, so they can be committed; what is serialised is only where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// The environment variable of this name.
    Env(String),
    /// The contents of this file, without a trailing line break.
    File(String),
}

impl Secret {
    /// Reads it. `folder` is where relative paths start.
    ///
    /// # Errors
    /// In words, naming the variable or file and never its contents.
    pub fn resolve(&self, folder: &Path) -> Result<SecretString, String> {
        let (text, named) = match self {
            Self::Env(name) => {
                let text = std::env::var(name).map_err(|_| {
                    format!("the environment variable {name} is not set (or is not text); set it before the run")
                })?;
                (text, format!("the environment variable {name}"))
            }
            Self::File(path) => {
                let path = folder.join(path);
                let named = format!("the secret file {}", path.display());
                let text = read_text(&path, SECRET_BYTES_MAX).map_err(|error| format!("{named} {error}"))?;
                (text.trim_end_matches(['\r', '\n']).to_owned(), named)
            }
        };
        // Sent empty, it would be a login that nobody meant.
        if text.trim().is_empty() {
            return Err(format!("{named} is empty; put the credential there before the run"));
        }
        Ok(SecretString::from(text))
    }
}

fn written<E: Error>() -> E {
    E::custom(format!("{CREDENTIAL_WRITTEN}: say where it comes from, {{ env: NAME }} or {{ file: PATH }}"))
}

/// Written by hand, because the derived one would quote what it doesn't expect: a password that
/// somebody wrote into the file.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ env: NAME } or { file: PATH }")
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<Secret, E> {
                Err(written())
            }
            fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
                Err(written())
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
                Err(written())
            }
            fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
                Err(written())
            }
            fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
                Err(written())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                let kind: Option<String> = map.next_key()?;
                let secret = match kind.as_deref() {
                    Some("env") => Secret::Env(map.next_value()?),
                    Some("file") => Secret::File(map.next_value()?),
                    _ => return Err(written()),
                };
                match map.next_key::<String>()? {
                    None => Ok(secret),
                    Some(_) => Err(A::Error::custom("a credential comes from one place: either `env` or `file`")),
                }
            }
        }
        deserializer.deserialize_any(Forms)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A credential, by where it comes from",
            "oneOf": [
                { "type": "object", "properties": { "env": { "type": "string" } }, "required": ["env"], "additionalProperties": false },
                { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"], "additionalProperties": false }
            ]
        })
    }
}
