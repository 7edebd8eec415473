//! AMQP against a real RabbitMQ.

use std::net::SocketAddr;
use std::time::Duration;

use lapin::options::{BasicGetOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use slatest_core::model::{Nanos, Outcome};
use uuid::Uuid;

use crate::relay::{Mode, Refusing, Relay};
use crate::stack::stack;
use crate::suite::{self, Subject, worker};

/// A queue of one test, on the broker of the stack; deleted in the end.
struct Queue {
    name: String,
    folder: tempfile::TempDir,
}

impl Queue {
    fn new() -> Self {
        Self { name: format!("slatest-{}", Uuid::new_v4().simple()), folder: tempfile::tempdir().expect("a folder") }
    }

    fn workload(&self, kind: &str) -> String {
        let name = &self.name;
        format!(
            r#"
name: jobs
driver: amqp
endpoint: queue
settings: {{ queues: [{{ name: {name}, type: {kind} }}], channels: 2, prefetch: 32 }}
operations:
  - name: send
    timeout: 2s
    request:
      publish: {{ queue: {name}, json: {{ id: "{{{{ fake.uuid }}}}", n: "{{{{ seq }}}}" }}, headers: {{ kind: created }} }}
  - name: nowhere
    timeout: 20s
    request: {{ publish: {{ routing_key: "no-such-{name}", body: x }} }}
  - name: no-exchange
    timeout: 20s
    request: {{ publish: {{ exchange: "no-such-{name}", routing_key: k, body: x }} }}
"#
        )
    }

    /// The same with operations that consume.
    fn consuming(&self, kind: &str) -> String {
        let name = &self.name;
        self.workload(kind)
            + &format!(
                r#"
  - name: through
    timeout: 20s
    request: {{ publish: {{ queue: {name}, body: "{{{{ fake.sentence }}}}", until: consumed }} }}
  - name: take
    timeout: 20s
    request: {{ consume: {{ queue: {name} }} }}
"#
            )
    }

    /// Without anything to declare: preparing contacts nobody.
    fn undeclared(&self) -> String {
        let name = &self.name;
        format!(
            "name: jobs\ndriver: amqp\nendpoint: queue\noperations:\n  \
             - {{ name: send, timeout: 2s, request: {{ publish: {{ routing_key: {name}, body: x }} }} }}\n"
        )
    }

    fn subject(&self) -> Subject {
        Subject::new("amqp", self.workload("classic"), stack().endpoint("queue"))
    }

    /// An endpoint at another address, as the secret file that it takes.
    fn endpoint(&self, scheme: &str, address: SocketAddr, password: &str, more: &str) -> String {
        let path = self.folder.path().join(Uuid::new_v4().simple().to_string());
        std::fs::write(&path, format!("{scheme}://slatest:{password}@{address}/slatest")).expect("a file");
        format!("{{ amqp: {{ file: \"{}\" }}{more} }}", path.display())
    }

    /// The subject behind a relay.
    fn relayed(&self, relay: &Relay) -> Subject {
        self.subject().on(self.endpoint("amqp", relay.address(), &stack().secret("rabbitmq"), ""))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let name = self.name.clone();
        worker(async {
            if let Ok(connection) = connect().await
                && let Ok(channel) = connection.create_channel().await
            {
                // Gone already is gone too.
                let _ = channel.queue_delete(name.into(), QueueDeleteOptions::default()).await;
            }
        });
    }
}

async fn connect() -> lapin::Result<Connection> {
    Connection::connect(&stack().secret("amqp-uri"), ConnectionProperties::default()).await
}

fn address(port: &str) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], stack().port("rabbitmq", port)))
}

#[test]
fn health_names_the_virtual_host() {
    let queue = Queue::new();
    let workload =
        queue.workload("classic").replace(&format!("exchange: \"no-such-{}\"", queue.name), "exchange: amq.direct");
    let subject = Subject { workload, ..queue.subject() };
    let detail = worker(suite::health_answers(&subject));
    assert!(detail.contains("virtual host slatest") && detail.contains("amq.direct"), "{detail}");
}

#[test]
fn a_missing_exchange_and_a_missing_queue_are_named() {
    let queue = Queue::new();
    let workload = queue.subject().compile().expect("a workload");
    let error = worker(workload.health()).expect_err("the exchange isn't there");
    assert!(error.reason.contains("the exchange `no-such-"), "{error}");
    let undeclared = format!(
        "name: jobs\ndriver: amqp\nendpoint: queue\noperations:\n  \
         - {{ name: take, request: {{ consume: {{ queue: {} }} }} }}\n",
        queue.name
    );
    let workload = Subject { workload: undeclared, ..queue.subject() }.compile().expect("a workload");
    let error = worker(workload.health()).expect_err("the queue isn't there");
    assert!(error.reason.contains(&format!("the queue `{}` doesn't exist", queue.name)), "{error}");
}

#[test]
fn an_unreachable_broker_is_named() {
    let (queue, refusing) = (Queue::new(), Refusing::new());
    let endpoint = queue.endpoint("amqp", refusing.address(), "the-password", "");
    let subject = queue.subject().on(endpoint);
    worker(suite::unreachable_is_named(&subject, &refusing.address().to_string(), &["the-password"]));
}

#[test]
fn a_message_is_confirmed() {
    let completion = worker(suite::operation_works(&Queue::new().subject(), "send"));
    assert_eq!(completion.timings, [(0, completion.done.since(completion.sent.expect("sent")))]);
}

#[test]
fn messages_come_back_end_to_end_from_both_kinds_of_queue() {
    for kind in ["classic", "quorum"] {
        let queue = Queue::new();
        let subject = Subject { workload: queue.consuming(kind), ..queue.subject() };
        let completion = worker(suite::operation_works(&subject, "through"));
        let parts: Vec<u8> = completion.timings.iter().map(|(i, _)| *i).collect();
        assert_eq!(parts, [0, 1], "confirmed and consumed");
    }
}

#[test]
fn every_confirmed_message_comes_back() {
    let queue = Queue::new();
    let subject = Subject { workload: queue.consuming("classic"), ..queue.subject() };
    worker(async {
        let bench = subject.prepare().await;
        let sessions = futures_util::future::join_all((0..50).map(|i| bench.session(i))).await;
        let all = sessions.into_iter().zip(0..).map(async |(mut session, i)| {
            for round in 0..4 {
                let completion = bench.execute(&mut *session, "through", i * 4 + round).await;
                assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
            }
        });
        futures_util::future::join_all(all).await;
        let findings = bench.workload.settle(Nanos::from_secs(20)).await;
        assert_eq!(findings.len(), 1);
        assert!(findings[0].holds && findings[0].detail.starts_with("200 messages"), "{findings:?}");
        let gauges = bench.workload.gauges();
        assert!(
            gauges.contains(&("unconfirmed".into(), 0.0)) && gauges.contains(&("returned".into(), 0.0)),
            "{gauges:?}"
        );
    });
}

#[test]
fn agents_that_share_a_queue_pass_each_others_messages_on() {
    let queue = Queue::new();
    let subject = Subject { workload: queue.consuming("classic"), ..queue.subject() };
    worker(async {
        let agents = [subject.prepare().await, subject.prepare().await];
        for agent in &agents {
            let mut session = agent.session(0).await;
            for seq in 0..20 {
                let completion = agent.execute(&mut *session, "through", seq).await;
                assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
            }
        }
        for agent in &agents {
            let findings = agent.workload.settle(Nanos::from_secs(20)).await;
            assert!(findings[0].holds && findings[0].detail.starts_with("20 messages"), "{findings:?}");
        }
    });
}

#[test]
fn a_message_is_taken() {
    let queue = Queue::new();
    let subject = Subject { workload: queue.consuming("classic"), ..queue.subject() };
    worker(async {
        let bench = subject.prepare().await;
        let (mut taker, mut sender) = (bench.session(0).await, bench.session(1).await);
        let take = bench.execute(&mut *taker, "take", 0);
        let send = bench.execute(&mut *sender, "send", 1);
        let (taken, sent) = tokio::join!(take, send);
        assert_eq!(sent.outcome, Outcome::Ok, "{sent:?}");
        assert_eq!(taken.outcome, Outcome::Ok, "{taken:?}");
    });
}

#[test]
fn a_refused_connection_is_disconnected() {
    let (queue, refusing) = (Queue::new(), Refusing::new());
    let endpoint = queue.endpoint("amqp", refusing.address(), "the-password", "");
    let subject = Subject { workload: queue.undeclared(), ..queue.subject() }.on(endpoint);
    worker(suite::refusal_is_disconnected(&subject, "send"));
}

#[test]
fn a_silent_broker_times_out() {
    let (queue, relay) = (Queue::new(), Relay::to(address("AMQP_PORT")));
    worker(suite::silence_times_out(&queue.relayed(&relay), "send", |silent| {
        relay.set(if silent { Mode::Silent } else { Mode::Pass });
    }));
}

#[test]
fn a_dropped_execution_is_harmless() {
    let (queue, relay) = (Queue::new(), Relay::to(address("AMQP_PORT")));
    worker(suite::dropped_execution_is_harmless(&queue.relayed(&relay), "send", |silent| {
        relay.set(if silent { Mode::Silent } else { Mode::Pass });
    }));
}

#[test]
fn a_broken_connection_is_opened_again() {
    let (queue, relay) = (Queue::new(), Relay::to(address("AMQP_PORT")));
    let subject = Subject { workload: queue.consuming("classic"), ..queue.relayed(&relay) };
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        let before = bench.execute(&mut *session, "through", 0).await;
        assert_eq!(before.outcome, Outcome::Ok, "{before:?}");
        relay.set(Mode::Broken);
        let during = bench.execute(&mut *session, "through", 1).await;
        assert_eq!(during.outcome, Outcome::Disconnected, "{during:?}");
        relay.set(Mode::Pass);
        let mut last = None;
        for seq in 2..50 {
            // The publisher may be back before the consumer is: the message waits in the queue.
            let completion = bench.execute(&mut *session, "through", seq).await;
            if completion.outcome == Outcome::Ok {
                return;
            }
            last = Some(completion);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the session never works again: {last:?}");
    });
}

#[test]
fn another_node_is_connected_to_when_one_is_lost() {
    let (queue, relay) = (Queue::new(), Relay::to(address("AMQP_PORT")));
    let second = stack().secret("amqp-uri-2");
    std::fs::write(queue.folder.path().join("second"), second).expect("a file");
    let nodes = format!(", nodes: [{{ file: \"{}\" }}]", queue.folder.path().join("second").display());
    let endpoint = queue.endpoint("amqp", relay.address(), &stack().secret("rabbitmq"), &nodes);
    let subject = Subject { workload: queue.consuming("quorum"), ..queue.subject() }.on(endpoint);
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        let before = bench.execute(&mut *session, "send", 0).await;
        assert_eq!(before.outcome, Outcome::Ok, "{before:?}");
        assert!(relay.connections() > 0, "the first node is tried first");
        relay.set(Mode::Broken);
        let during = bench.execute(&mut *session, "send", 1).await;
        assert_eq!(during.outcome, Outcome::Disconnected, "what was under way is nobody's to send again: {during:?}");
        let through = bench.execute(&mut *session, "through", 2).await;
        assert_eq!(through.outcome, Outcome::Ok, "publisher and consumer are at the other node: {through:?}");
    });
}

#[test]
fn what_no_queue_takes_is_rejected() {
    let queue = Queue::new();
    worker(suite::error_is_rejected(&queue.subject(), "nowhere", "unroutable"));
    worker(suite::error_is_rejected(&queue.subject(), "no-exchange", "NOT_FOUND"));
    worker(async {
        let bench = queue.subject().prepare().await;
        let mut session = bench.session(0).await;
        let refused = bench.execute(&mut *session, "no-exchange", 0).await;
        assert_eq!(refused.outcome, Outcome::Rejected, "{refused:?}");
        let after = bench.execute(&mut *session, "send", 1).await;
        assert_eq!(
            after.outcome,
            Outcome::Ok,
            "a refusal closes the channel, and the next execution opens it: {after:?}"
        );
    });
}

#[test]
fn a_queue_that_was_declared_otherwise_is_refused() {
    let queue = Queue::new();
    worker(async {
        queue.subject().prepare().await;
        let other = Subject { workload: queue.workload("quorum"), ..queue.subject() }.compile().expect("a workload");
        let context = queue.subject().prepare().await.context(0);
        let error = other.prepare(&context).await.expect_err("it is a classic queue");
        assert_eq!((error.outcome, error.kind.as_str()), (Outcome::Rejected, "queue declare: PRECONDITION_FAILED"));
    });
}

#[test]
fn tls_works_with_the_right_ca_and_a_client_certificate() {
    let queue = Queue::new();
    let (cert, key) = stack().client();
    let ca = format!(", ca: \"{}\"", stack().ca());
    for more in [ca.clone(), format!("{ca}, cert: \"{cert}\", key: \"{key}\"")] {
        let endpoint = queue.endpoint("amqps", address("AMQPS_PORT"), &stack().secret("rabbitmq"), &more);
        worker(suite::operation_works(&queue.subject().on(endpoint), "send"));
    }
}

#[test]
fn a_wrong_ca_is_refused() {
    let queue = Queue::new();
    let path = queue.folder.path().join("other.pem");
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).expect("a certificate");
    std::fs::write(&path, other.cert.pem()).expect("a file");
    let more = format!(", ca: \"{}\"", path.display());
    let endpoint = queue.endpoint("amqps", address("AMQPS_PORT"), &stack().secret("rabbitmq"), &more);
    worker(suite::wrong_ca_is_refused(&queue.subject().on(endpoint)));
}

#[test]
fn wrong_credentials_are_refused() {
    let queue = Queue::new();
    let endpoint = queue.endpoint("amqp", address("AMQP_PORT"), "not-the-password", "");
    worker(suite::wrong_credential_is_refused(&queue.subject().on(endpoint), "not-the-password"));
}

#[test]
fn a_host_that_is_not_allowed_is_never_contacted() {
    let (queue, relay) = (Queue::new(), Relay::to(address("AMQP_PORT")));
    let subject = queue.relayed(&relay).allowing(&["elsewhere.example"]);
    worker(suite::forbidden_host_is_never_contacted(&subject, "send", || relay.connections()));
}

#[test]
fn one_execution_has_one_payload() {
    worker(suite::same_execution_same_payload(async |seed, seq| {
        let queue = Queue::new();
        let bench = queue.subject().seeded(seed).prepare().await;
        let mut session = bench.session(0).await;
        let completion = bench.execute(&mut *session, "send", seq).await;
        assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
        let connection = connect().await.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        let got = channel.basic_get(queue.name.as_str().into(), BasicGetOptions::default()).await.expect("an answer");
        let delivery = got.expect("a message").delivery;
        assert_eq!(*delivery.properties.delivery_mode(), Some(2), "persistent");
        let headers = delivery.properties.headers().as_ref().expect("headers").inner();
        assert!(headers.contains_key("slatest-run") && headers.contains_key("kind"), "{headers:?}");
        // A queue is deleted by a worker of its own, which can't stand inside this one.
        tokio::task::spawn_blocking(move || drop(queue)).await.expect("deleted");
        delivery.data.clone()
    }));
}

#[test]
fn a_secret_of_the_workload_is_sent_as_a_header() {
    let queue = Queue::new();
    let path = queue.folder.path().join("key");
    std::fs::write(&path, "geheim\n").expect("a file");
    let value = format!("headers: {{ authorization: {{ file: \"{}\" }} }}", path.display());
    let subject = queue.subject();
    let subject = Subject { workload: subject.workload.replace("headers: { kind: created }", &value), ..subject };
    let got = worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        assert_eq!(bench.execute(&mut *session, "send", 0).await.outcome, Outcome::Ok);
        let channel = connect().await.expect("a connection").create_channel().await.expect("a channel");
        channel.basic_get(queue.name.as_str().into(), BasicGetOptions::default()).await.expect("an answer")
    });
    let headers = got.expect("a message").delivery.properties.headers().clone().expect("headers");
    let sent = headers.inner().get("authorization").cloned();
    assert_eq!(sent, Some(lapin::types::AMQPValue::LongString("geheim".into())));
    let written = subject.workload.replace(&value, "headers: { authorization: geheim }");
    let refused = Subject { workload: written, ..subject }.compile().err().expect("a credential").to_string();
    assert!(refused.contains("publish.headers.authorization") && refused.contains("{ env: NAME }"), "{refused}");
    assert!(!refused.contains("geheim"), "{refused}");
}

#[test]
fn messages_are_taken_up_to_the_length_that_the_workload_says() {
    let queue = Queue::new();
    let taking = |settings: &str| {
        let workload = format!(
            "name: jobs\ndriver: amqp\nendpoint: queue\nsettings: {{ {settings} }}\noperations:\n  \
             - {{ name: take, timeout: 20s, request: {{ consume: {{ queue: {} }} }} }}\n",
            queue.name
        );
        Subject { workload, ..queue.subject() }
    };
    worker(async {
        let channel = connect().await.expect("a connection").create_channel().await.expect("a channel");
        let name = lapin::types::ShortString::from(queue.name.as_str());
        let options = lapin::options::QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(name.clone(), options, Default::default()).await.expect("a queue");
        for length in [2 << 20, 30 << 20] {
            let message = vec![b'x'; length];
            let properties = lapin::BasicProperties::default();
            let sent = channel.basic_publish("".into(), name.clone(), Default::default(), &message, properties).await;
            sent.expect("handed over").await.expect("sent");
        }
        let mut ends = Vec::new();
        for settings in ["answer_max_mib: 1", "connections: 1", "connections: 1", "answer_max_mib: 40"] {
            let bench = taking(settings).prepare().await;
            let completion = bench.execute(&mut *bench.session(0).await, "take", 0).await;
            ends.push((completion.outcome, completion.error));
        }
        let too_long = (Outcome::Disconnected, Some("message too long".to_owned()));
        assert_eq!(ends, [too_long.clone(), (Outcome::Ok, None), too_long, (Outcome::Ok, None)]);
    });
}

#[test]
fn the_next_run_works_when_the_runtime_of_the_last_is_gone() {
    let queue = Queue::new();
    let subject = Subject { workload: queue.consuming("classic"), ..queue.subject() };
    for _ in 0..2 {
        let completion = worker(suite::operation_works(&subject, "through"));
        assert_eq!(completion.outcome, Outcome::Ok);
    }
}
