//! The sections of an AMQP workload file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::workload::WorkloadFile;
use slatest_core::source::Located;
use slatest_core::target::Text;

/// A workload file of this driver.
pub(super) type File = WorkloadFile<Settings, Request, Check>;

/// How a queue keeps its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueueType {
    /// On one node.
    #[default]
    Classic,
    /// On several nodes by Raft; durable.
    Quorum,
}

const fn yes() -> bool {
    true
}

/// A queue that is declared before the run.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueSpec {
    /// Its name.
    pub name: Located<String>,
    /// Whether it survives a restart of the broker. Default `true`.
    #[serde(default = "yes")]
    pub durable: bool,
    /// How it keeps its messages. Default `classic`.
    #[serde(default, rename = "type")]
    pub kind: QueueType,
}

/// Settings of the workload as a whole.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Queues that are declared before the run. A queue that is there already must have been
    /// declared alike. Queues that aren't named here must exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<QueueSpec>,
    /// Connections of the scenario that publish, 1 to 1000, and as many again that take messages where operations
    /// consume. Workers share them, and they are shared out over the agents. Each has a thread. Default 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<Located<u32>>,
    /// Channels of each connection, 1 to 1000; sessions share them in turn. Default 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Located<u32>>,
    /// Most messages that the broker sends ahead to the consumer of a queue in which messages are awaited
    /// (`until: consumed`), 1 to 65535. An operation that consumes is always sent one. Default 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefetch: Option<Located<u32>>,
    /// Longest message that is taken, in MiB: 1 to 512, default 16. A longer one ends its connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_max_mib: Option<Located<u32>>,
}

/// When a published message is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The broker confirmed it.
    #[default]
    Confirmed,
    /// The run's own consumer of `queue` received it (end to end).
    Consumed,
}

/// Publishes one message.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// Exchange; it must exist. Without it, the default exchange, which routes by queue name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Located<String>>,
    /// Template of the routing key. Without it, the name of `queue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<Located<String>>,
    /// Queue in which it ends up; `until: consumed` awaits it there. Other consumers of the queue
    /// would take messages away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Located<String>>,
    /// Template of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Located<String>>,
    /// The body as a JSON document whose strings are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Located<serde_json::Value>>,
    /// Headers: templates, or secrets as `{ env: NAME }` or `{ file: PATH }`; beside the `slatest-…` headers that every message carries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Located<Text>>,
    /// Whether it survives a restart of the broker (in a durable queue). Default `true`.
    #[serde(default = "yes")]
    pub persistent: bool,
    /// When it is done. Default `confirmed`.
    #[serde(default)]
    pub until: Until,
}

/// Takes one message.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consume {
    /// Queue to take it from.
    pub queue: Located<String>,
}

/// What an operation does: exactly one of these.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Publishes one message, with a publisher confirm. One that no queue takes is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
    /// Takes the next message of a queue, and acknowledges it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consume: Option<Consume>,
}

/// Nothing can be checked: the confirm, or the message that came back, is the check.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {}
