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
mod read_back;
mod replicas;
mod reply;
mod resp;
mod rest;
mod session;
mod slots;
mod wire;

#[cfg(fuzzing)]
pub use reply::fuzz;

pub use endpoint::RedisEndpoint;

use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use schemars::{Schema, schema_for};

use self::client::Servers;
use self::command::Command;
use self::file::{RedisCheck, RedisRequest, RedisSettings, Reply};
use self::links::Pool;
use self::session::RedisSession;
use super::identity::Identity;
use super::{
    CompileContext, ConnectError, Driver, Finding, Flow, Health, Operation, ReadBack, ReadBackError, Session,
    SessionContext, Unreachable, Workload,
};
use crate::workload::{Captures, Data, WorkloadFile};
use slatest_core::model::{Nanos, Problems};

/// The driver `redis`.
pub struct Redis;

impl Driver for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        let compiled = compile::workload(context)?;
        let pool = Arc::new(Pool::new(Arc::clone(&compiled.servers), compiled.connections));
        Ok(Arc::new(RedisWorkload { compiled: Arc::new(compiled), pool }))
    }

    fn schema(&self) -> Schema {
        schema_for!(WorkloadFile<RedisSettings, RedisRequest, RedisCheck>)
    }
}

/// Everything about a workload that is settled before it runs.
struct Compiled {
    operations: Vec<Operation>,
    plans: Vec<Plan>,
    flows: Vec<Flow>,
    data: Arc<Data>,
    servers: Arc<Servers>,
    /// Connections of the scenario in all.
    connections: usize,
    endpoint: String,
    identity: Identity,
}

/// What one operation does.
struct Plan {
    commands: Vec<Command>,
    /// Whether its commands were written as a pipeline.
    pipeline: bool,
    on_miss: Option<Command>,
    reply: Reply,
    captures: Captures,
    /// Whether its write goes to the ledger: a plain `SET` of a key of its own.
    ledger: bool,
}

struct RedisWorkload {
    compiled: Arc<Compiled>,
    pool: Arc<Pool>,
}

impl Workload for RedisWorkload {
    fn operations(&self) -> &[Operation] {
        &self.compiled.operations
    }

    fn flows(&self) -> &[Flow] {
        &self.compiled.flows
    }

    fn connections(&self) -> Option<u64> {
        Some(self.compiled.connections as u64)
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>> {
        Box::pin(health::health(&self.compiled))
    }

    fn read_back<'a>(&'a self, reading: &'a mut ReadBack<'_>) -> LocalBoxFuture<'a, Result<(), ReadBackError>> {
        Box::pin(read_back::read_back(&self.compiled, reading))
    }

    fn connect<'a>(
        &'a self,
        context: &'a SessionContext,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            let links = self.pool.links(context).await?;
            let session = RedisSession::new(Arc::clone(&self.compiled), Arc::clone(&self.pool), links, context.clone());
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn settle(&self, _patience: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        let mut findings = self.pool.findings();
        findings.extend(self.compiled.servers.dial.findings());
        Box::pin(std::future::ready(findings))
    }
}
