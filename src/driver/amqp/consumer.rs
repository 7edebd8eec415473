//! Consumers: one per queue for all workers, on a connection of their own, so that a broker that
//! holds back publishers doesn't hold back deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, Consumer};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::broker::{self, Broker};
use super::envelope::recognise;
use super::failure::Failure;
use crate::driver::awaited::{Awaited, Intake};
use crate::driver::envelope::Sender;
use crate::model::{Clock, Outcome};

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
    /// Where operations take messages, if any do.
    pub(super) intake: Option<Arc<Intake>>,
}

/// A consumer of one queue; ends when dropped.
pub(super) struct QueueConsumer {
    queue: String,
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
        queue: &str,
        prefetch: u16,
        destination: Destination,
    ) -> Result<Self, Failure> {
        let (sender, subscribed) = watch::channel(None);
        let name = queue.to_owned();
        let task = broker::spawn(async move {
            let mut pause = PAUSE_MIN;
            loop {
                match subscribe(&broker, &name, prefetch).await {
                    Ok((connection, messages)) => {
                        sender.send_replace(Some(Ok(())));
                        pause = PAUSE_MIN;
                        receive(messages, &destination).await;
                        drop(connection);
                    }
                    Err(failure) => {
                        tracing::debug!(queue = name, "can't consume: {}", failure.reason);
                        sender.send_replace(Some(Err(failure)));
                    }
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        })?;
        Ok(Self { queue: queue.to_owned(), subscribed, task })
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
                let reason = format!("the queue `{}` could not be consumed in time", self.queue);
                Err(Failure { reason, ..Failure::new(Outcome::TimedOut, "consume: timed out") })
            }
        }
    }
}

impl Drop for QueueConsumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn subscribe(broker: &Arc<Broker>, queue: &str, prefetch: u16) -> Result<(Connection, Consumer), Failure> {
    let connection = broker.connect().await?;
    let channel = broker::channel(&connection, false).await?;
    let failed = |error: lapin::Error| broker.redacted(Failure::from(&error)).during("consume");
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed)?;
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await;
    Ok((connection, consumer.map_err(failed)?))
}

/// Receives until the consumer breaks.
async fn receive(mut messages: Consumer, destination: &Destination) {
    while let Some(Ok(message)) = messages.next().await {
        let at = destination.clock.now();
        destination.unacknowledged.fetch_add(1, Ordering::Relaxed);
        if let Some(id) = recognise(&destination.sender, &message.properties) {
            destination.awaited.came(id, at);
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
