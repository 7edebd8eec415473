//! Values that are told apart by how they are written: `300/s` or `50`, `500ms` or `0.1%`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use super::file::{AbortOnFail, BoundValue, StageTarget};

impl<'de> Deserialize<'de> for StageTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Targets;
        impl Visitor<'_> for Targets {
            type Value = StageTarget;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rate like 300/s or a number of users")
            }
            fn visit_u64<E: Error>(self, users: u64) -> Result<StageTarget, E> {
                Ok(StageTarget::Users(users))
            }
            fn visit_i64<E: Error>(self, users: i64) -> Result<StageTarget, E> {
                u64::try_from(users).map(StageTarget::Users).map_err(|_| E::custom("users can't be below zero"))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<StageTarget, E> {
                text.parse().map(StageTarget::Rate).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Targets)
    }
}

impl<'de> Deserialize<'de> for BoundValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let value = if text.trim_end().ends_with('%') {
            text.trim().parse().map(Self::Share)
        } else if text.contains('/') {
            text.parse().map(Self::Rate)
        } else if text.trim().parse::<f64>().is_ok() {
            Err(format!(
                "`{text}` has no unit: write a share like 1% for error_rate and ratio, a time like 500ms for times, a rate like 300/s for throughput"
            ))
        } else {
            text.parse().map(Self::Duration)
        };
        value.map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for AbortOnFail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Aborts;
        impl Visitor<'_> for Aborts {
            type Value = AbortOnFail;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or a delay like 30s")
            }
            fn visit_bool<E: Error>(self, asked: bool) -> Result<AbortOnFail, E> {
                Ok(AbortOnFail::Asked(asked))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<AbortOnFail, E> {
                text.parse().map(AbortOnFail::After).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Aborts)
    }
}

impl JsonSchema for StageTarget {
    fn schema_name() -> Cow<'static, str> {
        "StageTarget".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A rate (300/s) or a number of users", "type": ["string", "integer"] })
    }
}

impl JsonSchema for BoundValue {
    fn schema_name() -> Cow<'static, str> {
        "Bound".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A duration (500ms), a share (0.1%) or a rate (300/s)", "type": "string" })
    }
}

impl JsonSchema for AbortOnFail {
    fn schema_name() -> Cow<'static, str> {
        "AbortOnFail".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "true, false, or a delay before the first look (30s)", "type": ["boolean", "string"] })
    }
}
