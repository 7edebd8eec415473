//! A compiled workload, and the pools that its sessions share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::future::{BoxFuture, LocalBoxFuture};
use tokio::sync::OnceCell;

use super::file::Role;
use super::plan::Plan;
use super::pool::Pool;
use super::server::Server;
use super::session::SqlSession;
use super::{health, read_back};
use crate::failure::Failure;
use crate::{
    ConnectError, Finding, Flow, Health, Operation, ReadBack, ReadBackError, Session, SessionContext, Unreachable,
    Workload,
};
use slatest_core::model::Nanos;

/// A compiled workload.
pub(super) struct SqlWorkload {
    plan: Arc<Plan>,
    /// Made for the first worker that asks.
    pools: OnceLock<Arc<Pools>>,
    /// Whether it was told what the servers gave; every worker asks.
    told: AtomicBool,
}

/// The pools of a scenario.
pub(super) struct Pools {
    primary: Pool,
    replicas: Vec<Pool>,
    /// Reads so far, to take the replicas in turn.
    reads: AtomicUsize,
    /// Set when they are filled; who comes first fills them, the others wait.
    filled: OnceCell<()>,
    /// Sessions that use them.
    pub(super) sessions: AtomicUsize,
}

impl Pools {
    fn new(plan: &Plan, connections: usize) -> Self {
        let pool =
            |server: &Arc<Server>| Pool::new(Arc::clone(server), Arc::clone(&plan.scripts), connections, plan.seed);
        Self {
            primary: pool(&plan.primary),
            replicas: plan.replicas.iter().map(pool).collect(),
            reads: AtomicUsize::new(0),
            filled: OnceCell::new(),
            sessions: AtomicUsize::new(0),
        }
    }

    /// The pool for an operation of this role.
    pub(super) fn for_role(&self, role: Role) -> &Pool {
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
    pub(super) async fn close(&self) {
        self.primary.close().await;
        futures_util::future::join_all(self.replicas.iter().map(Pool::close)).await;
    }
}

impl SqlWorkload {
    /// Contacts nobody yet.
    pub(super) fn new(plan: Plan) -> Self {
        Self { plan: Arc::new(plan), pools: OnceLock::new(), told: AtomicBool::new(false) }
    }

    /// The pools of this process, which has its share of the scenario's connections.
    fn pools(&self, context: &SessionContext) -> &Arc<Pools> {
        let share = || context.process_share_of(self.plan.connections);
        self.pools.get_or_init(|| Arc::new(Pools::new(&self.plan, share())))
    }
}

impl Workload for SqlWorkload {
    fn operations(&self) -> &[Operation] {
        &self.plan.operations
    }

    fn flows(&self) -> &[Flow] {
        &self.plan.flows
    }

    fn connections(&self) -> Option<u64> {
        Some(self.plan.connections as u64)
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>> {
        Box::pin(health::health(&self.plan))
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
            let session = SqlSession::new(Arc::clone(&self.plan), pools, context.clone());
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
            findings.extend(self.plan.dial.findings());
        }
        Box::pin(std::future::ready(findings))
    }

    fn read_back<'a>(&'a self, reading: &'a mut ReadBack<'_>) -> LocalBoxFuture<'a, Result<(), ReadBackError>> {
        Box::pin(read_back::read_back(&self.plan, reading))
    }
}
