//! AMQP 0-9-1: publish with confirms, consume, and end to end.
//!
//! The scenario has connections whose channels its sessions share, some to publish and others to take messages: a
//! broker that holds back publishers must not hold back who takes. An operation that takes a message asks the broker
//! for one, and is answered by the broker alone. Messages that are awaited back come to one consumer for each queue.

mod broker;
mod compile;
mod connection;
mod consumer;
mod endpoint;
mod envelope;
mod failure;
mod file;
mod frames;
mod health;
mod plan;
mod pool;
mod read_back;
mod session;
mod shared;
mod stream;
mod tables;
mod take;
mod wanted;
mod workload;

#[cfg(any(fuzzing, feature = "readers"))]
pub use frames::fuzz::fuzz;

pub use endpoint::AmqpEndpoint;

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

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        Ok(Arc::new(compile::compile(context)?))
    }

    fn schema(&self) -> Schema {
        schema_for!(file::File)
    }
}

#[cfg(test)]
mod tests;
