//! A compiled workload: what all of its sessions share.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::future::{BoxFuture, LocalBoxFuture};
use lapin::Confirmation;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::connection::{Connected, Purpose};
use super::consumer::{Destination, Inlet, QueueConsumer};
use super::envelope::returns_queue;
use super::file::{QueueType, Until};
use super::plan::{Action, Message, Plan};
use super::pool::Pool;
use super::session::AmqpSession;
use super::take::PREFETCH;
use crate::awaited::Awaited;
use crate::failure::Failure;
use crate::{
    CONNECT_TIMEOUT, ConnectError, Finding, Flow, Health, Operation, ReadBack, ReadBackError, Session, SessionContext,
    Unreachable, Workload,
};
use slatest_core::model::{Nanos, Outcome};
use slatest_core::writes::LedgerSink;

/// What sessions share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) awaited: Arc<Awaited>,
    /// Messages published and not yet confirmed.
    pub(super) unconfirmed: AtomicI64,
    /// Messages that no queue took.
    returned: AtomicU64,
    unacknowledged: Arc<AtomicI64>,
    ledger: OnceLock<LedgerSink>,
    declared: OnceCell<()>,
    clogged: Arc<AtomicBool>,
    consumers: OnceCell<Vec<QueueConsumer>>,
    pub(super) publishers: Pool,
    pub(super) takers: Pool,
}

impl Shared {
    /// Counts what the broker said of a message.
    pub(super) fn note(&self, confirmation: &lapin::Result<Confirmation>, awaited: bool) {
        match confirmation {
            Ok(Confirmation::Ack(None)) if awaited => {
                self.awaited.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_))) => {
                self.returned.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Declares the queues, once.
    async fn declare(&self) -> Result<(), Failure> {
        let plan = &self.plan;
        let declare = async || {
            if plan.declared.is_empty() {
                return Ok(());
            }
            let connection = self.any_connection().await?;
            let channel = connection.channel(Purpose::Ask).await?;
            for queue in &plan.declared {
                let options = QueueDeclareOptions { durable: queue.durable, ..QueueDeclareOptions::default() };
                let mut arguments = FieldTable::default();
                if queue.kind == QueueType::Quorum {
                    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
                }
                let declared = channel.queue_declare(queue.name.as_str().into(), options, arguments).await;
                declared.map_err(|e| plan.broker.redacted(Failure::from(&e)).during("queue declare"))?;
            }
            Ok(())
        };
        self.declared.get_or_try_init(|| bounded("queue declare", declare())).await?;
        Ok(())
    }

    /// Starts the consumers, once, and waits until they are subscribed.
    async fn consume(&self, context: &SessionContext) -> Result<(), Failure> {
        let plan = &self.plan;
        let prefetch = u16::try_from(context.process_share_of(usize::from(plan.prefetch))).unwrap_or(plan.prefetch);
        let start = async || {
            let awaits = |action: &Action| matches!(action, Action::Publish(Message { until: Until::Consumed, .. }));
            let returns = plan.actions.iter().any(awaits).then(|| Inlet::Returns(returns_queue(plan.sender.source())));
            let queues = plan.awaited.iter().map(|queue| Inlet::Queue(queue.clone(), plan.wanted.get(queue).cloned()));
            let consumers = queues.chain(returns).map(|inlet| {
                QueueConsumer::start(Arc::clone(&plan.broker), inlet, prefetch, self.destination(context))
            });
            consumers.collect::<Result<Vec<_>, Failure>>()
        };
        for consumer in self.consumers.get_or_try_init(start).await? {
            match consumer.ready().await {
                Err(failure) if consumer.is_optional() => {
                    tracing::warn!("messages that other agents consume will not be heard of: {}", failure.detail);
                }
                ready => ready?,
            }
        }
        Ok(())
    }

    /// Ends the consumers: what they had not acknowledged goes back to its queue.
    pub(super) fn stop_consumers(&self) {
        self.consumers.get().into_iter().flatten().for_each(QueueConsumer::stop);
    }

    /// Where a session's messages go.
    pub(super) fn destination(&self, context: &SessionContext) -> Destination {
        Destination {
            clock: Arc::clone(&context.clock),
            sender: Arc::clone(&self.plan.sender),
            awaited: Arc::clone(&self.awaited),
            unacknowledged: Arc::clone(&self.unacknowledged),
            clogged: Arc::clone(&self.clogged),
            ledger: self.ledger.get().cloned(),
        }
    }

    /// Whether messages of others keep those that are awaited from being delivered.
    pub(super) fn is_clogged(&self) -> bool {
        self.clogged.load(Ordering::Relaxed)
    }

    /// A connection to ask with: one that operations have anyhow, because the broker may give no more.
    pub(super) async fn any_connection(&self) -> Result<Arc<Connected>, Failure> {
        match self.pools().next() {
            Some(pool) => pool.any_connection().await,
            None => self.plan.broker.connect().await.map(Arc::new),
        }
    }

    /// The pools that operations use.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Pool> {
        let publishes = self.plan.actions.iter().any(|action| matches!(action, Action::Publish(_)));
        let takes = self.plan.actions.iter().any(|action| matches!(action, Action::Consume { .. }));
        publishes.then_some(&self.publishers).into_iter().chain(takes.then_some(&self.takers))
    }
}

/// A step with the patience of a connection.
pub(super) async fn bounded<T>(what: &str, step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let failure = || Failure::new(Outcome::TimedOut, "timed out").during(what);
    timeout(CONNECT_TIMEOUT.as_duration(), step).await.unwrap_or_else(|_| Err(failure()))
}

/// A compiled workload.
pub(super) struct AmqpWorkload {
    shared: Arc<Shared>,
}

impl AmqpWorkload {
    pub(super) fn new(plan: Plan) -> Self {
        let pool = |purpose| Pool::new(Arc::clone(&plan.broker), purpose, plan.connections, plan.channels);
        let shared = Shared {
            publishers: pool(Purpose::Publish),
            takers: pool(Purpose::Consume(PREFETCH)),
            plan,
            awaited: Arc::default(),
            unconfirmed: AtomicI64::new(0),
            returned: AtomicU64::new(0),
            unacknowledged: Arc::default(),
            ledger: OnceLock::new(),
            declared: OnceCell::new(),
            clogged: Arc::default(),
            consumers: OnceCell::new(),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Workload for AmqpWorkload {
    fn operations(&self) -> &[Operation] {
        &self.shared.plan.operations
    }

    fn flows(&self) -> &[Flow] {
        &self.shared.plan.flows
    }

    fn connections(&self) -> Option<u64> {
        Some(u64::from(self.shared.plan.connections))
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>> {
        Box::pin(super::health::health(&self.shared))
    }

    fn prepare<'a>(&'a self, context: &'a SessionContext) -> LocalBoxFuture<'a, Result<(), ConnectError>> {
        Box::pin(async move {
            let connections = context.process_share_of(self.shared.plan.connections as usize);
            self.shared.pools().for_each(|pool| pool.keep(connections));
            self.shared.declare().await?;
            self.shared.consume(context).await?;
            Ok(())
        })
    }

    fn connect<'a>(
        &'a self,
        context: &'a SessionContext,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            self.shared.declare().await?;
            self.shared.consume(context).await?;
            for pool in self.shared.pools() {
                // Later an operation waits for its channel, with its own deadline, and says what it waited for.
                if !pool.was_open() {
                    bounded("connect", pool.channel(context.index)).await?;
                }
            }
            let session = AmqpSession::new(Arc::clone(&self.shared), context.clone());
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    /// Every awaited message that was confirmed must come back.
    fn settle(&self, patience: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        Box::pin(async move {
            let consumption = self.shared.awaited.settle(patience).await;
            let given = self.shared.pools().filter_map(Pool::finding);
            consumption.into_iter().chain(given).chain(self.shared.plan.broker.findings()).collect()
        })
    }

    fn keep(&self, ledger: LedgerSink) {
        // A workload has one run, and a run one ledger.
        drop(self.shared.ledger.set(ledger));
    }

    fn read_back<'a>(&'a self, reading: &'a mut ReadBack<'_>) -> LocalBoxFuture<'a, Result<(), ReadBackError>> {
        Box::pin(super::read_back::read_back(&self.shared, reading))
    }

    fn gauges(&self) -> Vec<(String, f64)> {
        let shared = &self.shared;
        let mut gauges = vec![
            ("unconfirmed".to_owned(), shared.unconfirmed.load(Ordering::Relaxed) as f64),
            ("returned".to_owned(), shared.returned.load(Ordering::Relaxed) as f64),
        ];
        if !shared.plan.awaited.is_empty() || shared.plan.actions.iter().any(|a| matches!(a, Action::Consume { .. })) {
            gauges.push(("unacknowledged".to_owned(), shared.unacknowledged.load(Ordering::Relaxed) as f64));
        }
        gauges
    }
}
