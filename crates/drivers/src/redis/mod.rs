//! Redis: one server or a cluster.

mod bounds;
mod client;
mod cluster;
mod command;
mod compile;
mod endpoint;
mod failure;
mod file;
mod health;
mod keys;
mod link;
mod links;
mod plan;
mod read_back;
mod replicas;
mod reply;
mod resp;
mod rest;
mod session;
mod slots;
mod wire;
mod workload;

#[cfg(any(fuzzing, feature = "readers"))]
pub use reply::fuzz;

pub use endpoint::RedisEndpoint;

use std::sync::Arc;

use schemars::{Schema, schema_for};

use self::workload::RedisWorkload;
use super::{CompileContext, Driver, Workload};
use slatest_core::model::Problems;

/// The driver `redis`.
pub struct RedisDriver;

impl Driver for RedisDriver {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        Ok(Arc::new(RedisWorkload::new(compile::compile(context)?)))
    }

    fn schema(&self) -> Schema {
        schema_for!(file::File)
    }
}
