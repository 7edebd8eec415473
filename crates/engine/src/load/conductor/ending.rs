//! The end of a run: what is healed, checked and waited for, and who is not waited for.

use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Conductor, INTERRUPTED_STOP, SILENT_TOLD, TICK};
use crate::load::drills::DrillFacts;
use crate::load::event::{Event, Phase};
use crate::load::facts::ScenarioFinding;
use crate::load::stage::{Message, Stage, Stop};
use slatest_core::model::{Clock as _, Nanos};

/// Longest wait for threads that are to end: sessions have 3 s to say goodbye.
const JOIN_MAX: Duration = Duration::from_secs(5);
/// The same where one of them stands still: there is nothing more to be waited for.
const JOIN_LOST: Duration = Duration::from_millis(500);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until the threads have ended; not for one that stands still, nor against the user's wish. What is left ends
/// with the process.
pub(super) fn join(threads: Vec<JoinHandle<()>>, stop: &Stop, any_lost: bool) {
    let (since, times) = (Instant::now(), stop.times());
    let limit = if any_lost { JOIN_LOST } else { JOIN_MAX };
    let mut patient = true;
    for thread in threads {
        while patient && !thread.is_finished() {
            std::thread::park_timeout(LOOK);
            patient = since.elapsed() < limit && stop.times() == times;
        }
        if thread.is_finished() {
            // A worker that panicked has already been told of by the panic hook; its windows count.
            let _ = thread.join();
        }
    }
}

impl Conductor<'_> {
    /// Says once that a worker stands still: the progress stands still with it.
    pub(super) fn tell_of_silence(&mut self) {
        if self.told_of_silence {
            return;
        }
        if let Some(worker) = self.watchdog.silent(SILENT_TOLD).first() {
            self.told_of_silence = true;
            self.tell(Event::Notice(format!(
                "worker thread {worker} has made no turn for {} s: an operation holds it, which is the generator's own \
                 fault and none of the target's",
                SILENT_TOLD.as_secs()
            )));
        }
    }

    /// Whether nobody is left to be waited for: all others have drained, and the rest stand still.
    pub(super) fn gives_up(&mut self, drained: usize) -> bool {
        let silent = self.watchdog.silent(SILENT_TOLD);
        let gives_up = !silent.is_empty() && drained + silent.len() >= self.workers;
        if gives_up {
            self.lost = silent;
        }
        gives_up
    }

    /// What was broken is healed before anything else is asked of the target.
    pub(super) fn finish_drills(&mut self, now: Nanos) -> Vec<DrillFacts> {
        let Some(controller) = self.drills.take() else { return Vec::new() };
        let (stop, times) = (self.stop.clone(), self.stop.times());
        controller.finish(now, &|| stop.times() > times, &mut |words| (self.on_event)(Event::Notice(words)))
    }

    /// What can only be checked at the end. A wish to stop that comes meanwhile ends it, and a run that was
    /// interrupted before is checked for some seconds only.
    pub(super) fn settle(&mut self) -> Vec<ScenarioFinding> {
        let times = self.stop.times();
        // What a workload knows of all its sessions, any worker can check; the first one that goes on does.
        let Some(worker) = (0..self.workers).find(|worker| !self.lost.contains(worker)) else { return Vec::new() };
        if self.stop.is_urgent() {
            return Vec::new();
        }
        let (now, since) = (self.clock.now(), Instant::now());
        self.tell(Event::Phase(Phase::Settling, now));
        let mut all = Vec::new();
        self.lead(Stage::Settling(worker));
        loop {
            match self.messages.recv_timeout(TICK) {
                Ok(Message::Findings(found)) => {
                    all.extend(found);
                    return all;
                }
                Ok(Message::Done) | Err(RecvTimeoutError::Disconnected) => return all,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            let patience_is_over = times > 0 && since.elapsed() > INTERRUPTED_STOP.as_duration();
            if self.stop.times() > times || patience_is_over {
                self.tell(Event::Notice("interrupted: what can only be checked at the end was not".into()));
                return all;
            }
            if self.watchdog.silent(SILENT_TOLD + SILENT_TOLD).contains(&worker) {
                self.tell_of_silence();
                self.lost.push(worker);
                return all;
            }
        }
    }
}
