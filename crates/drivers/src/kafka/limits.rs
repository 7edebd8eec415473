//! What the topics take: the largest batch, as their configuration says.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::types::RDKafka;

use super::cluster::Cluster;
use super::connecting::{self, Native};
use super::context::Context;

/// Longest wait for the configuration of the topics.
const WITHIN: Duration = Duration::from_secs(5);
/// What a batch adds to its records: its own header, and what librdkafka doesn't count.
const OVERHEAD_BYTES: u32 = 128;
/// Smallest bound of a batch: then each record is one.
const BATCH_BYTES_MIN: u32 = 1;

/// The role of a client that asks for configurations.
struct Ask;

impl Native for AdminClient<Context<Ask>> {
    fn native(&self) -> *mut RDKafka {
        self.inner().native_ptr()
    }
}

/// The largest batch that all of these topics take; `None` where the brokers don't tell us. Needs a runtime with time.
pub(super) async fn batch_bytes(cluster: &Cluster, topics: &[&str]) -> Option<u32> {
    if topics.is_empty() {
        return None;
    }
    let client: AdminClient<Context<Ask>> = connecting::create(&cluster.config(), Context::new(cluster, Ask)).ok()?;
    let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(WITHIN));
    let answers = tokio::time::timeout(WITHIN * 2, client.describe_configs(&asked, &options)).await.ok()?.ok()?;
    let limits = answers.into_iter().filter_map(|answer| {
        let resource = answer.ok()?;
        let entry = resource.entries.iter().find(|entry| entry.name == "max.message.bytes")?;
        entry.value.as_ref()?.parse::<u32>().ok()
    });
    limits.min().map(|limit| limit.saturating_sub(OVERHEAD_BYTES).max(BATCH_BYTES_MIN))
}
