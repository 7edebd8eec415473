//! Captures: values of an answer that a user keeps for later requests.

use std::collections::BTreeMap;

use jsonpath_rust::parser::model::JpQuery;
use serde_json::Value;

use slatest_core::model::Problem;
use slatest_core::source::{Located, Source};

/// A compiled JSONPath (RFC 9535).
#[derive(Clone, Debug)]
pub struct JsonPath {
    query: JpQuery,
    written: String,
}

impl JsonPath {
    /// Compiles one.
    ///
    /// # Errors
    /// In words, when it is malformed.
    pub fn compile(written: &str) -> Result<Self, String> {
        let query = jsonpath_rust::parser::parse_json_path(written)
            .map_err(|_| format!("`{written}` is not a JSONPath: write it like $.id, $.items[0].id or $..name"))?;
        Ok(Self { query, written: written.to_owned() })
    }

    /// As it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The first value that it finds.
    pub fn first<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        let found = jsonpath_rust::query::js_path_process(&self.query, document).ok()?;
        found.into_iter().next().map(jsonpath_rust::query::QueryRef::val)
    }
}

/// Why an answer yielded no value for a capture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("capture: {0}")]
pub struct CaptureError(pub String);

#[derive(Clone, Debug)]
enum From {
    Path(JsonPath),
    Header(String),
}

/// The captures of one operation.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    wanted: Vec<(String, From)>,
}

impl Captures {
    /// Compiles the `capture` section of an operation; `key` is where it stands.
    ///
    /// # Errors
    /// A value that is neither a JSONPath nor `header:Name`.
    pub fn compile(source: &Source, specs: &BTreeMap<String, Located<String>>, key: &str) -> Result<Self, Problem> {
        let mut wanted = Vec::with_capacity(specs.len());
        for (name, written) in specs {
            let from = match written.strip_prefix("header:") {
                Some(header) => From::Header(header.trim().to_ascii_lowercase()),
                None => From::Path(
                    JsonPath::compile(written).map_err(|e| source.problem_at(written, format!("{key}.{name}"), e))?,
                ),
            };
            wanted.push((name.clone(), from));
        }
        Ok(Self { wanted })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether a JSON body is needed.
    pub fn needs_json(&self) -> bool {
        self.wanted.iter().any(|(_, from)| matches!(from, From::Path(_)))
    }

    /// Takes the values out of an answer into the user's captures. `header` looks a header up by
    /// its lower-case name.
    ///
    /// # Errors
    /// Names the first capture that found nothing.
    pub fn take<'h>(
        &self,
        document: Option<&Value>,
        header: impl Fn(&str) -> Option<&'h str>,
        into: &mut BTreeMap<String, String>,
    ) -> Result<(), CaptureError> {
        for (name, from) in &self.wanted {
            let value = match from {
                From::Header(header_name) => header(header_name).map(str::to_owned),
                From::Path(path) => document.and_then(|d| path.first(d)).map(|v| match v {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                }),
            };
            let value = value.ok_or_else(|| CaptureError(format!("{name} not found")))?;
            into.insert(name.clone(), value);
        }
        Ok(())
    }
}
