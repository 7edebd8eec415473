//! A compiled websocket workload: opens sessions, checks the endpoint, compares documents.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::{BoxFuture, LocalBoxFuture};

use super::connection::{Connection, Inbox, Upkeep};
use super::convergence;
use super::exchange::{ExchangeSession, Mailbox};
use super::health;
use super::plan::{Mode, Shared};
use super::read_back;
use super::session::Line;
use super::sync::{Membership, SyncSession};
use super::text::{hash, mix};
use crate::failure::Failure;
use crate::workload::Values;
use crate::{
    ConnectError, Finding, Flow, Health, Operation, ReadBack, ReadBackError, Session, SessionContext, Unreachable,
    Workload,
};
use slatest_core::model::{Arrival, Nanos, Outcome};

impl Shared {
    /// The path of a connection; `document` is the number of the session's document in words.
    pub(super) fn path_of(&self, user: u64, document: &str) -> Result<String, Failure> {
        let wrong = |e: crate::workload::RenderError| Failure::new(Outcome::Rejected, e.to_string());
        let mut captured = BTreeMap::new();
        // No arrival is behind it.
        let opening = Arrival { seq: 0, at: Nanos::ZERO, deadline: Nanos::ZERO, operation: 0, step: 0 };
        let id = |user| self.identity.execution(&opening, user);
        if let Mode::Sync(sync) = &self.mode {
            captured.insert("n".to_owned(), document.to_owned());
            // The same for every replica: nothing of the user is in a document's name.
            let values = Values { id: id(0), data: &self.data, captured: &captured };
            let name = sync.name.render(&values).map_err(wrong)?.into_owned();
            captured.insert("document".to_owned(), name);
        }
        let values = Values { id: id(user), data: &self.data, captured: &captured };
        Ok(self.path.render(&values).map_err(wrong)?.into_owned())
    }

    fn upkeep(&self, user: u64, eager: bool) -> Upkeep {
        Upkeep { ping: self.ping, pong_timeout: self.pong_timeout, eager, seed: mix(self.identity.seed ^ mix(user)) }
    }

    fn line(
        self: &Arc<Self>,
        context: &SessionContext,
        document: &str,
        eager: bool,
        inbox: std::rc::Rc<dyn Inbox>,
    ) -> Result<Line, Failure> {
        let path = self.path_of(context.index, document)?;
        let upkeep = self.upkeep(context.index, eager);
        let (connection, task) =
            Connection::start(Arc::clone(&self.dialer), path, upkeep, Arc::clone(&self.gauges), inbox);
        let shared = Arc::clone(self);
        Ok(Line { shared, context: context.clone(), connection, captured: BTreeMap::new(), _task: task })
    }

    async fn open(self: &Arc<Self>, context: &SessionContext) -> Result<Box<dyn Session>, Failure> {
        match &self.mode {
            Mode::Sync(sync) => {
                let number = context.index / sync.replicas;
                let slot = usize::try_from(context.index % sync.replicas).unwrap_or(0);
                let seed = mix(self.identity.seed ^ hash(&[&self.identity.run, &self.identity.scenario]) ^ mix(number));
                let document = sync.document(number, seed);
                let membership = Membership::join(document, slot, Arc::clone(&context.clock));
                let line = self.line(context, &number.to_string(), true, membership.clone())?;
                line.connection.ready().await?;
                Ok(Box::new(SyncSession { line, membership, document: number }))
            }
            Mode::Exchange(_) => {
                let mailbox = Mailbox::new(Arc::clone(&context.clock));
                let line = self.line(context, "", false, mailbox.clone())?;
                line.connection.ready().await?;
                Ok(Box::new(ExchangeSession { line, mailbox }))
            }
        }
    }
}

/// A compiled websocket workload.
pub(super) struct WebsocketWorkload(pub(super) Arc<Shared>);

impl Workload for WebsocketWorkload {
    fn operations(&self) -> &[Operation] {
        &self.0.operations
    }

    fn flows(&self) -> &[Flow] {
        &self.0.flows
    }

    fn session_group(&self) -> u64 {
        match &self.0.mode {
            Mode::Sync(sync) => sync.replicas,
            Mode::Exchange(_) => 1,
        }
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>> {
        Box::pin(health::health(&self.0))
    }

    fn connect<'a>(
        &'a self,
        context: &'a SessionContext,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async { Ok(self.0.open(context).await?) })
    }

    fn settle(&self, patience: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        Box::pin(async move {
            let mut findings = match &self.0.mode {
                Mode::Sync(sync) => convergence::settle(&self.0, &sync.all(), patience).await,
                Mode::Exchange(_) => Vec::new(),
            };
            findings.extend(self.0.dialer.tcp.findings());
            findings
        })
    }

    fn read_back<'a>(&'a self, reading: &'a mut ReadBack<'_>) -> LocalBoxFuture<'a, Result<(), ReadBackError>> {
        Box::pin(read_back::read_back(&self.0, reading))
    }

    fn gauges(&self) -> Vec<(String, f64)> {
        let read = |gauge: &std::sync::atomic::AtomicU64| gauge.load(Ordering::Relaxed) as f64;
        vec![
            ("open_sessions".to_owned(), read(&self.0.gauges.open_sessions)),
            ("reconnects".to_owned(), read(&self.0.gauges.reconnects)),
        ]
    }
}
