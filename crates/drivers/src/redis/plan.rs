//! A workload, compiled: plain data, settled before it runs.

use std::sync::Arc;

use super::client::Servers;
use super::command::Command;
use super::file::Reply;
use crate::identity::Identity;
use crate::workload::{Captures, Data};
use crate::{Flow, Operation};

/// Everything about a workload that is settled before it runs.
pub(super) struct Plan {
    pub(super) operations: Vec<Operation>,
    pub(super) actions: Vec<Action>,
    pub(super) flows: Vec<Flow>,
    pub(super) data: Arc<Data>,
    pub(super) servers: Arc<Servers>,
    /// Connections of the scenario in all.
    pub(super) connections: usize,
    pub(super) endpoint: String,
    pub(super) identity: Identity,
}

/// What one operation does.
pub(super) struct Action {
    pub(super) commands: Vec<Command>,
    /// Whether its commands were written as a pipeline.
    pub(super) pipeline: bool,
    pub(super) on_miss: Option<Command>,
    pub(super) reply: Reply,
    pub(super) captures: Captures,
    /// Whether its write goes to the ledger: a plain `SET` of a key of its own.
    pub(super) ledger: bool,
}
