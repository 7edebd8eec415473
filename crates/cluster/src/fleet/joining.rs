//! Who is let in, who comes again, who leaves.

use super::{AgentSlot, Fleet, FleetNews, Output, Peer, Refusal, Stage, ToAgent};
use crate::identity::is_agent_name;
use crate::{PROTOCOL, wire};
use slatest_core::model::Nanos;

/// So much of a name is told that can't be one.
const NAME_SHOWN_MAX: usize = 128;
/// Bytes that an incarnation has.
const INCARNATION_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

/// What a Hello leads to.
enum Entry {
    /// A new agent on a free place, or on that of an earlier process of the same name.
    Sit(usize),
    /// An agent that is known comes again.
    Return(usize),
}

impl Fleet {
    pub(super) fn hello(&mut self, now: Nanos, peer: Peer, hello: wire::Hello, certified: &str, out: &mut Vec<Output>) {
        if self.peers.contains_key(&peer) {
            self.refuse(peer, Refusal::Unannounced, out);
            return;
        }
        match self.admit(now, &hello, certified) {
            Ok(Entry::Sit(index)) => self.sit(now, index, peer, hello, out),
            Ok(Entry::Return(index)) => self.come_back(now, index, peer, &hello, out),
            Err(reason) => {
                let name = hello.agent.chars().filter(|c| !c.is_control()).take(NAME_SHOWN_MAX).collect();
                out.push(Output::News(FleetNews::Refused { name, reason: reason.clone() }));
                out.push(Output::Refuse { peer, refusal: reason });
            }
        }
    }

    fn admit(&self, now: Nanos, hello: &wire::Hello, certified: &str) -> Result<Entry, Refusal> {
        if hello.protocol != PROTOCOL {
            let slatest: String = hello.slatest.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(Refusal::Protocol { theirs: hello.protocol, slatest });
        }
        if !is_agent_name(&hello.agent) {
            return Err(Refusal::Name);
        }
        if hello.agent != certified {
            return Err(Refusal::Certificate { said: hello.agent.clone(), certified: certified.to_owned() });
        }
        if !INCARNATION_BYTES.contains(&hello.incarnation.len()) {
            return Err(Refusal::Malformed("its incarnation has not 8 to 64 bytes".into()));
        }
        let returns = !hello.run.is_empty();
        if returns && hello.run != self.settings.run {
            return Err(Refusal::OtherRun { theirs: hello.run.clone(), ours: self.settings.run.clone() });
        }
        let unknown = || Refusal::Unknown { name: hello.agent.clone(), run: self.settings.run.clone() };
        if let Some(slot) = self.taken().find(|slot| slot.name() == hello.agent) {
            let index = slot.index as usize;
            if slot.hello.incarnation == hello.incarnation {
                return self.admit_again(slot, hello).map(|()| Entry::Return(index));
            }
            if returns {
                return Err(unknown());
            }
            let vacant = self.stage == Stage::Gathering && slot.peer.is_none();
            return if vacant {
                Ok(Entry::Sit(index))
            } else {
                Err(Refusal::Twice { name: hello.agent.clone(), host: slot.host().to_owned() })
            };
        }
        match self.stage {
            Stage::Over => Err(Refusal::Over),
            Stage::Running { .. } if returns => Err(unknown()),
            Stage::Gathering if returns => {
                // Its place was given away when nothing was heard of it; it has to be that very place, for it
                // got ready with that number.
                let place =
                    usize::try_from(hello.index).ok().filter(|&i| self.slots.get(i).is_some_and(Option::is_none));
                place.map(Entry::Sit).ok_or_else(unknown)
            }
            Stage::Running { .. } => Err(Refusal::UnderWay { since: self.run_time(now) }),
            Stage::Gathering => {
                // Last of all one that somebody got ready for who may only be out of reach for a moment.
                let vacant = || (0..self.slots.len()).filter(|&i| self.slots.get(i).is_some_and(Option::is_none));
                let free = vacant().find(|i| !self.given_away.contains(i)).or_else(|| vacant().next());
                free.map(Entry::Sit).ok_or(Refusal::Full { agents: self.slots.len() as u64 })
            }
        }
    }

    fn admit_again(&self, slot: &AgentSlot, hello: &wire::Hello) -> Result<(), Refusal> {
        if let Some(loss) = slot.lost.as_ref().filter(|loss| loss.barred) {
            return Err(Refusal::Malformed(loss.reason.clone()));
        }
        if self.stage == Stage::Over && !slot.ended {
            return Err(Refusal::Over);
        }
        if !hello.run.is_empty() && hello.index != slot.index {
            return Err(Refusal::Malformed(format!("it says it is agent {}, and is {}", hello.index, slot.index)));
        }
        // An agent makes more intervals, never fewer: this was said before the connection that it has now. One
        // that has none and knows of fewer is another process, which hands over what an earlier one left.
        if !hello.run.is_empty() && hello.last_interval < slot.received && slot.peer.is_some() {
            return Err(Refusal::Superseded);
        }
        Ok(())
    }

    fn sit(&mut self, now: Nanos, index: usize, peer: Peer, hello: wire::Hello, out: &mut Vec<Output>) {
        let slot = AgentSlot::new(index as u64, hello, Some(peer), now, self.settings.loss_after);
        let (name, host) = (slot.name().to_owned(), slot.host().to_owned());
        let is_new = slot.hello.run.is_empty();
        self.slots[index] = Some(slot);
        self.given_away.remove(&index);
        self.peers.insert(peer, index);
        let joined = self.taken().count() as u64;
        let agents = self.slots.len() as u64;
        if joined == agents {
            self.full.get_or_insert(now);
        }
        out.push(Output::News(FleetNews::Joined { name, host, joined, agents }));
        out.push(self.welcome(index, peer, is_new, 0));
    }

    fn come_back(&mut self, now: Nanos, index: usize, peer: Peer, hello: &wire::Hello, out: &mut Vec<Output>) {
        let (started, stopping) = (self.stage != Stage::Gathering, self.asked.clone());
        let patience = self.settings.loss_after;
        let Some(slot) = self.slots[index].as_mut() else { return };
        if let Some(old) = slot.peer.replace(peer) {
            self.peers.remove(&old);
            out.push(Output::Refuse { peer: old, refusal: Refusal::Superseded });
        }
        self.peers.insert(peer, index);
        slot.heard = now;
        slot.patience = patience;
        slot.clock.reconnected();
        slot.hello.last_interval = hello.last_interval;
        if started && !slot.ended {
            let missing = hello.last_interval.saturating_sub(slot.received);
            out.push(Output::News(FleetNews::Back { name: slot.name().to_owned(), missing }));
        }
        let (stored, ended, lost) = (slot.stored, slot.ended, slot.lost.clone());
        let (start_clock, orders) = (slot.start_clock, slot.orders.clone());
        out.push(self.welcome(index, peer, hello.run.is_empty(), stored));
        let mut send = |message| out.push(Output::Send { peer, message });
        if ended {
            send(ToAgent::Farewell(wire::Farewell {}));
        } else if let Some(lost) = lost {
            send(ToAgent::Stop(wire::Stop {
                urgent: false,
                reason: format!("the coordinator gave it up: {}", lost.reason),
            }));
        } else if started {
            send(ToAgent::Start(wire::Start { agent_clock_ns: start_clock }));
            for takeover in orders {
                send(ToAgent::Takeover(takeover));
            }
            if let Some(asked) = stopping {
                send(ToAgent::Stop(wire::Stop { urgent: asked.urgent.is_some(), reason: asked.reason }));
            }
        }
    }

    fn welcome(&self, index: usize, peer: Peer, with_assignment: bool, acknowledged: u64) -> Output {
        let welcome = wire::Welcome {
            run: self.settings.run.clone(),
            index: index as u64,
            of: self.slots.len() as u64,
            acknowledged,
            assignment: with_assignment.then(|| self.settings.assignment.clone()),
        };
        Output::Send { peer, message: ToAgent::Welcome(welcome) }
    }

    /// Sends a connection away; who sat there is without one.
    pub(super) fn refuse(&mut self, peer: Peer, refusal: Refusal, out: &mut Vec<Output>) {
        if let Some(slot) = self.peers.remove(&peer).and_then(|index| self.slots[index].as_mut()) {
            slot.peer = None;
            out.push(Output::News(FleetNews::Refused { name: slot.name().to_owned(), reason: refusal.clone() }));
        }
        out.push(Output::Refuse { peer, refusal });
    }

    /// A connection ended ([`super::Input::Gone`]). Its agent may come again; silence decides whether it is lost.
    pub(super) fn gone(&mut self, peer: Peer, reason: String, out: &mut Vec<Output>) {
        let Some(index) = self.peers.remove(&peer) else { return };
        let Some(slot) = self.slots[index].as_mut() else { return };
        slot.peer = None;
        if !slot.ended {
            out.push(Output::News(FleetNews::Disconnected { name: slot.name().to_owned(), reason }));
        }
    }

    /// Before the start: the place is free again, and the wait for somebody to take it begins anew.
    pub(super) fn vacate(&mut self, now: Nanos, index: usize, reason: String, out: &mut Vec<Output>) {
        let Some(slot) = self.slots[index].take() else { return };
        self.given_away.insert(index);
        if let Some(peer) = slot.peer {
            self.peers.remove(&peer);
            out.push(Output::Refuse { peer, refusal: Refusal::Silent });
        }
        self.gathering = now;
        self.full = None;
        out.push(Output::News(FleetNews::Left { name: slot.name().to_owned(), reason }));
    }
}
