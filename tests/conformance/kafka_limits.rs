//! Sizes and groups: what topics take is sent, and who shares a group runs.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use slatest_core::model::Outcome;

use crate::stack::stack;
use crate::suite::{Bench, Subject, executed, worker};

pub fn broker() -> String {
    format!("127.0.0.1:{}", stack().port("kafka", "KAFKA_PLAIN_1_PORT"))
}

/// A topic of its own, which every broker knows.
pub async fn topic_of(partitions: i32, config: &[(&str, &str)]) -> String {
    let name = format!("conformance-{}", uuid::Uuid::new_v4().simple());
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker()).create().expect("a client");
    let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    // One replica is all there is.
    topic.config = [config, &[("min.insync.replicas", "1")]].concat();
    let made = admin.create_topics([&topic], &AdminOptions::new()).await.expect("an answer");
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let begun = Instant::now();
    for port in ["KAFKA_PLAIN_1_PORT", "KAFKA_PLAIN_2_PORT", "KAFKA_PLAIN_3_PORT"] {
        let broker = format!("127.0.0.1:{}", stack().port("kafka", port));
        let mut seen = 0;
        // A client may ask another broker than the one that it was given: several of them agree.
        while seen < 4 {
            let client: BaseConsumer =
                ClientConfig::new().set("bootstrap.servers", &broker).create().expect("a client");
            let known = client.fetch_metadata(None, Duration::from_secs(10)).expect("metadata");
            let known = known.topics().iter().find(|topic| topic.name() == name).map(|topic| topic.partitions().len());
            if known == usize::try_from(partitions).ok() {
                seen += 1;
                continue;
            }
            seen = 0;
            assert!(begun.elapsed().as_secs() < 20, "{broker} doesn't know {name}");
            pause(50);
        }
    }
    name
}

/// Between two looks at what the brokers know.
fn pause(millis: u64) {
    #[expect(clippy::disallowed_methods, reason = "a pause between two looks at the condition")]
    std::thread::sleep(Duration::from_millis(millis));
}

/// A topic with one partition.
async fn topic(config: &[(&str, &str)]) -> String {
    topic_of(1, config).await
}

/// So many small records that slatest didn't send, one partition after the other.
fn fill(topic: &str, partitions: i32, count: usize) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", broker()).set("linger.ms", "20").create().expect("a producer");
    for (i, partition) in (0..count).zip((0..partitions).cycle()) {
        let value = i.to_string();
        let record: BaseRecord<'_, (), str> = BaseRecord::to(topic).partition(partition).payload(&value);
        producer.send(record).expect("room in the queue");
    }
    producer.flush(Duration::from_secs(30)).expect("everything is written");
}

/// What a group has committed of a topic, over all partitions.
fn committed(group: &str, topic: &str, partitions: i32) -> i64 {
    let observer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", broker()).set("group.id", group).create().expect("a consumer");
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_range(topic, 0, partitions - 1);
    let offsets = observer.committed_offsets(wanted, Duration::from_secs(10)).expect("offsets");
    let number = |offset| if let Offset::Offset(n) = offset { n } else { 0 };
    offsets.elements().iter().map(|partition| number(partition.offset())).sum()
}

/// Waits until a group has committed so much; it never commits more.
fn commits(group: &str, topic: &str, partitions: i32, expected: i64) {
    let begun = Instant::now();
    loop {
        let found = committed(group, topic, partitions);
        assert!(found <= expected && begun.elapsed().as_secs() < 20, "{found} committed, {expected} taken");
        if found == expected {
            return;
        }
        pause(100);
    }
}

fn taking(topic: &str) -> String {
    format!("{{ name: take, timeout: 20s, request: {{ consume: {{ topic: {topic} }} }} }}")
}

fn subject(settings: &str, operations: &[&str]) -> Subject {
    let operations: String = operations.iter().map(|operation| format!("  - {operation}\n")).collect();
    let workload =
        format!("name: events\ndriver: kafka\nendpoint: events\nsettings: {settings}\noperations:\n{operations}");
    Subject::new("kafka", workload, format!("{{ kafka: [\"{}\"] }}", broker()))
}

fn produce(name: &str, topic: &str, bytes: usize) -> String {
    let value = "x".repeat(bytes);
    format!("{{ name: {name}, timeout: 20s, request: {{ produce: {{ topic: {topic}, value: \"{value}\" }} }} }}")
}

#[test]
fn a_record_as_large_as_the_topic_takes_is_delivered() {
    let topic = worker(topic(&[("max.message.bytes", "5000000")]));
    let send = produce("send", &topic, 1_500_000);
    let completions = executed(&subject("{ compression: none }", &[&send]), "send", 3);
    assert!(completions.iter().all(|c| c.outcome == Outcome::Ok), "{completions:?}");
    // Our own limit is said to be ours.
    let limited = subject("{ message.max.bytes: 1000000 }", &[&send]);
    let kind = executed(&limited, "send", 1)[0].error.clone().expect("a kind");
    assert!(kind.starts_with("generator: ") && kind.contains("message_max_bytes"), "{kind}");
}

#[test]
fn a_batch_is_no_larger_than_the_topic_takes() {
    worker(async {
        let topic = topic(&[("max.message.bytes", "4000")]).await;
        let (small, large) = (produce("small", &topic, 500), produce("large", &topic, 5_000));
        let bench = subject("{ compression: none, linger: 100ms }", &[&small, &large]).prepare().await;
        let sessions = futures_util::future::join_all((0..40).map(|i| bench.session(i))).await;
        let all = sessions.into_iter().zip(0..).map(async |(mut session, i)| {
            let name = if i % 4 == 0 { "large" } else { "small" };
            (name, bench.execute(&mut *session, name, i).await)
        });
        for (name, completion) in futures_util::future::join_all(all).await {
            let expected = if name == "large" { Outcome::Rejected } else { Outcome::Ok };
            assert_eq!(completion.outcome, expected, "{name}: {completion:?}");
        }
    });
}

#[test]
fn a_member_without_a_partition_waits_and_the_run_goes_on() {
    worker(async {
        let topic = topic(&[]).await;
        let through = format!(
            "{{ name: through, timeout: 20s, request: {{ produce: {{ topic: {topic}, value: x, until: consumed }} }} }}"
        );
        let take = taking(&topic);
        let group = format!("{{ group: team-{topic} }}");
        let subject = subject(&group, &[&through, &take]);
        let (first, second) = (subject.prepare().await, subject.prepare().await);
        for bench in [&first, &second] {
            let mut session = bench.session(0).await;
            let completion = bench.execute(&mut *session, "through", 0).await;
            assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
        }
        // Nobody is to blame for what an idle member can't take.
        let hasty = format!("{{ name: take, timeout: 1s, request: {{ consume: {{ topic: {topic} }} }} }}");
        let third = Subject { workload: subject.workload.replace(&take, &hasty), ..subject.clone() }.prepare().await;
        let mut session = third.session(0).await;
        let kind = third.execute(&mut *session, "take", 0).await.error.expect("a kind");
        assert!(kind == "workload: the group has more members than partitions" || kind == "no record", "{kind}");
        drop((session, third));
        // The member that had the partition leaves, the other gets it.
        drop(first);
        let (mut sender, mut taker) = (second.session(1).await, second.session(2).await);
        let sending = async {
            for seq in 1..200 {
                second.execute(&mut *sender, "through", seq).await;
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let taken = tokio::select! {
            taken = second.execute(&mut *taker, "take", 500) => taken,
            () = sending => panic!("nothing was taken"),
        };
        assert_eq!(taken.outcome, Outcome::Ok, "{taken:?}");
    });
}

/// The backlog stays where it is: each operation takes one record.
#[test]
fn forty_operations_take_forty_records_of_a_backlog() {
    let topic = worker(topic(&[]));
    fill(&topic, 1, 3_000);
    let group = format!("team-{topic}");
    worker(async {
        let settings = format!("{{ group: {group}, auto_offset_reset: earliest }}");
        let bench = subject(&settings, &[&taking(&topic)]).prepare().await;
        // Some at a time, so that one fetch is for several.
        let sessions = futures_util::future::join_all((0..4).map(|i| bench.session(i))).await;
        let all = sessions.into_iter().zip(0..).map(async |(mut session, i)| {
            for round in 0..10 {
                let completion = bench.execute(&mut *session, "take", i * 10 + round).await;
                assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
            }
        });
        futures_util::future::join_all(all).await;
    });
    commits(&group, &topic, 1, 40);
}

/// A record that was fetched before is not given to an operation: its time is the broker's.
#[test]
fn a_take_lasts_as_long_as_the_broker() {
    let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("task-events", 1, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().expect("a producer");
    for _ in 0..100 {
        let record: BaseRecord<'_, (), str> = BaseRecord::to("task-events").payload("x");
        producer.send(record).expect("room in the queue");
    }
    producer.flush(Duration::from_secs(30)).expect("everything is written");
    let subject = subject("{ start: earliest }", &[&taking("task-events")]);
    let subject = subject.on(format!("{{ kafka: [\"{brokers}\"] }}"));
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        let first = bench.execute(&mut *session, "take", 0).await;
        assert_eq!(first.outcome, Outcome::Ok, "{first:?}");
        cluster.broker_round_trip_time(1, Duration::from_millis(200)).expect("a delay");
        for seq in 1..4 {
            let taken = bench.execute(&mut *session, "take", seq).await;
            assert_eq!(taken.outcome, Outcome::Ok, "{taken:?}");
            let lasted = taken.done.since(taken.sent.expect("sent"));
            assert!(lasted.as_duration() >= Duration::from_millis(150), "{lasted}: no broker was asked");
        }
    });
}

/// A member that joins and one that leaves, while operations take: nothing is taken twice or passed over.
#[test]
fn a_rebalance_during_the_run_takes_nothing_twice() {
    let topic = worker(topic_of(4, &[]));
    fill(&topic, 4, 1_000);
    let group = format!("team-{topic}");
    worker(async {
        let settings = format!("{{ group: {group}, start: earliest }}");
        let subject = subject(&settings, &[&taking(&topic)]);
        let take = async |bench: &Bench, seq: u64, times: u64| {
            let mut session = bench.session(seq).await;
            for seq in seq..seq + times {
                let completion = bench.execute(&mut *session, "take", seq).await;
                assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
            }
        };
        let first = subject.prepare().await;
        take(&first, 0, 10).await;
        // The other joins while the first takes.
        let (second, ()) = tokio::join!(subject.prepare(), take(&first, 100, 30));
        tokio::join!(take(&first, 200, 15), take(&second, 300, 15));
        // It leaves while the other takes.
        drop(first);
        take(&second, 400, 30).await;
    });
    commits(&group, &topic, 4, 100);
}

#[test]
fn a_group_starts_where_it_is_told_to_and_takes_one_record_an_operation() {
    let topic = worker(topic(&[]));
    let send = produce("send", &topic, 10);
    let sent = executed(&subject("{}", &[&send]), "send", 50);
    assert!(sent.iter().all(|c| c.outcome == Outcome::Ok), "{sent:?}");
    let take = taking(&topic);
    let group = format!("team-{topic}");
    let settings = format!("{{ group: {group}, auto_offset_reset: earliest }}");
    let taken = executed(&subject(&settings, &[&take]), "take", 5);
    assert!(taken.iter().all(|c| c.outcome == Outcome::Ok), "{taken:?}");
    // Whoever comes next finds all but those five.
    commits(&group, &topic, 1, 5);
}
