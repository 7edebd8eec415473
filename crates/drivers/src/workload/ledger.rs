//! What a workload file says of the writes that are remembered one by one.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands under `ledger` of an operation.
pub trait LedgerSpec: Default {
    /// Whether its writes are recorded, to be read back after a drill.
    fn is_on(&self) -> bool;
}

/// `true` or `false`: the driver knows by itself how to read its writes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct LedgerSwitch(pub bool);

impl LedgerSpec for LedgerSwitch {
    fn is_on(&self) -> bool {
        self.0
    }
}

/// `false`, or how a write is read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerRead<D>(pub Option<D>);

impl<D> Default for LedgerRead<D> {
    fn default() -> Self {
        Self(None)
    }
}

impl<D> LedgerSpec for LedgerRead<D> {
    fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl<D: Serialize> Serialize for LedgerRead<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            None => serializer.serialize_bool(false),
            Some(read) => read.serialize(serializer),
        }
    }
}

/// A declaration with an example of itself, for errors.
pub trait Example {
    /// As it is written in a workload file.
    const EXAMPLE: &'static str;
}

impl<'de, D: Deserialize<'de> + Example> Deserialize<'de> for LedgerRead<D> {
    fn deserialize<S: Deserializer<'de>>(deserializer: S) -> Result<Self, S::Error> {
        struct Reads<D>(PhantomData<D>);
        impl<'de, D: Deserialize<'de> + Example> Visitor<'de> for Reads<D> {
            type Value = LedgerRead<D>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "false, or how a write is read back, like {}", D::EXAMPLE)
            }
            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<LedgerRead<D>, E> {
                let reason = "here it must be said how a write is read back";
                if on { Err(E::custom(format!("{reason}, like {}", D::EXAMPLE))) } else { Ok(LedgerRead(None)) }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LedgerRead<D>, A::Error> {
                D::deserialize(MapAccessDeserializer::new(map)).map(|read| LedgerRead(Some(read)))
            }
        }
        deserializer.deserialize_any(Reads(PhantomData))
    }
}

impl<D: JsonSchema> JsonSchema for LedgerRead<D> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("LedgerRead_{}", D::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let read = generator.subschema_for::<D>();
        json_schema!({ "oneOf": [{ "const": false }, read] })
    }
}
