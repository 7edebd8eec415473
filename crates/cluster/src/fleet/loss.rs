//! Agents that are lost, and who takes over what they owed.

use std::collections::BTreeSet;

use super::owed::{Piece, part_of};
use super::seat::Loss;
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
        for index in 0..self.seats.len() {
            let Some(seat) = self.seats[index].as_ref().filter(|seat| !seat.ended) else { continue };
            if now - seat.heard <= seat.patience {
                continue;
            }
            let why = format!("nothing was heard of it for {}", seat.patience);
            match (self.stage, &seat.lost, seat.peer) {
                (Stage::Gathering, ..) => self.vacate(now, index, why, out),
                (_, None, _) => self.lose(now, index, why, false, out),
                // It had come back, and is silent again.
                (_, Some(_), Some(peer)) => self.refuse(peer, Refusal::Silent, out),
                (_, Some(_), None) => {}
            }
        }
    }

    /// Gives an agent up. What arrived of it counts, and what still comes is taken.
    pub(super) fn lose(&mut self, now: Nanos, index: usize, why: String, barred: bool, out: &mut Vec<Output>) {
        let at = self.run_time(now);
        let Some(seat) = self.seats[index].as_mut() else { return };
        if let Some(loss) = &mut seat.lost {
            loss.barred |= barred;
            if barred {
                loss.why = why;
            }
            return;
        }
        if seat.ended {
            return;
        }
        seat.lost = Some(Loss { at, why: why.clone(), barred });
        out.push(Output::News(FleetNews::Lost { name: seat.name().to_owned(), at, why: why.clone() }));
        out.push(note(NoteBody::Lost(Lost { agent: index as u64, at_run_ns: at.0, why: why.clone(), barred })));
        if let Some(peer) = self.seats[index].as_ref().and_then(|seat| seat.peer) {
            let stop = wire::Stop { urgent: false, why: format!("the coordinator gave it up: {why}") };
            out.push(Output::Send { peer, message: ToAgent::Stop(stop) });
        }
        self.pass_on(at, index, out);
    }

    /// Has others take over what an agent owns that sends no more: it was lost, or ended before its time.
    pub(super) fn pass_on(&mut self, at: Nanos, index: usize, out: &mut Vec<Output>) {
        let from = at + TAKEOVER_LEAD;
        let name = self.seats[index].as_ref().map(|seat| seat.name().to_owned()).unwrap_or_default();
        let orders = match self.redistribute(from, index) {
            Ok(orders) if orders.is_empty() => return,
            Ok(orders) => orders,
            Err(why) => {
                out.push(Output::News(FleetNews::NotTakenOver { name, why }));
                return;
            }
        };
        self.hand_over(from, index, &orders);
        let order =
            |(agent, takeover): &(usize, wire::Takeover)| OrderNote { agent: *agent as u64, takeover: Some(*takeover) };
        let written = orders.iter().map(order).collect();
        out.push(note(NoteBody::TakenOver(TakenOver { agent: index as u64, from_run_ns: from.0, orders: written })));
        for (agent, takeover) in &orders {
            if let Some(peer) = self.seats[*agent].as_ref().and_then(|seat| seat.peer) {
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
        let there = |seat: &super::Seat| {
            seat.index != lost as u64 && seat.peer.is_some() && seat.is_owing() && seat.finished.is_none()
        };
        let survivors: Vec<usize> = self.taken().filter(|seat| there(seat)).map(|seat| seat.index as usize).collect();
        let parts = survivors.len() as u64;
        if survivors.is_empty() {
            return Err("no other agent is there");
        }
        let owned = self.seats[lost].as_ref().map(|seat| seat.pieces.clone()).unwrap_or_default();
        let left: Vec<Piece> = owned.iter().copied().filter(|piece| piece.until > from).collect();
        let crowded = |agent: &usize| {
            let pieces = self.seats[*agent].as_ref().map_or(0, |seat| seat.pieces.len());
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
        if let Some(seat) = self.seats[lost].as_mut() {
            seat.passed_on = true;
            for piece in &mut seat.pieces {
                // What was to begin later never begins.
                piece.until = piece.until.min(from.max(piece.from));
            }
        }
        for (agent, takeover) in orders {
            let stripe = super::owed::taken(takeover);
            if let (Some(seat), Some(stripe)) = (self.seats.get_mut(*agent).and_then(Option::as_mut), stripe) {
                seat.orders.push(*takeover);
                seat.pieces.push(Piece { stripe, from: Nanos(takeover.from_run_ns), until: Nanos::MAX });
            }
        }
    }
}
