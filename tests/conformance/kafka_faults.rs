//! Errors that a broker answers: those that go away are overcome within the operation, the others
//! end it once and as what they are, and a producer that can't go on is made anew.

use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use slatest_core::model::Outcome;

use super::suite::{Subject, ends, executed};

use RDKafkaRespErr::*;

const WORKLOAD: &str = r#"
name: events
driver: kafka
endpoint: events
settings: ACKS
operations:
  - { name: send, timeout: 4s, request: { produce: { topic: task-events, value: "{{ seq }}" } } }
"#;

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock() -> Mock {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("task-events", 1, 1).expect("a topic");
    cluster
}

fn subject(cluster: &Mock, acks: &str) -> Subject {
    let endpoint = format!("{{ kafka: [\"{}\"] }}", cluster.bootstrap_servers());
    Subject::new("kafka", WORKLOAD.replace("ACKS", acks), endpoint)
}

#[test]
fn errors_that_go_away_are_overcome_within_the_operation() {
    for error in [
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ] {
        for acks in ["{}", "{ acks: leader }"] {
            let cluster = mock();
            cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
            let completions = executed(&subject(&cluster, acks), "send", 3);
            assert_eq!(ends(&completions), [(Outcome::Ok, None); 3], "{error:?} with {acks}");
        }
    }
}

#[test]
fn errors_that_stay_end_within_the_timeout() {
    let cluster = mock();
    cluster.request_errors(RDKafkaApiKey::Produce, &[RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 1000]);
    let begun = Instant::now();
    let completions = executed(&subject(&cluster, "{}"), "send", 2);
    assert!(completions.iter().all(|c| c.outcome == Outcome::TimedOut), "{completions:?}");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
}

#[test]
fn an_answer_that_says_no_ends_one_operation_by_its_name() {
    for (error, outcome, kind) in [
        (RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Outcome::Rejected, "MessageSizeTooLarge"),
        (RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, Outcome::Rejected, "InvalidRequiredAcks"),
        (RD_KAFKA_RESP_ERR_POLICY_VIOLATION, Outcome::Rejected, "PolicyViolation"),
        (RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, Outcome::Disconnected, "NetworkException"),
    ] {
        let cluster = mock();
        cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
        let completions = executed(&subject(&cluster, "{ acks: leader }"), "send", 2);
        assert_eq!(ends(&completions), [(outcome, Some(kind)), (Outcome::Ok, None)], "{error:?}");
    }
}

/// An idempotent producer whose numbers the broker doesn't follow can never send again.
#[test]
fn a_fatal_error_is_disconnected_and_the_producer_made_anew() {
    for error in [RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH] {
        let cluster = mock();
        let subject = subject(&cluster, "{}");
        cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
        let completions = executed(&subject, "send", 4);
        assert!(
            matches!(completions[0].outcome, Outcome::Ok | Outcome::Disconnected | Outcome::Rejected),
            "{error:?}: {completions:?}"
        );
        assert_eq!(ends(&completions)[1..], [(Outcome::Ok, None); 3], "{error:?}: it costs one record");
    }
}
