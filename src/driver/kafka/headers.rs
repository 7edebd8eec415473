//! The headers that every record carries, by which a workload recognises its own.

use std::sync::Arc;

use rdkafka::message::{Header, Headers, OwnedHeaders};

use crate::driver::awaited::MessageId;
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
    pub(super) fn headers(&self, id: MessageId, awaited: bool, more: usize) -> OwnedHeaders {
        let headers = OwnedHeaders::new_with_capacity(5 + more)
            .insert(Header { key: RUN, value: Some(&*self.run) })
            .insert(Header { key: SCENARIO, value: Some(&*self.scenario) })
            .insert(Header { key: SEQ, value: Some(&id.seq.to_string()) })
            .insert(Header { key: SENT, value: Some(&id.sent.0.to_string()) });
        if awaited { headers.insert(Header { key: SOURCE, value: Some(&self.source) }) } else { headers }
    }

    /// Which of the awaited records of this sender it is, if it is one.
    pub(super) fn recognise(&self, headers: Option<&impl Headers>) -> Option<MessageId> {
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
        ours.then_some(MessageId { seq: seq?, sent: Nanos(sent?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(source: &str) -> Sender {
        Sender { run: "run".into(), scenario: "events".into(), source: source.into() }
    }

    const ID: MessageId = MessageId { seq: 7, sent: Nanos(1_234) };

    #[test]
    fn a_sender_recognises_its_own_awaited_records_only() {
        let headers = sender("a").headers(ID, true, 0);
        assert_eq!(sender("a").recognise(Some(&headers)), Some(ID));
        assert_eq!(sender("b").recognise(Some(&headers)), None);
        assert_eq!(sender("a").recognise(Some(&sender("a").headers(ID, false, 0))), None);
        assert_eq!(sender("a").recognise(None::<&OwnedHeaders>), None);
    }
}
