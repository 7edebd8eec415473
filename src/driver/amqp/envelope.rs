//! The headers that every message carries, by which a workload recognises its own.

use std::sync::Arc;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

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
/// Mode of a message that survives a restart.
const PERSISTENT: u8 = 2;
/// Mode of one that doesn't.
const TRANSIENT: u8 = 1;

/// Who sends: goes into every message's headers.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) run: Arc<str>,
    pub(super) scenario: Arc<str>,
    /// Differs between processes and workloads.
    pub(super) source: String,
}

impl Sender {
    /// The properties that every message carries. Those of a message that is awaited back say whose
    /// it is.
    pub(super) fn properties(&self, id: MessageId, awaited: bool, persistent: bool) -> (BasicProperties, FieldTable) {
        let mut headers = FieldTable::default();
        let mut insert = |key: &str, value: &str| {
            headers.insert(key.into(), AMQPValue::LongString(value.into()));
        };
        insert(RUN, &self.run);
        insert(SCENARIO, &self.scenario);
        insert(SEQ, &id.seq.to_string());
        insert(SENT, &id.sent.0.to_string());
        if awaited {
            insert(SOURCE, &self.source);
        }
        let mode = if persistent { PERSISTENT } else { TRANSIENT };
        (BasicProperties::default().with_delivery_mode(mode), headers)
    }

    /// Which of the awaited messages of this sender it is, if it is one.
    pub(super) fn recognise(&self, properties: &BasicProperties) -> Option<MessageId> {
        let headers = properties.headers().as_ref()?.inner();
        let text = |key: &str| match headers.get(key)? {
            AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
            AMQPValue::ShortString(text) => Some(ShortString::as_str(text)),
            _ => None,
        };
        if text(SOURCE)? != self.source {
            return None;
        }
        Some(MessageId { seq: text(SEQ)?.parse().ok()?, sent: Nanos(text(SENT)?.parse().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(source: &str) -> Sender {
        Sender { run: "run".into(), scenario: "jobs".into(), source: source.into() }
    }

    #[test]
    fn a_sender_recognises_its_own_awaited_messages_only() {
        let id = MessageId { seq: 7, sent: Nanos(1_234) };
        let message = |source: &str, awaited| {
            let (properties, headers) = sender(source).properties(id, awaited, true);
            properties.with_headers(headers)
        };
        assert_eq!(sender("a").recognise(&message("a", true)), Some(id));
        assert_eq!(sender("b").recognise(&message("a", true)), None);
        assert_eq!(sender("a").recognise(&message("a", false)), None);
        assert_eq!(sender("a").recognise(&BasicProperties::default()), None);
    }
}
