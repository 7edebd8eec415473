//! One scenario on one worker: its sessions, and who gets the next arrival.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::cancel::{Cancel, CancelWatch};
use super::in_flight::{InFlight, PendingWrite, Ticket};
use crate::profile::{Mix, Plan, PlanStep, ScenarioPlan};
use slatest_core::model::{Arrival, Completion, Nanos, OperationId, Outcome, WriteScope};
use slatest_core::schedule::{Chooser, Share, Stripe};
use slatest_drivers::{CONNECT_TIMEOUT, ConnectError, Limit, Session, SessionContext, Workload};

/// How much longer than an operation's own timeout the engine waits before it says that the
/// session hangs.
const HANG_MARGIN: Nanos = Nanos::from_secs(2);
/// Kind of a drop that no target could have caused: it voids.
const NO_SESSION: &str = "workload: no session of the scenario is this worker's";
/// How long a session may take to say goodbye.
const GOODBYE: Nanos = Nanos::from_secs(1);

/// One execution that a session is asked for.
pub struct Job {
    /// Number of the arrival.
    pub seq: u64,
    /// Index of the item in the scenario's mix.
    pub item: usize,
    /// Stands for its first operation.
    pub ticket: Ticket,
}

/// What ends a session's operations where they don't end by themselves.
pub struct Bounds {
    /// The worker's word to let go.
    pub abort: CancelWatch,
    /// The operation's own timeout, and some more.
    hang: Limit,
}

/// Where a session waits for its next job.
#[derive(Default)]
struct Slot {
    job: Cell<Option<Job>>,
    closing: Cell<bool>,
    wake: Cell<Option<Waker>>,
}

impl Slot {
    fn give(&self, job: Job) {
        self.job.set(Some(job));
        self.rouse();
    }

    fn rouse(&self) {
        if let Some(waker) = self.wake.take() {
            waker.wake();
        }
    }

    async fn next(&self) -> Option<Job> {
        poll_fn(|context| {
            if let Some(job) = self.job.take() {
                return Poll::Ready(Some(job));
            }
            if self.closing.get() {
                return Poll::Ready(None);
            }
            self.wake.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

/// Most sessions that a share of a scenario may have at once. Sessions are shared out in whole groups, so that a
/// group never spans two workers.
fn sessions_of(scenario: &ScenarioPlan, share: Share, group: u64) -> u64 {
    let group = group.max(1);
    match scenario.sessions {
        Some(sessions) => (share.share_of(sessions.div_ceil(group)) * group).min(sessions),
        None if share.is_empty() => 0,
        None => share.share_of(scenario.max_in_flight).max(1),
    }
}

/// One scenario on one worker.
pub struct ScenarioRunner {
    plan: Arc<Plan>,
    index: usize,
    workload: Arc<dyn Workload>,
    /// Most sessions of this worker's share, and of what it has taken over.
    sessions_max: Cell<u64>,
    /// Whether sessions were opened before the start and take turns.
    fixed: bool,
    chooser: Chooser,
    share: Cell<Share>,
    process: Share,
    worker: usize,
    in_flight: Rc<InFlight>,
    abort: Cancel,
    idle: RefCell<VecDeque<Rc<Slot>>>,
    open: Cell<u64>,
    seats_taken: Cell<u64>,
    closing: Cell<bool>,
    /// Its writes, where there is a ledger.
    write_scope: Option<WriteScope>,
}

impl ScenarioRunner {
    pub fn new(
        plan: &Arc<Plan>,
        index: usize,
        workload: Arc<dyn Workload>,
        (worker, stripe, process): (usize, Stripe, Stripe),
        in_flight: Rc<InFlight>,
        abort: Cancel,
    ) -> Self {
        let scenario = &plan.scenarios[index];
        let chooser = match scenario.mix {
            Mix::InTurn => Chooser::in_turn(scenario.items.len()),
            Mix::Weighted => {
                let weights: Vec<f64> = scenario.items.iter().map(|i| i.weight).collect();
                Chooser::weighted(&weights, plan.seed, &scenario.name)
            }
        };
        let (share, process) = (scenario.places.share(stripe), scenario.places.share(process));
        let sessions_max = sessions_of(scenario, share, workload.session_group());
        Self {
            write_scope: in_flight.write_scope(&scenario.name),
            plan: Arc::clone(plan),
            index,
            workload,
            sessions_max: Cell::new(sessions_max),
            fixed: scenario.sessions.is_some(),
            chooser,
            share: Cell::new(share),
            process,
            worker,
            in_flight,
            abort,
            idle: RefCell::default(),
            open: Cell::new(0),
            seats_taken: Cell::new(0),
            closing: Cell::new(false),
        }
    }

    /// The scenario's plan.
    pub fn scenario(&self) -> &ScenarioPlan {
        &self.plan.scenarios[self.index]
    }

    /// The scenario's workload.
    pub fn workload(&self) -> &Arc<dyn Workload> {
        &self.workload
    }

    /// The worker's books.
    pub fn in_flight(&self) -> &Rc<InFlight> {
        &self.in_flight
    }

    /// Which arrivals, users, sessions and connections are this worker's.
    pub fn share(&self) -> Share {
        self.share.get()
    }

    /// The contexts of the sessions that are to be open before the first arrival of a share.
    pub fn fixed_contexts(&self, share: Share) -> Vec<SessionContext> {
        let count = if self.fixed { sessions_of(self.scenario(), share, self.workload.session_group()) } else { 0 };
        (0..count).map(|number| self.seat_of(share, number)).collect()
    }

    /// More of the scenario is this worker's from now on.
    pub fn take_over(&self, share: Share) {
        let more = sessions_of(self.scenario(), share, self.workload.session_group());
        self.sessions_max.set(self.sessions_max.get().saturating_add(more));
        if self.share.get().is_empty() {
            self.share.set(share);
        }
    }

    /// The mix's choice for an arrival.
    pub fn choose(&self, seq: u64) -> usize {
        self.chooser.choose(seq)
    }

    /// The context of the next session of this worker.
    pub fn next_context(&self) -> SessionContext {
        let number = self.seats_taken.get();
        self.seats_taken.set(number + 1);
        self.seat_of(self.share.get(), number)
    }

    /// The context of one of a share's sessions, counted from 0.
    fn seat_of(&self, share: Share, number: u64) -> SessionContext {
        let group = self.workload.session_group().max(1);
        self.context(share.nth(number / group) * group + number % group, share)
    }

    /// A context with this number.
    pub fn context(&self, index: u64, share: Share) -> SessionContext {
        SessionContext {
            index,
            worker: self.worker,
            share,
            process: self.process,
            clock: Arc::clone(&self.in_flight.clock),
        }
    }

    /// Starts an arrival: on a free session, on a new one, or it is dropped.
    pub fn fire(self: &Rc<Self>, seq: u64, intended: Nanos) {
        let item = self.choose(seq);
        let (operation, judged) = self.first_operation(item, intended);
        let ticket = self.in_flight.fired(operation, judged, intended);
        let job = Job { seq, item, ticket };
        if let Some(slot) = self.take_idle() {
            slot.give(job);
        } else if !self.fixed && self.open.get() < self.sessions_max.get() {
            self.open.set(self.open.get() + 1);
            tokio::task::spawn_local(Rc::clone(self).run_new_session(job));
        } else {
            let done = self.in_flight.clock.now();
            // Where there is no session at all, no answer of the target could have set one free.
            let kind = if self.sessions_max.get() == 0 { NO_SESSION } else { "dropped: no free session" };
            job.ticket.end(&Completion::failed(Outcome::Dropped, None, done, kind));
        }
    }

    fn take_idle(&self) -> Option<Rc<Slot>> {
        let mut idle = self.idle.borrow_mut();
        // Users take turns; otherwise the connection used last is the warmest.
        if self.fixed { idle.pop_front() } else { idle.pop_back() }
    }

    /// The operation that an item starts with, and whether it is judged.
    pub fn first_operation(&self, item: usize, intended: Nanos) -> (OperationId, bool) {
        let scenario = self.scenario();
        let first = scenario.items[item].steps.iter().find_map(|step| match step {
            PlanStep::Operation(index) => Some(*index),
            PlanStep::Think(_) => None,
        });
        (self.operation(first.unwrap_or(0)), self.is_judged(intended))
    }

    /// Whether ordinary objectives judge what was meant to start at this instant.
    fn is_judged(&self, intended: Nanos) -> bool {
        self.scenario().is_judged(intended) && !self.in_flight.is_excluded(intended)
    }

    /// The timeout of one of the workload's operations.
    fn timeout(&self, index: usize) -> Nanos {
        self.plan.operations[self.operation(index).index()].timeout
    }

    fn operation(&self, index: usize) -> OperationId {
        OperationId(self.scenario().first_operation.0 + index as u16)
    }

    /// Opens a session before anything waits for it, within bounds of time.
    pub async fn connect(&self, context: &SessionContext) -> Result<Box<dyn Session>, ConnectError> {
        let limit = (CONNECT_TIMEOUT + HANG_MARGIN).as_duration();
        Limit::default().hold(limit, self.workload.connect(context)).await.unwrap_or_else(|_| {
            Err(ConnectError { outcome: Outcome::TimedOut, kind: "connect: no end within its timeout".into() })
        })
    }

    /// Opens a session for an operation that was fired: it has no more time than the operation has left.
    pub async fn connect_for(
        &self,
        context: &SessionContext,
        item: usize,
        ticket: &Ticket,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let operation = self.first_operation(item, ticket.intended()).0;
        let deadline = ticket.fired() + self.plan.operations[operation.index()].timeout;
        let left = deadline - self.in_flight.clock.now();
        if left > CONNECT_TIMEOUT + HANG_MARGIN {
            return self.connect(context).await;
        }
        Limit::default().hold(left.as_duration(), self.workload.connect(context)).await.unwrap_or_else(|_| {
            Err(ConnectError { outcome: Outcome::TimedOut, kind: "connect: not within the operation's timeout".into() })
        })
    }

    /// Adds a session that was opened before the start.
    pub fn adopt(self: &Rc<Self>, session: Box<dyn Session>) {
        self.open.set(self.open.get() + 1);
        let slot = Rc::new(Slot::default());
        self.idle.borrow_mut().push_back(Rc::clone(&slot));
        tokio::task::spawn_local(Rc::clone(self).serve(session, slot));
    }

    async fn run_new_session(self: Rc<Self>, job: Job) {
        let context = self.next_context();
        let mut bounds = self.bounds();
        let Some(connected) = bounds.abort.unless_asked(self.connect_for(&context, job.item, &job.ticket)).await else {
            // The job's ticket is dropped here: unknown.
            self.open.set(self.open.get() - 1);
            return;
        };
        match connected {
            Ok(session) => {
                let slot = Rc::new(Slot::default());
                slot.give(job);
                self.serve(session, slot).await;
            }
            Err(error) => {
                self.open.set(self.open.get() - 1);
                let done = self.in_flight.clock.now();
                job.ticket.end(&Completion::failed(error.outcome, None, done, error.kind));
            }
        }
    }

    /// A session's life: job after job until the runner closes.
    async fn serve(self: Rc<Self>, mut session: Box<dyn Session>, slot: Rc<Slot>) {
        let mut bounds = self.bounds();
        while let Some(job) = slot.next().await {
            if !self.execute(session.as_mut(), job, &mut bounds).await {
                break;
            }
            self.idle.borrow_mut().push_back(Rc::clone(&slot));
            // A runner that closed meanwhile has told only those that were idle.
            if self.closing.get() {
                slot.closing.set(true);
            }
        }
        self.open.set(self.open.get() - 1);
        // A server that doesn't say goodbye is no reason to wait.
        let _ = tokio::time::timeout(GOODBYE.as_duration(), session.close()).await;
    }

    /// The bounds of one session's operations.
    pub fn bounds(&self) -> Bounds {
        Bounds { abort: self.abort.watch(), hang: Limit::default() }
    }

    /// Executes one job on a session; false when the worker is to let go of what is under way.
    pub async fn execute(&self, session: &mut dyn Session, job: Job, bounds: &mut Bounds) -> bool {
        let Bounds { abort, hang } = bounds;
        let performed = pin!(self.perform(session, job, hang));
        abort.unless_asked(performed).await.is_some()
    }

    /// Its operation, or the steps of its flow one after another. A flow ends with its first step that
    /// is not ok.
    async fn perform(&self, session: &mut dyn Session, job: Job, hang: &mut Limit) {
        let Job { seq, item, ticket } = job;
        let _engaged = self.in_flight.engage();
        let scenario = self.scenario();
        let mut waiting = Some(ticket);
        let mut intended = waiting.as_ref().map_or(Nanos::ZERO, Ticket::intended);
        let steps = &scenario.items[item].steps;
        for (number, step) in (0..).zip(steps) {
            match *step {
                PlanStep::Think(length) => {
                    tokio::time::sleep(length.as_duration()).await;
                    intended = self.in_flight.clock.now();
                }
                PlanStep::Operation(index) => {
                    let ticket = waiting.take().unwrap_or_else(|| {
                        self.in_flight.began(self.operation(index), self.is_judged(intended), intended)
                    });
                    let deadline = ticket.fired() + self.timeout(index);
                    let arrival = Arrival { seq, at: intended, deadline, operation: index, step: number };
                    let write = self.write(&arrival);
                    let completion = self.execute_operation(session, arrival, hang).await;
                    if let Some(write) = write {
                        write.end(&completion);
                    }
                    ticket.end(&completion);
                    if completion.outcome != Outcome::Ok {
                        return;
                    }
                    intended = self.in_flight.clock.now();
                }
            }
        }
    }

    /// The write that an arrival is, where the ledger wants it.
    fn write(&self, arrival: &Arrival) -> Option<PendingWrite> {
        let scope =
            self.write_scope.filter(|_| self.workload.operations().get(arrival.operation).is_some_and(|o| o.ledger))?;
        let id = scope.id(arrival.seq, arrival.step);
        Some(self.in_flight.write(id, self.operation(arrival.operation), arrival.at))
    }

    async fn execute_operation(&self, session: &mut dyn Session, arrival: Arrival, hang: &mut Limit) -> Completion {
        let limit = arrival.left(self.in_flight.clock.now()) + HANG_MARGIN;
        match hang.hold(limit.as_duration(), session.execute(&arrival)).await {
            Ok(completion) => completion,
            Err(_) => Completion::failed(
                Outcome::TimedOut,
                None,
                self.in_flight.clock.now(),
                "the session did not end within the operation's timeout",
            ),
        }
    }

    /// Lets idle sessions go; busy ones follow when they are done. Resolves nothing by itself.
    pub fn close(&self) {
        self.closing.set(true);
        for slot in self.idle.borrow_mut().drain(..) {
            slot.closing.set(true);
            slot.rouse();
        }
    }

    /// Sessions that are open or being opened.
    pub fn open_sessions(&self) -> u64 {
        self.open.get()
    }
}
