//! One user: publishes through its worker's connections, takes from the workload's consumers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, ShortString};
use lapin::{Channel, Confirmation, PublisherConfirm};
use tokio::time::timeout;

use super::compile::{Action, Message, NAME_LENGTH_MAX, Route};
use super::envelope;
use super::failure::Failure;
use super::file::Until;
use super::lanes::Lanes;
use super::workload::Shared;
use crate::awaited::{MessageId, Taken, Waiting};
use crate::envelope::WRITE;
use crate::payload::Payload;
use crate::workload::{RenderError, Values};
use crate::{Seat, Session};
use slatest_core::model::{Arrival, Completion, Nanos, Outcome, WriteId, WriteOutcome, Written};

/// Index of the timing from sent until confirmed.
const CONFIRMED: u8 = 0;
/// Index of the timing from sent until received back.
const CONSUMED: u8 = 1;

pub(super) struct AmqpSession {
    shared: Arc<Shared>,
    seat: Seat,
    lanes: Arc<Lanes>,
    captured: BTreeMap<String, String>,
}

impl AmqpSession {
    pub(super) fn new(shared: Arc<Shared>, seat: Seat, lanes: Arc<Lanes>) -> Self {
        Self { shared, seat, lanes, captured: BTreeMap::new() }
    }

    fn now(&self) -> Nanos {
        self.seat.clock.now()
    }

    fn failed(&self, sent: Option<Nanos>, failure: Failure) -> Completion {
        Completion::failed(failure.outcome, sent, self.now(), failure.kind)
    }

    async fn publish(&self, arrival: &Arrival, message: &Message, limit: Nanos) -> Completion {
        let rendered = match self.render(arrival, message) {
            Ok(rendered) => rendered,
            Err(failure) => return self.failed(None, failure),
        };
        let channel = match timeout(limit.as_duration(), self.lanes.channel(self.seat.index)).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(failure)) => return self.failed(None, failure),
            Err(_) => return self.failed(None, Failure::new(Outcome::TimedOut, "connect: timed out")),
        };
        let sent = self.now();
        let id = MessageId { seq: arrival.seq, sent };
        let awaited = message.until == Until::Consumed;
        let waiting = if awaited { self.shared.awaited.begin(id) } else { None };
        if awaited && waiting.is_none() {
            return self.failed(None, Failure::new(Outcome::Rejected, "too many messages awaited"));
        }
        let ledger = self.shared.plan.operations.get(arrival.operation).is_some_and(|operation| operation.ledger);
        let execution = self.shared.plan.sender.identity.execution(arrival, self.seat.index);
        let write = ledger.then(|| execution.write_id());
        let left = self.left(sent, limit);
        let counted = Unconfirmed::begin(&self.shared);
        let published = timeout(left, self.hand_over(&channel, (id, write), message, rendered)).await;
        let confirm = match published {
            Ok(Ok(confirm)) => confirm,
            Ok(Err(error)) => return self.failed(Some(sent), Failure::from(&error)),
            Err(_) => return self.failed(Some(sent), Failure::new(Outcome::TimedOut, "not published")),
        };
        let mut progress = Progress { confirm: Some(confirm), waiting, ..Progress::default() };
        let left = self.left(sent, limit);
        let end = timeout(left, progress.follow(&self.shared, &self.seat, awaited)).await.ok();
        if progress.refused {
            self.lanes.refused(self.seat.index, &channel).await;
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
        let completion = self.conclude(sent, &progress, end);
        if ledger { completion.with_written(progress.written()) } else { completion }
    }

    fn conclude(&self, sent: Nanos, progress: &Progress, end: Option<Result<Nanos, Failure>>) -> Completion {
        let completion = match (end, progress.consumed) {
            (Some(Ok(done)), _) => Completion::ok(sent, done.max(sent)),
            // It came back, so it was taken: the confirm alone is missing.
            (_, Some(consumed)) => Completion::ok(sent, consumed.max(sent)),
            (Some(Err(failure)), None) => self.failed(Some(sent), failure),
            (None, None) => {
                let kind = if progress.confirmed.is_some() { "not consumed" } else { "not confirmed" };
                self.failed(Some(sent), Failure::new(Outcome::TimedOut, kind))
            }
        };
        let timing = |completion: Completion, index, at: Option<Nanos>| match at {
            Some(at) => completion.with_timing(index, at.since(sent)),
            None => completion,
        };
        timing(timing(completion, CONFIRMED, progress.confirmed), CONSUMED, progress.consumed)
    }

    async fn consume(&self, queue: &str, limit: Nanos) -> Completion {
        let sent = self.now();
        let Some(Some(intake)) = self.shared.plan.consumed.get(queue) else {
            return self.failed(None, Failure::new(Outcome::Rejected, "queue not consumed"));
        };
        match intake.take() {
            Taken::Already => Completion::ok(sent, self.now()),
            Taken::Later(message) => match timeout(self.left(sent, limit), message).await {
                Ok(Ok(at)) => Completion::ok(sent, at.max(sent)),
                Ok(Err(_)) => self.failed(Some(sent), Failure::new(Outcome::Unknown, "the consumer was closed")),
                Err(_) => self.failed(Some(sent), Failure::new(Outcome::TimedOut, "no message")),
            },
        }
    }

    fn left(&self, sent: Nanos, limit: Nanos) -> Duration {
        (sent + limit).since(self.now()).as_duration()
    }

    fn render<'m>(&self, arrival: &Arrival, message: &'m Message) -> Result<Rendered<'m>, Failure> {
        let failed = |error: RenderError| Failure::new(Outcome::Rejected, &error.to_string());
        let plan = &self.shared.plan;
        let id = plan.sender.identity.execution(arrival, self.seat.index);
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

    async fn hand_over(
        &self,
        channel: &Channel,
        (id, write): (MessageId, Option<WriteId>),
        message: &Message,
        rendered: Rendered<'_>,
    ) -> lapin::Result<PublisherConfirm> {
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
        channel.basic_publish(exchange, routing_key, options, rendered.body.as_bytes(), properties).await
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
    async fn follow(&mut self, shared: &Shared, seat: &Seat, awaited: bool) -> Result<Nanos, Failure> {
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
                    let at = seat.clock.now();
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
            let (Some(operation), Some(action)) =
                (plan.operations.get(arrival.operation), plan.actions.get(arrival.operation))
            else {
                return self.failed(None, Failure::new(Outcome::Rejected, "no such operation"));
            };
            match action {
                Action::Publish(message) => self.publish(arrival, message, operation.timeout).await,
                Action::Consume { queue } => self.consume(queue, operation.timeout).await,
            }
        })
    }
}
