//! Who takes the next arrival: the users of one scenario on one worker, busy and at rest.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::execution::Job;
use super::sign_in::Pass;
use slatest_core::schedule::Turns;

/// One user (or, where a scenario doesn't say how many there are, one session): where it waits for its next job, and
/// what the engine knows of it.
pub struct Slot {
    /// Its number in the scenario, over all workers.
    pub number: u64,
    /// What its first act earned.
    pub pass: Pass,
    job: Cell<Option<Job>>,
    closing: Cell<bool>,
    wake: Cell<Option<Waker>>,
    /// When it came to rest, in the roster's own count; 0: it is busy.
    rested: Cell<u64>,
}

impl Slot {
    pub fn new(number: u64) -> Self {
        Self {
            number,
            pass: Pass::default(),
            job: Cell::default(),
            closing: Cell::default(),
            wake: Cell::default(),
            rested: Cell::default(),
        }
    }

    pub fn give(&self, job: Job) {
        self.job.set(Some(job));
        self.rouse();
    }

    /// Tells it that there will be no more jobs.
    pub fn close(&self) {
        self.closing.set(true);
        self.rouse();
    }

    fn rouse(&self) {
        if let Some(waker) = self.wake.take() {
            waker.wake();
        }
    }

    /// The next job; nothing when there will be none.
    pub async fn next(&self) -> Option<Job> {
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

/// The users that a worker has.
#[derive(Default)]
pub struct Roster {
    /// The law; without one, sessions are opened as they are needed and the one used last is the warmest.
    turns: Option<Turns>,
    /// Those that take turns, by number.
    users: RefCell<HashMap<u64, Rc<Slot>>>,
    /// Those at rest, longest first. Entries whose count isn't the slot's are of earlier rests.
    resting: RefCell<VecDeque<(u64, Rc<Slot>)>>,
    rests: Cell<u64>,
    busy: Cell<u64>,
}

impl Roster {
    pub fn new(turns: Option<Turns>) -> Self {
        Self { turns, ..Self::default() }
    }

    /// Takes the user whose turn the arrival of this number is. One that is busy, or another worker's that is lost, is
    /// stood in for by the user who has rested longest. `None`: nobody is at rest.
    pub fn take(&self, seq: u64) -> Option<Rc<Slot>> {
        let Some(turns) = self.turns else {
            let slot = self.resting.borrow_mut().pop_back().map(|(_, slot)| slot);
            return slot.filter(|slot| self.take_this(slot));
        };
        let whose = self.users.borrow().get(&turns.user_of(seq)).filter(|slot| slot.rested.get() > 0).cloned();
        let slot = match whose {
            Some(slot) => Some(slot),
            None => {
                self.forget_earlier_rests();
                self.resting.borrow_mut().pop_front().map(|(_, slot)| slot)
            }
        };
        let slot = slot.filter(|slot| self.take_this(slot));
        self.forget_earlier_rests();
        slot
    }

    /// Takes this user, unless it is busy.
    pub fn take_this(&self, slot: &Slot) -> bool {
        let rested = slot.rested.replace(0) > 0;
        self.busy.set(self.busy.get() + u64::from(rested));
        rested
    }

    /// How many of those that take turns are busy.
    pub const fn busy(&self) -> u64 {
        self.busy.get()
    }

    /// A user has done what it was taken for.
    pub fn came_back(&self, slot: &Rc<Slot>) {
        self.busy.set(self.busy.get().saturating_sub(1));
        self.rest(slot);
    }

    /// A user is at rest from now on.
    fn rest(&self, slot: &Rc<Slot>) {
        let now = self.rests.get() + 1;
        self.rests.set(now);
        slot.rested.set(now);
        self.resting.borrow_mut().push_back((now, Rc::clone(slot)));
    }

    /// Adds a user that takes turns; it is at rest.
    pub fn add(&self, slot: &Rc<Slot>) {
        self.users.borrow_mut().insert(slot.number, Rc::clone(slot));
        self.rest(slot);
    }

    /// The users that take turns, by number.
    pub fn users(&self) -> Vec<Rc<Slot>> {
        let mut users: Vec<_> = self.users.borrow().values().cloned().collect();
        users.sort_unstable_by_key(|slot| slot.number);
        users
    }

    /// Tells everybody at rest that there will be no more jobs.
    pub fn close(&self) {
        for (_, slot) in self.resting.borrow_mut().drain(..) {
            if slot.rested.get() > 0 {
                slot.close();
            }
        }
    }

    fn forget_earlier_rests(&self) {
        let mut resting = self.resting.borrow_mut();
        while resting.front().is_some_and(|(count, slot)| slot.rested.get() != *count) {
            resting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
