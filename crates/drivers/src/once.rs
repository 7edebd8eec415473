//! What each user does before anything else, such as signing in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Flow, Step};
use crate::workload::{LedgerSpec, WorkloadFile};
use slatest_core::model::{Nanos, Problems, Span, suggest};
use slatest_core::source::{Located, Source};

/// Shortest lifetime that a file may give what `once` earns.
const LIFETIME_MIN: Nanos = Nanos::from_secs(1);

/// A user's first act, as written: the name of an operation or flow, or a mapping.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OnceSpec {
    /// The operation or flow, by name.
    pub step: String,
    /// How long what it earned is good for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Span>,
    /// Name of a capture of the step that says so in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
}

/// A user's first act.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mapping {
    /// The operation or flow, by name.
    step: String,
    /// How long what it earned (a token) is good for: it is done again before that ends. Default: for ever.
    #[serde(default)]
    lifetime: Option<Span>,
    /// Name of a capture of the step that says in seconds how long what it earned is good for.
    #[serde(default)]
    expires_in: Option<String>,
}

impl<'de> Deserialize<'de> for OnceSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = OnceSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an operation or flow, or { step: sign-in, lifetime: 1h }")
            }
            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<OnceSpec, E> {
                Ok(OnceSpec { step: name.to_owned(), lifetime: None, expires_in: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OnceSpec, A::Error> {
                let Mapping { step, lifetime, expires_in } = Mapping::deserialize(MapAccessDeserializer::new(map))?;
                Ok(OnceSpec { step, lifetime, expires_in })
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl JsonSchema for OnceSpec {
    fn schema_name() -> Cow<'static, str> {
        "Once".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mapping = Mapping::json_schema(generator);
        schemars::json_schema!({
            "oneOf": [{ "type": "string", "description": "An operation or flow, by name" }, mapping]
        })
    }
}

/// How long what a user's first act earned is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until the run is over.
    Endless,
    /// For so long.
    Fixed(Nanos),
    /// For as many seconds as this capture says.
    Captured(String),
}

/// What each user does before anything else, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// What it does; at least one operation.
    pub steps: Vec<Step>,
    /// How long what it earned is good for.
    pub lifetime: Lifetime,
}

impl Once {
    /// Whether an operation is one of its steps.
    pub fn has(&self, operation: usize) -> bool {
        self.steps.contains(&Step::Operation(operation))
    }
}

/// Drivers whose users can do something once.
const DRIVERS: [&str; 1] = ["http"];

/// Compiles the section of a workload file; `flows` are its flows, unrolled.
///
/// # Errors
/// A step that isn't there, that arrivals execute as well, or that keeps a ledger; a lifetime that nothing says.
pub(crate) fn compile<S, R, C, L: LedgerSpec>(
    source: &Source,
    file: &WorkloadFile<S, R, C, L>,
    written: &Located<OnceSpec>,
    flows: &[Flow],
) -> Result<Once, Problems> {
    let (driver, operations, specs) = (file.driver.as_str(), &file.operations, &file.flows);
    let mut problems = Problems::default();
    let mut wrong = |key: &str, message: String, help: &str| {
        let problem = source.problem_at(written, key, message);
        problems.0.push(if help.is_empty() { problem } else { problem.with_help(help) });
    };
    if !DRIVERS.contains(&driver) {
        let message = format!("users of the driver `{driver}` can't do a step of their own first");
        wrong("once", message, "only workloads of the driver http have `once`");
        return Err(problems);
    }
    let step = written.step.as_str();
    let steps = if let Some(i) = operations.iter().position(|operation| *operation.name == step) {
        vec![Step::Operation(i)]
    } else if let Some(flow) = flows.iter().find(|flow| flow.name == step) {
        if flow.weight > 0.0 {
            let message = format!("`{step}` is what each user does once, and arrivals execute it too");
            wrong("once", message, "give the flow `weight: 0`");
        }
        flow.steps.clone()
    } else {
        let names = operations.iter().map(|o| o.name.as_str()).chain(specs.iter().map(|flow| flow.name.as_str()));
        let message = format!("`{step}` is neither an operation nor a flow of this workload");
        wrong("once", message, &suggest(step, names));
        return Err(problems);
    };
    let once = |operation: usize| steps.contains(&Step::Operation(operation));
    for (i, operation) in operations.iter().enumerate().filter(|(i, _)| once(*i)) {
        let name = &operation.name;
        let other = flows.iter().find(|f| f.name != step && f.weight > 0.0 && f.steps.contains(&Step::Operation(i)));
        if operation.weight.as_ref().is_none_or(|weight| weight.value > 0.0) {
            let message = format!("`{name}` is what each user does once, and arrivals execute it too");
            wrong("once", message, "give the operation `weight: 0`: what is done once is counted apart");
        } else if let Some(flow) = other {
            let message = format!("`{name}` is what each user does once, and the flow `{}` executes it too", flow.name);
            wrong("once", message, "leave it out of the flow: whoever comes to it has done it already");
        }
        if operation.ledger.is_on() {
            let message = format!("`{name}` is what each user does once, and it keeps a ledger");
            wrong("once", message, "only what arrivals execute can be a write of the ledger");
        }
    }
    let captured: BTreeMap<&str, &str> = operations
        .iter()
        .enumerate()
        .filter(|(i, _)| once(*i))
        .flat_map(|(_, operation)| operation.capture.keys().map(|name| (name.as_str(), operation.name.as_str())))
        .collect();
    let lifetime = match (written.lifetime, &written.expires_in) {
        (Some(_), Some(_)) => {
            let message = "`lifetime` and `expires_in` both say how long it is good for".to_owned();
            wrong("once.expires_in", message, "leave one of them out");
            Lifetime::Endless
        }
        (Some(Span(lifetime)), None) => {
            if lifetime < LIFETIME_MIN {
                wrong("once.lifetime", format!("a lifetime must be {} at least", Span(LIFETIME_MIN)), "");
            }
            Lifetime::Fixed(lifetime)
        }
        (None, Some(name)) => {
            if !captured.contains_key(name.as_str()) {
                let known: Vec<&str> = captured.keys().copied().collect();
                let message = format!("`{step}` captures no `{name}`, which is to say how long it is good for");
                let help = match known.as_slice() {
                    [] => "it captures nothing: add `capture: { expires_in: \"$.expires_in\" }` to it".to_owned(),
                    known => format!("it captures {}", known.join(", ")),
                };
                wrong("once.expires_in", message, &help);
            }
            Lifetime::Captured(name.clone())
        }
        (None, None) => Lifetime::Endless,
    };
    problems.or(Once { steps, lifetime })
}
