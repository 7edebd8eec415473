//! Reading writes back: every partition of the topics that were written, from the start of the run to its end as of
//! now. What the brokers acknowledged must stand there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::Headers;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::connecting;
use super::context::{Context, Troubles};
use super::plan::{Action, Plan};
use crate::envelope::WRITE;
use crate::{ReadBack, ReadBackError};
use slatest_core::model::WritePlace;
use slatest_core::writes::{Found, Presence};

/// How much earlier than the run it starts to read, in milliseconds: clocks of brokers differ.
const MARGIN_MILLIS: i64 = 60_000;
/// Longest wait for one record before the clock is looked at.
const POLL: Duration = Duration::from_millis(100);

/// The role of a client that reads what was written.
struct Reader;

impl ConsumerContext for Context<Reader> {}

/// Where a partition is read from, and the offset before which everything must have been polled.
#[derive(Clone, Copy, Debug)]
struct Range {
    next: i64,
    end: i64,
}

/// Reads every topic that the workload's ledgered operations write. Blocks.
///
/// # Errors
/// Brokers that don't answer within the patience, or refuse.
pub(super) fn read_back(plan: &Plan, reading: &mut ReadBack<'_>) -> Result<(), ReadBackError> {
    let written = plan.operations.iter().zip(&plan.actions).filter(|(operation, _)| operation.ledger);
    let topics = written.filter_map(|(_, action)| match action {
        Action::Produce(record) => plan.cluster.log(&record.topic).map(|log| (record.topic.as_str(), log)),
        Action::Consume { .. } => None,
    });
    let topics: BTreeMap<&str, u16> = topics.collect();
    if topics.is_empty() {
        return Ok(());
    }
    let failed = |words: String| ReadBackError::Store(plan.cluster.security.redact(&words));
    // Looks at the brokers first: after a failover their addresses may be others, and each must be allowed.
    let topology = plan.cluster.inspect().map_err(|refusal| failed(refusal.detail))?;
    let mut config = plan.cluster.config();
    config
        // A consumer without group: partitions are assigned by hand, nothing is committed.
        .set("group.id", "slatest-read-back")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "20")
        .set("queued.max.messages.kbytes", "65536");
    let context = Context::new(&plan.cluster, Reader);
    let troubles = Arc::clone(&context.troubles);
    let consumer: BaseConsumer<Context<Reader>> =
        connecting::create(&config, context).map_err(|e| failed(e.to_string()))?;
    let patience = reading.patience().as_duration();
    let mut ranges = BTreeMap::new();
    let mut starts = TopicPartitionList::new();
    for (topic, log) in &topics {
        let partitions = topology.partitions.get(*topic).copied().unwrap_or(0);
        for partition in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
            let range = range(&consumer, topic, partition, reading.begun(), patience)
                .map_err(|e| failed(format!("{topic}[{partition}]: {}", told(&troubles, &e.to_string()))))?;
            if range.next < range.end {
                starts
                    .add_partition_offset(topic, partition, Offset::Offset(range.next))
                    .map_err(|e| failed(e.to_string()))?;
                ranges.insert((*log, partition), range);
            }
        }
    }
    consumer.assign(&starts).map_err(|e| failed(e.to_string()))?;
    let mut progress = Instant::now();
    while !ranges.is_empty() {
        match consumer.poll(POLL) {
            Some(Ok(record)) => {
                progress = Instant::now();
                let Some(log) = topics.get(record.topic()) else { continue };
                let (partition, offset) = (record.partition(), record.offset());
                let id = record.headers().and_then(|headers| {
                    let header = headers.iter().filter(|header| header.key == WRITE).last()?;
                    std::str::from_utf8(header.value?).ok()?.parse().ok()
                });
                let place = Some(WritePlace::Offset { log: *log, partition, offset });
                reading.found(&Found { id, reader: 0, presence: Presence::Present, place, value: None })?;
                pass(&mut ranges, (*log, partition), offset.saturating_add(1));
            }
            // The end of a partition: markers of transactions may be all that stands before it.
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                for ((log, number), range) in std::mem::take(&mut ranges) {
                    if number != partition || !is_at_end(&consumer, &topics, (log, number), range.end) {
                        ranges.insert((log, number), range);
                    }
                }
            }
            Some(Err(error)) => tracing::debug!(target: "librdkafka", "reading back goes on after: {error}"),
            None => {}
        }
        if progress.elapsed() >= patience {
            let words = told(&troubles, "nothing new came");
            let left = ranges.len();
            return Err(failed(format!("{words}, with {left} partitions not read to their end")));
        }
    }
    Ok(())
}

/// A partition is read up to `next`.
fn pass(ranges: &mut BTreeMap<(u16, i32), Range>, key: (u16, i32), next: i64) {
    if let Some(range) = ranges.get_mut(&key) {
        range.next = next;
        if range.next >= range.end {
            ranges.remove(&key);
        }
    }
}

/// Whether the consumer stands at or behind the end of a partition.
fn is_at_end(
    consumer: &BaseConsumer<Context<Reader>>,
    topics: &BTreeMap<&str, u16>,
    (log, partition): (u16, i32),
    end: i64,
) -> bool {
    let Some((topic, _)) = topics.iter().find(|(_, number)| **number == log) else { return false };
    let Ok(positions) = consumer.position() else { return false };
    let position = positions.find_partition(topic, partition).map(|found| found.offset());
    matches!(position, Some(Offset::Offset(position)) if position >= end)
}

fn told(troubles: &Troubles, otherwise: &str) -> String {
    troubles.latest().map_or_else(|| otherwise.to_owned(), |(_, reason)| reason)
}

/// From the first record of the time in which the run began, to the end as of now.
fn range(
    consumer: &BaseConsumer<Context<Reader>>,
    topic: &str,
    partition: i32,
    begun: i64,
    patience: Duration,
) -> Result<Range, rdkafka::error::KafkaError> {
    let (low, end) = consumer.fetch_watermarks(topic, partition, patience)?;
    let mut times = TopicPartitionList::new();
    times.add_partition_offset(topic, partition, Offset::Offset((begun / 1_000_000).saturating_sub(MARGIN_MILLIS)))?;
    let found = consumer.offsets_for_times(times, patience)?;
    let first = found.find_partition(topic, partition).map(|found| found.offset());
    match first {
        Some(Offset::Offset(first)) => Ok(Range { next: first.max(low), end }),
        // Nothing as late as that.
        Some(Offset::End) => Ok(Range { next: end, end }),
        _ => Ok(Range { next: low, end }),
    }
}
