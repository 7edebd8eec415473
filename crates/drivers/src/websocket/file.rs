//! The sections that a websocket workload file has of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::workload::WorkloadFile;
use slatest_core::model::Span;
use slatest_core::source::Located;

/// A workload file of this driver.
pub(super) type File = WorkloadFile<Settings, Request, Check>;

/// What a websocket workload says about itself as a whole.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// Path (and query) after the endpoint's URL, a template; `{{ document }}` is the document's
    /// name. Default `/{{ document }}` for edits, nothing for requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<Located<String>>,
    /// Name of a document, a template in which `{{ n }}` is its number. Default
    /// `{{ run }}-{{ n }}`, so that runs don't meet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) document: Option<Located<String>>,
    /// Sessions that share one document, 2 to 64. Default 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replicas: Option<Located<u64>>,
    /// Size in bytes that the text of a document starts with and is kept at, 1 to 1048576.
    /// Default 10240.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) document_bytes: Option<Located<u64>>,
    /// Longest wait for TCP, TLS, the handshake and the first sync together, at most 10s. Default
    /// 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) connect_timeout: Option<Located<Span>>,
    /// Time between pings on a connection. Default 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ping: Option<Span>,
    /// Longest wait for any sign of life after a ping; then the connection counts as lost.
    /// Default 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pong_timeout: Option<Span>,
}

/// What one operation sends: `edit`, or `send` with `correlate`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// Inserts text into the session's replica of its document; over when every other replica of
    /// the document in the run has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) edit: Option<Located<Edit>>,
    /// Sends this JSON document, whose strings are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) send: Option<Located<Value>>,
    /// JSONPath that finds the correlation id in an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) correlate: Option<Located<String>>,
    /// The correlation id that the answer must carry, a template. Default: what `correlate` finds
    /// in the document sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Located<String>>,
}

/// What an edit inserts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Edit {
    /// This template.
    Text(String),
    /// Generated text of this size.
    Bytes(u64),
}

/// What must hold of an answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    /// By JSONPath: `present`, `absent`, or the value that must stand there.
    #[serde(default)]
    pub(super) json: BTreeMap<String, Located<Value>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Generated {
    /// Bytes of text to insert, 1 to 65536.
    bytes: u64,
}

impl Serialize for Edit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.collect_map([("bytes", bytes)]),
        }
    }
}

impl<'de> Deserialize<'de> for Edit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Edits;
        impl<'de> Visitor<'de> for Edits {
            type Value = Edit;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or { bytes: 40 }")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Edit, E> {
                Ok(Edit::Text(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Edit, A::Error> {
                Generated::deserialize(MapAccessDeserializer::new(map)).map(|g| Edit::Bytes(g.bytes))
            }
        }
        deserializer.deserialize_any(Edits)
    }
}

impl JsonSchema for Edit {
    fn schema_name() -> Cow<'static, str> {
        "Edit".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let generated = generator.subschema_for::<Generated>();
        json_schema!({
            "oneOf": [{ "type": "string", "description": "The text to insert, a template" }, generated]
        })
    }
}
