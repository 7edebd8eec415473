//! Events that the services publish: fire and forget, bounded, counted.

mod amqp;
mod broker;
mod kafka;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

pub use amqp::AmqpPublisher;
pub use broker::Broker;
pub use kafka::{KafkaPublisher, KafkaSettings};

/// The platform's topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Tasks created and changed.
    TaskEvents,
    /// Verifications asked for.
    EmrVerifications,
    /// Operations taken in.
    SyncOperations,
    /// Handovers made and acknowledged.
    HandoverEvents,
}

impl Topic {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TaskEvents => "task-events",
            Self::EmrVerifications => "emr-verifications",
            Self::SyncOperations => "sync-operations",
            Self::HandoverEvents => "handover-events",
        }
    }
}

/// What became of the events.
#[derive(Debug, Default)]
pub struct Tally {
    /// Acknowledged by the broker.
    pub published: AtomicU64,
    /// Given up by the client.
    pub failed: AtomicU64,
    /// Not taken: the queue was full.
    pub dropped: AtomicU64,
}

impl Tally {
    /// One more.
    pub fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The tally at an instant.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EventsCount {
    /// Acknowledged by a broker.
    pub published: u64,
    /// Given up after the client's retries.
    pub failed: u64,
    /// Not taken because a queue was full.
    pub dropped: u64,
}

struct Publishers {
    kafka: Option<KafkaPublisher>,
    amqp: Option<AmqpPublisher>,
    tally: Arc<Tally>,
}

/// Where events go: to Kafka, to AMQP, to both or nowhere. Clones share it.
#[derive(Clone)]
pub struct Events(Arc<Publishers>);

impl Events {
    /// To those that are there.
    pub fn new(kafka: Option<KafkaPublisher>, amqp: Option<AmqpPublisher>, tally: Arc<Tally>) -> Self {
        Self(Arc::new(Publishers { kafka, amqp, tally }))
    }

    /// Publishes without waiting: what can't be queued is dropped and counted.
    pub fn publish(&self, topic: Topic, key: &str, kind: &str, what: &impl Serialize) {
        let Publishers { kafka, amqp, .. } = &*self.0;
        if kafka.is_none() && amqp.is_none() {
            return;
        }
        let payload = json!({ "event": kind, "at": Timestamp::now(), "data": what }).to_string();
        if let Some(kafka) = kafka {
            kafka.publish(topic, key, &payload);
        }
        if let Some(amqp) = amqp {
            amqp.publish(topic, payload);
        }
    }

    /// What became of them so far.
    pub fn count(&self) -> EventsCount {
        let tally = &self.0.tally;
        EventsCount {
            published: tally.published.load(Ordering::Relaxed),
            failed: tally.failed.load(Ordering::Relaxed),
            dropped: tally.dropped.load(Ordering::Relaxed),
        }
    }
}
