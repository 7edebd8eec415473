//! Taking one message, as an operation: a consumer of its own, which the broker hands one message.
//!
//! The channel's prefetch is one for each consumer, and the consumer is cancelled before its message is acknowledged:
//! so the broker never hands out a second one. Whatever was handed out and not taken, because the operation's time was
//! over first, goes back to its queue.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::time::timeout;

use super::connection;
use super::consumer::{Destination, Unacknowledged};
use super::pool::PooledChannel;
use super::stream::Inbound;
use super::wanted::Asking;
use crate::failure::Failure;
use slatest_core::model::{Nanos, Outcome};

/// Most messages that are delivered to one consumer before it acknowledges one.
pub(super) const PREFETCH: u16 = 1;
/// Longest wait of what gives back for the broker; a channel that breaks gives back by itself.
const GIVING_BACK_MAX: Duration = Duration::from_secs(30);

/// How far it got.
enum Step {
    Subscribing(BoxFuture<'static, lapin::Result<Consumer>>),
    Waiting(Consumer),
    /// The message is here, and neither taken nor given back.
    Holding(Consumer, Box<Delivery>, Unacknowledged),
    Over,
}

/// One message that an operation takes. Dropped before it is taken, it goes back.
pub(super) struct Take {
    channel: Channel,
    inbound: Arc<Inbound>,
    destination: Destination,
    /// Tells the consumer of what is awaited in the queue, where there is one, that a message is wanted.
    asking: Option<Asking>,
    /// When the message came that is being acknowledged: it is taken, even if nobody waits any more for the rest.
    taken: Option<Nanos>,
    step: Step,
}

impl Take {
    pub(super) fn begin(
        pooled_channel: &PooledChannel,
        queue: &str,
        asking: Option<Asking>,
        destination: Destination,
    ) -> Self {
        let (channel, queue) = (pooled_channel.channel.clone(), queue.to_owned());
        let subscribing = async move {
            let options = BasicConsumeOptions::default();
            channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
        };
        Self {
            channel: pooled_channel.channel.clone(),
            inbound: Arc::clone(&pooled_channel.inbound),
            destination,
            asking,
            taken: None,
            step: Step::Subscribing(Box::pin(subscribing)),
        }
    }

    /// When the message came, where it is taken already.
    pub(super) const fn taken(&self) -> Option<Nanos> {
        self.taken
    }

    /// Takes it; gives when it came.
    ///
    /// # Errors
    /// What the broker refused, or that the connection is lost: then the message is delivered again to somebody.
    pub(super) async fn one(&mut self) -> Result<Nanos, Failure> {
        if let Step::Subscribing(subscribing) = &mut self.step {
            let subscribed = subscribing.await;
            // It is over: it must not be asked again.
            self.step = Step::Over;
            self.step = Step::Waiting(subscribed.map_err(|error| Failure::from(&error))?);
        }
        if let Step::Waiting(consumer) = &mut self.step {
            let delivery = match consumer.next().await {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => return Err(Failure::from(&error)),
                None => return Err(Failure::new(Outcome::Rejected, "consumer cancelled")),
            };
            self.inbound.took();
            drop(self.asking.take());
            if let Step::Waiting(consumer) = std::mem::replace(&mut self.step, Step::Over) {
                self.step = Step::Holding(consumer, Box::new(delivery), Unacknowledged::begin(&self.destination));
            }
        }
        let at = self.destination.clock.now();
        let Step::Holding(consumer, delivery, _) = &self.step else {
            return Err(Failure::new(Outcome::Unknown, "taken already"));
        };
        let cancelled = self.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await;
        cancelled.map_err(|error| Failure::from(&error))?;
        if !self.destination.keep(&delivery.properties, at) {
            return Err(Failure::new(Outcome::Unknown, "the ledger was closed"));
        }
        self.taken = Some(at);
        let acknowledged = delivery.acker.ack(BasicAckOptions::default()).await;
        acknowledged.map_err(|error| Failure::from(&error))?;
        if let Step::Holding(_, delivery, counted) = std::mem::replace(&mut self.step, Step::Over) {
            drop(counted);
            if let Some(passing_on) = self.destination.hand_on(&self.channel, &delivery.properties, at) {
                connection::spawn(passing_on)?;
            }
        }
        Ok(at)
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        let step = std::mem::replace(&mut self.step, Step::Over);
        if matches!(step, Step::Over) || !self.channel.status().connected() {
            return;
        }
        let (channel, inbound) = (self.channel.clone(), Arc::clone(&self.inbound));
        // Without the runtime there is no connection either.
        drop(connection::spawn(timeout(GIVING_BACK_MAX, give_back(channel, inbound, step))));
    }
}

/// Ends the consumer, and then returns what it got: a consumer that stands would be handed the same again.
async fn give_back(channel: Channel, inbound: Arc<Inbound>, step: Step) {
    let (mut consumer, held) = match step {
        Step::Subscribing(subscribing) => match subscribing.await {
            Ok(consumer) => (consumer, None),
            Err(_) => return,
        },
        Step::Waiting(consumer) => (consumer, None),
        Step::Holding(consumer, delivery, counted) => (consumer, Some((delivery, counted))),
        Step::Over => return,
    };
    // What fails here has lost its channel, and with it the broker has everything back.
    let _ = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await;
    let requeue = BasicNackOptions { requeue: true, multiple: false };
    if let Some((delivery, counted)) = held {
        let _ = delivery.acker.nack(requeue).await;
        drop(counted);
    }
    while let Some(Ok(delivery)) = consumer.next().await {
        inbound.took();
        let _ = delivery.acker.nack(requeue).await;
    }
}
