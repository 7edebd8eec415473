//! One worker's books: what was fired, what is under way, and how it ended.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use tokio::sync::Notify;

use super::drills::DrillExclusion;
use super::stage::Message;
use slatest_core::measure::Recorder;
use slatest_core::model::{Clock, Completion, LedgerEntry, Nanos, OperationId, Outcome, WriteId, WriteScope};
use slatest_core::writes::{LedgerSink, Record};

/// The books of one worker, shared by its tasks. Never crosses a thread.
pub struct InFlight {
    /// The run's clock.
    pub clock: Arc<dyn Clock>,
    recorder: RefCell<Recorder>,
    to_conductor: SyncSender<Message>,
    /// Where writes are recorded.
    ledger: Option<LedgerSink>,
    /// What is a drill's to judge.
    exclusion: DrillExclusion,
    /// Executions under way, the pauses between the steps of their flows included.
    engaged: Cell<u64>,
    /// Told whenever nothing is under way.
    quiet: Notify,
}

impl InFlight {
    pub fn new(
        clock: Arc<dyn Clock>,
        recorder: Recorder,
        to_conductor: SyncSender<Message>,
        ledger: Option<LedgerSink>,
        exclusion: DrillExclusion,
    ) -> Self {
        let recorder = RefCell::new(recorder);
        Self { clock, recorder, to_conductor, ledger, exclusion, engaged: Cell::new(0), quiet: Notify::new() }
    }

    /// Whether what is meant to start at this instant is a drill's to judge, and nobody else's.
    pub fn is_excluded(&self, intended: Nanos) -> bool {
        self.exclusion.holds(intended)
    }

    /// An arrival is fired now. The ticket stands for it until it ends.
    pub fn fired(self: &Rc<Self>, operation: OperationId, judged: bool, intended: Nanos) -> Ticket {
        let now = self.clock.now();
        self.close_windows(now);
        let mut recorder = self.recorder.borrow_mut();
        recorder.look(now);
        recorder.fired(operation, judged, intended, now);
        drop(recorder);
        Ticket { in_flight: Rc::clone(self), operation, judged, intended, fired: now, ended: false }
    }

    /// A step of a flow or a virtual user's next operation begins now, which is when it is meant to.
    pub fn began(self: &Rc<Self>, operation: OperationId, judged: bool, intended: Nanos) -> Ticket {
        self.close_windows(intended);
        let mut recorder = self.recorder.borrow_mut();
        recorder.look(intended);
        recorder.began(operation, judged, intended);
        drop(recorder);
        Ticket { in_flight: Rc::clone(self), operation, judged, intended, fired: intended, ended: false }
    }

    /// The writes of a scenario, where there is a ledger.
    pub fn write_scope(&self, scenario: &str) -> Option<WriteScope> {
        self.ledger.as_ref().map(|ledger| ledger.scope(scenario))
    }

    /// A write begins. However it ends, the ledger holds it.
    pub fn write(self: &Rc<Self>, id: WriteId, operation: OperationId, intended: Nanos) -> PendingWrite {
        PendingWrite { in_flight: Rc::clone(self), id, operation, intended, ended: false }
    }

    fn wrote(&self, write: &PendingWrite, completion: &Completion) {
        let (Some(ledger), Some(outcome)) = (&self.ledger, completion.write_outcome()) else { return };
        let written = completion.written.as_deref().cloned().unwrap_or_default();
        ledger.record(Record::Write(LedgerEntry {
            id: write.id,
            operation: write.operation,
            intended: write.intended,
            sent: completion.sent,
            done: written.acknowledged.unwrap_or(completion.done),
            outcome,
            place: written.place,
            value: written.value,
        }));
    }

    /// Operations under way.
    pub fn in_flight(&self) -> u64 {
        self.recorder.borrow().in_flight()
    }

    /// An execution is under way until what this gives is dropped.
    pub fn engage(self: &Rc<Self>) -> Engaged {
        self.engaged.set(self.engaged.get() + 1);
        Engaged(Rc::clone(self))
    }

    fn is_quiet(&self) -> bool {
        self.in_flight() == 0 && self.engaged.get() == 0
    }

    /// Waits until nothing is under way.
    pub async fn wait_until_quiet(&self) {
        while !self.is_quiet() {
            self.quiet.notified().await;
        }
    }

    /// When the open window ends.
    pub fn window_end(&self) -> Nanos {
        self.recorder.borrow().window_end()
    }

    /// Closes every window that ended before `now` and hands it on.
    pub fn close_windows(&self, now: Nanos) {
        while now >= self.window_end() {
            self.close_window();
        }
    }

    /// Closes the open window and hands it on, whatever the time.
    pub fn close_window(&self) {
        let window = self.recorder.borrow_mut().close_window();
        // The conductor is gone only when the process is about to end; nobody would read it.
        let _ = self.to_conductor.send(Message::Window(Box::new(window)));
    }

    fn ended(&self, operation: OperationId, judged: bool, from: (Nanos, Nanos), completion: &Completion) {
        self.close_windows(completion.done);
        self.recorder.borrow_mut().look(self.clock.now());
        self.recorder.borrow_mut().ended_of(operation, judged, from, completion);
        if self.is_quiet() {
            self.quiet.notify_waiters();
        }
    }
}

/// An execution under way.
pub struct Engaged(Rc<InFlight>);

impl Drop for Engaged {
    fn drop(&mut self) {
        self.0.engaged.set(self.0.engaged.get() - 1);
        if self.0.is_quiet() {
            self.0.quiet.notify_waiters();
        }
    }
}

/// One operation under way. Whatever happens to the task that holds it, it ends exactly once: a
/// ticket that is dropped counts as unknown, so the accounting identity always holds.
pub struct Ticket {
    in_flight: Rc<InFlight>,
    operation: OperationId,
    judged: bool,
    intended: Nanos,
    fired: Nanos,
    ended: bool,
}

impl Ticket {
    /// The operation that it stands for.
    pub const fn operation(&self) -> OperationId {
        self.operation
    }

    /// When it was meant to start.
    pub const fn intended(&self) -> Nanos {
        self.intended
    }

    /// When it was fired: its timeout runs from here.
    pub const fn fired(&self) -> Nanos {
        self.fired
    }

    /// It ended.
    pub fn end(mut self, completion: &Completion) {
        self.ended = true;
        self.in_flight.ended(self.operation, self.judged, (self.intended, self.fired), completion);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.ended {
            let done = self.in_flight.clock.now();
            let completion = Completion::failed(Outcome::Unknown, None, done, "still under way at the end of the run");
            self.in_flight.ended(self.operation, self.judged, (self.intended, self.fired), &completion);
        }
    }
}

/// A write under way. Whatever happens to the task that holds it, the ledger gets it exactly once: one that is
/// dropped is unknown.
pub struct PendingWrite {
    in_flight: Rc<InFlight>,
    id: WriteId,
    operation: OperationId,
    intended: Nanos,
    ended: bool,
}

impl PendingWrite {
    /// It ended.
    pub fn end(mut self, completion: &Completion) {
        self.ended = true;
        self.in_flight.wrote(&self, completion);
    }
}

impl Drop for PendingWrite {
    fn drop(&mut self) {
        if !self.ended {
            let done = self.in_flight.clock.now();
            self.in_flight.wrote(self, &Completion::failed(Outcome::Unknown, None, done, "given up"));
        }
    }
}
