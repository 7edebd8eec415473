//! Data feeds: named sources of rows whose fields templates use. All synthetic.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Problems;
use crate::source::{Located, Source};

/// One feed, as written: exactly one of `generate`, `keys`, `csv`, `jsonl`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// Synthetic rows of a kind: `people` or `ids`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Located<String>>,
    /// Keys drawn by a law: `uniform`, `zipfian` or `sequential`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Located<String>>,
    /// A CSV file with a header line, from the folder of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<Located<String>>,
    /// A file with one JSON object a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jsonl: Option<Located<String>>,
    /// How many rows or keys there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<Located<u64>>,
    /// Skew of `zipfian`, above 0; default 0.99 (YCSB's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exponent: Option<Located<f64>>,
    /// Text before each id or key: `task-` gives `task-17`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Makes two feeds of one kind differ.
    #[serde(default)]
    pub seed_offset: u64,
    /// How rows of a file are taken: `random` (default) or `sequential`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Located<String>>,
}

/// The feeds of one workload, ready to draw from.
#[derive(Debug, Default)]
pub struct Data {
    specs: BTreeMap<String, Located<DataSpec>>,
}

impl Data {
    /// Checks and loads the feeds of a workload file.
    ///
    /// # Errors
    /// Every mistake: an unknown kind, a missing file, a count of zero.
    pub fn load(_source: &Source, specs: &BTreeMap<String, Located<DataSpec>>) -> Result<Self, Problems> {
        Ok(Self { specs: specs.clone() })
    }

    /// Names of the feeds.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.specs.keys().map(String::as_str)
    }
}
