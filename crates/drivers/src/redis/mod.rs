//! Redis: one server or a cluster.

mod bounds;
mod client;
mod cluster;
mod command;
mod compile;
mod failure;
mod file;
mod health;
mod keys;
mod link;
mod read_back;
mod replicas;
mod reply;
mod resp;
mod session;
mod slots;
mod wire;

#[cfg(fuzzing)]
pub use reply::fuzz;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::future::{BoxFuture, LocalBoxFuture, join_all};
use schemars::{Schema, schema_for};
use tokio::time::Instant;

use self::client::Servers;
use self::command::Command;
use self::file::{RedisCheck, RedisRequest, RedisSettings, Reply};
use self::link::Link;
use self::session::RedisSession;
use super::failure::Failure;
use super::identity::Identity;
use super::{
    CONNECT_TIMEOUT, CompileContext, ConnectError, Driver, Finding, Flow, Health, Operation, ReadBack, ReadBackError,
    Seat, Session, Unreachable, Workload,
};
use crate::workload::{Captures, Data, WorkloadFile};
use slatest_core::model::{Nanos, Problems};

/// The driver `redis`.
pub struct Redis;

impl Driver for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn endpoint_kinds(&self) -> &'static [&'static str] {
        &["redis"]
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        let compiled = compile::workload(context)?;
        Ok(Arc::new(RedisWorkload { compiled: Arc::new(compiled), links: Mutex::new(BTreeMap::new()) }))
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
    /// Per worker; they live as long as a session of it does.
    links: Mutex<BTreeMap<usize, Weak<Links>>>,
}

/// The connections of one worker.
struct Links {
    /// At least one.
    links: Vec<Link>,
    turns: AtomicUsize,
}

impl Links {
    fn new(compiled: &Compiled, connections: usize) -> Self {
        let links = (0..connections.max(1)).map(|_| Link::new(Arc::clone(&compiled.servers)));
        Self { links: links.collect(), turns: AtomicUsize::new(0) }
    }

    /// The connection of this turn.
    fn turn(&self, turn: usize) -> &Link {
        &self.links[turn % self.links.len()]
    }

    /// Opens all of them.
    ///
    /// # Errors
    /// The first failure, when none could be opened.
    async fn open(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
        let opened = join_all(self.links.iter().map(|link| link.connection(deadline))).await;
        if opened.iter().any(Result::is_ok) {
            return Ok(());
        }
        opened.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }
}

impl RedisWorkload {
    /// The worker's connections, and whether they are new.
    fn links(&self, seat: &Seat) -> (Arc<Links>, bool) {
        let mut all = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(links) = all.get(&seat.worker).and_then(Weak::upgrade) {
            return (links, false);
        }
        let links = Arc::new(Links::new(&self.compiled, seat.share_of(self.compiled.connections)));
        all.insert(seat.worker, Arc::downgrade(&links));
        (links, true)
    }
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

    fn connect<'a>(&'a self, seat: &'a Seat) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            let (links, new) = self.links(seat);
            if new {
                links.open().await.map_err(|f| ConnectError { outcome: f.outcome, kind: f.kind })?;
            }
            let turn = links.turns.fetch_add(1, Ordering::Relaxed);
            let session = RedisSession::new(Arc::clone(&self.compiled), links, turn, seat.clone());
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn settle(&self, _patience: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        Box::pin(std::future::ready(self.compiled.servers.dial.findings()))
    }
}
