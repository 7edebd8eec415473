//! An agent's part in a run: its generator, how that is led, and what is still to be said of it.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::mpsc;

use super::generator::{Failure, Generator, Made, Task};
use crate::wire::{self, from_agent};
use slatest_core::model::Nanos;
use slatest_core::schedule::Stripe;
use slatest_engine::load::{Order, Stop, TakeOver};
use slatest_engine::profile::OnCoordinatorLoss;

/// Words of the generator that wait: minutes of windows.
const MADE: usize = 256;
/// Orders that wait for the generator.
const ORDERS: usize = 1024;
/// Most orders to take over; more agents than that are never lost one by one.
const TAKEOVERS_MAX: usize = 10_000;
/// Notices that wait to be sent; older ones go first.
const NOTICES_MAX: usize = 64;

/// What is to be said next, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Notice,
    Opened,
    Ready,
    NotReady,
    Interval,
    Finished,
}

/// An agent's part in a run.
#[derive(Default)]
pub(super) struct Part {
    /// What the generator makes; `None` before it is started and after its last word.
    pub(super) made: Option<mpsc::Receiver<Made>>,
    orders: Option<SyncSender<Order>>,
    stop: Stop,
    asked: u8,
    pub(super) on_coordinator_loss: OnCoordinatorLoss,
    opened: Option<(u64, u64)>,
    pub(super) ready: bool,
    pub(super) started: bool,
    takeovers: BTreeSet<u64>,
    notices: VecDeque<String>,
    /// Why it ends before its time.
    pub(super) early: Option<String>,
    pub(super) failed: Option<Failure>,
    /// Whether it was asked to end before it failed: then that is no failure of its own.
    pub(super) called_off: bool,
    pub(super) finished: Option<wire::Finished>,
    /// What was said on this connection.
    said_ready: bool,
    said_not_ready: bool,
    said_finished: bool,
}

impl Part {
    /// Starts the generator for what the coordinator wants.
    ///
    /// # Errors
    /// In words, when it can't be started.
    pub(super) fn begin(
        &mut self,
        generator: Box<dyn Generator>,
        assignment: wire::Assignment,
        (index, of): (u64, u64),
        workers: usize,
        working_directory: &Path,
    ) -> Result<(), String> {
        let (made, words) = mpsc::channel(MADE);
        let (orders, taken) = sync_channel(ORDERS);
        let assignment = Arc::new(assignment);
        let (stop, working_directory) = (self.stop.clone(), working_directory.to_owned());
        generator.start(Task { assignment, index, of, workers, working_directory, orders: taken, stop, made })?;
        (self.made, self.orders) = (Some(words), Some(orders));
        Ok(())
    }

    /// Whether the generator is under way.
    pub(super) const fn is_under_way(&self) -> bool {
        self.made.is_some()
    }

    /// Asks the generator to end; the first reason is kept.
    pub(super) fn halt(&mut self, urgent: bool, reason: &str) {
        if self.finished.is_none() && self.early.is_none() {
            self.early = Some(reason.to_owned());
        }
        while self.asked < if urgent { 2 } else { 1 } {
            self.stop.ask();
            self.asked += 1;
        }
    }

    /// Whether it was asked to end.
    pub(super) const fn is_halted(&self) -> bool {
        self.asked > 0
    }

    /// Starts the load; once.
    pub(super) fn start_at(&mut self, instant: std::time::Instant) -> bool {
        if self.started || self.orders.is_none() {
            return false;
        }
        self.started = true;
        self.order(Order::StartAt(instant));
        true
    }

    /// Takes over a part of somebody else's, once for each order. `Err` says why the order is none.
    pub(super) fn take_over(&mut self, order: &wire::Takeover) -> Result<bool, String> {
        let valid = order.of >= 1 && order.index < order.of && order.parts >= 1 && order.part < order.parts;
        if !valid || order.of.checked_mul(order.parts).is_none() {
            return Err(format!("the order to take over part {} of {} is none", order.part, order.parts));
        }
        if self.takeovers.len() >= TAKEOVERS_MAX || !self.takeovers.insert(order.number) {
            return Ok(false);
        }
        let stripe = Stripe { index: order.index, of: order.of }.part_of(order.part, order.parts);
        self.order(Order::TakeOver(TakeOver { from: Nanos(order.from_run_ns), stripe }));
        Ok(true)
    }

    fn order(&mut self, order: Order) {
        // A generator that is over takes no orders, and needs none.
        let _ = self.orders.as_ref().map(|orders| orders.try_send(order));
    }

    /// Sessions are open; only the latest count is said.
    pub(super) const fn opened(&mut self, opened: u64, wanted: u64) {
        self.opened = Some((opened, wanted));
    }

    /// To be told to the user at the coordinator.
    pub(super) fn notice(&mut self, words: String) {
        if self.notices.len() >= NOTICES_MAX {
            self.notices.pop_front();
        }
        self.notices.push_back(words);
    }

    /// The generator broke down or could not get ready.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.made = None;
        if self.started {
            let early = self.early.get_or_insert(failure.reason).clone();
            self.finished = Some(wire::Finished { early, ..wire::Finished::default() });
        } else {
            self.called_off = self.is_halted();
            self.failed = Some(failure);
        }
    }

    /// The generator is over.
    pub(super) fn finish(&mut self, finished: wire::Finished) {
        self.made = None;
        // What ended by itself in time was not cut short by what was asked for later.
        self.early = (!finished.early.is_empty()).then(|| self.early.take().unwrap_or(finished.early));
        let early = self.early.clone().unwrap_or_default();
        self.finished = Some(wire::Finished { early, ..finished });
    }

    /// A new connection: what it may not know is to be said again.
    pub(super) const fn reconnected(&mut self) {
        (self.said_ready, self.said_not_ready, self.said_finished) = (false, false, false);
    }

    /// Whether the last word was said on this connection.
    pub(super) const fn said_last(&self) -> bool {
        self.said_finished || self.said_not_ready
    }

    /// What is to be said next; `interval`: whether one waits to be sent.
    pub(super) fn next(&self, interval: bool) -> Option<Next> {
        if !self.notices.is_empty() {
            Some(Next::Notice)
        } else if self.opened.is_some() {
            Some(Next::Opened)
        } else if self.ready && !self.started && !self.said_ready {
            Some(Next::Ready)
        } else if self.failed.is_some() && !self.said_not_ready {
            Some(Next::NotReady)
        } else if interval {
            Some(Next::Interval)
        } else if self.finished.is_some() && !self.said_finished {
            Some(Next::Finished)
        } else {
            None
        }
    }

    /// Says it; `made` is the number of the last interval. `None` for an interval, which is not here.
    pub(super) fn say(&mut self, next: Next, made: u64) -> Option<from_agent::Body> {
        match next {
            Next::Notice => self.notices.pop_front().map(from_agent::Body::Notice),
            Next::Opened => {
                let opened = self.opened.take();
                opened.map(|(opened, wanted)| from_agent::Body::Opened(wire::Opened { opened, wanted }))
            }
            Next::Ready => {
                self.said_ready = true;
                Some(from_agent::Body::Ready(wire::Ready {}))
            }
            Next::NotReady => {
                self.said_not_ready = true;
                let reason = self.failed.as_ref().map(ToString::to_string).unwrap_or_default();
                Some(from_agent::Body::NotReady(wire::NotReady { reason }))
            }
            Next::Interval => None,
            Next::Finished => {
                self.said_finished = true;
                let finished = self.finished.clone();
                finished.map(|f| from_agent::Body::Finished(wire::Finished { last_interval: made, ..f }))
            }
        }
    }
}
