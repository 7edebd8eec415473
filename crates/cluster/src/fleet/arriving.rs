//! Intervals: each is counted exactly once, whatever order, repetition or loss there is on the way.

use super::{Fleet, FleetNews, Output, Refusal, Stage, ToAgent};
use crate::{codec, wire};
use slatest_core::model::Nanos;

/// How far ahead of the coordinator's run time an agent's window may begin: clocks are known to far less.
const AHEAD_MAX: Nanos = Nanos::from_secs(5);
/// Most arrivals of an agent: sums of thousands of agents hold them.
const ARRIVALS_MAX: u64 = 1 << 48;
/// Longest words on why an agent ended before its time, in bytes.
const EARLY_BYTES_MAX: usize = 4_096;

impl Fleet {
    pub(super) fn interval(&mut self, now: Nanos, index: usize, interval: wire::Interval, out: &mut Vec<Output>) {
        let Stage::Running { .. } = self.stage else {
            self.malformed(now, index, "an interval before the start".into(), out);
            return;
        };
        let latest = self.run_time(now) + AHEAD_MAX;
        let Some(slot) = self.slots[index].as_mut() else { return };
        if interval.number <= slot.received {
            return;
        }
        let wanted = slot.received + 1;
        if interval.number > wanted {
            self.gap(index, interval.number, out);
            return;
        }
        if slot.finished.is_some() {
            self.malformed(now, index, "an interval after its end".into(), out);
            return;
        }
        let window = interval.window.as_ref().ok_or_else(|| "an interval without a window".to_owned());
        let checked = window.and_then(|window| {
            self.codec.check(window).map_err(|e| format!("interval {}: {e}", interval.number))?;
            let start = Nanos(window.index.saturating_mul(window.length_ns));
            if start > latest { Err(format!("interval {} lies in the future", interval.number)) } else { Ok(()) }
        });
        if let Err(reason) = checked {
            self.malformed(now, index, reason, out);
            return;
        }
        self.progress = now;
        slot.received = wanted;
        slot.unstored.push_back(interval.clone());
        out.push(Output::Persist { agent: index as u64, interval });
    }

    pub(super) fn finished(&mut self, now: Nanos, index: usize, finished: wire::Finished, out: &mut Vec<Output>) {
        let Stage::Running { .. } = self.stage else {
            self.malformed(now, index, "an end before the start".into(), out);
            return;
        };
        let latest = self.run_time(now) + AHEAD_MAX;
        let Some(slot) = self.slots[index].as_mut() else { return };
        if slot.finished.is_some() {
            return;
        }
        if finished.last_interval > slot.received {
            self.gap(index, finished.last_interval.saturating_add(1), out);
            return;
        }
        let checked = if finished.last_interval < slot.received {
            Err(format!("it ended with interval {}, and sent {}", finished.last_interval, slot.received))
        } else if Nanos(finished.length_run_ns) > latest {
            Err("its end lies in the future".into())
        } else {
            check_end(&finished)
        };
        if let Err(reason) = checked {
            self.malformed(now, index, reason, out);
            return;
        }
        self.progress = now;
        slot.finished = Some(finished.clone());
        let passes_on = !finished.early.is_empty() && slot.lost.is_none();
        out.push(Output::PersistEnd { agent: index as u64, finished });
        if passes_on {
            self.pass_on(self.run_time(now), index, out);
        }
    }

    /// What is on disk is acknowledged and merged.
    pub(super) fn stored(&mut self, now: Nanos, agent: u64, through: u64, out: &mut Vec<Output>) {
        let Some(slot) = usize::try_from(agent).ok().and_then(|i| self.slots.get_mut(i)?.as_mut()) else { return };
        let before = slot.stored;
        while let Some(interval) = slot.unstored.pop_front_if(|interval| interval.number <= through) {
            slot.stored = interval.number;
            let Some(window) = &interval.window else { continue };
            match self.merger.add(&self.codec, window) {
                Ok(late) => {
                    slot.arrived.count(&interval, window);
                    out.extend(late.map(|window| Output::Window { window }));
                }
                // It was checked when it came, so this does not happen; and nothing of it was added.
                Err(error) => {
                    let text = format!("interval {} could not be merged: {error}", interval.number);
                    out.push(Output::News(FleetNews::Notice { name: slot.name().to_owned(), text }));
                }
            }
        }
        if let Some(peer) = slot.peer.filter(|_| slot.stored > before) {
            let ack = wire::Ack { through: slot.stored };
            out.push(Output::Send { peer, message: ToAgent::Ack(ack) });
        }
        let Some(finished) = slot.finished.as_ref().filter(|_| !slot.ended && through > slot.received) else { return };
        slot.ended = true;
        self.progress = now;
        let news = FleetNews::Finished { name: slot.name().to_owned(), early: finished.early.clone() };
        out.push(Output::News(news));
        if let Some(peer) = slot.peer {
            out.push(Output::Send { peer, message: ToAgent::Farewell(wire::Farewell {}) });
        }
    }

    /// Hands on the windows that everybody has delivered.
    pub(super) fn hand_on(&mut self, out: &mut Vec<Output>) {
        let owing = self.taken().filter(|slot| slot.is_owing());
        let complete = owing.map(|slot| slot.arrived.next_window).min().unwrap_or(u64::MAX);
        while let Some(window) = self.merger.pop(complete) {
            out.push(Output::Window { window });
        }
    }

    fn gap(&mut self, index: usize, got: u64, out: &mut Vec<Output>) {
        let Some(slot) = self.slots[index].as_ref() else { return };
        let wanted = slot.received + 1;
        let news = FleetNews::Gap { name: slot.name().to_owned(), from: wanted, to: got - 1 };
        out.push(Output::News(news));
        if let Some(peer) = slot.peer {
            self.refuse(peer, Refusal::OutOfStep { wanted, got }, out);
        }
    }

    /// An agent that sends what can't be understood is sent away for good: there is no telling what else
    /// it gets wrong. What it sent before counts; the run goes on.
    fn malformed(&mut self, now: Nanos, index: usize, reason: String, out: &mut Vec<Output>) {
        if let Some(peer) = self.slots[index].as_ref().and_then(|slot| slot.peer) {
            self.refuse(peer, Refusal::Malformed(reason.clone()), out);
        }
        if self.stage == Stage::Gathering {
            self.vacate(now, index, reason, out);
        } else {
            self.lose(now, index, reason, true, out);
        }
    }
}

fn check_end(finished: &wire::Finished) -> Result<(), String> {
    if let Some(resources) = &finished.resources {
        codec::resources(resources).map_err(|e| format!("its resources: {e}"))?;
    }
    codec::findings(&finished.findings).map_err(|e| format!("its findings: {e}"))?;
    codec::arrival_law(&finished.arrival_law).map_err(|e| format!("its gaps between arrivals: {e}"))?;
    if finished.scheduled > ARRIVALS_MAX || finished.fired > finished.scheduled {
        return Err("its arrivals can't have been counted".into());
    }
    if finished.early.len() > EARLY_BYTES_MAX {
        return Err("its last words are too long".into());
    }
    Ok(())
}
