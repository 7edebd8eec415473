//! A compiled workload, as the engine sees it.

use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};

use super::plan::Plan;
use super::session::ToySession;
use crate::{ConnectError, Flow, Health, Operation, Session, SessionContext, Unreachable, Workload};

/// A compiled workload.
pub(super) struct ToyWorkload(pub(super) Plan);

impl Workload for ToyWorkload {
    fn operations(&self) -> &[Operation] {
        &self.0.operations
    }

    fn flows(&self) -> &[Flow] {
        &self.0.flows
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>> {
        Box::pin(std::future::ready(Ok(Health { detail: format!("nobody at {}", self.0.address) })))
    }

    fn connect<'a>(
        &'a self,
        context: &'a SessionContext,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        let session = ToySession { requests: Arc::clone(&self.0.requests), clock: Arc::clone(&context.clock) };
        Box::pin(std::future::ready(Ok(Box::new(session) as Box<dyn Session>)))
    }
}
