//! A planned start.

use serde::{Deserialize, Serialize};

use super::Nanos;

/// Index of an operation in the run's plan; the plan maps it to `scenario/operation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub u16);

impl OperationId {
    /// As an index into the plan's operations.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One planned start of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Number of this execution within its scenario, over all workers and agents; all payload
    /// randomness of the execution derives from the run's seed, the scenario and this number.
    pub seq: u64,
    /// The instant at which it is meant to start; response time counts from here.
    pub at: Nanos,
    /// When it must have ended: the instant at which it was fired, and its operation's timeout. Whatever it waits
    /// for (a channel, a pool, a connection, an answer), this holds.
    pub deadline: Nanos,
    /// What starts, as an index into the operations of **its workload** (not of the run).
    pub operation: usize,
    /// Place among the steps of its flow, 0 where it stands alone: a flow that names an operation
    /// twice sends two payloads.
    pub step: u32,
}

impl Arrival {
    /// How long it may still take at `now`.
    pub fn left(&self, now: Nanos) -> Nanos {
        self.deadline - now
    }
}
