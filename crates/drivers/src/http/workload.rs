//! A compiled workload, as the engine sees it.

use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};

use super::plan::Http;
use super::session::HttpSession;
use super::{health, read_back};
use crate::{
    ConnectError, Finding, Flow, Health, Once, Operation, ReadBack, ReadBackError, Session, SessionContext,
    Unreachable, Workload,
};
use slatest_core::model::Nanos;

/// A compiled workload.
#[derive(Debug)]
pub(super) struct HttpWorkload {
    pub(super) http: Arc<Http>,
    pub(super) operations: Vec<Operation>,
    pub(super) flows: Vec<Flow>,
    pub(super) once: Option<Once>,
}

impl Workload for HttpWorkload {
    fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn flows(&self) -> &[Flow] {
        &self.flows
    }

    fn once(&self) -> Option<&Once> {
        self.once.as_ref()
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>> {
        Box::pin(health::health(&self.http))
    }

    /// Connects nothing yet: the first request does, and reports what that took.
    fn connect<'a>(
        &'a self,
        context: &'a SessionContext,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        let session: Box<dyn Session> = Box::new(HttpSession::new(Arc::clone(&self.http), context.clone()));
        Box::pin(std::future::ready(Ok(session)))
    }

    fn settle(&self, _patience: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        let mut findings = self.http.server.dialer.tcp.findings();
        findings.extend(self.http.drained.finding());
        Box::pin(std::future::ready(findings))
    }

    fn read_back<'a>(&'a self, reading: &'a mut ReadBack<'_>) -> LocalBoxFuture<'a, Result<(), ReadBackError>> {
        Box::pin(read_back::read_back(&self.http, reading))
    }
}
