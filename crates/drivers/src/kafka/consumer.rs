//! A member of a consumer group for all workers, on a thread of its own, and a second thread that measures how far it
//! lags behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::connecting;
use super::context::Context;
use super::file::Start;
use super::headers::recognise;
use crate::awaited::Awaited;
use crate::envelope::Sender;
use crate::failure::Failure;
use slatest_core::model::{Clock, Outcome};

/// How long the thread waits for a record before it looks whether it should end.
const POLL: Duration = Duration::from_millis(100);
/// Longest wait for the offsets at which an assignment starts.
const OFFSETS_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the lag is measured.
const LAG_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the ends of the partitions.
const LAG_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for partitions.
pub(super) const ASSIGNMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// The next offset of each partition, by topic.
type Positions = BTreeMap<String, BTreeMap<i32, i64>>;

/// Who is in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    /// Whether nobody else is in it.
    pub(super) own: bool,
    /// Where it starts in partitions for which it committed nothing.
    pub(super) start: Start,
}

/// What is done with records that are awaited back.
pub(super) struct Destination {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sender: Arc<Sender>,
    pub(super) awaited: Arc<Awaited>,
}

/// What the group assigned.
pub(super) struct Assignment {
    positions: Mutex<Positions>,
    /// Partitions that are consumed from a known offset; none before the first assignment.
    assigned: watch::Sender<Option<usize>>,
    start: Start,
    /// Whether nothing is fetched until somebody asks.
    held: bool,
    /// Counts the assignments.
    number: AtomicU64,
}

impl Assignment {
    fn positions(&self) -> MutexGuard<'_, Positions> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the present assignment.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The next offset of a partition.
    pub(super) fn next(&self, topic: &str, partition: i32) -> Option<i64> {
        self.positions().get(topic)?.get(&partition).copied()
    }

    /// The record at this offset has been had.
    pub(super) fn pass(&self, topic: &str, partition: i32, offset: i64) {
        if let Some(topic) = self.positions().get_mut(topic) {
            topic.insert(partition, offset.saturating_add(1));
        }
    }

    /// Where each partition starts: where this consumer or its group left off, else at its start or
    /// its end as of now. The offsets are explicit, so nothing that is produced from here on is missed, however
    /// long the first fetch takes.
    fn starts(
        &self,
        consumer: &BaseConsumer<Context<Self>>,
        partitions: &TopicPartitionList,
    ) -> KafkaResult<TopicPartitionList> {
        if partitions.count() == 0 {
            // A member without a partition: the group has more members than there are.
            return Ok(TopicPartitionList::new());
        }
        let committed = consumer.committed_offsets(partitions.clone(), OFFSETS_TIMEOUT)?;
        let mut wanted = partitions.clone();
        wanted.set_all_offsets(match self.start {
            Start::Earliest => Offset::Beginning,
            Start::Latest => Offset::End,
        })?;
        let bounds = consumer.offsets_for_times(wanted, OFFSETS_TIMEOUT)?;
        let mut positions = self.positions();
        let mut starts = TopicPartitionList::with_capacity(partitions.count());
        for partition in bounds.elements() {
            partition.error()?;
            let (topic, number) = (partition.topic(), partition.partition());
            let known = positions.get(topic).and_then(|p| p.get(&number)).copied();
            let stored = committed.find_partition(topic, number).and_then(|p| offset(p.offset()));
            let start = known.max(stored).or(offset(partition.offset())).unwrap_or(0);
            starts.add_partition_offset(topic, number, Offset::Offset(start))?;
            positions.entry(topic.to_owned()).or_default().insert(number, start);
        }
        Ok(starts)
    }
}

const fn offset(offset: Offset) -> Option<i64> {
    match offset {
        Offset::Offset(n) => Some(n),
        _ => None,
    }
}

impl ConsumerContext for Context<Assignment> {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let result = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let starts = self.role.starts(consumer, partitions);
            let known = starts.is_ok();
            let result = match starts {
                Ok(starts) if self.role.held => consumer.assign(&starts).and_then(|()| consumer.pause(&starts)),
                Ok(starts) => consumer.assign(&starts),
                // Consuming from where librdkafka resolves it is better than not at all; but it is
                // not said to be ready.
                Err(error) => consumer.assign(partitions).and(Err(error)),
            };
            if known && result.is_ok() {
                self.role.number.fetch_add(1, Ordering::Release);
                self.role.assigned.send_replace(Some(partitions.count()));
            }
            result
        } else {
            self.role.assigned.send_replace(None);
            consumer.unassign()
        };
        if let Err(error) = result {
            tracing::warn!(target: "librdkafka", "a rebalance of the consumer group failed: {error}");
        }
    }
}

/// A member of a group. Ends its threads when dropped.
pub(super) struct GroupConsumer {
    assigned: watch::Receiver<Option<usize>>,
    lags: Arc<Mutex<BTreeMap<String, u64>>>,
    stop: Arc<AtomicBool>,
    /// Closing it ends the thread that measures the lag.
    _running: mpsc::Sender<()>,
}

impl GroupConsumer {
    /// Joins the group for these topics, which are fetched at once unless they are `held`; `body` polls it on a thread
    /// of its own until it is told to stop.
    ///
    /// # Errors
    /// What librdkafka or the machine refuses.
    pub(super) fn start(
        cluster: &Cluster,
        group: &Group,
        topics: &[&str],
        held: bool,
        body: impl FnOnce(&BaseConsumer<Context<Assignment>>, &AtomicBool) + Send + 'static,
    ) -> Result<Self, Failure> {
        let (assigned_sender, assigned) = watch::channel(None);
        let context = Context::new(
            cluster,
            Assignment {
                positions: Mutex::default(),
                assigned: assigned_sender,
                start: group.start,
                held,
                number: AtomicU64::new(0),
            },
        );
        let refused = |what: &str, error: String| Failure {
            outcome: Outcome::Disconnected,
            kind: format!("consumer: {what}"),
            detail: cluster.security.redact(&error),
            broken: true,
        };
        let consumer: BaseConsumer<Context<Assignment>> = connecting::create(&config(cluster, group), context)
            .map_err(|e| refused("configuration", e.to_string()))?;
        consumer.subscribe(topics).map_err(|e| refused("subscription", e.to_string()))?;
        let consumer = Arc::new(consumer);
        let stop = Arc::new(AtomicBool::new(false));
        let lags = Arc::new(Mutex::new(BTreeMap::new()));
        let (running, ended) = mpsc::channel::<()>();
        spawn("kafka-consumer", {
            let (consumer, stop) = (Arc::clone(&consumer), Arc::clone(&stop));
            move || body(&consumer, &stop)
        })
        .map_err(|e| refused("thread", e.to_string()))?;
        spawn("kafka-lag", {
            let lags = Arc::clone(&lags);
            move || {
                while ended.recv_timeout(LAG_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                    measure(&consumer, &lags);
                }
            }
        })
        .map_err(|e| refused("thread", e.to_string()))?;
        Ok(Self { assigned, lags, stop, _running: running })
    }

    /// Waits until the group has dealt its partitions: all `partitions` to us where it is ours alone, else any number,
    /// none included.
    ///
    /// # Errors
    /// When that takes longer than [`ASSIGNMENT_TIMEOUT`].
    pub(super) async fn ready(&self, group: &Group, partitions: usize) -> Result<(), Failure> {
        let mut assigned = self.assigned.clone();
        let enough = |n: &Option<usize>| n.is_some_and(|n| !group.own || n >= partitions);
        let wait = tokio::time::timeout(ASSIGNMENT_TIMEOUT, assigned.wait_for(enough)).await;
        match wait {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Failure {
                outcome: Outcome::TimedOut,
                kind: "consumer: no assignment".into(),
                detail: format!(
                    "the consumer group `{}` was not given its partitions within {} s",
                    group.name,
                    ASSIGNMENT_TIMEOUT.as_secs()
                ),
                broken: true,
            }),
        }
    }

    /// Whether the group gave it no partition: there are more members than partitions.
    pub(super) fn idle(&self) -> bool {
        *self.assigned.borrow() == Some(0)
    }

    /// Records not yet consumed, by topic, as of the last second; empty while that isn't known.
    pub(super) fn lags(&self) -> BTreeMap<String, u64> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for GroupConsumer {
    fn drop(&mut self) {
        // The thread leaves the group by itself: with dead brokers that may take longer than
        // anybody should wait for.
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(body).map(|_| ())
}

fn config(cluster: &Cluster, group: &Group) -> ClientConfig {
    let mut config = cluster.config();
    config
        .set("group.id", &group.name)
        .set("auto.offset.reset", group.start.name())
        // A group of our own is never joined again: what it had is kept here.
        .set("enable.auto.commit", if group.own { "false" } else { "true" })
        .set("auto.commit.interval.ms", "1000")
        // Only what was handed on is committed.
        .set("enable.auto.offset.store", "false")
        .set("partition.assignment.strategy", "range")
        .set("fetch.error.backoff.ms", "50")
        // Brokers answer a fetch as soon as there is a record, so this bounds only empty ones; the
        // mock brokers of the sandbox don't wake a fetch that waits, and would add half of it.
        .set("fetch.wait.max.ms", "20")
        .set("queued.max.messages.kbytes", "65536");
    config
}

/// Hands on the records that are awaited back.
pub(super) fn watch_for(destination: &Destination, consumer: &BaseConsumer<Context<Assignment>>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                let at = destination.clock.now();
                if let Some(id) = recognise(&destination.sender, message.headers()) {
                    destination.awaited.came(id, at);
                }
                consumer.context().role.pass(message.topic(), message.partition(), message.offset());
            }
            Some(Err(error)) => tracing::debug!(target: "librdkafka", "the consumer goes on after: {error}"),
            None => {}
        }
    }
}

/// Ends of the partitions minus the positions.
fn measure(consumer: &BaseConsumer<Context<Assignment>>, lags: &Mutex<BTreeMap<String, u64>>) {
    let assigned = consumer.context().role.assigned.borrow().is_some();
    let Ok(partitions) = consumer.assignment() else { return };
    if !assigned || partitions.count() == 0 {
        return;
    }
    let mut wanted = partitions;
    let ends = wanted.set_all_offsets(Offset::End).and_then(|()| consumer.offsets_for_times(wanted, LAG_TIMEOUT));
    let ends = match ends {
        Ok(ends) => ends,
        Err(error) => {
            // An old figure would pass for a new one.
            lags.lock().unwrap_or_else(PoisonError::into_inner).clear();
            return tracing::debug!(target: "librdkafka", "the lag is not known: {error}");
        }
    };
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let positions = consumer.context().role.positions();
    for partition in ends.elements() {
        let position = positions.get(partition.topic()).and_then(|t| t.get(&partition.partition()));
        if let (Some(end), Some(position)) = (offset(partition.offset()), position) {
            let lag = u64::try_from(end.saturating_sub(*position)).unwrap_or(0);
            *found.entry(partition.topic().to_owned()).or_default() += lag;
        }
    }
    drop(positions);
    *lags.lock().unwrap_or_else(PoisonError::into_inner) = found;
}
