//! One user of a Redis workload.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use redis::{Cmd, Pipeline, Value};
use tokio::time::{Instant, timeout_at};

use super::link::{Link, Use};
use super::links::{Links, Pool};
use super::plan::{Action, Plan};
use super::reply;
use crate::failure::Failure;
use crate::large;
use crate::workload::{Captures, RenderError, Values};
use crate::{Session, SessionContext};
use slatest_core::model::{Arrival, Completion, Nanos, Outcome, WritePlace, Written, value_digest};

/// Index of `fill` in an operation's timings.
const FILL: u8 = 0;
/// Index of `hit_rate` in an operation's ratios.
const HIT_RATE: u8 = 0;

/// One user: what it captured, and the connection that it shares.
pub struct RedisSession {
    plan: Arc<Plan>,
    pool: Arc<Pool>,
    links: Arc<Links>,
    turn: usize,
    context: SessionContext,
    captured: BTreeMap<String, String>,
}

/// What an execution sends.
struct Sending {
    commands: Commands,
    on_miss: Option<Cmd>,
    /// Where its write goes, for the ledger.
    written: Option<Written>,
}

enum Commands {
    One(Cmd),
    Together(Pipeline),
}

/// What came of it, as far as it came.
#[derive(Default)]
struct Came {
    hits: Option<(u32, u32)>,
    fill: Option<Nanos>,
    /// When the last reply was there: a large one is looked at after that.
    replied: Option<Nanos>,
}

impl RedisSession {
    /// A user on a worker, on the connection whose turn it is.
    pub fn new(plan: Arc<Plan>, pool: Arc<Pool>, links: Arc<Links>, context: SessionContext) -> Self {
        let turn = links.next_turn();
        Self { plan, pool, links, turn, context, captured: BTreeMap::new() }
    }

    fn now(&self) -> Nanos {
        self.context.clock.now()
    }

    fn render(&self, action: &Action, arrival: &Arrival) -> Result<Sending, RenderError> {
        let id = self.plan.identity.execution(arrival, self.context.index);
        let values = Values { id, data: &self.plan.data, captured: &self.captured };
        let commands = match action.commands.as_slice() {
            [one] if !action.pipeline => Commands::One(one.render(&values)?),
            several => {
                let mut pipeline = Pipeline::with_capacity(several.len());
                for command in several {
                    pipeline.add_command(command.render(&values)?);
                }
                Commands::Together(pipeline)
            }
        };
        let on_miss = action.on_miss.as_ref().map(|command| command.render(&values)).transpose()?;
        let written = match action.commands.first().filter(|_| action.ledger) {
            Some(command) => command.key_and_value(&values)?.map(|(key, value)| Written {
                place: Some(WritePlace::Key(key.into())),
                value: Some(value_digest(value.as_bytes())),
                ..Written::default()
            }),
            None => None,
        };
        Ok(Sending { commands, on_miss, written })
    }

    async fn operation(&mut self, arrival: &Arrival) -> Completion {
        let plan = Arc::clone(&self.plan);
        let Some(action) = plan.actions.get(arrival.operation) else {
            return Completion::failed(Outcome::Unknown, None, self.now(), "no such operation");
        };
        let sending = match self.render(action, arrival) {
            Ok(sending) => sending,
            Err(error) => return Completion::failed(Outcome::Rejected, None, self.now(), error.to_string()),
        };
        let deadline = Instant::now() + arrival.left(self.now()).as_duration();
        let lent = self.pool.lend(&self.links, self.turn, deadline).await;
        let (mut link, mut used) = match lent {
            Ok(lent) => lent,
            Err(failure) => return Completion::failed(failure.outcome, None, self.now(), failure.kind),
        };
        let sent = self.now();
        let mut came = Came::default();
        let mut result = self.exchange(action, &sending, &link, &mut used, deadline, &mut came).await;
        // A node of a cluster that has no place for one connection has given others. Nothing was sent yet.
        for other in self.pool.others(&self.links, self.turn) {
            if !result.as_ref().is_err_and(Failure::has_no_place) {
                break;
            }
            if let Ok(lent) = other.connection(deadline).await {
                (link, used) = (other, lent);
                result = self.exchange(action, &sending, &link, &mut used, deadline, &mut came).await;
            }
        }
        let done = came.replied.unwrap_or_else(|| self.now());
        let mut ended = match result {
            Ok(()) => Completion::ok(sent, done),
            Err(failure) => Completion::failed(failure.outcome, Some(sent), done, failure.kind),
        };
        if let Some(written) = sending.written {
            ended = ended.with_written(written);
        }
        if let Some(fill) = came.fill {
            ended = ended.with_timing(FILL, fill);
        }
        if let Some((hits, total)) = came.hits {
            ended = ended.with_ratio(HIT_RATE, hits, total);
        }
        ended
    }

    async fn exchange(
        &mut self,
        action: &Action,
        sending: &Sending,
        link: &Link,
        used: &mut Use,
        deadline: Instant,
        came: &mut Came,
    ) -> Result<(), Failure> {
        let replies = match &sending.commands {
            Commands::One(command) => {
                let reply = timeout_at(deadline, used.connection.send_one(command)).await;
                reply.map(|reply| reply.map(|value| vec![value]))
            }
            Commands::Together(pipeline) => timeout_at(deadline, used.connection.send(pipeline)).await,
        };
        let replies = replies.unwrap_or_else(|_| Err(Failure::new(Outcome::TimedOut, "reply: timed out")));
        link.ended(used, &replies);
        let mut replies = replies?;
        came.replied = Some(self.now());
        came.hits = hits(action, &replies);
        for value in &replies {
            action.reply.check(value).map_err(|kind| Failure::new(Outcome::Rejected, kind))?;
        }
        if !action.captures.is_empty() {
            let last = replies.pop();
            let bytes = last.as_ref().map_or(0, reply::bytes);
            let document = move |_: &Captures| last.as_ref().map(reply::document);
            let taken = large::capture(&action.captures, bytes, document, &mut self.captured, deadline).await;
            taken.map_err(|e| Failure::new(Outcome::Rejected, e.to_string()))?;
        }
        if let (Some(command), Some((0, _))) = (&sending.on_miss, came.hits) {
            let begun = self.now();
            let filled = timeout_at(deadline, used.connection.send_one(command)).await;
            let filled = filled.unwrap_or_else(|_| Err(Failure::new(Outcome::TimedOut, "fill: timed out")));
            link.ended(used, &filled);
            let filled_at = self.now();
            (came.fill, came.replied) = (Some(filled_at - begun), Some(filled_at));
            filled?;
        }
        Ok(())
    }
}

/// Hits over all of an action's reads; `None` where it reads nothing.
fn hits(action: &Action, replies: &[Value]) -> Option<(u32, u32)> {
    let reads = action.commands.iter().zip(replies).filter_map(|(c, value)| Some((c.reads()?, value)));
    reads.map(|(reads, value)| reply::hits(reads, value)).reduce(|a, b| (a.0 + b.0, a.1 + b.1))
}

impl Session for RedisSession {
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        Box::pin(self.operation(arrival))
    }
}
