//! A fleet as its journal remembers it: what a coordinator does that is started again.

use super::agent_slot::Loss;
use super::{AgentSlot, Asked, Fleet, Output, Stage};
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
                    if let Some(slot) = self.seat_mut(lost.agent) {
                        slot.lost = Some(Loss { at: Nanos(lost.at_run_ns), reason: lost.reason, barred: lost.barred });
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
                    self.asked = Some(Asked { at: Nanos(stopped.at_run_ns), reason: stopped.reason, urgent: None });
                }
                None => {}
            },
            Entry::Interval { agent, interval } => {
                let Some(slot) = self.seat_mut(agent).filter(|slot| interval.number == slot.received + 1) else {
                    return;
                };
                let number = interval.number;
                slot.received = number;
                slot.unstored.push_back(interval);
                self.stored(now, agent, number, out);
                self.hand_on(out);
            }
            Entry::End { agent, finished } => {
                let Some(slot) = self.seat_mut(agent).filter(|slot| finished.last_interval == slot.received) else {
                    return;
                };
                slot.finished = Some(finished);
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
        self.slots = Vec::with_capacity(started.slots.len());
        let agents = started.slots.len() as u64;
        for (index, note) in (0..).zip(&started.slots) {
            let mut slot = AgentSlot::from_note(index, note, now, self.settings.wait);
            if let Some(slot) = &mut slot {
                slot.takes_share(agents);
            }
            self.slots.push(slot);
        }
    }

    fn seat_mut(&mut self, agent: u64) -> Option<&mut AgentSlot> {
        usize::try_from(agent).ok().and_then(|index| self.slots.get_mut(index)?.as_mut())
    }
}
