//! Properties and headers of messages, as lapin has them.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::driver::awaited::MessageId;
use crate::driver::envelope::Sender;

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
    let headers = properties.headers().as_ref()?.inner();
    sender.recognise(|name| match headers.get(name)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(ShortString::as_str(text)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Nanos;

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
        assert_eq!(recognise(&a, &message(&a, false)), None);
        assert_eq!(recognise(&a, &BasicProperties::default()), None);
    }
}
