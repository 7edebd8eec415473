//! The sections of a workload file that are SQL's own.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parameter::Kind;
use crate::workload::{Example, LedgerRead, WorkloadFile};
use slatest_core::source::Located;

/// A workload file of this driver.
pub type File = WorkloadFile<SqlSettings, SqlRequest, SqlCheck, LedgerRead<SqlLedger>>;

/// What the driver wants to know about the workload as a whole.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlSettings {
    /// Connections to each server that the scenario has in all, from 1 to 10000, shared out over the workers of all
    /// agents. A scenario with fewer connections than there are workers is run by fewer of them. Default: as many
    /// as the scenario has sessions, at most 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Located<u64>>,
    /// Most bytes of one answer of PostgreSQL, from 1024 to 1 GiB; a larger one is an error. Rows are counted as they
    /// come and not kept, so a large answer takes no memory. Default: 16 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_bytes_max: Option<Located<u64>>,
}

/// Where a statement may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// On a replica, where the target has any.
    Read,
    /// On the primary.
    Write,
}

/// One statement, or several in a transaction.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// One statement with placeholders `$1`, `$2`, …; it is no template, its values are `params`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<Located<String>>,
    /// Values of the placeholders, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Located<Param>>,
    /// Several statements between begin and commit, instead of `query`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transaction: Vec<StatementSpec>,
    /// Whether a replica may answer. Default: `read` for a query that only selects, else `write`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// One statement of a transaction.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatementSpec {
    /// The statement, with placeholders `$1`, `$2`, ….
    pub query: Located<String>,
    /// Values of the placeholders, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Located<Param>>,
}

/// A value: a template, whose type is what the placeholder's place in the query asks for, or
/// `{ int: "…" }` where the type must be said.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its type.
    pub kind: Kind,
    /// The template of its text.
    pub text: String,
}

/// What must hold of the answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlCheck {
    /// Rows that came back, of the last statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Located<Bounds>>,
    /// Rows that were written, over all statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected: Option<Located<Bounds>>,
}

/// An exact number, or `{ at_least: N, at_most: N }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The least that is allowed.
    pub least: u64,
    /// The most that is allowed.
    pub most: u64,
}

impl Bounds {
    /// Whether a number lies within.
    pub const fn hold(self, number: u64) -> bool {
        self.least <= number && number <= self.most
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(f, "{least}"),
            (least, u64::MAX) => write!(f, "at least {least}"),
            (0, most) => write!(f, "at most {most}"),
            (least, most) => write!(f, "{least} to {most}"),
        }
    }
}

impl<'de> Deserialize<'de> for Param {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Params;
        impl<'de> Visitor<'de> for Params {
            type Value = Param;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, or its type with it, like { int: \"{{ tasks.key }}\" }")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Param, E> {
                Ok(Param { kind: Kind::Inferred, text: text.to_owned() })
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Param, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Param, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Param, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<Param, E> {
                self.visit_str(if truth { "true" } else { "false" })
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Param, A::Error> {
                let names: &[&str] = &["text", "int", "float", "bool", "uuid", "json"];
                let name = map.next_key::<String>()?.unwrap_or_default();
                let kind = Kind::named(&name).ok_or_else(|| serde::de::Error::unknown_field(&name, names))?;
                let inner: Param = map.next_value()?;
                if inner.kind != Kind::Inferred {
                    return Err(serde::de::Error::custom("a value has one type"));
                }
                match map.next_key::<String>()? {
                    Some(other) => Err(serde::de::Error::custom(format!("a value has one type, not `{other}` too"))),
                    None => Ok(Param { kind, text: inner.text }),
                }
            }
        }
        deserializer.deserialize_any(Params)
    }
}

impl Serialize for Param {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.kind.name() {
            None => serializer.serialize_str(&self.text),
            Some(name) => serializer.collect_map([(name, &self.text)]),
        }
    }
}

impl JsonSchema for Param {
    fn schema_name() -> Cow<'static, str> {
        "SqlParam".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let scalar = serde_json::json!({ "type": ["string", "number", "boolean"] });
        json_schema!({
            "oneOf": [
                { "type": ["string", "number", "boolean"], "description": "A template; the query says its type" },
                {
                    "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
                    "properties": {
                        "text": scalar, "int": scalar, "float": scalar, "bool": scalar, "uuid": scalar, "json": scalar
                    }
                }
            ]
        })
    }
}

impl<'de> Deserialize<'de> for Bounds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Bounds;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of rows, or { at_least: N, at_most: N }")
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Bounds, E> {
                Ok(Bounds { least: number, most: number })
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Bounds, E> {
                let number = u64::try_from(number).map_err(|_| E::custom("a number of rows can't be below 0"))?;
                self.visit_u64(number)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Bounds, A::Error> {
                let mut bounds = Bounds { least: 0, most: u64::MAX };
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "at_least" => bounds.least = map.next_value()?,
                        "at_most" => bounds.most = map.next_value()?,
                        other => return Err(serde::de::Error::unknown_field(other, &["at_least", "at_most"])),
                    }
                }
                Ok(bounds)
            }
        }
        deserializer.deserialize_any(Numbers)
    }
}

impl Serialize for Bounds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.least == self.most {
            return serializer.serialize_u64(self.least);
        }
        let most = (self.most < u64::MAX).then_some(("at_most", self.most));
        serializer.collect_map([Some(("at_least", self.least)), most].into_iter().flatten())
    }
}

impl JsonSchema for Bounds {
    fn schema_name() -> Cow<'static, str> {
        "SqlBounds".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = serde_json::json!({ "type": "integer", "minimum": 0 });
        json_schema!({
            "oneOf": [
                number,
                { "type": "object", "properties": { "at_least": number, "at_most": number }, "additionalProperties": false }
            ]
        })
    }
}

/// How a write is found again: the column that holds its `{{ write_id }}`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlLedger {
    /// The table that it is in; with its schema, where it has one: `public.tasks`.
    pub table: Located<String>,
    /// The column with the identifier, of a text type or `uuid`. It should have an index.
    pub id: Located<String>,
}

impl Example for SqlLedger {
    const EXAMPLE: &'static str = "{ table: tasks, id: id } with \"{{ write_id }}\" among the values";
}
