//! Taking messages from a real RabbitMQ: an operation takes one, the broker answers it, and nothing else is touched.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use slatest_core::model::{Nanos, Outcome};
use uuid::Uuid;

use crate::stack::stack;
use crate::suite::{Subject, worker};

/// A durable queue of one test with messages of others; deleted in the end.
struct Backlog {
    name: String,
}

impl Backlog {
    async fn of(messages: u32) -> Self {
        let name = format!("slatest-{}", Uuid::new_v4().simple());
        let connection = connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await.expect("a queue");
        let backlog = Self { name };
        backlog.publish(messages).await;
        backlog
    }

    async fn publish(&self, messages: u32) {
        let connection = connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        for _ in 0..messages {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions::default();
            let sent =
                channel.basic_publish("".into(), self.name.as_str().into(), options, b"foreign", properties).await;
            sent.expect("handed over").await.expect("confirmed");
        }
    }

    fn subject(&self) -> Subject {
        let name = &self.name;
        let workload = format!(
            r#"
name: jobs
driver: amqp
endpoint: queue
settings: {{ connections: 2, channels: 2, prefetch: 64 }}
operations:
  - {{ name: take, timeout: 20s, request: {{ consume: {{ queue: {name} }} }} }}
  - {{ name: glance, timeout: 300ms, request: {{ consume: {{ queue: {name} }} }} }}
"#
        );
        let hasty = (1..=10).map(|ms| {
            format!("  - {{ name: hasty-{ms}, timeout: {ms}ms, request: {{ consume: {{ queue: {name} }} }} }}\n")
        });
        let workload = workload + &hasty.collect::<String>();
        Subject::new("amqp", workload, stack().endpoint("queue"))
    }

    fn awaiting(&self) -> Subject {
        let subject = self.subject();
        let name = &self.name;
        let workload = subject.workload.clone()
            + &format!(
                "  - {{ name: through, timeout: 20s, request: {{ publish: {{ queue: {name}, body: x, until: consumed }} }} }}\n"
            );
        Subject { workload, ..subject }
    }

    /// Messages that are ready, and consumers.
    async fn look(&self) -> (u32, u32) {
        let connection = connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { passive: true, durable: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(self.name.as_str().into(), options, FieldTable::default()).await;
        let queue = queue.expect("the queue");
        (queue.message_count(), queue.consumer_count())
    }

    /// Waits until the queue has so many messages ready and no consumer.
    async fn comes_to(&self, messages: u32) {
        let mut last = (0, 0);
        for _ in 0..600 {
            last = self.look().await;
            if last == (messages, 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("(messages, consumers) are {last:?}, not ({messages}, 0)");
    }

    async fn delete(self) {
        let connection = connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.queue_delete(self.name.into(), QueueDeleteOptions::default()).await.expect("deleted");
    }
}

async fn connect() -> Connection {
    let uri = stack().secret("amqp-uri");
    Connection::connect(&uri, ConnectionProperties::default()).await.expect("a connection")
}

#[test]
fn a_take_takes_one_and_its_time_is_the_brokers() {
    worker(async {
        let backlog = Backlog::of(300).await;
        let bench = backlog.subject().prepare().await;
        let mut sessions = futures_util::future::join_all((0..8).map(|i| bench.session(i))).await;
        for round in 0..5 {
            let all =
                sessions.iter_mut().zip(0..).map(|(session, i)| bench.execute(&mut **session, "take", round * 8 + i));
            for taken in futures_util::future::join_all(all).await {
                assert_eq!(taken.outcome, Outcome::Ok, "{taken:?}");
                // No answer of a broker takes less than this, over a socket and two processes.
                assert!(taken.done.since(taken.sent.expect("sent")) > Nanos(20_000), "from a buffer? {taken:?}");
            }
            backlog.comes_to(300 - 8 * (u32::try_from(round).expect("few") + 1)).await;
        }
        drop((sessions, bench));
        backlog.comes_to(260).await;
        backlog.delete().await;
    });
}

#[test]
fn who_gives_up_leaves_the_message() {
    worker(async {
        let backlog = Backlog::of(0).await;
        let bench = backlog.subject().prepare().await;
        let mut session = bench.session(0).await;
        for seq in 0..5 {
            let glance = bench.execute(&mut *session, "glance", seq).await;
            assert_eq!((glance.outcome, glance.error.as_deref()), (Outcome::TimedOut, Some("no message")));
        }
        // Given up at any point of its way: neither a consumer nor a message stays behind, and none is lost.
        backlog.publish(30).await;
        let mut taken = 0;
        for seq in 5..35 {
            let hasty = format!("hasty-{}", 1 + seq % 10);
            let completion = bench.execute(&mut *session, &hasty, seq).await;
            match completion.outcome {
                Outcome::Ok => taken += 1,
                outcome => assert_eq!(outcome, Outcome::TimedOut, "{completion:?}"),
            }
        }
        backlog.comes_to(30 - taken).await;
        drop((session, bench));
        backlog.comes_to(30 - taken).await;
        backlog.delete().await;
    });
}

#[test]
fn a_take_waits_for_the_next_message() {
    worker(async {
        let backlog = Backlog::of(0).await;
        let bench = backlog.subject().prepare().await;
        let mut sessions = futures_util::future::join_all((0..4).map(|i| bench.session(i))).await;
        let takes = sessions.iter_mut().zip(0..).map(|(session, i)| bench.execute(&mut **session, "take", i));
        let (taken, ()) = tokio::join!(futures_util::future::join_all(takes), backlog.publish(6));
        assert!(taken.iter().all(|taken| taken.outcome == Outcome::Ok), "{taken:?}");
        backlog.comes_to(2).await;
        drop((sessions, bench));
        backlog.delete().await;
    });
}

#[test]
fn messages_of_others_are_not_consumed_for_those_that_are_awaited() {
    worker(async {
        let backlog = Backlog::of(20).await;
        let bench = backlog.awaiting().prepare().await;
        let mut session = bench.session(0).await;
        for seq in 0..10 {
            let through = bench.execute(&mut *session, "through", seq).await;
            assert_eq!(through.outcome, Outcome::Ok, "{through:?}");
        }
        let findings = bench.workload.settle(Nanos::from_secs(20)).await;
        assert!(findings[0].holds && findings[0].detail.starts_with("10 messages"), "{findings:?}");
        drop((session, bench));
        backlog.comes_to(20).await;
        backlog.delete().await;
    });
}

#[test]
fn a_check_leaves_nothing_behind() {
    worker(async {
        let backlog = Backlog::of(7).await;
        let workload = backlog.awaiting().compile().expect("a workload");
        for _ in 0..2 {
            let health = workload.health().await.expect("it answers");
            assert!(health.detail.contains("7 messages, 0 consumers"), "{health:?}");
            backlog.comes_to(7).await;
        }
        backlog.delete().await;
    });
}
