//! Consumers of what is awaited back: one per queue for all workers, on a connection of their own, so that a broker
//! that holds back publishers doesn't hold back deliveries.
//!
//! They acknowledge what slatest sent and nothing else. A message of others stands between them and those that they
//! wait for; it is held until the consumer ends, and then is in its queue as before.
//!
//! Agents that consume one queue get each other's messages. Who gets a message that another one awaits
//! passes it on to that one's queue of returns, so a time until consumption then holds one hop more: it is
//! never shorter than it was.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Acker, BasicProperties, Channel, Consumer};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::broker::Broker;
use super::connection::{self, Connected, Purpose};
use super::envelope::{is_ours, recognise, returns_to, write_id};
use super::wanted::Wanted;
use crate::awaited::Awaited;
use crate::envelope::Sender;
use crate::failure::Failure;
use slatest_core::model::{Clock, Nanos, Outcome};
use slatest_core::writes::{LedgerSink, Record};

/// First pause before a broken consumer subscribes again; doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Longest wait for the first subscription.
const SUBSCRIPTION_TIMEOUT: Duration = Duration::from_secs(30);

/// What a consumer does with messages.
#[derive(Clone)]
pub(super) struct Destination {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sender: Arc<Sender>,
    pub(super) awaited: Arc<Awaited>,
    /// Messages received and not yet acknowledged.
    pub(super) unacknowledged: Arc<AtomicI64>,
    /// Whether a consumer holds as many messages of others as it is handed.
    pub(super) clogged: Arc<AtomicBool>,
    /// Where it is kept that a write was seen, before it is taken out of its queue for good.
    pub(super) ledger: Option<LedgerSink>,
}

impl Destination {
    /// Has the ledger keep that a write was seen; `false` when nobody keeps it any more.
    pub(super) fn keep(&self, properties: &BasicProperties, at: Nanos) -> bool {
        match (&self.ledger, write_id(properties)) {
            (Some(ledger), Some(id)) => ledger.record(Record::Seen { id, at }),
            _ => true,
        }
    }

    /// Tells who awaits a message that it came; what is left to do where that is another agent.
    pub(super) fn hand_on(
        &self,
        channel: &Channel,
        properties: &BasicProperties,
        at: Nanos,
    ) -> Option<BoxFuture<'static, lapin::Result<()>>> {
        if let Some(id) = recognise(&self.sender, properties) {
            self.awaited.came(id, at);
            return None;
        }
        let queue = returns_to(&self.sender, properties)?;
        let (channel, properties) = (channel.clone(), properties.clone());
        // An empty message: who awaits it needs no more than its headers. Where nobody does any more the
        // broker drops it.
        let options = BasicPublishOptions::default();
        Some(Box::pin(async move {
            channel.basic_publish("".into(), queue.into(), options, &[], properties).await.map(drop)
        }))
    }
}

/// What is consumed.
#[derive(Clone, Debug)]
pub(super) enum Inlet {
    /// A queue that is there, and who takes others of its messages, where somebody does.
    Queue(String, Option<Arc<Wanted>>),
    /// What others consumed and this sender awaits: a queue of its own, gone with its connection.
    Returns(String),
}

impl Inlet {
    fn name(&self) -> &str {
        match self {
            Self::Queue(name, _) | Self::Returns(name) => name,
        }
    }

    /// Whether a message is none of the consumer's: one of others, or one that an operation may take.
    fn leaves(&self, properties: &BasicProperties, sender: &Sender) -> bool {
        match self {
            Self::Returns(_) => false,
            Self::Queue(_, None) => !is_ours(properties),
            Self::Queue(_, Some(_)) => {
                recognise(sender, properties).is_none() && returns_to(sender, properties).is_none()
            }
        }
    }
}

/// A consumer of one queue; ends when dropped.
pub(super) struct QueueConsumer {
    inlet: Inlet,
    subscribed: watch::Receiver<Option<Result<(), Failure>>>,
    task: JoinHandle<()>,
}

impl QueueConsumer {
    /// Starts to consume, in the background; subscribes again whenever that breaks.
    ///
    /// # Errors
    /// When the machine has no thread left.
    pub(super) fn start(
        broker: Arc<Broker>,
        inlet: Inlet,
        prefetch: u16,
        destination: Destination,
    ) -> Result<Self, Failure> {
        let (sender, subscribed) = watch::channel(None);
        let source = inlet.clone();
        let task = connection::spawn(async move {
            let mut pause = PAUSE_MIN;
            loop {
                match subscribe(&broker, &source, prefetch).await {
                    Ok((connected, channel, messages)) => {
                        sender.send_replace(Some(Ok(())));
                        pause = PAUSE_MIN;
                        receive((&connected, &channel, messages), (&source, prefetch), &destination).await;
                        destination.clogged.store(false, Ordering::Relaxed);
                    }
                    Err(failure) => {
                        tracing::debug!(queue = source.name(), "can't consume: {}", failure.detail);
                        sender.send_replace(Some(Err(failure)));
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        })?;
        Ok(Self { inlet, subscribed, task })
    }

    /// Ends it.
    pub(super) fn stop(&self) {
        self.task.abort();
    }

    /// Whether the run can do without it: alone, a sender gets all of its messages itself.
    pub(super) const fn is_optional(&self) -> bool {
        matches!(self.inlet, Inlet::Returns(_))
    }

    /// Waits until the first subscription stands.
    ///
    /// # Errors
    /// Why it doesn't.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        let mut subscribed = self.subscribed.clone();
        let wait = tokio::time::timeout(SUBSCRIPTION_TIMEOUT, subscribed.wait_for(Option::is_some)).await;
        match wait {
            Ok(Ok(result)) => result.clone().unwrap_or(Ok(())),
            _ => {
                let reason = format!("the queue `{}` could not be consumed in time", self.inlet.name());
                Err(Failure { detail: reason, ..Failure::new(Outcome::TimedOut, "consume: timed out") })
            }
        }
    }
}

impl Drop for QueueConsumer {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn subscribe(
    broker: &Arc<Broker>,
    inlet: &Inlet,
    prefetch: u16,
) -> Result<(Connected, Channel, Consumer), Failure> {
    let connected = broker.connect().await?;
    let channel = connected.channel(Purpose::Consume(prefetch)).await?;
    let failed = |error: lapin::Error| broker.redacted(Failure::from(&error)).during("consume");
    if let Inlet::Returns(name) = inlet {
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await.map_err(failed)?;
    }
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(inlet.name().into(), "".into(), options, FieldTable::default()).await;
    let consumer = consumer.map_err(failed)?;
    Ok((connected, channel, consumer))
}

/// Receives until the consumer breaks.
async fn receive(
    (connected, channel, mut messages): (&Connected, &Channel, Consumer),
    (inlet, prefetch): (&Inlet, u16),
    destination: &Destination,
) {
    let wanted = if let Inlet::Queue(_, wanted) = inlet { wanted.as_ref() } else { None };
    // Never acknowledged, they go back when they are wanted, or with the connection.
    let mut held = VecDeque::new();
    loop {
        let asked = async {
            match wanted {
                Some(wanted) if !held.is_empty() => wanted.asked().await,
                _ => std::future::pending().await,
            }
        };
        let message = tokio::select! {
            message = messages.next() => message,
            () = asked => {
                if let Some(acker) = held.pop_front() && give_back(acker).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let Some(Ok(message)) = message else { return };
        connected.inbound.took();
        let at = destination.clock.now();
        if inlet.leaves(&message.properties, &destination.sender) {
            if wanted.is_some_and(|wanted| wanted.is_waiting()) {
                if give_back(message.acker).await.is_err() {
                    return;
                }
            } else {
                held.push_back(message.acker);
            }
            destination.clogged.store(held.len() >= usize::from(prefetch), Ordering::Relaxed);
            continue;
        }
        if !destination.keep(&message.properties, at) {
            // Nobody keeps it any more: it goes back to the queue with the connection.
            return;
        }
        let _unacknowledged = Unacknowledged::begin(destination);
        if let Some(passing_on) = destination.hand_on(channel, &message.properties, at)
            && passing_on.await.is_err()
        {
            return;
        }
        // Where it fails the connection is broken; the broker then delivers the message again.
        if message.acker.ack(BasicAckOptions::default()).await.is_err() {
            return;
        }
    }
}

async fn give_back(acker: Acker) -> lapin::Result<bool> {
    acker.nack(BasicNackOptions { requeue: true, multiple: false }).await
}

/// Counts a message as unacknowledged as long as it lives.
pub(super) struct Unacknowledged(Arc<AtomicI64>);

impl Unacknowledged {
    pub(super) fn begin(destination: &Destination) -> Self {
        destination.unacknowledged.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&destination.unacknowledged))
    }
}

impl Drop for Unacknowledged {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
