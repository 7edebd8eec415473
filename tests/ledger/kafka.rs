//! Records that are deleted from the front of partitions, and records that carry a write's name twice.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use slatest_core::model::{LedgerEntry, WritePlace};
use uuid::Uuid;

use crate::harness::{exactly, middle, play};
use crate::stack::stack;

struct Topic {
    name: String,
    config: ClientConfig,
    runtime: tokio::runtime::Runtime,
}

impl Topic {
    fn new() -> Self {
        let mut config = ClientConfig::new();
        let port = stack().port("kafka", "KAFKA_PLAIN_1_PORT");
        config.set("bootstrap.servers", format!("127.0.0.1:{port}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let this = Self { name: format!("ledger-{}", Uuid::new_v4().simple()), config, runtime };
        let topic = NewTopic::new(&this.name, 3, TopicReplication::Fixed(3));
        let made = this.runtime.block_on(this.admin().create_topics([&topic], &AdminOptions::new()));
        made.expect("an answer").into_iter().for_each(|result| drop(result.expect("a topic")));
        this
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config.create().expect("a client")
    }

    fn workload(&self) -> String {
        format!(
            "name: w\ndriver: kafka\nendpoint: events\noperations:\n  - name: write\n    timeout: 20s\n    request: {{ \
             produce: {{ topic: {}, key: \"{{{{ seq }}}}\", value: \"{{{{ random.text(50) }}}}\" }} }}\n    ledger: true\n",
            self.name
        )
    }

    /// Deletes what stands before these offsets.
    fn delete_before(&self, cuts: &BTreeMap<i32, i64>) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in cuts {
            list.add_partition_offset(&self.name, *partition, Offset::Offset(*offset)).expect("an offset");
        }
        let deleted = self.runtime.block_on(self.admin().delete_records(&list, &AdminOptions::new()));
        deleted.expect("an answer").elements().iter().for_each(|p| p.error().expect("deleted"));
    }

    fn produce(&self, write: Option<&str>) {
        let producer: FutureProducer = self.config.create().expect("a producer");
        let mut record = FutureRecord::<str, str>::to(&self.name).payload("more").partition(0);
        if let Some(write) = write {
            let header = Header { key: "slatest-write", value: Some(write) };
            record = record.headers(OwnedHeaders::new().insert(header));
        }
        self.runtime.block_on(producer.send(record, Duration::from_secs(20))).expect("a record");
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        drop(self.runtime.block_on(self.admin().delete_topics(&[&self.name], &AdminOptions::new())));
    }
}

fn position(write: &LedgerEntry) -> (i32, i64) {
    match write.place {
        Some(WritePlace::Offset { partition, offset, .. }) => (partition, offset),
        _ => panic!("no offset: {write:?}"),
    }
}

#[test]
fn deleted_records_are_lost_and_copies_are_told() {
    let topic = Topic::new();
    let played = play(&topic.workload(), "events", &stack().endpoint("events"));
    let writes = played.acknowledged();
    let whole = played.check(None);
    assert_eq!((whole.acknowledged, whole.lost_count(), whole.duplicates), (writes.len() as u64, 0, 0));
    let log = whole.log.expect("it is a log");
    assert_eq!((log.conflicts, log.moved, log.out_of_order), (0, 0, 0), "{log:?}");

    // Somebody else's record, a copy of a write, and a write that nobody did.
    let copied = writes.iter().find(|write| position(write).1 > 20).expect("a later write");
    topic.produce(None);
    topic.produce(Some(&copied.id.to_string()));
    topic.produce(Some(&played.ledger.scope("s").id(1 << 40, 0).to_string()));
    let cuts = BTreeMap::from([(0, 10), (1, 17)]);
    topic.delete_before(&cuts);
    let taken: Vec<_> = writes
        .iter()
        .filter(|write| {
            let (partition, offset) = position(write);
            cuts.get(&partition).is_some_and(|cut| offset < *cut)
        })
        .collect();
    assert_eq!(taken.len(), 27);
    let fault = middle(&writes);
    let check = played.check(Some(fault));
    exactly(&check, &taken, fault);
    assert_eq!((check.duplicates, check.never_written), (1, 1));
    let log = check.log.expect("it is a log");
    assert_eq!((log.conflicts, log.moved, log.lost_behind_end), (0, 0, 0), "{log:?}");
}

#[test]
fn a_partition_of_which_nothing_is_left_lost_its_end() {
    let topic = Topic::new();
    let played = play(&topic.workload(), "events", &stack().endpoint("events"));
    let writes = played.acknowledged();
    let taken: Vec<_> = writes.iter().filter(|write| position(write).0 == 2).collect();
    let end = taken.iter().map(|write| position(write).1 + 1).max().expect("some writes");
    topic.delete_before(&BTreeMap::from([(2, end)]));
    let fault = middle(&writes);
    let check = played.check(Some(fault));
    exactly(&check, &taken, fault);
    assert_eq!(check.log.expect("it is a log").lost_behind_end, taken.len() as u64);
}
