//! What templates of one execution see.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Data;
use slatest_core::model::{WriteId, WriteScope};

/// Which execution it is: all of its randomness derives from this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionId {
    /// Seed of the run.
    pub seed: u64,
    /// Name of the run, carried in headers where a protocol has them.
    pub run: Arc<str>,
    /// Name of the scenario.
    pub scenario: Arc<str>,
    /// Number of the arrival in its scenario.
    pub seq: u64,
    /// Place among the steps of the arrival's flow; what is drawn differs, rows of feeds don't.
    pub step: u32,
    /// Number of the user (session) that executes it.
    pub user: u64,
}

impl ExecutionId {
    /// An execution that never is: for trying a template before any load is sent.
    pub fn sample() -> Self {
        Self { seed: 0, run: "run".into(), scenario: "scenario".into(), seq: 0, step: 0, user: 0 }
    }

    /// The identifier of the write that it is, in the ledger and as `{{ write_id }}` in templates.
    pub fn write_id(&self) -> WriteId {
        WriteScope::of(&self.run, &self.scenario).id(self.seq, self.step)
    }
}

/// What templates of one execution see: `run`, `scenario`, `seq`, `user`, `write_id`, `fake.*`, one row of
/// each feed, and the user's captures. Equal executions see equal values.
pub struct Values<'a> {
    /// Which execution.
    pub id: ExecutionId,
    /// The workload's feeds.
    pub data: &'a Arc<Data>,
    /// What this user captured earlier.
    pub captured: &'a BTreeMap<String, String>,
}
