//! One user of a SQL workload.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::LocalBoxFuture;
use tokio::time::{Instant, timeout_at};

use super::plan::{Action, Plan};
use super::pool::Lease;
use super::row::First;
use super::run::Answer;
use super::workload::Pools;
use crate::failure::Failure;
use crate::large;
use crate::workload::{Captures, Values};
use crate::{Session, SessionContext};
use slatest_core::model::{Arrival, Completion, Nanos, Outcome, WORKLOAD_FAULT, WriteOutcome, Written};

/// Index of `pool_wait` in an operation's timings.
const POOL_WAIT: u8 = 0;
/// Index of `query` in an operation's timings.
const QUERY: u8 = 1;

/// One user: what it captured, and the scenario's connections.
pub struct SqlSession {
    plan: Arc<Plan>,
    pools: Arc<Pools>,
    context: SessionContext,
    captured: BTreeMap<String, String>,
}

impl SqlSession {
    /// A user on a worker.
    pub fn new(plan: Arc<Plan>, pools: Arc<Pools>, context: SessionContext) -> Self {
        pools.sessions.fetch_add(1, Ordering::AcqRel);
        Self { plan, pools, context, captured: BTreeMap::new() }
    }

    fn now(&self) -> Nanos {
        self.context.clock.now()
    }

    fn values(&self, action: &Action, arrival: &Arrival) -> Result<Vec<Vec<String>>, Failure> {
        let id = self.plan.identity.execution(arrival, self.context.index);
        let values = Values { id, data: &self.plan.data, captured: &self.captured };
        let rendered = action.steps.iter().map(|(_, templates)| {
            templates.iter().map(|t| t.render(&values).map(std::borrow::Cow::into_owned)).collect()
        });
        let unbuilt = |e: crate::workload::RenderError| Failure::new(Outcome::Rejected, format!("{WORKLOAD_FAULT}{e}"));
        rendered.collect::<Result<_, _>>().map_err(unbuilt)
    }

    async fn operation(&mut self, arrival: &Arrival) -> Completion {
        let plan = Arc::clone(&self.plan);
        let Some(action) = plan.actions.get(arrival.operation) else {
            return Completion::failed(Outcome::Unknown, None, self.now(), "no such operation");
        };
        let begun = self.now();
        let deadline = Instant::now() + arrival.left(begun).as_duration();
        let values = match self.values(action, arrival) {
            Ok(values) => values,
            Err(failure) => return Completion::failed(failure.outcome, None, self.now(), failure.kind),
        };
        let pools = Arc::clone(&self.pools);
        let mut lease = match pools.for_role(action.role).lease(self.context.worker, deadline).await {
            Ok(lease) => lease,
            Err(failure) => {
                let done = self.now();
                let ended = Completion::failed(failure.outcome, None, done, failure.kind);
                return ended.with_timing(POOL_WAIT, done - begun);
            }
        };
        let sent = self.now();
        let script = script(&plan, action, &mut lease, &values);
        let result = match timeout_at(deadline, script).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(Outcome::TimedOut, "query: timed out").broken()),
        };
        let answered = self.now();
        // A connection that still owes an answer is closed; one that stands in a broken transaction leaves it first.
        match &result {
            Ok(_) => lease.give_back(),
            Err(failure) if failure.broken => drop(lease),
            Err(_) => {
                let left = match lease.live() {
                    Ok(live) if action.transaction => timeout_at(deadline, live.control("rollback")).await.is_ok(),
                    _ => true,
                };
                if left {
                    lease.give_back();
                }
            }
        }
        // What could not be built was never sent.
        if let Err(failure) = &result
            && failure.kind.starts_with(WORKLOAD_FAULT)
        {
            let ended = Completion::failed(failure.outcome, None, answered, failure.kind.clone());
            return ended.with_timing(POOL_WAIT, sent - begun);
        }
        // What a server refuses outside a commit it has not done.
        let refused = matches!(&result, Err(failure)
            if failure.outcome == Outcome::Rejected && !failure.broken && !action.transaction);
        let done = self.now();
        // A large answer is looked at after that.
        let checked = match result {
            Ok(answer) => self.check(action, answer, deadline).await,
            Err(failure) => Err(failure),
        };
        let ended = match checked {
            Ok(()) => Completion::ok(sent, done),
            Err(failure) => Completion::failed(failure.outcome, Some(sent), done, failure.kind),
        };
        let ended = ended.with_timing(POOL_WAIT, sent - begun).with_timing(QUERY, answered - sent);
        if refused {
            return ended.with_written(Written { outcome: Some(WriteOutcome::Rejected), ..Written::default() });
        }
        ended
    }

    async fn check(&mut self, action: &Action, answer: Answer, deadline: Instant) -> Result<(), Failure> {
        let refused = |kind: String| Err(Failure::new(Outcome::Rejected, kind));
        if let Some(bounds) = action.rows
            && !bounds.hold(answer.rows)
        {
            return refused(format!("check: rows not {bounds}"));
        }
        if let Some(bounds) = action.affected
            && !bounds.hold(answer.affected)
        {
            return refused(format!("check: affected not {bounds}"));
        }
        if action.captures.is_empty() {
            return Ok(());
        }
        let bytes = answer.first.as_ref().map_or(0, First::bytes);
        let document = |captures: &Captures| answer.first.map(|row| row.document(captures));
        let taken = large::capture(&action.captures, bytes, document, &mut self.captured, deadline).await;
        taken.or_else(|error| refused(error.to_string()))
    }
}

/// Runs an action's statements. What came back is that of the last one; what was written is summed.
async fn script(
    plan: &Plan,
    action: &Action,
    lease: &mut Lease<'_>,
    values: &[Vec<String>],
) -> Result<Answer, Failure> {
    let live = lease.live()?;
    if action.transaction {
        live.control("begin").await?;
    }
    let mut whole = Answer::default();
    for ((index, _), values) in action.steps.iter().zip(values) {
        let Some(script) = plan.scripts.get(*index) else { continue };
        let answer = live.run(*index, script, values, &action.captures).await?;
        whole.rows = answer.rows;
        whole.affected += answer.affected;
        whole.first = answer.first.or(whole.first);
    }
    if action.transaction {
        live.control("commit").await?;
    }
    Ok(whole)
}

impl Session for SqlSession {
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        Box::pin(self.operation(arrival))
    }

    fn close(self: Box<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move {
            // The last user says goodbye for all.
            if self.pools.sessions.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.pools.close().await;
            }
        })
    }
}
