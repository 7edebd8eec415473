//! Records that were sent and are awaited back from the consumer group.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::message::{Header, Headers, OwnedHeaders};
use tokio::sync::oneshot;

use crate::model::Nanos;

/// Header with the name of the run.
const RUN: &str = "slatest-run";
/// Header with the name of the scenario.
const SCENARIO: &str = "slatest-scenario";
/// Header with the number of the arrival.
const SEQ: &str = "slatest-seq";
/// Header with the instant at which it was sent, in nanoseconds of the run.
const SENT: &str = "slatest-sent";
/// Header with the process and workload that sent it: other agents of the run send too.
const SOURCE: &str = "slatest-source";
/// Most records awaited at a time.
const AWAITED_MAX: usize = 1 << 18;
/// Most records of one topic kept for operations that take them; older ones are dropped first.
const KEPT_MAX: usize = 1024;

/// What tells one record of a workload from the others. The number alone doesn't: the steps of a
/// flow may share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RecordId {
    pub(super) seq: u64,
    pub(super) sent: Nanos,
}

/// Who sends: goes into every record's headers.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) run: Arc<str>,
    pub(super) scenario: Arc<str>,
    /// Differs between processes and workloads.
    pub(super) source: String,
}

impl Sender {
    /// The headers that every record carries. Those of a record that is awaited back say whose it is.
    pub(super) fn headers(&self, id: RecordId, awaited: bool, more: usize) -> OwnedHeaders {
        let headers = OwnedHeaders::new_with_capacity(5 + more)
            .insert(Header { key: RUN, value: Some(&*self.run) })
            .insert(Header { key: SCENARIO, value: Some(&*self.scenario) })
            .insert(Header { key: SEQ, value: Some(&id.seq.to_string()) })
            .insert(Header { key: SENT, value: Some(&id.sent.0.to_string()) });
        if awaited { headers.insert(Header { key: SOURCE, value: Some(&self.source) }) } else { headers }
    }

    /// Which of the awaited records of this sender it is, if it is one.
    pub(super) fn recognise(&self, headers: Option<&impl Headers>) -> Option<RecordId> {
        let (mut ours, mut seq, mut sent) = (false, None, None);
        for header in headers?.iter() {
            let number = || std::str::from_utf8(header.value?).ok()?.parse::<u64>().ok();
            match header.key {
                SOURCE => ours = header.value == Some(self.source.as_bytes()),
                SEQ => seq = number(),
                SENT => sent = number(),
                _ => {}
            }
        }
        ours.then_some(RecordId { seq: seq?, sent: Nanos(sent?) })
    }
}

/// Records awaited back, and the count of those that came.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    records: Mutex<HashMap<RecordId, oneshot::Sender<Nanos>>>,
    /// Awaited records that the brokers acknowledged.
    pub(super) acknowledged: AtomicU64,
    /// Awaited records that the consumer group got, also those that nobody waited for any more.
    pub(super) consumed: AtomicU64,
}

impl Awaited {
    /// Begins to wait; `None` when too many are awaited already.
    pub(super) fn begin(self: &Arc<Self>, id: RecordId) -> Option<Waiting> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= AWAITED_MAX {
            return None;
        }
        let (sender, consumed) = oneshot::channel();
        records.insert(id, sender);
        Some(Waiting { awaited: Arc::clone(self), id, consumed })
    }

    /// The consumer group got it.
    pub(super) fn came(&self, id: RecordId, at: Nanos) {
        self.consumed.fetch_add(1, Ordering::Relaxed);
        let waiting = self.records.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(waiting) = waiting {
            // An execution that was given up no longer listens.
            let _ = waiting.send(at);
        }
    }
}

/// Waits for one record; ends the waiting when dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    awaited: Arc<Awaited>,
    id: RecordId,
    /// When it was polled back.
    pub(super) consumed: oneshot::Receiver<Nanos>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.awaited.records.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// Records of one topic for operations that take whatever comes next.
#[derive(Debug, Default)]
pub(super) struct Intake {
    state: Mutex<IntakeState>,
}

#[derive(Debug, Default)]
struct IntakeState {
    kept: VecDeque<Nanos>,
    takers: VecDeque<oneshot::Sender<Nanos>>,
}

/// What a taker gets.
#[derive(Debug)]
pub(super) enum Taken {
    /// A record that had come already.
    Already,
    /// It will come.
    Later(oneshot::Receiver<Nanos>),
}

impl Intake {
    /// Takes the next record.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.kept.pop_front().is_some() {
            return Taken::Already;
        }
        state.takers.retain(|taker| !taker.is_closed());
        let (sender, receiver) = oneshot::channel();
        state.takers.push_back(sender);
        Taken::Later(receiver)
    }

    /// A record came.
    pub(super) fn came(&self, at: Nanos) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(taker) = state.takers.pop_front() {
            if taker.send(at).is_ok() {
                return;
            }
        }
        if state.kept.len() >= KEPT_MAX {
            state.kept.pop_front();
        }
        state.kept.push_back(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(source: &str) -> Sender {
        Sender { run: "run".into(), scenario: "events".into(), source: source.into() }
    }

    const ID: RecordId = RecordId { seq: 7, sent: Nanos(1_234) };

    #[test]
    fn a_sender_recognises_its_own_awaited_records_only() {
        let headers = sender("a").headers(ID, true, 0);
        assert_eq!(sender("a").recognise(Some(&headers)), Some(ID));
        assert_eq!(sender("b").recognise(Some(&headers)), None);
        assert_eq!(sender("a").recognise(Some(&sender("a").headers(ID, false, 0))), None);
        assert_eq!(sender("a").recognise(None::<&OwnedHeaders>), None);
    }

    #[test]
    fn a_record_ends_its_own_waiting_and_no_other() {
        let awaited = Arc::new(Awaited::default());
        let mut first = awaited.begin(ID).unwrap();
        let mut second = awaited.begin(RecordId { sent: Nanos(9_999), ..ID }).unwrap();
        awaited.came(ID, Nanos(5_000));
        assert_eq!(first.consumed.try_recv(), Ok(Nanos(5_000)));
        assert!(second.consumed.try_recv().is_err());
        drop((first, second));
        assert!(awaited.records.lock().unwrap().is_empty(), "nothing is left behind");
        awaited.came(ID, Nanos(6_000));
        assert_eq!(awaited.consumed.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn takers_are_served_in_turn_and_records_are_kept_within_bounds() {
        let intake = Intake::default();
        let Taken::Later(given_up) = intake.take() else { panic!("nothing came yet") };
        let Taken::Later(mut patient) = intake.take() else { panic!("nothing came yet") };
        drop(given_up);
        intake.came(Nanos(1));
        assert_eq!(patient.try_recv(), Ok(Nanos(1)));
        for n in 0..(KEPT_MAX as u64 + 10) {
            intake.came(Nanos(n));
        }
        assert_eq!(intake.state.lock().unwrap().kept.len(), KEPT_MAX);
        assert!(matches!(intake.take(), Taken::Already));
    }
}
