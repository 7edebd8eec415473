//! A workload, compiled.

use std::sync::Arc;

use crate::{Flow, Operation};

/// What was compiled.
pub(super) struct Plan {
    pub(super) operations: Vec<Operation>,
    pub(super) flows: Vec<Flow>,
    /// What each operation says.
    pub(super) requests: Arc<[String]>,
    pub(super) address: String,
}
