//! The smallest protocol: a server that isn't there answers at once. For tests alone, it shows what a protocol takes.

mod compile;
mod endpoint;
mod file;
mod plan;
mod session;
mod tests;
mod workload;

pub use endpoint::ToyEndpoint;

use std::sync::Arc;

use schemars::{Schema, schema_for};

use crate::{CompileContext, Driver, Workload};
use slatest_core::model::Problems;

/// The driver.
pub(super) struct ToyDriver;

impl Driver for ToyDriver {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        Ok(Arc::new(workload::ToyWorkload(compile::compile(context)?)))
    }

    fn schema(&self) -> Schema {
        schema_for!(file::File)
    }
}
