//! A workload, compiled: plain data, settled before it runs.

use std::sync::Arc;

use super::file::{Bounds, Role};
use super::read_back::Table;
use super::run::Script;
use super::server::Server;
use crate::dial::Dial;
use crate::identity::Identity;
use crate::workload::{Captures, Data, Template};
use crate::{Flow, Operation};

/// Everything about a workload that is settled before it runs.
pub(super) struct Plan {
    pub(super) operations: Vec<Operation>,
    pub(super) actions: Vec<Action>,
    pub(super) flows: Vec<Flow>,
    pub(super) data: Arc<Data>,
    /// Every statement of the workload; actions name these by index.
    pub(super) scripts: Arc<[Script]>,
    pub(super) primary: Arc<Server>,
    pub(super) replicas: Vec<Arc<Server>>,
    /// Tables that hold writes of the ledger, each once.
    pub(super) ledger_tables: Vec<Table>,
    /// Connections of the scenario to each server, in all.
    pub(super) connections: usize,
    /// Dials every host of the endpoint.
    pub(super) dial: Arc<Dial>,
    pub(super) seed: u64,
    pub(super) endpoint: String,
    pub(super) identity: Identity,
}

/// What one operation does.
pub(super) struct Action {
    /// Its statements: index of the script and the templates of its values.
    pub(super) steps: Vec<(usize, Vec<Template>)>,
    /// Whether they stand in a transaction.
    pub(super) transaction: bool,
    pub(super) role: Role,
    pub(super) rows: Option<Bounds>,
    pub(super) affected: Option<Bounds>,
    pub(super) captures: Captures,
}
