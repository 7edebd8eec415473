//! Agents that are lost, and who takes over what they owed.

use std::collections::BTreeSet;

use super::agent_slot::Loss;
use super::shortfall::{Piece, part_of};
use super::{Fleet, FleetNews, Output, Refusal, Stage, ToAgent, note};
use crate::journal::{Lost, NoteBody, OrderNote, TakenOver};
use crate::wire;
use slatest_core::model::Nanos;
use slatest_engine::profile::{OnAgentLoss, OnCoordinatorLoss};

/// How much of the run's time passes before a takeover begins, so that everybody has heard of it.
const TAKEOVER_LEAD: Nanos = Nanos::from_secs(2);
/// Most pieces of the schedule that one agent owns. Losses after losses make ever more and smaller ones; and
/// one that comes again is told of all of them at once.
const PIECES_MAX: usize = 32;

impl Fleet {
    /// Gives up those of whom nothing was heard for too long.
    pub(super) fn find_silent(&mut self, now: Nanos, out: &mut Vec<Output>) {
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots[index].as_ref().filter(|slot| !slot.ended) else { continue };
            if now - slot.heard <= slot.patience {
                continue;
            }
            let reason = format!("nothing was heard of it for {}", slot.patience);
            match (self.stage, &slot.lost, slot.peer) {
                (Stage::Gathering, ..) => self.vacate(now, index, reason, out),
                (_, None, _) => self.lose(now, index, reason, false, out),
                // It had come back, and is silent again.
                (_, Some(_), Some(peer)) => self.refuse(peer, Refusal::Silent, out),
                (_, Some(_), None) => {}
            }
        }
    }

    /// Gives an agent up. What arrived of it counts, and what still comes is taken.
    pub(super) fn lose(&mut self, now: Nanos, index: usize, reason: String, barred: bool, out: &mut Vec<Output>) {
        let at = self.run_time(now);
        let Some(slot) = self.slots[index].as_mut() else { return };
        if let Some(loss) = &mut slot.lost {
            loss.barred |= barred;
            if barred {
                loss.reason = reason;
            }
            return;
        }
        if slot.ended {
            return;
        }
        slot.lost = Some(Loss { at, reason: reason.clone(), barred });
        out.push(Output::News(FleetNews::Lost { name: slot.name().to_owned(), at, reason: reason.clone() }));
        out.push(note(NoteBody::Lost(Lost { agent: index as u64, at_run_ns: at.0, reason: reason.clone(), barred })));
        if let Some(peer) = self.slots[index].as_ref().and_then(|slot| slot.peer) {
            let stop = wire::Stop { urgent: false, reason: format!("the coordinator gave it up: {reason}") };
            out.push(Output::Send { peer, message: ToAgent::Stop(stop) });
        }
        self.pass_on(at, index, out);
    }

    /// Has others take over what an agent owns that sends no more: it was lost, or ended before its time.
    pub(super) fn pass_on(&mut self, at: Nanos, index: usize, out: &mut Vec<Output>) {
        let from = at + TAKEOVER_LEAD;
        let name = self.slots[index].as_ref().map(|slot| slot.name().to_owned()).unwrap_or_default();
        let orders = match self.redistribute(from, index) {
            Ok(orders) if orders.is_empty() => return,
            Ok(orders) => orders,
            Err(reason) => {
                out.push(Output::News(FleetNews::NotTakenOver { name, reason }));
                return;
            }
        };
        self.hand_over(from, index, &orders);
        let order =
            |(agent, takeover): &(usize, wire::Takeover)| OrderNote { agent: *agent as u64, takeover: Some(*takeover) };
        let written = orders.iter().map(order).collect();
        out.push(note(NoteBody::TakenOver(TakenOver { agent: index as u64, from_run_ns: from.0, orders: written })));
        for (agent, takeover) in &orders {
            if let Some(peer) = self.slots[*agent].as_ref().and_then(|slot| slot.peer) {
                out.push(Output::Send { peer, message: ToAgent::Takeover(*takeover) });
            }
        }
        let by: BTreeSet<usize> = orders.iter().map(|(agent, _)| *agent).collect();
        out.push(Output::News(FleetNews::TakenOver { name, by: by.len() as u64, from }));
    }

    /// Shares out what a lost agent owns from soon on among those who are there. None where the run
    /// doesn't want it, or nothing is left of the schedule.
    fn redistribute(&mut self, from: Nanos, lost: usize) -> Result<Vec<(usize, wire::Takeover)>, &'static str> {
        let plan = &self.settings.plan;
        if plan.on_agent_loss == OnAgentLoss::Void || self.asked.is_some() || from >= plan.end() {
            return Ok(Vec::new());
        }
        if plan.on_coordinator_loss == OnCoordinatorLoss::Finish {
            return Err("with `on_coordinator_loss: finish` a silent agent may still be sending");
        }
        let there = |slot: &super::AgentSlot| {
            slot.index != lost as u64 && slot.peer.is_some() && slot.is_owing() && slot.finished.is_none()
        };
        let survivors: Vec<usize> = self.taken().filter(|slot| there(slot)).map(|slot| slot.index as usize).collect();
        let parts = survivors.len() as u64;
        if survivors.is_empty() {
            return Err("no other agent is there");
        }
        let owned = self.slots[lost].as_ref().map(|slot| slot.pieces.clone()).unwrap_or_default();
        let left: Vec<Piece> = owned.iter().copied().filter(|piece| piece.until > from).collect();
        let crowded = |agent: &usize| {
            let pieces = self.slots[*agent].as_ref().map_or(0, |slot| slot.pieces.len());
            pieces + left.len() > PIECES_MAX
        };
        // The last part has the largest numbers.
        let fits = left.iter().all(|piece| part_of(piece.stripe, parts - 1, parts).is_some());
        if !fits || survivors.iter().any(crowded) {
            return Err("too many agents were lost before");
        }
        let mut orders = Vec::with_capacity(left.len() * survivors.len());
        for piece in left {
            for (part, &agent) in (0..).zip(&survivors) {
                self.orders += 1;
                let takeover = wire::Takeover {
                    number: self.orders,
                    from_run_ns: from.max(piece.from).0,
                    index: piece.stripe.index,
                    of: piece.stripe.of,
                    part,
                    parts,
                };
                orders.push((agent, takeover));
            }
        }
        Ok(orders)
    }

    /// Books that from an instant on the pieces of one agent are others'.
    pub(super) fn hand_over(&mut self, from: Nanos, lost: usize, orders: &[(usize, wire::Takeover)]) {
        if let Some(slot) = self.slots[lost].as_mut() {
            slot.passed_on = true;
            for piece in &mut slot.pieces {
                // What was to begin later never begins.
                piece.until = piece.until.min(from.max(piece.from));
            }
        }
        for (agent, takeover) in orders {
            let stripe = super::shortfall::taken(takeover);
            if let (Some(slot), Some(stripe)) = (self.slots.get_mut(*agent).and_then(Option::as_mut), stripe) {
                slot.orders.push(*takeover);
                slot.pieces.push(Piece { stripe, from: Nanos(takeover.from_run_ns), until: Nanos::MAX });
            }
        }
    }
}
