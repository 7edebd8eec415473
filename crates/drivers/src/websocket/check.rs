//! Checks on a JSON answer.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::workload::JsonPath;
use slatest_core::model::Problems;
use slatest_core::source::{Located, Source};

#[derive(Debug)]
enum Expected {
    Present,
    Absent,
    Equal(Value),
}

/// What must hold of an answer.
#[derive(Debug, Default)]
pub(super) struct Expectations(Vec<(JsonPath, Expected)>);

impl Expectations {
    /// Compiles the `json` section of a check; `key` is where it stands.
    ///
    /// # Errors
    /// Every malformed JSONPath.
    pub(super) fn compile(
        source: &Source,
        specs: &BTreeMap<String, Located<Value>>,
        key: &str,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut wanted = Vec::with_capacity(specs.len());
        for (path, expected) in specs {
            match JsonPath::compile(path) {
                Ok(path) => {
                    let expected = match expected.value.as_str() {
                        Some("present") => Expected::Present,
                        Some("absent") => Expected::Absent,
                        _ => Expected::Equal(expected.value.clone()),
                    };
                    wanted.push((path, expected));
                }
                Err(e) => problems.0.push(source.problem_at(expected, format!("{key}.{path}"), e)),
            }
        }
        problems.or(Self(wanted))
    }

    /// Whether they hold.
    ///
    /// # Errors
    /// The kind of error of the first that doesn't.
    pub(super) fn hold(&self, document: &Value) -> Result<(), String> {
        for (path, expected) in &self.0 {
            let found = path.first(document);
            let wrong = match expected {
                Expected::Present => found.is_none().then_some("missing"),
                Expected::Absent => found.is_some().then_some("present"),
                Expected::Equal(value) => (found != Some(value)).then_some("differs"),
            };
            if let Some(wrong) = wrong {
                return Err(format!("check: {} {wrong}", path.written()));
            }
        }
        Ok(())
    }
}
