//! One scenario on one worker: its sessions, and who gets the next arrival.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::cancel::Cancel;
use super::execution::{Bounds, Job, Refusal};
use super::in_flight::{InFlight, PendingWrite, Ticket};
use super::roster::{Roster, Slot};
use crate::profile::{Mix, Plan, PlanStep, ScenarioPlan};
use slatest_core::model::{Arrival, Completion, Nanos, OperationId, Outcome, WriteScope};
use slatest_core::schedule::{Chooser, Share, Stripe, Turns};
use slatest_drivers::{CONNECT_TIMEOUT, ConnectError, Limit, Session, SessionContext, Step, Workload};

/// How much longer than an operation's own timeout the engine waits before it says that the
/// session hangs.
pub const HANG_MARGIN: Nanos = Nanos::from_secs(2);
/// Kind of a drop that no target could have caused: it voids.
const NO_SESSION: &str = "workload: no session of the scenario is this worker's";
/// How long a session may take to say goodbye.
const GOODBYE: Nanos = Nanos::from_secs(1);

/// Most sessions that a share of a scenario may have at once. Sessions are shared out in whole groups, so that a
/// group never spans two workers.
fn sessions_of(scenario: &ScenarioPlan, share: Share, group: u64) -> u64 {
    let group = group.max(1);
    match scenario.users {
        Some(users) => (share.share_of(users.div_ceil(group)) * group).min(users),
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
    /// Most users that may be busy at once, of the same.
    in_flight_max: Cell<u64>,
    /// The law by which users take turns, where the scenario says how many there are: then they are there before the
    /// start.
    turns: Option<Turns>,
    chooser: Chooser,
    share: Cell<Share>,
    process: Share,
    worker: usize,
    in_flight: Rc<InFlight>,
    abort: Cancel,
    roster: Roster,
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
        let turns = scenario.users.map(|users| Turns::new(users, workload.session_group(), scenario.places.count));
        Self {
            write_scope: in_flight.write_scope(&scenario.name),
            plan: Arc::clone(plan),
            index,
            workload,
            sessions_max: Cell::new(sessions_max),
            in_flight_max: Cell::new(share.share_of(scenario.max_in_flight).max(1)),
            turns,
            chooser,
            share: Cell::new(share),
            process,
            worker,
            in_flight,
            abort,
            roster: Roster::new(turns),
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
        let fixed = self.turns.is_some();
        let count = if fixed { sessions_of(self.scenario(), share, self.workload.session_group()) } else { 0 };
        (0..count).map(|number| self.seat_of(share, number)).collect()
    }

    /// More of the scenario is this worker's from now on.
    pub fn take_over(&self, share: Share) {
        let more = sessions_of(self.scenario(), share, self.workload.session_group());
        self.sessions_max.set(self.sessions_max.get().saturating_add(more));
        let more = share.share_of(self.scenario().max_in_flight);
        self.in_flight_max.set(self.in_flight_max.get().saturating_add(more));
        if self.share.get().is_empty() {
            self.share.set(share);
        }
    }

    /// The mix's choice for an arrival. Where both items and users take turns, each round of users begins with another
    /// item, so that nobody does the same thing for ever.
    pub fn choose(&self, seq: u64) -> usize {
        match (self.scenario().mix, self.turns) {
            (Mix::InTurn, Some(turns)) => self.chooser.choose(seq.wrapping_add(turns.rounds_before(seq))),
            _ => self.chooser.choose(seq),
        }
    }

    /// The scenario's users on this worker.
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Whether each user does something once before anything else.
    pub fn does_once(&self) -> bool {
        self.workload.once().is_some()
    }

    /// The context of the next session of this worker.
    pub fn next_context(&self) -> SessionContext {
        let number = self.seats_taken.get();
        self.seats_taken.set(number + 1);
        self.seat_of(self.share.get(), number)
    }

    /// The context of one of a share's sessions, counted from 0.
    pub fn seat_of(&self, share: Share, number: u64) -> SessionContext {
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

    /// Starts an arrival: with the user whose turn it is, on a free session, on a new one, or it is dropped.
    pub fn fire(self: &Rc<Self>, seq: u64, intended: Nanos) {
        let item = self.choose(seq);
        let full = self.turns.is_some() && self.roster.busy() >= self.in_flight_max.get();
        let slot = if full { None } else { self.roster.take(seq) };
        let opens = slot.is_none() && self.turns.is_none() && self.open.get() < self.sessions_max.get();
        let due = |slot: &Rc<Slot>| slot.pass.is_due(self.in_flight.clock.now());
        let signs_in = self.does_once() && slot.as_ref().map_or(opens, due);
        let (operation, judged) = self.first_operation((!signs_in).then_some(item), intended);
        let ticket = self.in_flight.fired(operation, judged, intended);
        let job = Job { seq, item: Some(item), ticket, signs_in };
        if let Some(slot) = slot {
            slot.give(job);
        } else if opens {
            self.open.set(self.open.get() + 1);
            tokio::task::spawn_local(Rc::clone(self).run_new_session(job));
        } else {
            let done = self.in_flight.clock.now();
            // Where there is no session at all, no answer of the target could have set one free.
            let kind = match self.sessions_max.get() {
                0 => NO_SESSION,
                _ if full => "dropped: max_in_flight",
                _ => "dropped: no free session",
            };
            job.ticket.end(&Completion::failed(Outcome::Dropped, None, done, kind));
        }
    }

    /// The operation that an item starts with, or what a user does once; and whether it is judged.
    pub fn first_operation(&self, item: Option<usize>, intended: Nanos) -> (OperationId, bool) {
        let index = match item {
            Some(item) => self.first_index(item),
            None => self.workload.once().and_then(|once| once.steps.iter().find_map(operation_of)).unwrap_or(0),
        };
        (self.operation(index), self.is_judged(intended))
    }

    /// The operation that an item starts with, by its index in the workload.
    pub fn first_index(&self, item: usize) -> usize {
        let first = self.scenario().items[item].steps.iter().find_map(|step| match step {
            PlanStep::Operation(index) => Some(*index),
            PlanStep::Think(_) => None,
        });
        first.unwrap_or(0)
    }

    /// One of the workload's operations begins now, which is when it is meant to.
    pub fn begin(&self, index: usize, intended: Nanos) -> Ticket {
        self.in_flight.began(self.operation(index), self.is_judged(intended), intended)
    }

    /// What a user does once begins now, which is when it is meant to.
    pub fn begin_once(&self, intended: Nanos) -> Ticket {
        let (operation, judged) = self.first_operation(None, intended);
        self.in_flight.began(operation, judged, intended)
    }

    /// Whether ordinary objectives judge what was meant to start at this instant.
    fn is_judged(&self, intended: Nanos) -> bool {
        self.scenario().is_judged(intended) && !self.in_flight.is_excluded(intended)
    }

    /// The timeout of one of the workload's operations.
    pub fn timeout(&self, index: usize) -> Nanos {
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
        ticket: &Ticket,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let deadline = ticket.fired() + self.plan.operations[ticket.operation().index()].timeout;
        let left = deadline - self.in_flight.clock.now();
        if left > CONNECT_TIMEOUT + HANG_MARGIN {
            return self.connect(context).await;
        }
        Limit::default().hold(left.as_duration(), self.workload.connect(context)).await.unwrap_or_else(|_| {
            Err(ConnectError { outcome: Outcome::TimedOut, kind: "connect: not within the operation's timeout".into() })
        })
    }

    /// Adds a user whose session was opened before the start.
    pub fn adopt(self: &Rc<Self>, number: u64, session: Box<dyn Session>) {
        self.open.set(self.open.get() + 1);
        let slot = Rc::new(Slot::new(number));
        self.roster.add(&slot);
        tokio::task::spawn_local(Rc::clone(self).serve(session, slot));
    }

    async fn run_new_session(self: Rc<Self>, job: Job) {
        let context = self.next_context();
        let mut bounds = self.bounds();
        let Some(connected) = bounds.abort.unless_asked(self.connect_for(&context, &job.ticket)).await else {
            // The job's ticket is dropped here: unknown.
            self.open.set(self.open.get() - 1);
            return;
        };
        match connected {
            Ok(session) => {
                let slot = Rc::new(Slot::new(context.index));
                slot.give(job);
                drop(bounds);
                self.serve(session, slot).await;
            }
            Err(error) => {
                self.open.set(self.open.get() - 1);
                self.not_connected(job, error);
            }
        }
    }

    /// A job ends because its session could not be opened.
    pub fn not_connected(&self, job: Job, error: ConnectError) {
        let ConnectError { outcome, kind } = error;
        job.ticket.end(&Completion::failed(outcome, None, self.in_flight.clock.now(), kind.clone()));
        if let (true, Some(item)) = (job.signs_in, job.item) {
            self.never_sent(self.first_index(item), &Refusal { outcome, kind });
        }
    }

    /// A session's life: job after job until the runner closes.
    async fn serve(self: Rc<Self>, mut session: Box<dyn Session>, slot: Rc<Slot>) {
        let mut bounds = self.bounds();
        while let Some(job) = rested(session.as_mut(), &slot, &mut bounds).await {
            // Boxed: tens of thousands of users are at rest, and what an execution needs is not kept for them.
            if !Box::pin(self.execute(session.as_mut(), (slot.number, &slot.pass), job, &mut bounds)).await {
                break;
            }
            self.roster.came_back(&slot);
            // A runner that closed meanwhile has told only those that were idle.
            if self.closing.get() {
                slot.close();
            }
        }
        self.open.set(self.open.get() - 1);
        // A server that doesn't say goodbye is no reason to wait.
        let _ = tokio::time::timeout(GOODBYE.as_duration(), session.close()).await;
    }

    /// The bounds of one session's operations.
    pub fn bounds(&self) -> Bounds {
        Bounds::new(self.abort.watch())
    }

    /// The write that an arrival is, where the ledger wants it.
    pub fn write(&self, arrival: &Arrival) -> Option<PendingWrite> {
        let scope =
            self.write_scope.filter(|_| self.workload.operations().get(arrival.operation).is_some_and(|o| o.ledger))?;
        let id = scope.id(arrival.seq, arrival.step);
        Some(self.in_flight.write(id, self.operation(arrival.operation), arrival.at))
    }

    /// Lets idle sessions go; busy ones follow when they are done. Resolves nothing by itself.
    pub fn close(&self) {
        self.closing.set(true);
        self.roster.close();
    }

    /// Sessions that are open or being opened.
    pub fn open_sessions(&self) -> u64 {
        self.open.get()
    }
}

fn operation_of(step: &Step) -> Option<usize> {
    match step {
        Step::Operation(index) => Some(*index),
        Step::Think(_) => None,
    }
}

/// Rests until there is a job, and lets go of what the session holds when that takes longer than it keeps it.
async fn rested(session: &mut dyn Session, slot: &Slot, bounds: &mut Bounds) -> Option<Job> {
    if let Some(limit) = session.idle_timeout() {
        match bounds.within(limit, slot.next()).await {
            Some(job) => return job,
            None => session.let_go(),
        }
    }
    slot.next().await
}
