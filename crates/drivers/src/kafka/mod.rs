//! Kafka: produce, consume by group, and end to end.
//!
//! Each worker has one producer; its delivery reports are stamped on the producer's own thread, so
//! a busy worker doesn't read as a slow broker. The workload has one member of a group for all workers
//! that reads what is awaited back, because a record may come back in any partition, and one from which operations take.
//!
//! librdkafka follows every host that the brokers advertise, at any time: names are looked up and sockets connected
//! by callbacks that ask the allow list first. What a broker answers is held against the protocol's definition before
//! librdkafka reads it.

mod cluster;
mod compile;
mod connecting;
mod consumer;
mod context;
mod endpoint;
mod failure;
mod file;
mod filter;
mod headers;
mod health;
mod limits;
mod plan;
mod producer;
mod read_back;
mod reports;
mod security;
mod session;
mod taking;
mod workload;

#[cfg(any(fuzzing, feature = "readers"))]
pub use filter::fuzz::fuzz;

pub use endpoint::KafkaEndpoint;

use std::sync::Arc;

use schemars::{Schema, schema_for};

use super::{CompileContext, Driver, Workload};
use slatest_core::model::Problems;

/// The driver.
#[derive(Debug)]
pub struct KafkaDriver;

impl Driver for KafkaDriver {
    fn name(&self) -> &'static str {
        "kafka"
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
