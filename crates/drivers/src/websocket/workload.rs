//! A compiled websocket workload: opens sessions, checks the endpoint, compares documents.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::Message;

use super::budget::Budget;
use super::connection::{Connection, GOODBYE, Gauges, Inbox, Upkeep};
use super::convergence;
use super::dial::{Dialer, Socket};
use super::document::Document;
use super::exchange::{Call, ExchangeSession, Mailbox};
use super::failure;
use super::read_back;
use super::replica::Replica;
use super::session::Line;
use super::sync::{Insert, Membership, SyncSession};
use super::text::{hash, mix};
use crate::failure::Failure;
use crate::identity::Identity;
use crate::workload::{Data, Template, Values};
use crate::{
    ConnectError, Finding, Flow, Health, Operation, ReadBack, ReadBackError, Session, SessionContext, Unreachable,
    Workload,
};
use slatest_core::model::{Arrival, Nanos, Outcome};

/// No wait is longer, so that no sum of instant and wait can overflow.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// What all sessions of a workload share.
pub(super) struct Shared {
    pub(super) operations: Vec<Operation>,
    pub(super) flows: Vec<Flow>,
    pub(super) mode: Mode,
    pub(super) data: Arc<Data>,
    pub(super) identity: Identity,
    pub(super) endpoint: String,
    pub(super) path: Template,
    pub(super) dialer: Arc<Dialer>,
    pub(super) ping: Duration,
    pub(super) pong_timeout: Duration,
    pub(super) gauges: Arc<Gauges>,
}

/// What the sessions do.
pub(super) enum Mode {
    /// They are replicas of documents.
    Sync(Sync),
    /// They ask and are answered; by operation.
    Exchange(Vec<Arc<Call>>),
}

/// The documents of a workload.
pub(super) struct Sync {
    /// What each operation inserts.
    pub(super) inserts: Vec<Insert>,
    pub(super) replicas: u64,
    /// Size in bytes that texts are kept at.
    pub(super) limit: usize,
    /// What all documents may take together.
    pub(super) budget: Arc<Budget>,
    pub(super) name: Template,
    pub(super) documents: Mutex<BTreeMap<u64, Arc<Document>>>,
}

impl Mode {
    pub(super) fn insert(&self, operation: usize) -> Option<&Insert> {
        match self {
            Self::Sync(sync) => sync.inserts.get(operation),
            Self::Exchange(_) => None,
        }
    }

    pub(super) fn call(&self, operation: usize) -> Option<&Arc<Call>> {
        match self {
            Self::Sync(_) => None,
            Self::Exchange(calls) => calls.get(operation),
        }
    }
}

impl Sync {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Document>>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn document(&self, number: u64, seed: u64) -> Arc<Document> {
        let new = || Arc::new(Document::new(seed, self.limit, Some(Arc::clone(&self.budget))));
        Arc::clone(self.lock().entry(number).or_insert_with(new))
    }

    /// Every document that some session opened, by number.
    pub(super) fn all(&self) -> Vec<(u64, Arc<Document>)> {
        self.lock().iter().map(|(number, document)| (*number, Arc::clone(document))).collect()
    }
}

impl Shared {
    /// The path of a connection; `document` is the number of the session's document in words.
    fn path_of(&self, user: u64, document: &str) -> Result<String, Failure> {
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

    /// Opens the document of this number (or name) once more and takes the server's whole state.
    pub(super) async fn fetch(&self, document: &str) -> Result<Fetched, Failure> {
        let start = Instant::now();
        let mut socket = self.dialer.dial(&self.path_of(0, document)?).await?;
        let handshake = start.elapsed();
        let start = Instant::now();
        let limit = if let Mode::Sync(sync) = &self.mode { sync.limit } else { 0 };
        let replica = Replica::within(1, &Budget::of_document(limit, None));
        if matches!(self.mode, Mode::Sync(_)) {
            timeout(self.dialer.timeout, take_state(&mut socket, &replica)).await.map_err(|_| {
                let detail = "it opens WebSockets, but doesn't answer the first step of the Yjs sync protocol";
                failure::timed_out("sync").with_detail(detail)
            })??;
        }
        let sync = start.elapsed();
        // All is said; a server that breaks off now did answer.
        let _ = timeout(GOODBYE, socket.close(None)).await;
        Ok(Fetched { replica, handshake, sync })
    }

    async fn probe(&self) -> Result<String, Failure> {
        let fetched = self.fetch("health").await?;
        let mut detail = format!("handshake in {}", Nanos::from(fetched.handshake));
        if matches!(self.mode, Mode::Sync(_)) {
            detail.push_str(&format!(", Yjs sync in {}", Nanos::from(fetched.sync)));
        }
        Ok(detail)
    }
}

/// A document as the server has it.
pub(super) struct Fetched {
    pub(super) replica: Replica,
    handshake: Duration,
    sync: Duration,
}

async fn take_state(socket: &mut Socket, replica: &Replica) -> Result<(), Failure> {
    socket.send(replica.greeting()).await.map_err(|e| failure::stream(&e))?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) if replica.take(&bytes)?.synced => return Ok(()),
            Some(Ok(Message::Close(frame))) => return Err(failure::closed(frame.as_ref())),
            Some(Ok(_)) => {}
            Some(Err(e)) => return Err(failure::stream(&e)),
            None => return Err(failure::closed(None)),
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
        Box::pin(async {
            let unreachable = |reason: Failure| Unreachable {
                endpoint: self.0.endpoint.clone(),
                address: self.0.dialer.address(),
                reason: reason.detail,
            };
            self.0.probe().await.map(|detail| Health { detail }).map_err(unreachable)
        })
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
