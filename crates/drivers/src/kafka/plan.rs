//! A workload, compiled: plain data, settled before it runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use rdkafka::ClientConfig;

use super::cluster::Cluster;
use super::consumer::Group;
use super::file::Until;
use crate::envelope::Sender;
use crate::payload::Payload;
use crate::workload::{Data, SentValue, Template};
use crate::{Flow, Operation};

/// Everything about a workload that is settled before it runs.
pub(super) struct Plan {
    /// Name of the endpoint.
    pub(super) endpoint: String,
    pub(super) operations: Vec<Operation>,
    /// As `operations`.
    pub(super) actions: Vec<Action>,
    pub(super) flows: Vec<Flow>,
    pub(super) data: Arc<Data>,
    pub(super) cluster: Cluster,
    pub(super) producer: ClientConfig,
    pub(super) sender: Arc<Sender>,
    /// The group from which operations take.
    pub(super) group: Group,
    /// The group that reads what is awaited back: nobody else is in it.
    pub(super) awaiting: Group,
    /// Topics whose records are awaited back.
    pub(super) awaited: BTreeSet<String>,
    /// Topics whose records operations take.
    pub(super) taken: BTreeSet<String>,
}

impl Plan {
    /// Whether any operation needs a member of a group.
    pub(super) fn consumes(&self) -> bool {
        !self.awaited.is_empty() || !self.taken.is_empty()
    }

    /// Topics that operations produce to, each once.
    pub(super) fn produced(&self) -> Vec<&str> {
        let topics: BTreeSet<&str> = self.actions.iter().filter_map(Action::produces).collect();
        topics.into_iter().collect()
    }
}

/// What an operation does.
#[derive(Debug)]
pub(super) enum Action {
    Produce(Record),
    Consume { topic: String },
}

impl Action {
    /// The topic to which it produces.
    pub(super) fn produces(&self) -> Option<&str> {
        match self {
            Self::Produce(record) => Some(&record.topic),
            Self::Consume { .. } => None,
        }
    }
}

/// A record to produce.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) topic: String,
    pub(super) key: Option<Template>,
    pub(super) value: Option<Payload>,
    pub(super) headers: Vec<(String, SentValue)>,
    pub(super) until: Until,
}
