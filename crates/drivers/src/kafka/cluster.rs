//! The brokers: how clients are configured for them, and the look at them that comes before any
//! load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;
use rdkafka::types::{RDKafka, RDKafkaRespErr};

use super::connecting::{self, Native};
use super::context::{Context, Troubles};
use super::security::Security;
use crate::CONNECT_TIMEOUT;
use crate::dial::Dial;
use crate::failure::Failure;
use slatest_core::model::Outcome;
use slatest_core::target::Guard;

/// First wait for metadata; each further one is twice as long, so that a refusal is noticed soon
/// and a far broker still gets its time.
const METADATA_WAIT_MIN: Duration = Duration::from_millis(250);

/// Largest answer that librdkafka reads, in bytes: a fetch, with one record over its bound.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Largest fetch, in bytes, unless its first batch alone is larger.
const FETCH_BYTES_MAX: u32 = 16 << 20;

/// The role of a client that only looks.
struct Look;

impl ConsumerContext for Context<Look> {}

impl<C: ConsumerContext> Native for BaseConsumer<C> {
    fn native(&self) -> *mut RDKafka {
        self.client().native_ptr()
    }
}

/// Where the brokers are and what is wanted of them.
pub(super) struct Cluster {
    /// Bootstrap brokers, `host:port`.
    pub(super) brokers: Vec<String>,
    /// Hosts that may be contacted.
    pub(super) guard: Guard,
    /// Connects, behind the guard.
    pub(super) dial: Arc<Dial>,
    pub(super) security: Arc<Security>,
    /// Every topic of the workload.
    pub(super) topics: BTreeSet<String>,
}

/// What the brokers said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topology {
    /// Number of brokers.
    pub(super) brokers: usize,
    /// Partitions of each topic of the workload.
    pub(super) partitions: BTreeMap<String, usize>,
    /// The largest batch that every topic of the workload takes, where the brokers tell it.
    pub(super) batch_bytes: Option<u32>,
    /// How long the answer took, connecting included.
    pub(super) elapsed: Duration,
}

impl Cluster {
    /// The number of a topic among those of the workload.
    pub(super) fn log(&self, topic: &str) -> Option<u16> {
        self.topics.iter().position(|t| t == topic).and_then(|n| n.try_into().ok())
    }

    /// What all clients have in common.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", "slatest")
            .set("socket.connection.setup.timeout.ms", CONNECT_TIMEOUT.as_duration().as_millis().to_string())
            // What clients tell brokers of themselves unasked would be load that nobody planned.
            .set("enable.metrics.push", "false")
            // librdkafka waits up to 10 s before it tries a broker again: a recovery would be
            // measured with that.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set("log.connection.close", "false")
            .set("receive.message.max.bytes", ANSWER_BYTES_MAX.to_string())
            .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string());
        self.security.apply(&mut config);
        config
    }

    /// Looks at the brokers through one connection, opened to a bootstrap broker only: every host
    /// that they advertise must be allowed before anything connects to it.
    ///
    /// Blocks for at most about [`CONNECT_TIMEOUT`].
    ///
    /// # Errors
    /// Brokers that are not allowed, not reachable or don't let us in; topics that are missing.
    pub(super) fn inspect(&self) -> Result<Topology, Failure> {
        for broker in &self.brokers {
            let (host, _) = split(broker).unwrap_or((broker, 0));
            self.guard.check(host).map_err(|reason| not_allowed(reason, "is a bootstrap broker"))?;
        }
        let started = Instant::now();
        let context = Context::new(self, Look);
        let troubles = Arc::clone(&context.troubles);
        // A consumer without a group: unlike an idempotent producer it asks for nothing by itself.
        let mut config = self.config();
        config.set("enable.auto.commit", "false");
        let client: BaseConsumer<Context<Look>> = connecting::create(&config, context).map_err(|e| Failure {
            outcome: Outcome::Disconnected,
            kind: "client configuration".into(),
            detail: self.security.redact(&format!("librdkafka doesn't take the configuration: {e}")),
            broken: true,
        })?;
        let metadata = fetch(&client, &troubles, started)?;
        self.judge(&metadata, started.elapsed())
    }

    fn judge(&self, metadata: &Metadata, elapsed: Duration) -> Result<Topology, Failure> {
        for broker in metadata.brokers() {
            let what = format!("is advertised by the brokers as broker {}", broker.id());
            self.guard.check(broker.host()).map_err(|reason| not_allowed(reason, &what))?;
        }
        let mut partitions = BTreeMap::new();
        for topic in &self.topics {
            let found = metadata.topics().iter().find(|t| t.name() == topic);
            let reason = match found.map(|t| (t.error(), t.partitions().len())) {
                None | Some((Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), _)) => {
                    "doesn't exist (or isn't visible to this user); create it before the run".to_owned()
                }
                Some((Some(error), _)) => format!("can't be used: {}", RDKafkaErrorCode::from(error)),
                Some((None, 0)) => "has no partition".to_owned(),
                Some((None, count)) => {
                    partitions.insert(topic.clone(), count);
                    continue;
                }
            };
            return Err(Failure {
                outcome: Outcome::Rejected,
                kind: "topic missing".into(),
                detail: format!("the topic `{topic}` {reason}"),
                broken: true,
            });
        }
        Ok(Topology { brokers: metadata.brokers().len(), partitions, batch_bytes: None, elapsed })
    }
}

fn not_allowed(reason: String, what: &str) -> Failure {
    Failure {
        outcome: Outcome::Rejected,
        kind: "host not allowed".into(),
        detail: format!("{reason}; it {what}"),
        broken: true,
    }
}

/// Metadata of all topics: asking for one by name could create it.
fn fetch(client: &BaseConsumer<Context<Look>>, troubles: &Troubles, started: Instant) -> Result<Metadata, Failure> {
    let limit = CONNECT_TIMEOUT.as_duration();
    let mut wait = METADATA_WAIT_MIN;
    loop {
        // Serves the events: a token that is wanted, troubles that are told.
        while client.poll(Duration::from_millis(1)).is_some() {}
        let error = match client.fetch_metadata(None, wait) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        while client.poll(Duration::from_millis(1)).is_some() {}
        if let Some((_, reason)) = troubles.refused() {
            return Err(not_allowed(reason, "is advertised by the brokers"));
        }
        let over = started.elapsed() >= limit;
        let Some((code, reason)) = troubles.latest() else {
            if !over {
                wait = (wait * 2).min(limit.saturating_sub(started.elapsed()).max(METADATA_WAIT_MIN));
                continue;
            }
            let reason = format!("no broker answered within {} s: {error}", limit.as_secs());
            return Err(Failure {
                outcome: Outcome::TimedOut,
                kind: "connect: timed out".into(),
                detail: reason,
                broken: true,
            });
        };
        if let Some(broken) = troubles.broken().filter(|_| over || troubles.down()) {
            let reason = format!("{broken}; is the port right? One with TLS needs `security: ssl` or `sasl_ssl`");
            return Err(Failure {
                outcome: Outcome::Disconnected,
                kind: "connect: broken answer".into(),
                detail: reason,
                broken: true,
            });
        }
        if let Some(reason) = troubles.untrusted().filter(|_| over || troubles.down()) {
            return Err(Failure {
                outcome: Outcome::Disconnected,
                kind: "connect: TLS".into(),
                detail: helped(reason),
                broken: true,
            });
        }
        // Each has been tried and none let us in; a wrong password never gets right.
        if over || troubles.down() || code == RDKafkaErrorCode::Authentication {
            let reason = match code {
                // librdkafka has no more to say when a TLS listener hangs up on plain text.
                RDKafkaErrorCode::AllBrokersDown => {
                    format!("the brokers closed the connection at once; is `security` right? ({reason})")
                }
                _ => helped(reason),
            };
            return Err(Failure {
                outcome: Outcome::Disconnected,
                kind: format!("connect: {code:?}"),
                detail: reason,
                broken: true,
            });
        }
        wait = (wait * 2).min(limit.saturating_sub(started.elapsed()).max(METADATA_WAIT_MIN));
    }
}

/// What librdkafka says, and what to do about the most usual of it.
fn helped(reason: String) -> String {
    let help = [
        ("Connection refused", "is the port right, and does the broker run?"),
        ("Failed to resolve", "is the name right, and does this machine know it?"),
        ("speaks TLS on this port", "one without TLS takes `security: plaintext` or `sasl_plaintext`"),
    ];
    match help.iter().find(|(said, _)| reason.contains(said)) {
        Some((_, help)) => format!("{reason}; {help}"),
        None => reason,
    }
}

/// Host and port of `host:port`, `[::1]:9092` included.
pub(super) fn split(broker: &str) -> Option<(&str, u16)> {
    let (host, port) = broker.rsplit_once(':')?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let fits = !host.is_empty() && !host.contains(['/', ',', '@', ' ']) && (bracketed || !host.contains(':'));
    let port: u16 = port.parse().ok().filter(|&p| p > 0)?;
    fits.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_and_a_port() {
        assert_eq!(split("b1.example:9094"), Some(("b1.example", 9094)));
        assert_eq!(split("[::1]:9092"), Some(("[::1]", 9092)));
        for wrong in ["b1", "b1:", ":9092", "b1:0", "b1:70000", "a:1,b:2", "SSL://b1:9092", "u@h:1", "::1:9092"] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }
}
