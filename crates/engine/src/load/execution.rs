//! One execution by one user: what it does first where that is due, then the steps of what it was asked for.

use std::pin::pin;

use super::cancel::CancelWatch;
use super::in_flight::{PendingWrite, Ticket};
use super::scenario_runner::{HANG_MARGIN, ScenarioRunner};
use super::sign_in::Pass;
use crate::profile::PlanStep;
use slatest_core::model::{Arrival, Completion, Nanos, Outcome, WORKLOAD_FAULT};
use slatest_drivers::{Limit, Session, Step};

/// Steps of what a user does once are numbered from here on: they draw other values than those of arrivals.
const ONCE_STEPS: u32 = 1 << 31;

/// Ends the kind of a refusal after which the user signs in again and does the same once more.
const SIGNS_IN_AGAIN: &str = " (signs in again)";

/// One execution that a session is asked for.
pub struct Job {
    /// Number of the arrival.
    pub seq: u64,
    /// Index of the item in the scenario's mix; `None`: nothing but what the user does once.
    pub item: Option<usize>,
    /// Stands for its first operation.
    pub ticket: Ticket,
    /// Whether it begins with what the user does once.
    pub signs_in: bool,
}

/// What ends a session's operations where they don't end by themselves.
pub struct Bounds {
    /// The worker's word to let go.
    pub abort: CancelWatch,
    /// The operation's own timeout, and some more.
    hang: Limit,
}

impl Bounds {
    pub fn new(abort: CancelWatch) -> Self {
        Self { abort, hang: Limit::default() }
    }

    /// Waits for a future, at most so long; `None` when the time is over first.
    pub async fn within<F: Future>(&mut self, limit: Nanos, future: F) -> Option<F::Output> {
        self.hang.hold(limit.as_duration(), future).await.ok()
    }
}

/// Why a user could not do what it was asked for: what it does once was not ok.
pub struct Refusal {
    pub outcome: Outcome,
    pub kind: String,
}

impl ScenarioRunner {
    /// Executes one job on a session; false when the worker is to let go of what is under way.
    pub async fn execute(
        &self,
        session: &mut dyn Session,
        (number, pass): (u64, &Pass),
        job: Job,
        bounds: &mut Bounds,
    ) -> bool {
        let Bounds { abort, hang } = bounds;
        let acting = Acting { runner: self, session, number, pass, seq: job.seq, hang };
        let performed = pin!(acting.perform(job));
        abort.unless_asked(performed).await.is_some()
    }

    /// An operation is not sent because the user could not do what comes before it. It is counted, with how that
    /// ended: what is never asked for would make a target look better than it is.
    pub fn never_sent(&self, operation: usize, refusal: &Refusal) {
        let now = self.in_flight().clock.now();
        let ours = refusal.kind.starts_with(WORKLOAD_FAULT) || refusal.kind.starts_with("generator: ");
        let kind = if ours { refusal.kind.clone() } else { format!("not signed in: {}", refusal.kind) };
        self.begin(operation, now).end(&Completion::failed(refusal.outcome, None, now, kind));
    }
}

/// A user that acts.
struct Acting<'a> {
    runner: &'a ScenarioRunner,
    session: &'a mut dyn Session,
    number: u64,
    pass: &'a Pass,
    seq: u64,
    hang: &'a mut Limit,
}

impl Acting<'_> {
    fn now(&self) -> Nanos {
        self.runner.in_flight().clock.now()
    }

    async fn perform(mut self, job: Job) {
        let _engaged = self.runner.in_flight().engage();
        let mut ticket = Some(job.ticket);
        if job.signs_in
            && let Err(refusal) = self.sign_in(ticket.take()).await
        {
            if let Some(item) = job.item {
                self.runner.never_sent(self.runner.first_index(item), &refusal);
            }
            return;
        }
        if let Some(item) = job.item {
            self.item(item, ticket).await;
        }
    }

    /// An operation, or the steps of a flow one after another. A flow ends with its first step that is not ok.
    async fn item(&mut self, item: usize, mut ticket: Option<Ticket>) {
        let runner = self.runner;
        let mut intended = ticket.as_ref().map_or_else(|| self.now(), Ticket::intended);
        for (number, step) in (0..).zip(&runner.scenario().items[item].steps) {
            match *step {
                PlanStep::Think(length) => {
                    tokio::time::sleep(length.as_duration()).await;
                    intended = self.now();
                }
                PlanStep::Operation(index) => {
                    let ticket = match ticket.take() {
                        Some(ticket) => ticket,
                        None => {
                            if runner.does_once() && self.pass.is_due(intended) {
                                if let Err(refusal) = self.sign_in(None).await {
                                    return runner.never_sent(index, &refusal);
                                }
                                intended = self.now();
                            }
                            runner.begin(index, intended)
                        }
                    };
                    if !self.operation((index, number), intended, ticket).await {
                        return;
                    }
                    intended = self.now();
                }
            }
        }
    }

    /// One operation; whether it was ok. One that the target refused because it didn't know the user is done again
    /// once, after the user has signed in again. Both are counted, and the kind of the first says what came of it.
    async fn operation(&mut self, (index, step): (usize, u32), intended: Nanos, ticket: Ticket) -> bool {
        let first = self.arrival(self.seq, (index, step), intended, &ticket);
        let write = self.runner.write(&first);
        let mut completion = self.execute(first).await;
        let refused = completion.outcome != Outcome::Ok && self.session.is_unauthorized();
        if !(refused && self.runner.does_once()) {
            ticket.end(&completion);
            return ended(write, &completion);
        }
        completion.error = completion.error.map(|kind| kind + SIGNS_IN_AGAIN);
        ticket.end(&completion);
        self.pass.forget();
        if self.sign_in(None).await.is_err() {
            return ended(write, &completion);
        }
        let now = self.now();
        let ticket = self.runner.begin(index, now);
        let arrival = self.arrival(self.seq, (index, step), now, &ticket);
        let completion = self.execute(arrival).await;
        ticket.end(&completion);
        if completion.outcome != Outcome::Ok && self.session.is_unauthorized() {
            self.pass.forget();
        }
        ended(write, &completion)
    }

    fn arrival(&self, seq: u64, (operation, step): (usize, u32), at: Nanos, ticket: &Ticket) -> Arrival {
        let deadline = ticket.fired() + self.runner.timeout(operation);
        Arrival { seq, at, deadline, operation, step }
    }

    /// What the user does once. `ticket` stands for its first operation where that was fired.
    async fn sign_in(&mut self, mut ticket: Option<Ticket>) -> Result<(), Refusal> {
        let runner = self.runner;
        let Some(once) = runner.workload().once() else { return Ok(()) };
        let mut intended = ticket.as_ref().map_or_else(|| self.now(), Ticket::intended);
        for (step, what) in (ONCE_STEPS..).zip(&once.steps) {
            match *what {
                Step::Think(length) => {
                    tokio::time::sleep(length.as_duration()).await;
                    intended = self.now();
                }
                Step::Operation(index) => {
                    let ticket = ticket.take().unwrap_or_else(|| runner.begin(index, intended));
                    let arrival = self.arrival(self.number, (index, step), intended, &ticket);
                    let completion = self.execute(arrival).await;
                    ticket.end(&completion);
                    if completion.outcome != Outcome::Ok {
                        let kind = completion.error.unwrap_or_default();
                        return Err(Refusal { outcome: completion.outcome, kind });
                    }
                    intended = self.now();
                }
            }
        }
        let earned = self.pass.earned(intended, &once.lifetime, &*self.session);
        earned.map_err(|kind| Refusal { outcome: Outcome::Rejected, kind })
    }

    async fn execute(&mut self, arrival: Arrival) -> Completion {
        let limit = arrival.left(self.now()) + HANG_MARGIN;
        match self.hang.hold(limit.as_duration(), self.session.execute(&arrival)).await {
            Ok(completion) => completion,
            Err(_) => Completion::failed(
                Outcome::TimedOut,
                None,
                self.now(),
                "the session did not end within the operation's timeout",
            ),
        }
    }
}

/// A write has its last end; whether it was ok.
fn ended(write: Option<PendingWrite>, completion: &Completion) -> bool {
    if let Some(write) = write {
        write.end(completion);
    }
    completion.outcome == Outcome::Ok
}
