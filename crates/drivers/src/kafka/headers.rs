//! Headers of records, as librdkafka has them.

use rdkafka::message::{Header, Headers, OwnedHeaders};

use crate::awaited::MessageId;
use crate::envelope::Sender;

/// The headers of a record that a sender sends, with room for `more`.
pub(super) fn headers(sender: &Sender, id: MessageId, awaited: bool, more: usize) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(5 + more);
    sender
        .headers(id, awaited)
        .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(&*value) }))
}

/// Which of a sender's awaited records it is, if it is one.
pub(super) fn recognise(sender: &Sender, headers: Option<&impl Headers>) -> Option<MessageId> {
    let headers = headers?;
    sender.recognise(|name| {
        let header = headers.iter().filter(|header| header.key == name).last()?;
        std::str::from_utf8(header.value?).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_core::model::Nanos;

    const ID: MessageId = MessageId { seq: 7, sent: Nanos(1_234) };

    #[test]
    fn a_sender_recognises_its_own_awaited_records_only() {
        let (a, b) = (Sender::named("a"), Sender::named("b"));
        let sent = headers(&a, ID, true, 0);
        assert_eq!(recognise(&a, Some(&sent)), Some(ID));
        assert_eq!(recognise(&b, Some(&sent)), None);
        assert_eq!(recognise(&a, Some(&headers(&a, ID, false, 0))), None);
        assert_eq!(recognise(&a, None::<&OwnedHeaders>), None);
    }
}
