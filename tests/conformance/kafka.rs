//! Kafka against three real brokers. Only what a real broker can't be told to do (to fall silent,
//! to refuse one record) is asked of librdkafka's mock brokers.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use slatest_core::model::{Nanos, Outcome};

use crate::relay::{Refusing, Relay};
use crate::stack::stack;
use crate::suite::{self, Subject, worker};

const WORKLOAD: &str = r#"
name: events
driver: kafka
endpoint: events
operations:
  - name: send
    timeout: 20s
    request:
      produce: { topic: task-events, key: "task-{{ seq }}", json: { id: "{{ fake.uuid }}" }, headers: { kind: created } }
  - name: through
    timeout: 20s
    request: { produce: { topic: handover-events, value: "{{ fake.sentence }}", until: consumed } }
  - name: take
    timeout: 20s
    request: { consume: { topic: handover-events } }
"#;

const SEND_ONLY: &str = r#"
name: events
driver: kafka
endpoint: events
operations:
  - { name: send, timeout: 2s, request: { produce: { topic: task-events, value: "{{ seq }}" } } }
"#;

fn subject() -> Subject {
    Subject::new("kafka", WORKLOAD, stack().endpoint("events"))
}

/// One broker's address on a listener of this kind.
fn broker(kind: &str) -> String {
    format!("127.0.0.1:{}", stack().port("kafka", &format!("KAFKA_{kind}_1_PORT")))
}

fn scram(broker: &str, ca: &str, password: &str) -> String {
    format!(
        "{{ kafka: [\"{broker}\"], security: sasl_ssl, mechanism: SCRAM-SHA-512, username: slatest, \
         password: {{ file: \"{password}\" }}, ca: \"{ca}\" }}"
    )
}

/// A token as Kafka's own check of unsecured tokens takes it.
fn token(folder: &std::path::Path, expires: i64) -> String {
    let claims = format!(r#"{{"sub":"slatest","iat":1,"exp":{expires}}}"#);
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let path = folder.join("token");
    std::fs::write(&path, format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&claims))).expect("a file");
    path.display().to_string()
}

fn bearer(token: &str) -> String {
    format!(
        "{{ kafka: [\"{}\"], security: sasl_ssl, mechanism: OAUTHBEARER, token: {{ file: \"{token}\" }}, ca: \"{}\" }}",
        broker("OAUTH"),
        stack().ca()
    )
}

/// Mock brokers with the platform's topics.
fn mock() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("task-events", 3, 1).expect("a topic");
    cluster
}

fn mocked(cluster: &MockCluster<'static, DefaultProducerContext>) -> Subject {
    Subject::new("kafka", SEND_ONLY, format!("{{ kafka: [\"{}\"] }}", cluster.bootstrap_servers()))
}

#[test]
fn health_names_brokers_and_topics() {
    let detail = worker(suite::health_answers(&subject()));
    assert!(detail.contains("3 brokers") && detail.contains("task-events (12 partitions)"), "{detail}");
}

#[test]
fn a_missing_topic_is_named() {
    let subject = Subject { workload: WORKLOAD.replace("task-events", "no-such-topic"), ..subject() };
    let workload = subject.compile().expect("a workload");
    let error = worker(workload.health()).expect_err("the topic isn't there");
    assert!(error.reason.contains("no-such-topic"), "{error}");
}

#[test]
fn an_unreachable_broker_is_named() {
    let refusing = Refusing::new();
    let address = refusing.address().to_string();
    let endpoint = scram(&address, stack().ca(), stack().secret_file("kafka"));
    worker(suite::unreachable_is_named(&subject().on(endpoint), &address, &[&stack().secret("kafka")]));
}

#[test]
fn a_record_is_acknowledged() {
    let completion = worker(suite::operation_works(&subject(), "send"));
    assert_eq!(completion.timings, [(0, completion.done.since(completion.sent.expect("sent")))]);
}

#[test]
fn a_record_comes_back_end_to_end() {
    let completion = worker(suite::operation_works(&subject(), "through"));
    let parts: Vec<u8> = completion.timings.iter().map(|(i, _)| *i).collect();
    assert_eq!(parts, [0, 1], "acknowledged and consumed");
    assert_eq!(completion.timings[1].1, completion.done.since(completion.sent.expect("sent")));
}

/// The first record may be produced before the consumer ever fetched.
#[test]
fn no_record_is_lost_from_the_first_one_on() {
    worker(async {
        let bench = subject().prepare().await;
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
        let lag = async {
            // The lag is measured once a second.
            loop {
                let gauges = bench.workload.gauges();
                if gauges.iter().any(|(name, _)| name == "consumer_lag.handover-events") {
                    return gauges;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let gauges = lag.await;
        assert!(gauges.iter().any(|(name, _)| name == "consumer_lag"), "{gauges:?}");
    });
}

#[test]
fn a_record_is_taken() {
    worker(async {
        let bench = subject().prepare().await;
        let (mut taker, mut sender) = (bench.session(0).await, bench.session(1).await);
        let take = bench.execute(&mut *taker, "take", 0);
        let send = bench.execute(&mut *sender, "through", 1);
        let (taken, sent) = tokio::join!(take, send);
        assert_eq!(sent.outcome, Outcome::Ok, "{sent:?}");
        assert_eq!(taken.outcome, Outcome::Ok, "{taken:?}");
    });
}

#[test]
fn a_refused_connection_is_disconnected() {
    let refusing = Refusing::new();
    let subject = Subject::new("kafka", SEND_ONLY, format!("{{ kafka: [\"{}\"] }}", refusing.address()));
    worker(suite::refusal_is_disconnected(&subject, "send"));
}

#[test]
fn brokers_that_vanish_are_disconnected() {
    let cluster = mock();
    worker(async {
        let bench = mocked(&cluster).prepare().await;
        let mut session = bench.session(0).await;
        let before = bench.execute(&mut *session, "send", 0).await;
        assert_eq!(before.outcome, Outcome::Ok, "{before:?}");
        cluster.broker_down(1).expect("a broker that goes down");
        let during = bench.execute(&mut *session, "send", 1).await;
        assert_eq!(during.outcome, Outcome::Disconnected, "{during:?}");
        cluster.broker_up(1).expect("a broker that comes back");
        let mut last = None;
        for seq in 2..20 {
            let completion = bench.execute(&mut *session, "send", seq).await;
            if completion.outcome == Outcome::Ok {
                return;
            }
            last = Some(completion);
        }
        panic!("the session never works again: {last:?}");
    });
}

/// The embedded platform's brokers are these.
#[test]
fn a_record_comes_back_from_the_mock_brokers() {
    let cluster = mock();
    cluster.create_topic("handover-events", 3, 1).expect("a topic");
    let endpoint = format!("{{ kafka: [\"{}\"] }}", cluster.bootstrap_servers());
    worker(suite::operation_works(&Subject::new("kafka", WORKLOAD, endpoint), "through"));
}

#[test]
fn a_silent_broker_times_out() {
    let cluster = mock();
    worker(suite::silence_times_out(&mocked(&cluster), "send", |silent| silence(&cluster, silent)));
}

#[test]
fn a_dropped_execution_is_harmless() {
    let cluster = mock();
    worker(suite::dropped_execution_is_harmless(&mocked(&cluster), "send", |silent| silence(&cluster, silent)));
}

fn silence(cluster: &MockCluster<'static, DefaultProducerContext>, silent: bool) {
    let delay = if silent { Duration::from_secs(3600) } else { Duration::ZERO };
    cluster.broker_round_trip_time(1, delay).expect("a delay");
    if !silent {
        // What was held back is held back for good: as after a real stall, the connection breaks.
        cluster.broker_down(1).expect("a broker that goes down");
        cluster.broker_up(1).expect("a broker that comes back");
    }
}

#[test]
fn a_refused_record_is_rejected() {
    let cluster = mock();
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
    worker(suite::error_is_rejected(&mocked(&cluster), "send", "TopicAuthorizationFailed"));
    // The broker's own limit: compressed, it would fit.
    let large = SEND_ONLY.replace("{{ seq }}", &"x".repeat(1_100_000));
    let large = large.replace("operations:", "settings: { compression: none }\noperations:");
    let endpoint = format!("{{ kafka: [\"{}\"] }}", broker("PLAIN"));
    worker(suite::error_is_rejected(&Subject::new("kafka", large, endpoint), "send", "MessageSizeTooLarge"));
}

#[test]
fn every_security_protocol_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = stack().client();
    let ca = stack().ca();
    let endpoints = [
        format!("{{ kafka: [\"{}\"] }}", broker("PLAIN")),
        format!("{{ kafka: [\"{}\"], security: ssl, ca: \"{ca}\" }}", broker("SSL")),
        format!("{{ kafka: [\"{}\"], security: ssl, ca: \"{ca}\", cert: \"{cert}\", key: \"{key}\" }}", broker("MTLS")),
        scram(&broker("SASL"), ca, stack().secret_file("kafka")),
        bearer(&token(folder.path(), jiff::Timestamp::now().as_second() + 600)),
    ];
    for endpoint in endpoints {
        worker(suite::operation_works(&subject().on(endpoint), "through"));
    }
}

#[test]
fn a_client_without_certificate_is_refused_where_one_is_demanded() {
    let endpoint = format!("{{ kafka: [\"{}\"], security: ssl, ca: \"{}\" }}", broker("MTLS"), stack().ca());
    let workload = subject().on(endpoint).compile().expect("a workload");
    worker(workload.health()).expect_err("it demands a certificate");
}

#[test]
fn a_wrong_ca_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).expect("a certificate");
    let path = folder.path().join("other.pem");
    std::fs::write(&path, other.cert.pem()).expect("a file");
    let endpoint = scram(&broker("SASL"), &path.display().to_string(), stack().secret_file("kafka"));
    worker(suite::wrong_ca_is_refused(&subject().on(endpoint)));
}

#[test]
fn wrong_credentials_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("password");
    std::fs::write(&path, "not-the-password").expect("a file");
    let endpoint = scram(&broker("SASL"), stack().ca(), &path.display().to_string());
    worker(suite::wrong_credential_is_refused(&subject().on(endpoint), "not-the-password"));
    let expired = token(folder.path(), 1);
    let secret = std::fs::read_to_string(&expired).expect("the token");
    worker(suite::wrong_credential_is_refused(&subject().on(bearer(&expired)), &secret));
}

#[test]
fn a_host_that_is_not_allowed_is_never_contacted() {
    let upstream: SocketAddr = broker("PLAIN").parse().expect("an address");
    let relay = Relay::to(upstream);
    let endpoint = format!("{{ kafka: [\"{}\"] }}", relay.address());
    let subject = Subject::new("kafka", SEND_ONLY, endpoint).allowing(&["elsewhere.example"]);
    worker(suite::forbidden_host_is_never_contacted(&subject, "send", || relay.connections()));
}

/// The bootstrap broker is allowed, but the brokers advertise themselves under a name that isn't.
#[test]
fn an_advertised_host_that_is_not_allowed_is_refused_before_any_load() {
    let port = stack().port("kafka", "KAFKA_PLAIN_1_PORT");
    let subject = Subject::new("kafka", SEND_ONLY, format!("{{ kafka: [\"localhost:{port}\"] }}"));
    worker(suite::health_answers(&subject));
    let subject = subject.allowing(&["localhost"]);
    let workload = subject.compile().expect("a workload");
    let error = worker(workload.health()).expect_err("127.0.0.1 is not allowed");
    assert!(error.reason.contains("127.0.0.1") && error.reason.contains("advertised"), "{error}");
}

#[test]
fn one_execution_has_one_payload() {
    worker(suite::same_execution_same_payload(async |seed, seq| {
        let bench = subject().seeded(seed).prepare().await;
        let observer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", broker("PLAIN"))
            .set("group.id", format!("observer-{}", uuid::Uuid::new_v4()))
            .create()
            .expect("a consumer");
        let mut ends = rdkafka::TopicPartitionList::new();
        for partition in 0..12 {
            let (_, end) = observer.fetch_watermarks("task-events", partition, Duration::from_secs(10)).expect("ends");
            ends.add_partition_offset("task-events", partition, rdkafka::Offset::Offset(end)).expect("an offset");
        }
        observer.assign(&ends).expect("an assignment");
        let mut session = bench.session(0).await;
        let completion = bench.execute(&mut *session, "send", seq).await;
        assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
        loop {
            // Other tests send to this topic too.
            let record = observer.poll(Duration::from_secs(20)).expect("a record").expect("no error");
            let header = |name: &str| {
                let headers = record.headers()?;
                headers.iter().find(|h| h.key == name).and_then(|h| h.value).map(<[u8]>::to_vec)
            };
            if header("slatest-run").is_some() && header("slatest-seq") == Some(seq.to_string().into_bytes()) {
                let kind = header("kind").expect("the workload's header");
                return [record.key().expect("a key"), record.payload().expect("a value"), &kind].concat();
            }
        }
    }));
}
