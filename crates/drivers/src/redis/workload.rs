//! A compiled workload, and the connections that its sessions share.

use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};

use super::links::Pool;
use super::plan::Plan;
use super::session::RedisSession;
use super::{health, read_back};
use crate::{
    ConnectError, Finding, Flow, Health, Operation, ReadBack, ReadBackError, Session, SessionContext, Unreachable,
    Workload,
};
use slatest_core::model::Nanos;

/// A compiled workload.
pub(super) struct RedisWorkload {
    plan: Arc<Plan>,
    pool: Arc<Pool>,
}

impl RedisWorkload {
    /// Contacts nobody yet.
    pub(super) fn new(plan: Plan) -> Self {
        let pool = Arc::new(Pool::new(Arc::clone(&plan.servers), plan.connections));
        Self { plan: Arc::new(plan), pool }
    }
}

impl Workload for RedisWorkload {
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

    fn read_back<'a>(&'a self, reading: &'a mut ReadBack<'_>) -> LocalBoxFuture<'a, Result<(), ReadBackError>> {
        Box::pin(read_back::read_back(&self.plan, reading))
    }

    fn connect<'a>(
        &'a self,
        context: &'a SessionContext,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            let links = self.pool.links(context).await?;
            let session = RedisSession::new(Arc::clone(&self.plan), Arc::clone(&self.pool), links, context.clone());
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn settle(&self, _patience: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        let mut findings = self.pool.findings();
        findings.extend(self.plan.servers.dial.findings());
        Box::pin(std::future::ready(findings))
    }
}
