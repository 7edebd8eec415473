//! The embedded Kafka: librdkafka's mock cluster with the platform's topics.

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// The platform's topics and their partitions.
pub const TOPICS: [(&str, i32); 4] =
    [("task-events", 12), ("emr-verifications", 6), ("sync-operations", 12), ("handover-events", 6)];
const BROKERS: i32 = 3;
const REPLICAS: i32 = 3;

/// A running mock cluster; its brokers end with it. Each partition keeps its newest 5 MiB.
pub struct Broker {
    // Held, not used: its threads serve as long as it lives.
    _cluster: MockCluster<'static, DefaultProducerContext>,
    addresses: Vec<String>,
}

impl Broker {
    /// Starts three brokers on ephemeral ports of the loopback and creates the topics.
    ///
    /// # Errors
    /// When librdkafka can't.
    pub fn start() -> Result<Self, KafkaError> {
        let cluster = MockCluster::new(BROKERS)?;
        for (topic, partitions) in TOPICS {
            cluster.create_topic(topic, partitions, REPLICAS)?;
        }
        let addresses = cluster.bootstrap_servers().split(',').map(str::to_owned).collect();
        Ok(Self { _cluster: cluster, addresses })
    }

    /// `host:port` of each broker.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }
}
