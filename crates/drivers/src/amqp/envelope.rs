//! Properties and headers of messages, as lapin has them.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::awaited::MessageId;
use crate::envelope::{RUN, Sender, WRITE};
use slatest_core::model::WriteId;

/// Mode of a message that survives a restart.
const PERSISTENT: u8 = 2;
/// Mode of one that doesn't.
const TRANSIENT: u8 = 1;

/// The properties and the headers of a message that a sender sends.
pub(super) fn properties(
    sender: &Sender,
    id: MessageId,
    awaited: bool,
    persistent: bool,
) -> (BasicProperties, FieldTable) {
    let mut headers = FieldTable::default();
    for (key, value) in sender.headers(id, awaited) {
        headers.insert(key.into(), AMQPValue::LongString((*value).into()));
    }
    let mode = if persistent { PERSISTENT } else { TRANSIENT };
    (BasicProperties::default().with_delivery_mode(mode), headers)
}

/// Which of a sender's awaited messages it is, if it is one.
pub(super) fn recognise(sender: &Sender, properties: &BasicProperties) -> Option<MessageId> {
    sender.recognise(|name| header(properties, name))
}

/// The queue in which another agent that awaits a message wants to hear of it.
pub(super) fn returns_to(sender: &Sender, properties: &BasicProperties) -> Option<String> {
    sender.foreign(|name| header(properties, name)).map(returns_queue)
}

/// Name of the queue in which a sender hears of its messages that others consumed.
pub(super) fn returns_queue(source: &str) -> String {
    format!("slatest-returns-{source}")
}

/// The write of the ledger that a message is, if it is one.
pub(super) fn write_id(properties: &BasicProperties) -> Option<WriteId> {
    header(properties, WRITE)?.parse().ok()
}

/// Whether slatest sent it, in whatever run.
pub(super) fn is_ours(properties: &BasicProperties) -> bool {
    header(properties, RUN).is_some()
}

/// A header's text.
fn header<'p>(properties: &'p BasicProperties, name: &str) -> Option<&'p str> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(ShortString::as_str(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_core::model::Nanos;

    #[test]
    fn a_sender_recognises_its_own_awaited_messages_only() {
        let id = MessageId { seq: 7, sent: Nanos(1_234) };
        let (a, b) = (Sender::named("a"), Sender::named("b"));
        let message = |sender: &Sender, awaited| {
            let (properties, headers) = properties(sender, id, awaited, true);
            properties.with_headers(headers)
        };
        assert_eq!(recognise(&a, &message(&a, true)), Some(id));
        assert_eq!(recognise(&b, &message(&a, true)), None);
        assert_eq!(returns_to(&b, &message(&a, true)).as_deref(), Some("slatest-returns-a"));
        assert_eq!(returns_to(&a, &message(&a, true)), None);
        assert_eq!(returns_to(&b, &message(&a, false)), None);
        assert_eq!(returns_to(&b, &message(&Sender::named("a.b"), true)), None, "no name of ours");
        assert_eq!(recognise(&a, &message(&a, false)), None);
        assert_eq!(recognise(&a, &BasicProperties::default()), None);
    }
}
