//! What Kafka's groups go through at real brokers: members join, leave and die; and what a check and a run leave behind.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use slatest_core::model::Outcome;

use crate::kafka_limits::{broker, topic_of};
use crate::stack::stack;
use crate::suite::{Bench, Subject, worker};

/// Longest wait for a broker that answers.
const PATIENCE: Duration = Duration::from_secs(20);
/// Tells the child which group and topic are meant.
const MEMBER: &str = "SLATEST_TEST_GROUP_MEMBER";

fn observer(group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", broker())
        .set("group.id", group)
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "500")
        .create()
        .expect("a consumer")
}

fn unique(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::new_v4())
}

/// A topic of its own, which every broker knows; it ends with the stack.
struct Topic(String);

impl Topic {
    fn new(partitions: i32) -> Self {
        Self(worker(topic_of(partitions, &[])))
    }
}

fn topics() -> BTreeSet<String> {
    let metadata = observer("nobody").fetch_metadata(None, PATIENCE).expect("metadata");
    metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
}

/// How many members a group has; `None` when there is no such group.
fn members(group: &str) -> Option<usize> {
    let groups = observer("nobody").fetch_group_list(Some(group), PATIENCE).expect("groups");
    groups.groups().iter().find(|one| one.name() == group && one.state() != "Dead").map(|one| one.members().len())
}

/// A member of `group` that takes from `topic`.
fn member(topic: &str, group: &str) -> Subject {
    let workload = format!(
        "name: takes\ndriver: kafka\nendpoint: events\nsettings: {{ group: {group}, start: earliest }}\noperations:\n  \
         - {{ name: take, timeout: 2s, request: {{ consume: {{ topic: {topic} }} }} }}\n  \
         - {{ name: send, timeout: 20s, request: {{ produce: {{ topic: {topic}, value: x }} }} }}\n"
    );
    Subject::new("kafka", workload, stack().endpoint("events"))
}

/// Whether a member has no partition, by what it says of an operation.
async fn is_idle(bench: &Bench) -> bool {
    let mut session = bench.session(0).await;
    let took = bench.execute(&mut *session, "take", 0).await;
    took.error.is_some_and(|error| error.contains("more members than partitions"))
}

/// Waits until so many of these members are idle.
async fn until_idle(benches: &[Bench], count: usize) {
    loop {
        let idle = futures_util::future::join_all(benches.iter().map(is_idle)).await;
        if idle.iter().filter(|idle| **idle).count() == count {
            return;
        }
    }
}

#[test]
fn a_check_leaves_no_group_no_member_and_no_topic() {
    let (topic, group) = (Topic::new(1), unique("checked"));
    let before = topics();
    let workload = member(&topic.0, &group).compile().expect("a workload");
    let detail = worker(workload.health()).expect("it answers");
    assert!(detail.detail.contains("1 partition"), "{}", detail.detail);
    drop(workload);
    assert_eq!(members(&group), None);
    // Other tests make topics of their own.
    let made: Vec<String> =
        topics().difference(&before).filter(|name| !name.starts_with("conformance-")).cloned().collect();
    assert_eq!(made, Vec::<String>::new());
}

#[test]
fn more_members_than_partitions_start_and_who_is_idle_takes_over_when_one_leaves() {
    let (topic, group) = (Topic::new(2), unique("team"));
    let subject = member(&topic.0, &group);
    worker(async {
        let mut benches = Vec::new();
        for joined in 1..=3 {
            benches.push(subject.prepare().await);
            until_idle(&benches, usize::from(joined == 3)).await;
        }
        assert_eq!(members(&group), Some(3));
        // One leaves: the two that stay have a partition each.
        benches.pop();
        until_idle(&benches, 0).await;
        // And what is sent is taken, whoever has its partition.
        let (mut sender, mut first, mut second) =
            (benches[0].session(1).await, benches[0].session(0).await, benches[1].session(0).await);
        let sent = benches[0].execute(&mut *sender, "send", 0).await;
        assert_eq!(sent.outcome, Outcome::Ok, "{sent:?}");
        let takes = async {
            loop {
                let takes = tokio::join!(
                    benches[0].execute(&mut *first, "take", 1),
                    benches[1].execute(&mut *second, "take", 2)
                );
                if takes.0.outcome == Outcome::Ok || takes.1.outcome == Outcome::Ok {
                    return;
                }
            }
        };
        takes.await;
    });
}

/// The child: a member that only dies.
#[test]
#[ignore = "the process of a member, which another test starts and kills"]
fn a_member_in_a_process() {
    let Ok(named) = std::env::var(MEMBER) else { return };
    let (group, topic) = named.split_once(' ').expect("a group and a topic");
    let consumer = observer(group);
    consumer.subscribe(&[topic]).expect("a subscription");
    loop {
        drop(consumer.poll(Duration::from_millis(100)));
    }
}

/// Killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_partition_of_a_member_that_died_is_taken_over() {
    let (topic, group) = (Topic::new(1), unique("dying"));
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "kafka_groups::a_member_in_a_process", "--ignored"])
        .env(MEMBER, format!("{group} {}", topic.0))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let child = Killed(child.expect("it starts"));
    while members(&group) != Some(1) {
        #[expect(clippy::disallowed_methods, reason = "a pause between two looks at the group")]
        std::thread::sleep(Duration::from_millis(100));
    }
    let subject = member(&topic.0, &group);
    worker(async {
        let benches = vec![subject.prepare().await];
        assert_eq!(members(&group), Some(2));
        // SIGKILL: it says nothing to the group, which finds out by itself.
        drop(child);
        until_idle(&benches, 0).await;
        let (mut taker, mut sender) = (benches[0].session(0).await, benches[0].session(1).await);
        let sent = benches[0].execute(&mut *sender, "send", 0).await;
        assert_eq!(sent.outcome, Outcome::Ok, "{sent:?}");
        loop {
            let took = benches[0].execute(&mut *taker, "take", 1).await;
            if took.outcome == Outcome::Ok {
                break;
            }
        }
        assert_eq!(members(&group), Some(1));
    });
}

#[test]
fn a_header_that_is_a_secret_arrives_and_stands_in_no_result() {
    const SECRET: &str = "planted-header-3f9a51c2";
    let (topic, desk) = (Topic::new(1), tempfile::tempdir().expect("a folder"));
    let write = |name: &str, text: &str| {
        let path = desk.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    let produce = format!("{{ topic: {}, value: x, headers: {{ x-key: {{ env: PLANTED_HEADER }} }} }}", topic.0);
    write(
        "workloads/w.yaml",
        &format!(
            "name: w\ndriver: kafka\nendpoint: events\noperations:\n  - {{ name: send, request: {{ produce: {produce} }} }}\n"
        ),
    );
    write(
        "profiles/p.yaml",
        "name: p\nscenarios:\n  s: { workload: w, executor: constant-arrival-rate, rate: 10/s, duration: 2s }\n\
         objectives: [{ name: works, scope: '*/*', indicator: error_rate, below: 50% }]\n",
    );
    write(
        "targets/t.yaml",
        &format!(
            "name: t\nenvironment: staging\nallow: {{ hosts: ['127.0.0.1', localhost] }}\nendpoints: {{ events: {} }}\n",
            stack().endpoint("events")
        ),
    );
    let run = Command::new(env!("CARGO_BIN_EXE_slatest"))
        .args(["run", "-p", "p", "-t", "t"])
        .current_dir(desk.path())
        .env_remove("SLATEST_TARGET")
        .env("PLANTED_HEADER", SECRET)
        .env("SLATEST_LOG", "trace")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(!said.contains(SECRET), "it was printed");

    let observer = observer(&unique("observer"));
    let mut from = rdkafka::TopicPartitionList::new();
    from.add_partition_offset(&topic.0, 0, rdkafka::Offset::Beginning).expect("an offset");
    observer.assign(&from).expect("an assignment");
    let record = observer.poll(PATIENCE).unwrap_or_else(|| panic!("nothing was sent: {said}")).expect("no error");
    let sent = record.headers().expect("headers").iter().find(|one| one.key == "x-key").and_then(|one| one.value);
    assert_eq!(sent, Some(SECRET.as_bytes()));

    let (mut folders, mut searched) = (vec![desk.path().join("results")], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let bytes = std::fs::read(entry.path()).expect("a file");
            assert!(!String::from_utf8_lossy(&bytes).contains(SECRET), "{}", entry.path().display());
            searched += 1;
        }
    }
    assert!(searched >= 3, "{said}");
}
