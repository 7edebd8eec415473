//! What the sessions of both modes have in common: waiting for the connection, and the ways to
//! fail.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Task};
use super::failure;
use super::plan::{Shared, WAIT_MAX};
use crate::SessionContext;
use crate::failure::Failure;
use crate::workload::Values;
use slatest_core::model::{Arrival, Completion, Nanos, Outcome};

/// How long one execution may take: from the instant at which it was fired, whatever it waits for.
pub(super) struct Patience {
    end: Instant,
}

impl Patience {
    /// When to stop waiting for the answer.
    pub(super) const fn answer_by(&self) -> Instant {
        self.end
    }
}

/// One user's connection and what goes with it.
pub(super) struct Line {
    pub(super) shared: Arc<Shared>,
    pub(super) context: SessionContext,
    pub(super) connection: Rc<Connection>,
    pub(super) captured: BTreeMap<String, String>,
    /// Ends the connection's task with the session.
    pub(super) _task: Task,
}

impl Line {
    /// What the templates of one execution see.
    pub(super) fn values(&self, arrival: &Arrival) -> Values<'_> {
        let shared = &self.shared;
        let id = shared.identity.execution(arrival, self.context.index);
        Values { id, data: &shared.data, captured: &self.captured }
    }

    /// How long one execution may take.
    pub(super) fn patience(&self, arrival: &Arrival) -> Patience {
        let left = arrival.left(self.context.clock.now()).as_duration().min(WAIT_MAX);
        Patience { end: Instant::now() + left }
    }

    /// Waits for a connection that works, no longer than the operation may take.
    pub(super) async fn ready(&self, patience: &Patience) -> Result<(), Completion> {
        if self.connection.is_ready() {
            return Ok(());
        }
        match timeout_at(patience.end, self.connection.ready()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(self.failed(None, &reason)),
            Err(_) => Err(self.failed(None, &failure::timed_out("connect"))),
        }
    }

    /// An execution that ended now.
    pub(super) fn failed(&self, sent: Option<Nanos>, reason: &Failure) -> Completion {
        Completion::failed(reason.outcome, sent, self.context.clock.now(), reason.kind.clone())
    }

    /// An execution that was never sent because its payload couldn't be made.
    pub(super) fn refused(&self, kind: impl Into<String>) -> Completion {
        Completion::failed(Outcome::Rejected, None, self.context.clock.now(), kind)
    }
}
