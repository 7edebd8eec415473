//! Consumers: one per queue for all workers, on a connection of their own, so that a broker that
//! holds back publishers doesn't hold back deliveries.
//!
//! Agents that consume one queue get each other's messages. Who gets a message that another one awaits
//! passes it on to that one's queue of returns, so a time until consumption then holds one hop more: it is
//! never shorter than it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::broker::{self, Broker};
use super::envelope::{recognise, returns_to, write_id};
use super::failure::Failure;
use crate::awaited::{Awaited, Intake};
use crate::envelope::Sender;
use slatest_core::model::{Clock, Outcome};
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
    /// Where it is kept that a write was seen, before it is taken out of its queue for good.
    pub(super) ledger: Option<LedgerSink>,
    /// Where operations take messages, if any do.
    pub(super) intake: Option<Arc<Intake>>,
}

/// What is consumed.
#[derive(Clone, Debug)]
pub(super) enum Inlet {
    /// A queue that is there.
    Queue(String),
    /// What others consumed and this sender awaits: a queue of its own, gone with its connection.
    Returns(String),
}

impl Inlet {
    fn name(&self) -> &str {
        match self {
            Self::Queue(name) | Self::Returns(name) => name,
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
        let task = broker::spawn(async move {
            let mut pause = PAUSE_MIN;
            loop {
                match subscribe(&broker, &source, prefetch).await {
                    Ok((connection, channel, messages)) => {
                        sender.send_replace(Some(Ok(())));
                        pause = PAUSE_MIN;
                        receive(&channel, messages, &destination).await;
                        drop(connection);
                    }
                    Err(failure) => {
                        tracing::debug!(queue = source.name(), "can't consume: {}", failure.reason);
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
                Err(Failure { reason, ..Failure::new(Outcome::TimedOut, "consume: timed out") })
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
) -> Result<(Connection, Channel, Consumer), Failure> {
    let connection = broker.connect().await?;
    let channel = broker::channel(&connection, false).await?;
    let failed = |error: lapin::Error| broker.redacted(Failure::from(&error)).during("consume");
    if let Inlet::Returns(name) = inlet {
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await.map_err(failed)?;
    }
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed)?;
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(inlet.name().into(), "".into(), options, FieldTable::default()).await;
    let consumer = consumer.map_err(failed)?;
    Ok((connection, channel, consumer))
}

/// Receives until the consumer breaks.
async fn receive(channel: &Channel, mut messages: Consumer, destination: &Destination) {
    while let Some(Ok(message)) = messages.next().await {
        let at = destination.clock.now();
        if let (Some(ledger), Some(id)) = (&destination.ledger, write_id(&message.properties))
            && !ledger.record(Record::Seen { id, at })
        {
            // Nobody keeps it any more: it goes back to the queue with the connection.
            return;
        }
        destination.unacknowledged.fetch_add(1, Ordering::Relaxed);
        if let Some(id) = recognise(&destination.sender, &message.properties) {
            destination.awaited.came(id, at);
        } else if let Some(queue) = returns_to(&destination.sender, &message.properties) {
            // An empty message: who awaits it needs no more than its headers. Where nobody does any more the
            // broker drops it.
            let options = BasicPublishOptions::default();
            let passed_on = channel.basic_publish("".into(), queue.into(), options, &[], message.properties.clone());
            if passed_on.await.is_err() {
                return;
            }
        }
        if let Some(intake) = &destination.intake {
            intake.came(at);
        }
        // Where it fails the connection is broken; the broker then delivers the message again.
        let acknowledged = message.acker.ack(BasicAckOptions::default()).await;
        destination.unacknowledged.fetch_sub(1, Ordering::Relaxed);
        if acknowledged.is_err() {
            return;
        }
    }
}
