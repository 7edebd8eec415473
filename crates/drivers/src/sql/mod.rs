//! SQL: PostgreSQL (also through poolers, with replicas) and SQLite.

mod compile;
mod dsn;
mod failure;
mod file;
mod health;
mod parameter;
mod pool;
mod read_back;
mod row;
mod run;
mod server;
mod session;
mod statement;

/// A statement or a DSN, whatever it says: taken apart, or refused in words.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for refused in [statement::Statement::parse(&text).err(), dsn::Dsn::parse(&text).err()].into_iter().flatten() {
        assert!(!refused.trim().is_empty(), "refused without a reason");
    }
}

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::future::{BoxFuture, LocalBoxFuture};
use schemars::{Schema, schema_for};

use self::file::{Bounds, Role};
use self::pool::Pool;
use self::read_back::Table;
use self::run::Script;
use self::server::Server;
use self::session::SqlSession;
use super::failure::Failure;
use super::identity::Identity;
use super::{
    CompileContext, ConnectError, Driver, Flow, Health, Operation, ReadBack, ReadBackError, Seat, Session, Unreachable,
    Workload,
};
use crate::workload::{Captures, Data, Template};
use slatest_core::model::{Nanos, Problems};

/// The driver `sql`.
pub struct Sql;

impl Driver for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn endpoint_kinds(&self) -> &'static [&'static str] {
        &["postgres", "sqlite"]
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        let compiled = compile::workload(context)?;
        Ok(Arc::new(SqlWorkload { compiled: Arc::new(compiled), pools: Mutex::new(BTreeMap::new()) }))
    }

    fn schema(&self) -> Schema {
        schema_for!(file::File)
    }
}

/// Everything about a workload that is settled before it runs.
struct Compiled {
    operations: Vec<Operation>,
    plans: Vec<Plan>,
    flows: Vec<Flow>,
    data: Arc<Data>,
    /// Every statement of the workload; plans name these by index.
    scripts: Arc<[Script]>,
    primary: Arc<Server>,
    replicas: Vec<Arc<Server>>,
    /// Tables that hold writes of the ledger, each once.
    ledger_tables: Vec<Table>,
    /// Connections of the scenario to each server, in all.
    connections: usize,
    endpoint: String,
    identity: Identity,
}

/// What one operation does.
struct Plan {
    /// Its statements: index of the script and the templates of its values.
    steps: Vec<(usize, Vec<Template>)>,
    /// Whether they stand in a transaction.
    transaction: bool,
    role: Role,
    timeout: Nanos,
    rows: Option<Bounds>,
    affected: Option<Bounds>,
    captures: Captures,
}

struct SqlWorkload {
    compiled: Arc<Compiled>,
    /// Per worker; they live as long as a session of it does.
    pools: Mutex<BTreeMap<usize, Weak<Pools>>>,
}

/// The pools of one worker.
struct Pools {
    primary: Pool,
    replicas: Vec<Pool>,
    /// Reads so far, to take the replicas in turn.
    reads: AtomicUsize,
}

impl Pools {
    fn new(compiled: &Compiled, connections: usize) -> Self {
        let pool = |server: &Arc<Server>| Pool::new(Arc::clone(server), Arc::clone(&compiled.scripts), connections);
        Self {
            primary: pool(&compiled.primary),
            replicas: compiled.replicas.iter().map(pool).collect(),
            reads: AtomicUsize::new(0),
        }
    }

    /// The pool for an operation of this role.
    fn for_role(&self, role: Role) -> &Pool {
        if role == Role::Write || self.replicas.is_empty() {
            return &self.primary;
        }
        let turn = self.reads.fetch_add(1, Ordering::Relaxed) % self.replicas.len();
        self.replicas.get(turn).unwrap_or(&self.primary)
    }

    /// Opens the connections to every server.
    ///
    /// # Errors
    /// The primary's, when no server gave any. One that is away only fails what needs it.
    async fn fill(&self) -> Result<(), Failure> {
        let primary = self.primary.fill().await;
        let replicas = futures_util::future::join_all(self.replicas.iter().map(Pool::fill)).await;
        if replicas.iter().any(Result::is_ok) { Ok(()) } else { primary }
    }

    /// Closes what is idle.
    async fn close(&self) {
        self.primary.close().await;
        futures_util::future::join_all(self.replicas.iter().map(Pool::close)).await;
    }
}

impl SqlWorkload {
    /// The worker's pools, and whether they are new.
    fn pools(&self, seat: &Seat) -> (Arc<Pools>, bool) {
        let mut all = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pools) = all.get(&seat.worker).and_then(Weak::upgrade) {
            return (pools, false);
        }
        let pools = Arc::new(Pools::new(&self.compiled, seat.share_of(self.compiled.connections)));
        all.insert(seat.worker, Arc::downgrade(&pools));
        (pools, true)
    }
}

impl Workload for SqlWorkload {
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

    fn connect<'a>(&'a self, seat: &'a Seat) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            let (pools, new) = self.pools(seat);
            if new {
                pools.fill().await.map_err(|f| ConnectError { outcome: f.outcome, kind: f.kind })?;
            }
            let session = SqlSession::new(Arc::clone(&self.compiled), pools, seat.clone());
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn read_back<'a>(&'a self, reading: &'a mut ReadBack<'_>) -> LocalBoxFuture<'a, Result<(), ReadBackError>> {
        Box::pin(read_back::read_back(&self.compiled, reading))
    }
}
