//! A fleet as its journal remembers it: what a coordinator does that is started again.

use super::seat::Loss;
use super::{Asked, Fleet, Output, Seat, Stage};
use crate::journal::{Entry, NoteBody, Started};
use slatest_core::model::Nanos;

impl Fleet {
    /// Takes in an entry of the run's journal, in the order in which they were written, before any input.
    /// Windows that it completes are handed on.
    pub fn replay(&mut self, now: Nanos, entry: Entry, out: &mut Vec<Output>) {
        match entry {
            Entry::Note(note) => match note.body {
                Some(NoteBody::Started(started)) => self.replay_start(now, &started),
                Some(NoteBody::Lost(lost)) => {
                    if let Some(seat) = self.seat_mut(lost.agent) {
                        seat.lost = Some(Loss { at: Nanos(lost.at_run_ns), why: lost.why, barred: lost.barred });
                    }
                }
                Some(NoteBody::TakenOver(taken)) => {
                    let order =
                        |order: crate::journal::OrderNote| Some((usize::try_from(order.agent).ok()?, order.takeover?));
                    let orders: Vec<_> = taken.orders.into_iter().filter_map(order).collect();
                    self.orders =
                        orders.iter().map(|(_, takeover)| takeover.number).max().unwrap_or(0).max(self.orders);
                    if self.seat_mut(taken.agent).is_some() {
                        self.hand_over(Nanos(taken.from_run_ns), taken.agent as usize, &orders);
                    }
                }
                Some(NoteBody::Stopped(stopped)) => {
                    self.asked = Some(Asked { at: Nanos(stopped.at_run_ns), why: stopped.why, urgent: None });
                }
                None => {}
            },
            Entry::Interval { agent, interval } => {
                let Some(seat) = self.seat_mut(agent).filter(|seat| interval.number == seat.received + 1) else {
                    return;
                };
                let number = interval.number;
                seat.received = number;
                seat.unstored.push_back(interval);
                self.stored(now, agent, number, out);
                self.hand_on(out);
            }
            Entry::End { agent, finished } => {
                let Some(seat) = self.seat_mut(agent).filter(|seat| finished.last_interval == seat.received) else {
                    return;
                };
                seat.finished = Some(finished);
                self.stored(now, agent, u64::MAX, out);
                self.hand_on(out);
            }
        }
    }

    /// Goes on after the journal was taken in: those who have not handed over everything have until the
    /// wait is over to come back.
    ///
    /// # Errors
    /// In words, when the run had not started: there is nothing to collect.
    pub fn resume(&mut self, now: Nanos) -> Result<(), &'static str> {
        if self.stage == Stage::Gathering {
            return Err("the run had not started: there is nothing to collect");
        }
        self.led_from = now;
        self.progress = now;
        self.last = now;
        Ok(())
    }

    fn replay_start(&mut self, now: Nanos, started: &Started) {
        // Only the wall clock outlives a process. Nothing is measured by it: agents keep time themselves.
        let zero = started.wall_ns.saturating_sub(self.settings.wall_at_zero);
        self.stage = Stage::Running { zero };
        self.seats = Vec::with_capacity(started.seats.len());
        let agents = started.seats.len() as u64;
        for (index, note) in (0..).zip(&started.seats) {
            let mut seat = Seat::from_note(index, note, now, self.settings.wait);
            if let Some(seat) = &mut seat {
                seat.takes_share(agents);
            }
            self.seats.push(seat);
        }
    }

    fn seat_mut(&mut self, agent: u64) -> Option<&mut Seat> {
        usize::try_from(agent).ok().and_then(|index| self.seats.get_mut(index)?.as_mut())
    }
}
