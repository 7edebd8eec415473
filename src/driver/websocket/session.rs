//! What the sessions of both modes have in common: waiting for the connection, and the ways to
//! fail.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::broken::Broken;
use super::connection::{Connection, Task};
use super::workload::Shared;
use crate::driver::{Seat, TIMEOUT_DEFAULT};
use crate::model::{Arrival, Completion, Nanos, Outcome};
use crate::workload::{ExecutionId, Values};

/// One user's connection and what goes with it.
pub(super) struct Line {
    pub(super) shared: Arc<Shared>,
    pub(super) seat: Seat,
    pub(super) connection: Rc<Connection>,
    pub(super) captured: BTreeMap<String, String>,
    /// Ends the connection's task with the session.
    pub(super) _task: Task,
}

impl Line {
    /// What the templates of one execution see.
    pub(super) fn values(&self, seq: u64) -> Values<'_> {
        let shared = &self.shared;
        Values {
            id: ExecutionId {
                seed: shared.seed,
                run: Arc::clone(&shared.run),
                scenario: Arc::clone(&shared.scenario),
                seq,
                user: self.seat.index,
            },
            data: &shared.data,
            captured: &self.captured,
        }
    }

    /// Longest wait for the answer to an arrival, from the instant at which it is sent.
    pub(super) fn timeout(&self, arrival: &Arrival) -> Duration {
        let operation = self.shared.operations.get(arrival.operation);
        operation.map_or(TIMEOUT_DEFAULT, |o| o.timeout).as_duration()
    }

    /// Waits for a connection that works, no longer than the operation may take.
    pub(super) async fn ready(&self, longest: Duration) -> Result<(), Completion> {
        if self.connection.is_ready() {
            return Ok(());
        }
        match timeout(longest, self.connection.ready()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(self.failed(None, &why)),
            Err(_) => Err(self.failed(None, &Broken::timed_out("connect"))),
        }
    }

    /// An execution that ended now.
    pub(super) fn failed(&self, sent: Option<Nanos>, why: &Broken) -> Completion {
        Completion::failed(why.outcome, sent, self.seat.clock.now(), why.kind.clone())
    }

    /// An execution that was never sent because its payload couldn't be made.
    pub(super) fn refused(&self, kind: impl Into<String>) -> Completion {
        Completion::failed(Outcome::Rejected, None, self.seat.clock.now(), kind)
    }
}
