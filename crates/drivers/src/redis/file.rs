//! The sections of a workload file that are Redis's own.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::workload::WorkloadFile;
use slatest_core::source::Located;

/// A workload file of this driver.
pub type File = WorkloadFile<RedisSettings, RedisRequest, RedisCheck>;

/// What the driver wants to know about the workload as a whole.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    /// Connections of the scenario in all, from 1 to 10000, shared out over the workers of all agents; sessions
    /// share them, because a connection takes many commands at once. A scenario with fewer connections than there
    /// are workers is run by fewer of them. Default 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Located<u64>>,
    /// Most bytes of one reply, from 1 to 536870912; a server that sends more is disconnected. Default 16777216
    /// (16 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_bytes_max: Option<Located<u64>>,
}

/// A command, or several sent together.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisRequest {
    /// One command: `[GET, "session:{{ sessions.key }}"]`. The name is no template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<Located<Word>>,
    /// Several commands sent at once and answered at once; in a cluster their keys lie in one slot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pipeline: Vec<Vec<Located<Word>>>,
    /// A command that follows when the reply to `command` was a miss, as a cache is filled; its
    /// time belongs to the operation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_miss: Vec<Located<Word>>,
}

/// One word of a command: a template; a number stands for its digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Word(pub String);

/// What must hold of the answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisCheck {
    /// What the reply must be; of a pipeline, each reply. Default: anything but an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
}

/// What a reply must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Anything but an error.
    Any,
    /// Not nil and not empty.
    Present,
    /// Nil or empty.
    Absent,
    /// This text, or this number.
    Literal(String),
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalars("a word of a command: text or a number")).map(Self)
    }
}

impl JsonSchema for Word {
    fn schema_name() -> Cow<'static, str> {
        "RedisWord".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"], "description": "A word of a command: a template" })
    }
}

impl<'de> Deserialize<'de> for Reply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(Scalars("present, absent, any, or the reply itself"))?;
        Ok(match text.as_str() {
            "any" => Self::Any,
            "present" => Self::Present,
            "absent" => Self::Absent,
            _ => Self::Literal(text),
        })
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Any => "any",
            Self::Present => "present",
            Self::Absent => "absent",
            Self::Literal(text) => text,
        })
    }
}

impl JsonSchema for Reply {
    fn schema_name() -> Cow<'static, str> {
        "RedisReply".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"], "description": "present, absent, any, or the reply itself" })
    }
}

/// Reads any scalar as its text.
struct Scalars(&'static str);

impl Visitor<'_> for Scalars {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
    fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<String, E> {
        Ok(truth.to_string())
    }
}
