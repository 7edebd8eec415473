//! Messages that somebody takes out of a queue, and messages that a consumer of the run takes.

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use slatest_core::model::{LedgerEntry, WriteId};
use uuid::Uuid;

use crate::harness::{exactly, middle, play};
use crate::stack::stack;

struct Queue {
    name: String,
    runtime: tokio::runtime::Runtime,
}

impl Queue {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { name: format!("ledger-{}", Uuid::new_v4().simple()), runtime }
    }

    fn workload(&self, until: &str) -> String {
        format!(
            "name: w\ndriver: amqp\nendpoint: queue\nsettings: {{ queues: [{{ name: {0}, durable: true }}] }}\noperations:\n  \
             - name: write\n    timeout: 20s\n    request: {{ publish: {{ queue: {0}, body: \"{{{{ random.text(50) }}}}\", \
             persistent: true, until: {until} }} }}\n    ledger: true\n",
            self.name
        )
    }

    async fn channel() -> (Connection, Channel) {
        let port = stack().port("rabbitmq", "AMQP_PORT");
        let password = stack().secret("rabbitmq");
        let uri = format!("amqp://slatest:{password}@127.0.0.1:{port}/slatest");
        let connection = Connection::connect(&uri, ConnectionProperties::default()).await.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        (connection, channel)
    }

    /// Takes `count` messages off the front, and gives their writes.
    fn take(&self, count: usize) -> Vec<WriteId> {
        self.runtime.block_on(async {
            let (_connection, channel) = Self::channel().await;
            let mut taken = Vec::new();
            for _ in 0..count {
                let got = channel.basic_get(self.name.as_str().into(), BasicGetOptions::default()).await;
                let message = got.expect("an answer").expect("a message");
                let headers = message.properties.headers().clone().expect("headers");
                let Some(AMQPValue::LongString(id)) = headers.inner().get("slatest-write") else { panic!("no write") };
                taken.push(id.to_string().parse().expect("a write"));
                message.ack(BasicAckOptions::default()).await.expect("taken");
            }
            taken
        })
    }

    fn publish(&self, write: Option<WriteId>) {
        self.runtime.block_on(async {
            let (_connection, channel) = Self::channel().await;
            let mut headers = FieldTable::default();
            if let Some(write) = write {
                headers.insert("slatest-write".into(), AMQPValue::LongString(write.to_string().into()));
            }
            let properties = BasicProperties::default().with_headers(headers);
            let name = self.name.as_str().into();
            let options = BasicPublishOptions::default();
            let published = channel.basic_publish("".into(), name, options, b"more", properties).await;
            published.expect("published").await.expect("confirmed");
        });
    }

    /// How many messages it holds for whoever comes next.
    fn count(&self) -> usize {
        self.runtime.block_on(async {
            let (_connection, channel) = Self::channel().await;
            let name = self.name.as_str().into();
            let consumed =
                channel.basic_consume(name, "".into(), BasicConsumeOptions::default(), FieldTable::default());
            let mut messages = consumed.await.expect("a consumer");
            let mut count = 0;
            while let Ok(Some(_)) = tokio::time::timeout(std::time::Duration::from_secs(2), messages.next()).await {
                count += 1;
            }
            count
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.runtime.block_on(async {
                let (_connection, channel) = Self::channel().await;
                let deleted = channel.queue_delete(self.name.as_str().into(), QueueDeleteOptions::default()).await;
                drop(deleted);
            });
        }
    }
}

fn of(writes: &[LedgerEntry], ids: &[WriteId]) -> Vec<LedgerEntry> {
    writes.iter().filter(|write| ids.contains(&write.id)).cloned().collect()
}

#[test]
fn messages_that_somebody_took_are_lost_and_the_rest_stays_where_it_is() {
    let queue = Queue::new();
    let played = play(&queue.workload("confirmed"), "queue", &stack().endpoint("queue"));
    let writes = played.acknowledged();
    let whole = played.check(None);
    assert_eq!((whole.acknowledged, whole.lost_count(), whole.duplicates), (writes.len() as u64, 0, 0));

    let taken = of(&writes, &queue.take(23));
    queue.publish(None);
    queue.publish(Some(writes.iter().find(|write| !taken.contains(write)).expect("one that is left").id));
    queue.publish(Some(played.ledger.scope("s").id(1 << 40, 0)));
    let fault = middle(&writes);
    let check = played.check(Some(fault));
    exactly(&check, &taken.iter().collect::<Vec<_>>(), fault);
    assert_eq!((check.duplicates, check.never_written), (1, 1));
    let again = played.check(Some(fault));
    assert_eq!(again, check, "what was read once can be read again");
    assert_eq!(queue.count(), writes.len() - 23 + 3, "nothing was taken by reading");
}

#[test]
fn what_the_run_consumed_itself_is_not_lost() {
    let queue = Queue::new();
    let played = play(&queue.workload("consumed"), "queue", &stack().endpoint("queue"));
    let writes = played.acknowledged();
    let check = played.check(None);
    assert_eq!((check.acknowledged, check.lost_count(), check.duplicates), (writes.len() as u64, 0, 0));
    assert_eq!(queue.count(), 0);
}
