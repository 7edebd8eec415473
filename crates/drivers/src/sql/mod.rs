//! SQL: PostgreSQL (also through poolers, with replicas) and SQLite.

mod compile;
mod dsn;
mod endpoint;
mod failure;
mod file;
mod health;
mod parameter;
mod pool;
mod postgres;
mod read_back;
mod row;
mod run;
mod server;
mod session;
mod statement;

pub use endpoint::{PostgresEndpoint, SqliteEndpoint};

/// A statement, a DSN or a server's message, whatever it says: taken apart, or refused in words.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    postgres::fuzz(bytes);
    let text = String::from_utf8_lossy(bytes);
    let dsn = dsn::Dsn::parse(&text).err().map(|error| error.to_string());
    for refused in [statement::Statement::parse(&text).err(), dsn].into_iter().flatten() {
        assert!(!refused.trim().is_empty(), "refused without a reason");
    }
}

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::future::{BoxFuture, LocalBoxFuture};
use schemars::{Schema, schema_for};
use tokio::sync::OnceCell;

use self::file::{Bounds, Role};
use self::pool::Pool;
use self::read_back::Table;
use self::run::Script;
use self::server::Server;
use self::session::SqlSession;
use super::dial::Dial;
use super::identity::Identity;
use super::{
    CompileContext, ConnectError, Driver, Finding, Flow, Health, Operation, ReadBack, ReadBackError, Session,
    SessionContext, Unreachable, Workload,
};
use crate::failure::Failure;
use crate::workload::{Captures, Data, Template};
use slatest_core::model::{Nanos, Problems};

/// The driver `sql`.
pub struct Sql;

impl Driver for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems> {
        let compiled = compile::workload(context)?;
        Ok(Arc::new(SqlWorkload { compiled: Arc::new(compiled), pools: OnceLock::new(), told: AtomicBool::new(false) }))
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
    /// Dials every host of the endpoint.
    dial: Arc<Dial>,
    seed: u64,
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
    rows: Option<Bounds>,
    affected: Option<Bounds>,
    captures: Captures,
}

struct SqlWorkload {
    compiled: Arc<Compiled>,
    /// Made for the first worker that asks.
    pools: OnceLock<Arc<Pools>>,
    /// Whether it was told what the servers gave; every worker asks.
    told: AtomicBool,
}

/// The pools of a scenario.
struct Pools {
    primary: Pool,
    replicas: Vec<Pool>,
    /// Reads so far, to take the replicas in turn.
    reads: AtomicUsize,
    /// Set when they are filled; who comes first fills them, the others wait.
    filled: OnceCell<()>,
    /// Sessions that use them.
    sessions: AtomicUsize,
}

impl Pools {
    fn new(compiled: &Compiled, connections: usize) -> Self {
        let pool = |server: &Arc<Server>| compiled.pool(server, connections);
        Self {
            primary: pool(&compiled.primary),
            replicas: compiled.replicas.iter().map(pool).collect(),
            reads: AtomicUsize::new(0),
            filled: OnceCell::new(),
            sessions: AtomicUsize::new(0),
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

    /// Opens the connections to every server, unless that was done.
    ///
    /// # Errors
    /// Those of [`Self::fill`].
    async fn filled(&self, worker: usize) -> Result<(), Failure> {
        self.filled.get_or_try_init(|| self.fill(worker)).await.copied()
    }

    /// Opens the connections to every server.
    ///
    /// # Errors
    /// The primary's, when no server gave any. One that is away only fails what needs it.
    async fn fill(&self, worker: usize) -> Result<(), Failure> {
        let primary = self.primary.fill(worker).await;
        let replicas = futures_util::future::join_all(self.replicas.iter().map(|pool| pool.fill(worker))).await;
        if replicas.iter().any(Result::is_ok) { Ok(()) } else { primary }
    }

    /// What each server gave that gave fewer connections than were asked for.
    fn shortages(&self) -> Vec<String> {
        std::iter::once(&self.primary).chain(&self.replicas).filter_map(Pool::shortage).collect()
    }

    /// Closes what is idle.
    async fn close(&self) {
        self.primary.close().await;
        futures_util::future::join_all(self.replicas.iter().map(Pool::close)).await;
    }
}

impl Compiled {
    /// An empty pool of so many connections to one server.
    fn pool(&self, server: &Arc<Server>, connections: usize) -> Pool {
        Pool::new(Arc::clone(server), Arc::clone(&self.scripts), connections, self.seed)
    }
}

impl SqlWorkload {
    /// The pools of this process, which has its share of the scenario's connections.
    fn pools(&self, context: &SessionContext) -> &Arc<Pools> {
        let share = || context.process_share_of(self.compiled.connections);
        self.pools.get_or_init(|| Arc::new(Pools::new(&self.compiled, share())))
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

    /// Fills the pools before the first arrival, whose time it isn't. What stands in the way shows when a session is
    /// wanted.
    fn prepare<'a>(&'a self, context: &'a SessionContext) -> LocalBoxFuture<'a, Result<(), ConnectError>> {
        Box::pin(async move {
            drop(self.pools(context).filled(context.worker).await);
            Ok(())
        })
    }

    fn connect<'a>(
        &'a self,
        context: &'a SessionContext,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            let pools = Arc::clone(self.pools(context));
            pools.filled(context.worker).await?;
            let session = SqlSession::new(Arc::clone(&self.compiled), pools, context.clone());
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn settle(&self, _patience: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        let pools = self.pools.get();
        let mut findings = Vec::new();
        if let Some(pools) = pools
            && !self.told.swap(true, Ordering::Relaxed)
        {
            let finding = |detail| Finding { check: "connections".into(), holds: true, detail };
            findings.extend(pools.shortages().into_iter().map(finding));
            findings.extend(self.compiled.dial.findings());
        }
        Box::pin(std::future::ready(findings))
    }

    fn read_back<'a>(&'a self, reading: &'a mut ReadBack<'_>) -> LocalBoxFuture<'a, Result<(), ReadBackError>> {
        Box::pin(read_back::read_back(&self.compiled, reading))
    }
}
