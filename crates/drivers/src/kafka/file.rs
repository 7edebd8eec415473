//! The sections of a Kafka workload file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use slatest_core::model::Span;
use slatest_core::source::Located;
use slatest_core::target::Text;

/// How record batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    #[default]
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// As librdkafka names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Who has a record before it counts as acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Acks {
    /// Every replica in sync; the producer is idempotent then.
    #[default]
    All,
    /// The partition's leader.
    Leader,
    /// Nobody: it was handed to the connection.
    None,
}

/// Where a group starts that has committed nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the first record that is kept.
    Earliest,
    /// At the end as of now.
    #[default]
    Latest,
}

impl Start {
    /// As librdkafka names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Earliest => "earliest",
            Self::Latest => "latest",
        }
    }
}

/// Settings of the workload as a whole.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How record batches are compressed. Default `snappy`.
    #[serde(default)]
    pub compression: Compression,
    /// How long the producer waits for more records before it sends a batch; counts into every
    /// response time. By default it doesn't wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linger: Option<Span>,
    /// Who has a record before it counts as acknowledged. Default `all`.
    #[serde(default)]
    pub acks: Acks,
    /// Consumer group of the operations that `consume`. Without it, each process of each run has a group of its own.
    /// A named group goes on where it committed, and shares the partitions with its other members; a member without
    /// a partition waits. Records that are awaited back (`until: consumed`) are read by a group of their own, so that
    /// no other member gets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Located<String>>,
    /// Where a group starts to `consume` a partition for which it committed nothing. Default `latest`.
    #[serde(default, alias = "auto_offset_reset")]
    pub start: Start,
    /// Largest record that our own client sends, in bytes (librdkafka's `message.max.bytes`). By default as large as
    /// it can be, so that the topic's own limit decides.
    #[serde(default, alias = "message.max.bytes", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1000, max = 1_000_000_000))]
    pub message_max_bytes: Option<Located<u32>>,
    /// Largest batch that our own client sends, in bytes (librdkafka's `batch.size`). By default what the topics of the
    /// workload take, at most 1,000,000. A larger record is a batch of its own.
    #[serde(default, alias = "batch_size", alias = "batch.size", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub batch_size_bytes: Option<Located<u32>>,
}

/// When a produced record is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The brokers acknowledged it, as `acks` says.
    #[default]
    Acknowledged,
    /// The run's consumer group polled it back (end to end).
    Consumed,
}

/// Sends one record.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Produce {
    /// Topic; it must exist.
    pub topic: Located<String>,
    /// Template of the key; decides the partition as Java's clients do. Without it, any partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Located<String>>,
    /// Template of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Located<String>>,
    /// The value as a JSON document whose strings are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Located<serde_json::Value>>,
    /// Headers: templates, or secrets as `{ env: NAME }` or `{ file: PATH }`; beside the `slatest-…` headers that every record carries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Located<Text>>,
    /// When it is done. Default `acknowledged`.
    #[serde(default)]
    pub until: Until,
}

/// Takes one record.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consume {
    /// Topic; it must exist.
    pub topic: Located<String>,
}

/// What an operation does: exactly one of these.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Sends one record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub produce: Option<Produce>,
    /// Takes the next record of a topic that the consumer group receives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consume: Option<Consume>,
}

/// Nothing can be checked: the acknowledgement, or the record that came back, is the check.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {}
