//! How what stands in front of an endpoint says no.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most signatures of one endpoint.
const SIGNATURES_MAX: usize = 20;

/// How a firewall, or a gateway that limits rates, says no: an answer that matches is `blocked`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockSignature {
    /// Who says so, for reports: `blocked by NAME`. Default `the firewall`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Status of the answer, usually 403, or 429 of a gateway.
    pub status: u16,
    /// A header that it carries, as `name: value` or just `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Text that its body contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// One signature, or a list of them: a firewall's and a gateway's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSignatures(pub Vec<BlockSignature>);

impl Serialize for BlockSignatures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            all => all.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BlockSignatures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = BlockSignatures;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ status: 403, header: name } or a list of these")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BlockSignatures, A::Error> {
                BlockSignature::deserialize(MapAccessDeserializer::new(map)).map(|one| BlockSignatures(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<BlockSignatures, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    if all.len() == SIGNATURES_MAX {
                        let message = format!("at most {SIGNATURES_MAX} signatures are possible");
                        return Err(serde::de::Error::custom(message));
                    }
                    all.push(one);
                }
                if all.is_empty() {
                    return Err(serde::de::Error::custom("a list of signatures needs at least one"));
                }
                Ok(BlockSignatures(all))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for BlockSignatures {
    fn schema_name() -> Cow<'static, str> {
        "Block".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<BlockSignature>();
        json_schema!({
            "oneOf": [one, { "type": "array", "items": one, "minItems": 1, "maxItems": SIGNATURES_MAX }]
        })
    }
}
