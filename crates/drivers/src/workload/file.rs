//! The shape of a workload file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DataSpec, LedgerSpec, LedgerSwitch};
use crate::once::OnceSpec;
use slatest_core::model::Span;
use slatest_core::source::Located;

/// A workload file (`workloads/*.yaml`). `S`: the driver's settings, `R`: its request, `C`: its
/// checks on the answer, `L`: what it wants to know of writes in the ledger.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    bound(
        deserialize = "S: Deserialize<'de>, R: Deserialize<'de>, C: Deserialize<'de>, L: LedgerSpec + Deserialize<'de>"
    )
)]
#[schemars(bound = "S: JsonSchema, R: JsonSchema, C: JsonSchema, L: JsonSchema + LedgerSpec + Serialize")]
pub struct WorkloadFile<S, R, C, L = LedgerSwitch> {
    /// Its name, as scenarios take it.
    pub name: String,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which driver executes it: `http`, `websocket`, `kafka`, `sql`, `redis`, `amqp`.
    pub driver: Located<String>,
    /// Name of the endpoint in the target file.
    pub endpoint: Located<String>,
    /// What the driver wants to know about the workload as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<S>,
    /// Named feeds whose fields templates use: `{{ clinicians.id }}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, Located<DataSpec>>,
    /// What each user does before anything else, such as signing in: an operation or a flow of weight 0. It is counted
    /// apart, and no objective covers it that doesn't name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Located<OnceSpec>>,
    /// What can be done, weighted.
    pub operations: Vec<OperationSpec<R, C, L>>,
    /// Sequences of operations by one user, weighted against the operations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<FlowSpec>,
}

/// The part of a workload file that says who reads the rest.
#[derive(Clone, Debug, Deserialize)]
pub struct WorkloadHead {
    /// Its name.
    pub name: Located<String>,
    /// Which driver executes it.
    pub driver: Located<String>,
    /// Name of the endpoint in the target file.
    pub endpoint: Located<String>,
}

/// One kind of request: the unit that has a histogram.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    bound(deserialize = "R: Deserialize<'de>, C: Deserialize<'de>, L: LedgerSpec + Deserialize<'de>")
)]
#[schemars(bound = "R: JsonSchema, C: JsonSchema, L: JsonSchema + LedgerSpec + Serialize")]
pub struct OperationSpec<R, C, L = LedgerSwitch> {
    /// Its name; it is addressed as `scenario/name`.
    pub name: Located<String>,
    /// Its share among operations and flows; 0 for one that only flows use. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Located<f64>>,
    /// Longest wait for the whole answer. Default 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// What is sent.
    pub request: R,
    /// What must hold of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<C>,
    /// Values kept for the user's later requests, by name: a JSONPath (`$.id`), or `header:Name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, Located<String>>,
    /// Whether every write of it is recorded, to be read back after a drill; where the driver can't know by
    /// itself, how it is read back.
    #[serde(default)]
    pub ledger: L,
}

/// A sequence of operations by one user.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowSpec {
    /// Its name.
    pub name: Located<String>,
    /// Its share among operations and flows. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Located<f64>>,
    /// Operations by name, other flows by name, and `{ think: 2s }`.
    pub steps: Vec<Located<StepSpec>>,
}

/// One step of a flow.
#[derive(Clone, Debug, PartialEq)]
pub enum StepSpec {
    /// An operation or another flow, by name.
    Name(String),
    /// A pause of the user.
    Think(Span),
}

impl Serialize for StepSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Name(name) => serializer.serialize_str(name),
            Self::Think(span) => serializer.collect_map([("think", span)]),
        }
    }
}

impl<'de> Deserialize<'de> for StepSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Steps;
        impl<'de> Visitor<'de> for Steps {
            type Value = StepSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an operation or { think: 2s }")
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<StepSpec, E> {
                Ok(StepSpec::Name(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StepSpec, A::Error> {
                let step = match map.next_key::<String>()?.as_deref() {
                    Some("think") => StepSpec::Think(map.next_value()?),
                    Some(other) => return Err(serde::de::Error::unknown_field(other, &["think"])),
                    None => return Err(serde::de::Error::missing_field("think")),
                };
                match map.next_key::<String>()? {
                    Some(other) => Err(serde::de::Error::unknown_field(&other, &["think"])),
                    None => Ok(step),
                }
            }
        }
        deserializer.deserialize_any(Steps)
    }
}

impl JsonSchema for StepSpec {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let span = generator.subschema_for::<Span>();
        json_schema!({
            "oneOf": [
                { "type": "string", "description": "An operation or flow, by name" },
                { "type": "object", "properties": { "think": span }, "required": ["think"], "additionalProperties": false }
            ]
        })
    }
}
