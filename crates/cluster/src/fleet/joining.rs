//! Who is let in, who comes again, who leaves.

use super::{Fleet, FleetNews, Output, Peer, Refusal, Seat, Stage, ToAgent};
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
            Err(why) => {
                let name = hello.agent.chars().filter(|c| !c.is_control()).take(NAME_SHOWN_MAX).collect();
                out.push(Output::News(FleetNews::Refused { name, why: why.clone() }));
                out.push(Output::Refuse { peer, refusal: why });
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
        if let Some(seat) = self.taken().find(|seat| seat.name() == hello.agent) {
            let index = seat.index as usize;
            if seat.hello.incarnation == hello.incarnation {
                return self.admit_again(seat, hello).map(|()| Entry::Return(index));
            }
            if returns {
                return Err(unknown());
            }
            let vacant = self.stage == Stage::Gathering && seat.peer.is_none();
            return if vacant {
                Ok(Entry::Sit(index))
            } else {
                Err(Refusal::Twice { name: hello.agent.clone(), host: seat.host().to_owned() })
            };
        }
        match self.stage {
            Stage::Over => Err(Refusal::Over),
            Stage::Running { .. } if returns => Err(unknown()),
            Stage::Gathering if returns => {
                // Its place was given away when nothing was heard of it; it has to be that very place, for it
                // got ready with that number.
                let place =
                    usize::try_from(hello.index).ok().filter(|&i| self.seats.get(i).is_some_and(Option::is_none));
                place.map(Entry::Sit).ok_or_else(unknown)
            }
            Stage::Running { .. } => Err(Refusal::UnderWay { since: self.run_time(now) }),
            Stage::Gathering => {
                // Last of all one that somebody got ready for who may only be out of reach for a moment.
                let vacant = || (0..self.seats.len()).filter(|&i| self.seats.get(i).is_some_and(Option::is_none));
                let free = vacant().find(|i| !self.given_away.contains(i)).or_else(|| vacant().next());
                free.map(Entry::Sit).ok_or(Refusal::Full { agents: self.seats.len() as u64 })
            }
        }
    }

    fn admit_again(&self, seat: &Seat, hello: &wire::Hello) -> Result<(), Refusal> {
        if let Some(loss) = seat.lost.as_ref().filter(|loss| loss.barred) {
            return Err(Refusal::Malformed(loss.why.clone()));
        }
        if self.stage == Stage::Over && !seat.ended {
            return Err(Refusal::Over);
        }
        if !hello.run.is_empty() && hello.index != seat.index {
            return Err(Refusal::Malformed(format!("it says it is agent {}, and is {}", hello.index, seat.index)));
        }
        // An agent makes more intervals, never fewer: this was said before the connection that it has now. One
        // that has none and knows of fewer is another process, which hands over what an earlier one left.
        if !hello.run.is_empty() && hello.last_interval < seat.received && seat.peer.is_some() {
            return Err(Refusal::Superseded);
        }
        Ok(())
    }

    fn sit(&mut self, now: Nanos, index: usize, peer: Peer, hello: wire::Hello, out: &mut Vec<Output>) {
        let seat = Seat::new(index as u64, hello, Some(peer), now, self.settings.loss_after);
        let (name, host) = (seat.name().to_owned(), seat.host().to_owned());
        let is_new = seat.hello.run.is_empty();
        self.seats[index] = Some(seat);
        self.given_away.remove(&index);
        self.peers.insert(peer, index);
        let joined = self.taken().count() as u64;
        let agents = self.seats.len() as u64;
        if joined == agents {
            self.full.get_or_insert(now);
        }
        out.push(Output::News(FleetNews::Joined { name, host, joined, agents }));
        out.push(self.welcome(index, peer, is_new, 0));
    }

    fn come_back(&mut self, now: Nanos, index: usize, peer: Peer, hello: &wire::Hello, out: &mut Vec<Output>) {
        let (started, stopping) = (self.stage != Stage::Gathering, self.asked.clone());
        let patience = self.settings.loss_after;
        let Some(seat) = self.seats[index].as_mut() else { return };
        if let Some(old) = seat.peer.replace(peer) {
            self.peers.remove(&old);
            out.push(Output::Refuse { peer: old, refusal: Refusal::Superseded });
        }
        self.peers.insert(peer, index);
        seat.heard = now;
        seat.patience = patience;
        seat.clock.reconnected();
        seat.hello.last_interval = hello.last_interval;
        if started && !seat.ended {
            let missing = hello.last_interval.saturating_sub(seat.received);
            out.push(Output::News(FleetNews::Back { name: seat.name().to_owned(), missing }));
        }
        let (stored, ended, lost) = (seat.stored, seat.ended, seat.lost.clone());
        let (start_clock, orders) = (seat.start_clock, seat.orders.clone());
        out.push(self.welcome(index, peer, hello.run.is_empty(), stored));
        let mut send = |message| out.push(Output::Send { peer, message });
        if ended {
            send(ToAgent::Farewell(wire::Farewell {}));
        } else if let Some(lost) = lost {
            send(ToAgent::Stop(wire::Stop { urgent: false, why: format!("the coordinator gave it up: {}", lost.why) }));
        } else if started {
            send(ToAgent::Start(wire::Start { agent_clock_ns: start_clock }));
            for takeover in orders {
                send(ToAgent::Takeover(takeover));
            }
            if let Some(asked) = stopping {
                send(ToAgent::Stop(wire::Stop { urgent: asked.urgent.is_some(), why: asked.why }));
            }
        }
    }

    fn welcome(&self, index: usize, peer: Peer, with_assignment: bool, acknowledged: u64) -> Output {
        let welcome = wire::Welcome {
            run: self.settings.run.clone(),
            index: index as u64,
            of: self.seats.len() as u64,
            acknowledged,
            assignment: with_assignment.then(|| self.settings.assignment.clone()),
        };
        Output::Send { peer, message: ToAgent::Welcome(welcome) }
    }

    /// Sends a connection away; who sat there is without one.
    pub(super) fn refuse(&mut self, peer: Peer, refusal: Refusal, out: &mut Vec<Output>) {
        if let Some(seat) = self.peers.remove(&peer).and_then(|index| self.seats[index].as_mut()) {
            seat.peer = None;
            out.push(Output::News(FleetNews::Refused { name: seat.name().to_owned(), why: refusal.clone() }));
        }
        out.push(Output::Refuse { peer, refusal });
    }

    /// A connection ended ([`super::Input::Gone`]). Its agent may come again; silence decides whether it is lost.
    pub(super) fn gone(&mut self, peer: Peer, why: String, out: &mut Vec<Output>) {
        let Some(index) = self.peers.remove(&peer) else { return };
        let Some(seat) = self.seats[index].as_mut() else { return };
        seat.peer = None;
        if !seat.ended {
            out.push(Output::News(FleetNews::Disconnected { name: seat.name().to_owned(), why }));
        }
    }

    /// Before the start: the place is free again, and the wait for somebody to take it begins anew.
    pub(super) fn vacate(&mut self, now: Nanos, index: usize, why: String, out: &mut Vec<Output>) {
        let Some(seat) = self.seats[index].take() else { return };
        self.given_away.insert(index);
        if let Some(peer) = seat.peer {
            self.peers.remove(&peer);
            out.push(Output::Refuse { peer, refusal: Refusal::Silent });
        }
        self.gathering = now;
        self.full = None;
        out.push(Output::News(FleetNews::Left { name: seat.name().to_owned(), why }));
    }
}
