//! A workload, compiled: plain data, settled before it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::broker::Broker;
use super::file::{QueueSpec, Until};
use super::wanted::Wanted;
use crate::envelope::Sender;
use crate::payload::Payload;
use crate::workload::{Data, SentValue, Template};
use crate::{Flow, Operation};

/// What was compiled.
pub(super) struct Plan {
    /// Name of the endpoint.
    pub(super) endpoint: String,
    pub(super) operations: Vec<Operation>,
    /// As `operations`.
    pub(super) actions: Vec<Action>,
    pub(super) flows: Vec<Flow>,
    pub(super) data: Arc<Data>,
    pub(super) broker: Arc<Broker>,
    pub(super) sender: Arc<Sender>,
    /// Queues that are declared before the run.
    pub(super) declared: Vec<QueueSpec>,
    /// Queues that operations use.
    pub(super) needed: BTreeSet<String>,
    /// Queues that ledgered operations fill.
    pub(super) ledger_queues: BTreeSet<String>,
    /// Exchanges that operations use.
    pub(super) exchanges: BTreeSet<String>,
    /// Queues in which messages are awaited.
    pub(super) awaited: BTreeSet<String>,
    /// Those of them from which operations take messages, too.
    pub(super) wanted: BTreeMap<String, Arc<Wanted>>,
    pub(super) connections: u32,
    pub(super) channels: u32,
    pub(super) prefetch: u16,
}

/// What an operation does.
#[derive(Debug)]
pub(super) enum Action {
    Publish(Message),
    Consume { queue: String },
}

/// Where a message is routed.
#[derive(Debug)]
pub(super) enum Route {
    Template(Template),
    Queue(String),
}

/// A message to publish.
#[derive(Debug)]
pub(super) struct Message {
    /// Empty for the default exchange.
    pub(super) exchange: String,
    pub(super) route: Route,
    pub(super) body: Option<Payload>,
    pub(super) headers: Vec<(String, SentValue)>,
    pub(super) persistent: bool,
    pub(super) until: Until,
}
