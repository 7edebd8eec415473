//! How a run comes to its end: by its plan, by its user, or because too little is left of it.

use std::collections::BTreeMap;

use super::shortfall::{Piece, arrivals};
use super::{Asked, Fleet, FleetEnd, Output, Stage, ToAgent, note};
use crate::journal::{NoteBody, Stopped};
use crate::wire;
use slatest_core::model::Nanos;

/// How long agents let what is under way end after a stop.
const STOP_GRACE: Nanos = Nanos::from_secs(5);
/// How long the final checks of one scenario may take.
const SETTLE: Nanos = Nanos::from_secs(45);
/// What else an agent may need before its last word.
const CLOSING: Nanos = Nanos::from_secs(30);
/// While intervals still arrive, the end waits; for so long after the latest.
const PROGRESS: Nanos = Nanos::from_secs(30);
/// But no longer than so in all.
const HAND_OVER_MAX: Nanos = Nanos::from_secs(30 * 60);
/// How long agents may take to let go of everything at once.
const URGENT: Nanos = Nanos::from_secs(15);

impl Fleet {
    pub(super) fn stop(&mut self, now: Nanos, urgent: bool, reason: String, out: &mut Vec<Output>) {
        match self.stage {
            Stage::Over => return,
            Stage::Gathering => {
                self.call_off(reason, true, out);
                return;
            }
            Stage::Running { .. } => {}
        }
        let at = self.run_time(now);
        match &mut self.asked {
            None => {
                out.push(note(NoteBody::Stopped(Stopped { at_run_ns: at.0, reason: reason.clone() })));
                self.asked = Some(Asked { at, reason: reason.clone(), urgent: urgent.then_some(now) });
            }
            Some(asked) if urgent && asked.urgent.is_none() => asked.urgent = Some(now),
            Some(_) => return,
        }
        self.tell_to_stop(urgent, &reason, out);
    }

    fn tell_to_stop(&self, urgent: bool, reason: &str, out: &mut Vec<Output>) {
        for slot in self.taken().filter(|slot| slot.finished.is_none()) {
            if let Some(peer) = slot.peer {
                let stop = wire::Stop { urgent, reason: reason.to_owned() };
                out.push(Output::Send { peer, message: ToAgent::Stop(stop) });
            }
        }
    }

    /// Whether the end has been waited for long enough.
    fn is_overdue(&self, now: Nanos) -> bool {
        let Stage::Running { zero } = self.stage else { return false };
        let by_clock = |at: Nanos| i128::from(zero) + i128::from(at.0);
        let scenarios = self.settings.plan.scenarios.len() as u64;
        let settling = Nanos(SETTLE.0.saturating_mul(scenarios)) + CLOSING;
        let end = match &self.asked {
            Some(asked) => asked.at + STOP_GRACE,
            None => self.settings.plan.end() + self.settings.plan.graceful_stop,
        };
        let now_wide = i128::from(now.0);
        // A coordinator that was started again waits for those who come back, however long ago the end was.
        let led = i128::from((self.led_from + self.settings.wait).0);
        if let Some(urgent) = self.asked.as_ref().and_then(|asked| asked.urgent) {
            return now - urgent > URGENT;
        }
        let due = by_clock(end + settling).max(led);
        now_wide > due && (now - self.progress > PROGRESS || now_wide > due + i128::from(HAND_OVER_MAX.0))
    }

    /// Ends when everything of everybody is here, or nobody is left to wait for.
    pub(super) fn try_end(&mut self, now: Nanos, out: &mut Vec<Output>) {
        if self.is_overdue(now) {
            self.tell_to_stop(true, "the run is over", out);
            for index in 0..self.slots.len() {
                let lost = self.slots[index].as_ref().is_some_and(|slot| slot.lost.is_some());
                let ended = self.slots[index].as_ref().is_none_or(|slot| slot.ended);
                if !lost && !ended {
                    self.lose(now, index, "it did not come to its end in time".into(), false, out);
                }
                if let Some(peer) = self.slots[index].as_ref().filter(|slot| !slot.ended).and_then(|slot| slot.peer) {
                    self.refuse(peer, super::Refusal::Over, out);
                }
            }
        }
        let done = |slot: &super::AgentSlot| {
            slot.unstored.is_empty()
                && (slot.ended || (slot.lost.is_some() && slot.peer.is_none() && slot.finished.is_none()))
        };
        if self.taken().all(done) {
            self.end(now, out);
        }
    }

    fn end(&mut self, now: Nanos, out: &mut Vec<Output>) {
        while let Some(window) = self.merger.pop(u64::MAX) {
            out.push(Output::Window { window });
        }
        let stopped = self.asked.as_ref().map(|asked| asked.at);
        let horizon = stopped.unwrap_or(Nanos::MAX).min(self.settings.plan.end());
        let owned = self.owned(horizon);
        self.stage = Stage::Over;
        let owned_by =
            |index: u64| usize::try_from(index).ok().and_then(|index| owned.get(&index)).copied().unwrap_or(0);
        let slots = self.slots.iter_mut().flatten();
        let agents = slots.map(|slot| slot.leave(now, (horizon, stopped), owned_by(slot.index))).collect();
        out.push(Output::Ended(FleetEnd { not_started: None, stopped: stopped.is_some(), agents }));
    }

    /// How many arrivals those agents owned up to an instant who can't say so themselves: they were lost, or ended
    /// before their time, or were to take something over, of which they may not have heard before their end. What they
    /// did not send is owed.
    fn owned(&self, horizon: Nanos) -> BTreeMap<usize, u64> {
        let short = |slot: &&super::AgentSlot| {
            let early = slot.finished.as_ref().is_some_and(|finished| !finished.early.is_empty());
            !slot.ended || early || !slot.orders.is_empty()
        };
        let cut = |piece: &Piece| Piece { until: piece.until.min(horizon), ..*piece };
        let pieces: Vec<(usize, Piece)> = self
            .taken()
            .filter(short)
            .flat_map(|slot| slot.pieces.iter().map(|piece| (slot.index as usize, cut(piece))))
            .collect();
        arrivals(&self.settings.plan, &pieces)
    }
}
