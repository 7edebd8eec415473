//! One user: publishes and takes messages through the scenario's connections.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, ShortString};
use lapin::{Confirmation, PublisherConfirm};
use tokio::time::timeout;

use super::compile::NAME_LENGTH_MAX;
use super::envelope;
use super::file::Until;
use super::plan::{Action, Message, Route};
use super::pool::{Pool, PooledChannel};
use super::take::Take;
use super::wanted::Wanted;
use super::workload::Shared;
use crate::awaited::{MessageId, Waiting};
use crate::envelope::WRITE;
use crate::failure::Failure;
use crate::payload::Payload;
use crate::workload::{RenderError, Values};
use crate::{Session, SessionContext};
use slatest_core::model::{Arrival, Completion, Nanos, Outcome, WriteId, WriteOutcome, Written};

/// Index of the timing from sent until confirmed.
const CONFIRMED: u8 = 0;
/// Index of the timing from sent until received back.
const CONSUMED: u8 = 1;
/// Messages of others stand in the way of those that are awaited.
const CLOGGED: &str = "not consumed: the queue is full of messages that slatest did not send";

pub(super) struct AmqpSession {
    shared: Arc<Shared>,
    context: SessionContext,
    captured: BTreeMap<String, String>,
}

impl AmqpSession {
    pub(super) fn new(shared: Arc<Shared>, context: SessionContext) -> Self {
        Self { shared, context, captured: BTreeMap::new() }
    }

    fn now(&self) -> Nanos {
        self.context.clock.now()
    }

    fn failed(&self, sent: Option<Nanos>, failure: Failure) -> Completion {
        Completion::failed(failure.outcome, sent, self.now(), failure.kind)
    }

    /// The session's channel among those of a pool, at most until the arrival's deadline.
    async fn pooled_channel(&self, arrival: &Arrival, pool: &Pool) -> Result<PooledChannel, Failure> {
        let opened = timeout(self.left(arrival), pool.channel(self.context.index)).await;
        opened.unwrap_or_else(|_| Err(pool.late(self.context.index)))
    }

    async fn publish(&self, arrival: &Arrival, message: &Message) -> Completion {
        let rendered = match self.render(arrival, message) {
            Ok(rendered) => rendered,
            Err(failure) => return self.failed(None, failure),
        };
        let pooled_channel = match self.pooled_channel(arrival, &self.shared.publishers).await {
            Ok(pooled_channel) => pooled_channel,
            Err(failure) => return self.failed(None, failure),
        };
        // What a blocked connection is handed would be sent whenever it is unblocked, long after its deadline.
        let handed = match timeout(self.left(arrival), pooled_channel.inbound.hand_over(rendered.body.len())).await {
            Ok(handed) => handed,
            Err(_) => return self.failed(None, pooled_channel.inbound.late("not published")),
        };
        let sent = self.now();
        let id = MessageId { seq: arrival.seq, sent };
        let awaited = message.until == Until::Consumed;
        let waiting = if awaited { self.shared.awaited.begin(id) } else { None };
        if awaited && waiting.is_none() {
            return self.failed(None, Failure::new(Outcome::Rejected, "too many messages awaited"));
        }
        let ledger = self.shared.plan.operations.get(arrival.operation).is_some_and(|operation| operation.ledger);
        let execution = self.shared.plan.sender.identity.execution(arrival, self.context.index);
        let write = ledger.then(|| execution.write_id());
        let counted = Unconfirmed::begin(&self.shared);
        let mut publishing = self.hand_over(&pooled_channel, (id, write), message, rendered);
        let confirm = match timeout(self.left(arrival), &mut publishing).await {
            Ok(Ok(confirm)) => confirm,
            Ok(Err(error)) => return self.failed(Some(sent), Failure::from(&error)),
            Err(_) => {
                // lapin has it and sends it yet: a late confirm still counts.
                let shared = Arc::clone(&self.shared);
                tokio::task::spawn_local(async move {
                    if let Ok(confirm) = publishing.await {
                        drop(handed);
                        shared.note(&confirm.await, awaited);
                    }
                    drop(counted);
                });
                let completion = self.failed(Some(sent), pooled_channel.inbound.late("not published"));
                return if ledger { completion.with_written(Progress::default().written()) } else { completion };
            }
        };
        drop(handed);
        let mut progress = Progress { confirm: Some(confirm), waiting, ..Progress::default() };
        let end = timeout(self.left(arrival), progress.follow(&self.shared, &self.context, awaited)).await.ok();
        if progress.refused {
            self.shared.publishers.refused(&pooled_channel);
        }
        if let Some(confirm) = progress.confirm.take() {
            // A late confirm still counts, and lapin keeps one that nobody awaits for ever.
            let shared = Arc::clone(&self.shared);
            tokio::task::spawn_local(async move {
                let confirmation = confirm.await;
                shared.note(&confirmation, awaited);
                drop(counted);
            });
        }
        let completion = self.conclude(sent, &progress, &pooled_channel, end);
        if ledger { completion.with_written(progress.written()) } else { completion }
    }

    fn conclude(
        &self,
        sent: Nanos,
        progress: &Progress,
        pooled_channel: &PooledChannel,
        end: Option<Result<Nanos, Failure>>,
    ) -> Completion {
        let completion = match (end, progress.consumed) {
            (Some(Ok(done)), _) => Completion::ok(sent, done.max(sent)),
            // It came back, so it was taken: the confirm alone is missing.
            (_, Some(consumed)) => Completion::ok(sent, consumed.max(sent)),
            (Some(Err(failure)), None) => self.failed(Some(sent), failure),
            (None, None) => {
                let failure = match progress.confirmed {
                    Some(_) if self.shared.is_clogged() => Failure::new(Outcome::TimedOut, CLOGGED),
                    Some(_) => Failure::new(Outcome::TimedOut, "not consumed"),
                    None => pooled_channel.inbound.late("not confirmed"),
                };
                self.failed(Some(sent), failure)
            }
        };
        let timing = |completion: Completion, index, at: Option<Nanos>| match at {
            Some(at) => completion.with_timing(index, at.since(sent)),
            None => completion,
        };
        timing(timing(completion, CONFIRMED, progress.confirmed), CONSUMED, progress.consumed)
    }

    async fn consume(&self, arrival: &Arrival, queue: &str) -> Completion {
        let pooled_channel = match self.pooled_channel(arrival, &self.shared.takers).await {
            Ok(pooled_channel) => pooled_channel,
            Err(failure) => return self.failed(None, failure),
        };
        let sent = self.now();
        let asking = self.shared.plan.wanted.get(queue).map(Wanted::ask);
        let mut take = Take::begin(&pooled_channel, queue, asking, self.shared.destination(&self.context));
        match timeout(self.left(arrival), take.one()).await {
            Ok(Ok(at)) => Completion::ok(sent, at.max(sent)),
            Ok(Err(failure)) => self.failed(Some(sent), failure),
            Err(_) => match take.taken() {
                Some(at) => Completion::ok(sent, at.max(sent)),
                None => self.failed(Some(sent), Failure::new(Outcome::TimedOut, "no message")),
            },
        }
    }

    fn left(&self, arrival: &Arrival) -> Duration {
        arrival.left(self.now()).as_duration()
    }

    fn render<'m>(&self, arrival: &Arrival, message: &'m Message) -> Result<Rendered<'m>, Failure> {
        let failed = |error: RenderError| Failure::new(Outcome::Rejected, error.to_string());
        let plan = &self.shared.plan;
        let id = plan.sender.identity.execution(arrival, self.context.index);
        let values = Values { id, data: &plan.data, captured: &self.captured };
        let routing_key = match &message.route {
            Route::Queue(queue) => Cow::Borrowed(queue.as_str()),
            Route::Template(template) => template.render(&values).map_err(failed)?,
        };
        if routing_key.len() > NAME_LENGTH_MAX {
            return Err(Failure::new(Outcome::Rejected, "routing key too long"));
        }
        let body = match &message.body {
            Some(payload) => payload.render(&values).map_err(failed)?,
            None => Cow::Borrowed(""),
        };
        let mut headers = Vec::with_capacity(message.headers.len());
        for (name, template) in &message.headers {
            headers.push((name.as_str(), template.render(&values).map_err(failed)?.into_owned()));
        }
        Ok(Rendered { routing_key, body, headers })
    }

    /// Hands a message to lapin: what becomes of that doesn't depend on this session.
    fn hand_over(
        &self,
        pooled_channel: &PooledChannel,
        (id, write): (MessageId, Option<WriteId>),
        message: &Message,
        rendered: Rendered<'_>,
    ) -> BoxFuture<'static, lapin::Result<PublisherConfirm>> {
        let awaited = message.until == Until::Consumed;
        let (properties, mut headers) = envelope::properties(&self.shared.plan.sender, id, awaited, message.persistent);
        if let Some(write) = write {
            headers.insert(WRITE.into(), AMQPValue::LongString(write.to_string().into()));
        }
        for (name, value) in rendered.headers {
            headers.insert(ShortString::from(name), AMQPValue::LongString(value.into()));
        }
        let mut properties = properties.with_headers(headers);
        if let Some(Payload::Json(_)) = message.body {
            properties = properties.with_content_type("application/json".into());
        }
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let (exchange, routing_key) = (message.exchange.as_str().into(), rendered.routing_key.as_ref().into());
        let (channel, body) = (pooled_channel.channel.clone(), rendered.body.into_owned());
        Box::pin(
            async move { channel.basic_publish(exchange, routing_key, options, body.as_bytes(), properties).await },
        )
    }
}

/// The texts of one message.
struct Rendered<'m> {
    routing_key: Cow<'m, str>,
    body: Cow<'m, str>,
    headers: Vec<(&'m str, String)>,
}

/// Counts a message as unconfirmed as long as it lives.
struct Unconfirmed(Arc<Shared>);

impl Unconfirmed {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.unconfirmed.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Unconfirmed {
    fn drop(&mut self) {
        self.0.unconfirmed.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How far a message got.
#[derive(Default)]
struct Progress {
    confirm: Option<PublisherConfirm>,
    waiting: Option<Waiting>,
    confirmed: Option<Nanos>,
    consumed: Option<Nanos>,
    /// The broker said that no queue took it.
    unroutable: bool,
    /// The broker said that it could not take it.
    refused: bool,
}

impl Progress {
    /// What is known of the write: the broker's confirm alone counts, whatever became of the wait for its return.
    fn written(&self) -> Written {
        let outcome = match (self.confirmed, self.unroutable) {
            (Some(_), _) => WriteOutcome::Acknowledged,
            (None, true) => WriteOutcome::Rejected,
            (None, false) => WriteOutcome::Unknown,
        };
        Written { outcome: Some(outcome), acknowledged: self.confirmed, ..Written::default() }
    }

    /// Follows it until the broker confirmed it and, where it is awaited, until it was received
    /// back; gives the instant at which it was done.
    async fn follow(&mut self, shared: &Shared, context: &SessionContext, awaited: bool) -> Result<Nanos, Failure> {
        let Self { confirm, waiting, confirmed, consumed, unroutable, refused } = self;
        while confirmed.is_none() || (waiting.is_some() && consumed.is_none()) {
            let confirming = async {
                match confirm.as_mut() {
                    Some(confirm) => confirm.await,
                    None => std::future::pending().await,
                }
            };
            let consuming = async {
                match waiting.as_mut() {
                    Some(waiting) => (&mut waiting.consumed).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                confirmation = confirming, if confirmed.is_none() => {
                    let at = context.clock.now();
                    *confirm = None;
                    shared.note(&confirmation, awaited);
                    match confirmation.map_err(|e| Failure::from(&e))? {
                        Confirmation::Ack(None) => *confirmed = Some(at),
                        Confirmation::Ack(Some(_)) => {
                            *unroutable = true;
                            return Err(Failure::new(Outcome::Rejected, "unroutable"));
                        }
                        Confirmation::Nack(_) => {
                            *refused = true;
                            return Err(Failure::new(Outcome::Rejected, "nack"));
                        }
                        Confirmation::NotRequested => {
                            return Err(Failure::new(Outcome::Rejected, "confirms not enabled"));
                        }
                    }
                },
                at = consuming, if consumed.is_none() => {
                    let closed = |_| Failure::new(Outcome::Unknown, "the consumer was closed");
                    *consumed = Some(at.map_err(closed)?);
                },
            }
        }
        Ok(consumed.or(*confirmed).unwrap_or_default())
    }
}

impl Session for AmqpSession {
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        Box::pin(async move {
            let plan = &self.shared.plan;
            let Some(action) = plan.actions.get(arrival.operation) else {
                return self.failed(None, Failure::new(Outcome::Rejected, "no such operation"));
            };
            match action {
                Action::Publish(message) => self.publish(arrival, message).await,
                Action::Consume { queue } => self.consume(arrival, queue).await,
            }
        })
    }
}
