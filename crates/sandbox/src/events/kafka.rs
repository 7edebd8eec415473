//! Publishing to Kafka.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::broker::TOPICS;
use super::{Tally, Topic};

/// Events that wait to be sent.
const QUEUE: u32 = 10_000;
/// An event that isn't acknowledged by then has failed.
const DELIVERY_TIMEOUT_MS: u32 = 30_000;
/// Brokers that don't answer within this time at the start aren't there.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

/// Which cluster, and how to talk to it.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// A file of librdkafka settings (`name=value` lines): security, credentials, CA.
    pub properties: Option<PathBuf>,
}

/// Why the settings don't hold. Values are never quoted: some are passwords.
#[derive(Debug, thiserror::Error)]
pub enum KafkaSettingsError {
    /// The properties file can't be read.
    #[error("{file}: {error}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// A line of it is none.
    #[error("{file}:{line}: write librdkafka settings as name=value lines")]
    NotASetting {
        /// The file.
        file: String,
        /// Its line, from 1.
        line: usize,
    },
    /// librdkafka refuses a setting.
    #[error("librdkafka refuses the setting `{0}`: its name or value is none that it knows")]
    Refused(String),
    /// librdkafka can't start.
    #[error("librdkafka can't start a producer: {0}")]
    Client(KafkaError),
}

/// Counts what was delivered.
struct Counting(Arc<Tally>);

impl ClientContext for Counting {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "the event publisher has trouble with Kafka");
    }
}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        Tally::add(if result.is_ok() { &self.0.published } else { &self.0.failed });
    }
}

/// A producer with a bounded queue.
pub struct KafkaPublisher {
    producer: ThreadedProducer<Counting>,
    tally: Arc<Tally>,
}

impl KafkaPublisher {
    /// Starts a producer; it connects in the background.
    ///
    /// # Errors
    /// When the settings don't hold.
    pub fn start(settings: &KafkaSettings, tally: Arc<Tally>) -> Result<Self, KafkaSettingsError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &settings.brokers)
            .set("client.id", "slatest-sandbox")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "snappy")
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", QUEUE.to_string())
            .set("message.timeout.ms", DELIVERY_TIMEOUT_MS.to_string());
        if let Some(file) = &settings.properties {
            for (name, value) in properties(file)? {
                config.set(name, value);
            }
        }
        let producer = config.create_with_context(Counting(tally.clone())).map_err(|error| match error {
            KafkaError::ClientConfig(_, _, name, _) => KafkaSettingsError::Refused(name),
            other => KafkaSettingsError::Client(other),
        })?;
        Ok(Self { producer, tally })
    }

    /// Whether the brokers answer and have the platform's topics; blocks for at most
    /// [`METADATA_TIMEOUT`].
    ///
    /// # Errors
    /// Says which is missing.
    pub fn check(&self) -> Result<(), String> {
        let metadata = self
            .producer
            .client()
            .fetch_metadata(None, METADATA_TIMEOUT)
            .map_err(|error| format!("Kafka can't be used: {error}"))?;
        let there = |name: &str| metadata.topics().iter().any(|topic| topic.name() == name);
        let missing: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).filter(|name| !there(name)).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("Kafka has no topic {}: create it first", missing.join(", ")))
        }
    }

    /// Queues one event; a full queue drops it.
    pub fn publish(&self, topic: Topic, key: &str, payload: &str) {
        if self.producer.send(BaseRecord::to(topic.name()).key(key).payload(payload)).is_err() {
            Tally::add(&self.tally.dropped);
        }
    }
}

fn properties(file: &PathBuf) -> Result<Vec<(String, String)>, KafkaSettingsError> {
    let name = file.display().to_string();
    let text =
        std::fs::read_to_string(file).map_err(|error| KafkaSettingsError::Unreadable { file: name.clone(), error })?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(i, line)| {
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| KafkaSettingsError::NotASetting { file: name.clone(), line: i + 1 })?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_setting_is_named_and_its_value_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kafka.properties");
        std::fs::write(&file, "# comment\nsecurity.protocol=hunter2\n").unwrap();
        let settings = KafkaSettings { brokers: "127.0.0.1:1".into(), properties: Some(file.clone()) };
        let error = KafkaPublisher::start(&settings, Arc::default()).err().unwrap().to_string();
        assert!(error.contains("security.protocol") && !error.contains("hunter2"), "{error}");

        std::fs::write(&file, "\nhunter2\n").unwrap();
        let error = KafkaPublisher::start(&settings, Arc::default()).err().unwrap().to_string();
        assert!(error.contains(":2:") && !error.contains("hunter2"), "{error}");
    }
}
