//! A worker's producer: one for all of its sessions, with a thread that takes the delivery reports.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafka;
use rdkafka::{ClientConfig, Message};
use tokio::sync::{Notify, oneshot};

use super::cluster::Cluster;
use super::connecting::{self, Native};
use super::context::{Context, Troubles};
use super::file::{Acks, Settings};
use super::reports::Reports;

use crate::awaited::Awaited;
use slatest_core::model::{Clock, Nanos};

/// Most bytes that wait in one producer, in KiB.
const QUEUE_KIB_MAX: u64 = 64 * 1024;

/// Largest record that librdkafka can be told to take.
pub(super) const MESSAGE_BYTES_MAX: u32 = 1_000_000_000;
/// Largest batch where neither the workload nor the topics set a lower one.
pub(super) const BATCH_BYTES_DEFAULT: u32 = 1_000_000;

/// Where the brokers put a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) partition: i32,
    /// Below 0 where nobody acknowledged it.
    pub(super) offset: i64,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    /// When the report came.
    pub(super) at: Nanos,
    pub(super) result: Result<Position, RDKafkaErrorCode>,
}

/// A record on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) report: oneshot::Sender<Delivered>,
    /// Whether it is awaited back from the consumer group.
    pub(super) awaited: bool,
}

/// Takes delivery reports, on the producer's own thread.
pub(super) struct Deliveries {
    clock: Arc<dyn Clock>,
    awaited: Arc<Awaited>,
    reports: Arc<Reports>,
    freed: Arc<Notify>,
}

impl ProducerContext for Context<Deliveries> {
    type DeliveryOpaque = Box<Flight>;

    fn delivery(&self, result: &DeliveryResult<'_>, flight: Box<Flight>) {
        let at = self.role.clock.now();
        let result = match result {
            Ok(message) => {
                tracing::trace!(topic = message.topic(), partition = message.partition(), "delivered");
                self.troubles.answered();
                if flight.awaited {
                    self.role.awaited.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Position { partition: message.partition(), offset: message.offset() })
            }
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                if code == RDKafkaErrorCode::Fatal {
                    self.troubles.set_fatal();
                }
                Err(code)
            }
        };
        self.role.reports.put(flight.report, Delivered { at, result });
        self.role.freed.notify_waiters();
    }
}

impl Native for ThreadedProducer<Context<Deliveries>> {
    fn native(&self) -> *mut RDKafka {
        self.client().native_ptr()
    }
}

/// A record to send: topic, key and value borrowed, headers and flight owned.
pub(super) type Record<'a> = BaseRecord<'a, str, str, Box<Flight>>;

/// A worker's producer.
pub(super) struct Producer {
    client: ThreadedProducer<Context<Deliveries>>,
    pub(super) troubles: Arc<Troubles>,
    reports: Arc<Reports>,
    /// Told whenever a record leaves the queue.
    freed: Arc<Notify>,
}

impl Producer {
    /// Makes one, whose reports are handed out by the runtime that this is called in. Connects in the
    /// background.
    ///
    /// # Errors
    /// A configuration that librdkafka refuses.
    pub(super) fn new(
        config: &ClientConfig,
        cluster: &Cluster,
        clock: Arc<dyn Clock>,
        awaited: &Arc<Awaited>,
    ) -> KafkaResult<Self> {
        let freed = Arc::new(Notify::new());
        let reports = Arc::<Reports>::default();
        let role = Deliveries {
            clock,
            awaited: Arc::clone(awaited),
            reports: Arc::clone(&reports),
            freed: Arc::clone(&freed),
        };
        let context = Context::new(cluster, role);
        let troubles = Arc::clone(&context.troubles);
        let client: ThreadedProducer<Context<Deliveries>> = connecting::create(config, context)?;
        tokio::spawn(Arc::clone(&reports).hand_out());
        Ok(Self { client, troubles, reports, freed })
    }

    /// Whether it can't go on and must be made anew.
    pub(super) fn fatal(&self) -> bool {
        // librdkafka tells of it only with the next record; asking costs one atomic read.
        self.troubles.fatal() || self.client.client().fatal_error().is_some()
    }

    /// Records that wait or are on their way.
    pub(super) fn queued(&self) -> u64 {
        u64::try_from(self.client.in_flight_count()).unwrap_or(0)
    }

    /// Hands a record over; waits for room where the queue is full. Bound it in time.
    ///
    /// # Errors
    /// Why librdkafka didn't take it.
    pub(super) async fn send(&self, mut record: Record<'_>) -> Result<(), RDKafkaErrorCode> {
        let bytes = record.key.map_or(0, str::len).saturating_add(record.payload.map_or(0, str::len));
        if u64::try_from(bytes).unwrap_or(u64::MAX) >= QUEUE_KIB_MAX * 1024 {
            // There will never be room for it.
            return Err(RDKafkaErrorCode::QueueFull);
        }
        match self.offer(record)? {
            None => return Ok(()),
            Some(back) => record = back,
        }
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Listens before the queue is tried again, so that room made in between isn't missed.
            freed.as_mut().enable();
            match self.offer(record)? {
                None => return Ok(()),
                Some(back) => record = back,
            }
            freed.await;
        }
    }

    /// Hands a record over where there is room, else gives it back.
    fn offer<'r>(&self, record: Record<'r>) -> Result<Option<Record<'r>>, RDKafkaErrorCode> {
        match self.client.send(record) {
            Ok(()) => Ok(None),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => Ok(Some(back)),
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::InvalidArgument);
                if code == RDKafkaErrorCode::Fatal {
                    self.troubles.set_fatal();
                }
                Err(code)
            }
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.reports.close();
    }
}

/// A producer's configuration; `timeout` is the longest of any operation.
pub(super) fn config(cluster: &Cluster, settings: &Settings, timeout: Nanos) -> ClientConfig {
    let mut config = cluster.config();
    let acks = match settings.acks {
        Acks::All => "all",
        Acks::Leader => "1",
        Acks::None => "0",
    };
    let timeout_ms = u64::try_from(timeout.as_duration().as_millis()).unwrap_or(u64::MAX).clamp(1, i32::MAX as u64);
    let linger_ms = settings.linger.map_or(0.0, |l| l.0.as_millis_f64());
    config
        .set("acks", acks)
        .set("enable.idempotence", if settings.acks == Acks::All { "true" } else { "false" })
        .set("compression.type", settings.compression.name())
        .set("linger.ms", linger_ms.to_string())
        .set("message.timeout.ms", timeout_ms.to_string())
        // The topic's limit decides, unless the workload sets one.
        .set(
            "message.max.bytes",
            settings.message_max_bytes.as_ref().map_or(MESSAGE_BYTES_MAX, |b| b.value).to_string(),
        )
        // Keys go to the partition that Java's clients choose.
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.kbytes", QUEUE_KIB_MAX.to_string());
    if let Some(batch) = &settings.batch_size_bytes {
        config.set("batch.size", batch.value.to_string());
    }
    config
}
