//! Credentials: named in files, never written in them, never shown.

use std::borrow::Cow;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// A credential, by where it comes from: `{ env: NAME }` or `{ file: PATH }`. Target files hold no
/// secret itself, so they can be committed; what is serialised is only where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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
        match self {
            Self::Env(name) => std::env::var(name).map(SecretString::from).map_err(|_| {
                format!("the environment variable {name} is not set (or is not text); set it before the run")
            }),
            Self::File(path) => {
                let path = folder.join(path);
                std::fs::read_to_string(&path)
                    .map(|text| SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
                    .map_err(|e| format!("the secret file {} can't be read: {e}", path.display()))
            }
        }
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
