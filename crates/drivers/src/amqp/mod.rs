//! AMQP 0-9-1: publish with confirms, consume, and end to end.
//!
//! Each worker has its own connections, whose channels its sessions share; the workload has one
//! consumer for each queue that is consumed, because a queue hands each message to one consumer
//! only.

mod broker;
mod compile;
mod consumer;
mod envelope;
mod failure;
mod file;
mod lanes;
mod read_back;
mod session;
mod workload;

use std::sync::Arc;

use schemars::{Schema, schema_for};

use super::{CompileContext, Driver, Workload};
use slatest_core::model::Problems;

/// The driver.
#[derive(Debug)]
pub struct AmqpDriver;

impl Driver for AmqpDriver {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn endpoint_kinds(&self) -> &'static [&'static str] {
        &["amqp"]
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        Ok(Arc::new(compile::compile(context)?))
    }

    fn schema(&self) -> Schema {
        schema_for!(compile::File)
    }
}

#[cfg(test)]
mod tests;
