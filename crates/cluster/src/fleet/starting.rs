//! From the first agent to the agreed start.

use super::offset::SAMPLES_WANTED;
use super::{Fleet, FleetEnd, FleetNews, Output, Stage, ToAgent, note};
use crate::journal::{NoteBody, Started};
use crate::wire;
use slatest_core::model::Nanos;

/// Shortest time between the word to start and the start: every agent must have heard it, and it is
/// written to disk before it is told.
const LEAD_MIN: Nanos = Nanos::from_millis(500);
/// Longest.
const LEAD_MAX: Nanos = Nanos::from_secs(5);
/// The lead is so many times the worst round trip.
const LEAD_ROUND_TRIPS: u64 = 20;
/// However often agents leave and others come, a start is waited for so many times the wait.
const WAITS_MAX: u64 = 4;
/// So much is told of why an agent is not ready.
const WHY_CHARS_MAX: usize = 4_096;

impl Fleet {
    pub(super) fn ready(&mut self, index: usize, out: &mut Vec<Output>) {
        let agents = self.slots.len() as u64;
        let Some(slot) = self.slots[index].as_mut() else { return };
        if self.stage != Stage::Gathering || std::mem::replace(&mut slot.ready, true) {
            return;
        }
        let name = slot.name().to_owned();
        let ready = self.taken().filter(|slot| slot.ready).count() as u64;
        out.push(Output::News(FleetNews::Ready { name, ready, agents }));
    }

    /// One that can't get ready ends the run: without its share the run is another one. Under way, it is
    /// one that is lost.
    pub(super) fn not_ready(&mut self, now: Nanos, index: usize, reason: &str, out: &mut Vec<Output>) {
        let reason: String = reason.chars().filter(|c| !c.is_control() || *c == '\n').take(WHY_CHARS_MAX).collect();
        if self.stage != Stage::Gathering {
            self.lose(now, index, format!("it could not start: {reason}"), false, out);
            return;
        }
        let name = self.slots[index].as_ref().map_or("", |slot| slot.name());
        self.call_off(format!("agent {name} is not ready: {reason}"), false, out);
    }

    /// Starts once all are there, ready, and their clocks are known; gives up when it takes too long.
    pub(super) fn try_start(&mut self, now: Nanos, out: &mut Vec<Output>) {
        let agents = self.slots.len();
        let prepared =
            |slot: &super::AgentSlot| slot.ready && slot.peer.is_some() && slot.clock.samples() >= SAMPLES_WANTED;
        if self.taken().filter(|slot| prepared(slot)).count() == agents {
            self.start(now, out);
            return;
        }
        let wait = self.settings.wait;
        let since = self.full.unwrap_or(self.gathering);
        let too_long = now - since > wait || now - self.opened > Nanos(wait.0.saturating_mul(WAITS_MAX));
        if !too_long {
            return;
        }
        let within = humantime::format_duration(std::time::Duration::from_secs(wait.as_duration().as_secs().max(1)));
        let joined = self.taken().count();
        let reason = if joined < agents {
            format!("{joined} of {agents} agents joined within {within}")
        } else {
            let late: Vec<&str> = self.taken().filter(|s| !prepared(s)).map(|s| s.name()).take(5).collect();
            let ready = self.taken().filter(|slot| prepared(slot)).count();
            format!("{ready} of {agents} agents were ready within {within} (not ready: {})", late.join(", "))
        };
        self.call_off(reason, false, out);
    }

    fn start(&mut self, now: Nanos, out: &mut Vec<Output>) {
        let agents = self.slots.len() as u64;
        let worst = self.taken().filter_map(|slot| slot.clock.round_trip()).max().unwrap_or(Nanos::ZERO);
        let lead = Nanos(worst.0.saturating_mul(LEAD_ROUND_TRIPS)).clamp(LEAD_MIN, LEAD_MAX);
        let zero = now + lead;
        self.stage = Stage::Running { zero: i64::try_from(zero.0).unwrap_or(i64::MAX) };
        self.led_from = zero;
        self.progress = zero;
        let mut bound = Nanos::ZERO;
        for slot in self.slots.iter_mut().flatten() {
            let offset = slot.clock.offset(now).unwrap_or_default();
            bound = bound.max(offset.bound);
            slot.start_clock = zero.0.saturating_add_signed(offset.offset);
            slot.takes_share(agents);
        }
        let wall_ns = self.settings.wall_at_zero.saturating_add_unsigned(zero.0);
        let slots = self.taken().map(|slot| slot.note(now)).collect();
        out.push(note(NoteBody::Started(Started { wall_ns, slots })));
        for slot in self.taken() {
            if let Some(peer) = slot.peer {
                let start = wire::Start { agent_clock_ns: slot.start_clock };
                out.push(Output::Send { peer, message: ToAgent::Start(start) });
            }
        }
        out.push(Output::News(FleetNews::Starting { agents, bound, lead, zero }));
    }

    /// Ends a run that has not started.
    pub(super) fn call_off(&mut self, reason: String, stopped: bool, out: &mut Vec<Output>) {
        for slot in self.taken() {
            if let Some(peer) = slot.peer {
                let stop = wire::Stop { urgent: true, reason: format!("the run was called off: {reason}") };
                out.push(Output::Send { peer, message: ToAgent::Stop(stop) });
            }
        }
        self.stage = Stage::Over;
        out.push(Output::Ended(FleetEnd { not_started: Some(reason), stopped, agents: Vec::new() }));
    }
}
