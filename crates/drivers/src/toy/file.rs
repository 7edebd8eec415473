//! Workload files of this driver.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::workload::WorkloadFile;

/// A workload file.
pub(super) type File = WorkloadFile<Nothing, Request, Nothing>;

/// A section without keys.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// What is sent.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// What to say.
    pub say: String,
}
