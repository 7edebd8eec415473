//! Operations that take a record. A broker answers a fetch with more records than one, so nothing is fetched before an
//! operation asks, and what a fetch brought beyond the operations that wait is thrown away and fetched again for the
//! next: the time of each is the brokers', and only what was taken is passed over and committed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::cluster::Cluster;
use super::consumer::{Assignment, Group, GroupConsumer};
use super::context::Context;
use crate::failure::Failure;
use slatest_core::model::{Clock, Nanos};

/// How long the thread waits for an operation, and then for a record, before it looks after the group.
const WAIT: Duration = Duration::from_millis(10);

/// An operation that wants a record of a topic.
struct Ask {
    topic: String,
    taker: oneshot::Sender<Nanos>,
}

/// The member of the group from which operations take.
pub(super) struct Taking {
    pub(super) member: GroupConsumer,
    asks: mpsc::Sender<Ask>,
}

impl Taking {
    /// Joins the group.
    ///
    /// # Errors
    /// What librdkafka or the machine refuses.
    pub(super) fn start(
        cluster: &Cluster,
        group: &Group,
        topics: &[&str],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let (asks, asked) = mpsc::channel();
        let named = !group.own;
        let member = GroupConsumer::start(cluster, group, topics, true, move |consumer, stop| {
            let mut rounds = Rounds { consumer, named, waiting: BTreeMap::new() };
            rounds.serve(&asked, &*clock, stop);
        })?;
        Ok(Self { member, asks })
    }

    /// The instant at which the next record of the topic came for who asks now.
    pub(super) fn ask(&self, topic: &str) -> oneshot::Receiver<Nanos> {
        let (taker, taken) = oneshot::channel();
        // Where the thread has ended, dropping the taker says so.
        let _ = self.asks.send(Ask { topic: topic.to_owned(), taker });
        taken
    }
}

/// Who waits for a topic, and whether it is being fetched for them.
#[derive(Default)]
struct Round {
    takers: VecDeque<oneshot::Sender<Nanos>>,
    /// The number of the assignment for which it is being fetched.
    open: Option<u64>,
}

struct Rounds<'a> {
    consumer: &'a BaseConsumer<Context<Assignment>>,
    /// Whether others may go on where this member committed.
    named: bool,
    waiting: BTreeMap<String, Round>,
}

impl Rounds<'_> {
    fn serve(&mut self, asks: &mpsc::Receiver<Ask>, clock: &dyn Clock, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let open = self.waiting.values().any(|round| round.open.is_some());
            if !open && let Ok(ask) = asks.recv_timeout(WAIT) {
                self.ask(ask);
            }
            while let Ok(ask) = asks.try_recv() {
                self.ask(ask);
            }
            self.update();
            let mut wait = if self.waiting.values().any(|round| round.open.is_some()) { WAIT } else { Duration::ZERO };
            // What is here already goes to those who asked before it came. Who asks later waits for another fetch.
            while let Some(polled) = self.consumer.poll(wait) {
                wait = Duration::ZERO;
                match polled {
                    Ok(record) => self.give(&record, clock.now()),
                    Err(error) => tracing::debug!(target: "librdkafka", "the consumer goes on after: {error}"),
                }
            }
        }
    }

    fn ask(&mut self, Ask { topic, taker }: Ask) {
        self.waiting.entry(topic).or_default().takers.push_back(taker);
    }

    /// Fetches for those who wait, and for nobody else.
    fn update(&mut self) {
        let assigned = self.consumer.context().role.number();
        for (topic, round) in &mut self.waiting {
            round.takers.retain(|taker| !taker.is_closed());
            let result = if round.takers.is_empty() {
                if round.open.take().is_some() { close(self.consumer, topic) } else { Ok(()) }
            } else if round.open != Some(assigned) {
                round.open = Some(assigned);
                open(self.consumer, topic)
            } else {
                Ok(())
            };
            if let Err(error) = result {
                // Tried again at the next look, unless the operations' time is over first.
                round.open = None;
                tracing::debug!(target: "librdkafka", "{topic} is not fetched: {error}");
            }
        }
    }

    /// The record is for the one who has waited longest; with nobody left it isn't taken.
    fn give(&mut self, record: &BorrowedMessage<'_>, at: Nanos) {
        let Some(round) = self.waiting.get_mut(record.topic()) else { return };
        if round.open.is_none() {
            return;
        }
        while let Some(taker) = round.takers.pop_front() {
            if taker.send(at).is_err() {
                continue;
            }
            self.consumer.context().role.pass(record.topic(), record.partition(), record.offset());
            if self.named
                && let Err(error) = self.consumer.store_offset_from_message(record)
            {
                tracing::debug!(target: "librdkafka", "what was taken is not committed: {error}");
            }
            break;
        }
        if round.takers.is_empty() {
            round.open = None;
            if let Err(error) = close(self.consumer, record.topic()) {
                tracing::debug!(target: "librdkafka", "{} is fetched on: {error}", record.topic());
            }
        }
    }
}

/// The partitions of a topic that this member has, at what comes next.
fn mine(consumer: &BaseConsumer<Context<Assignment>>, topic: &str) -> KafkaResult<TopicPartitionList> {
    let mut mine = TopicPartitionList::new();
    for partition in consumer.assignment()?.elements_for_topic(topic) {
        if let Some(next) = consumer.context().role.next(topic, partition.partition()) {
            mine.add_partition_offset(topic, partition.partition(), Offset::Offset(next))?;
        }
    }
    Ok(mine)
}

/// Begins to fetch.
fn open(consumer: &BaseConsumer<Context<Assignment>>, topic: &str) -> KafkaResult<()> {
    let mine = mine(consumer, topic)?;
    if mine.count() == 0 {
        return Ok(());
    }
    consumer.resume(&mine)?;
    // Also wakes the thread that fetches, and without waiting for it.
    consumer.seek_partitions(mine, Duration::ZERO).map(drop)
}

/// Ends it, and throws away what was fetched.
fn close(consumer: &BaseConsumer<Context<Assignment>>, topic: &str) -> KafkaResult<()> {
    let mine = mine(consumer, topic)?;
    if mine.count() == 0 { Ok(()) } else { consumer.pause(&mine) }
}
