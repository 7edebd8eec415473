//! One replica of a document, as a Yjs client keeps it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::Message as Frame;
use yrs::block::ClientID;
use yrs::encoding::read::{Cursor, Read};
use yrs::sync::protocol::MessageReader;
use yrs::sync::{Message, SyncMessage};
use yrs::updates::decoder::{Decode, DecoderV1};
use yrs::updates::encoder::Encode;
use yrs::{Doc, GetString, Options, ReadTxn, StateVector, Text, TextRef, Transact, Update};

use super::broken::Broken;
use slatest_core::model::Outcome;

/// Name of the shared text within a document.
const TEXT: &str = "content";

/// One replica of a document.
pub(super) struct Replica {
    doc: Doc,
    text: TextRef,
    client: ClientID,
}

/// An edit that was made to a replica.
pub(super) struct Made {
    /// The update, to be sent.
    pub(super) frame: Frame,
    /// Who made it, and the clock that a replica has reached when it has it.
    pub(super) client: ClientID,
    pub(super) clock: u32,
}

/// What came of one message.
#[derive(Default)]
pub(super) struct Taken {
    /// What to send back.
    pub(super) replies: Vec<Frame>,
    /// Whether the server's whole state is in.
    pub(super) synced: bool,
    /// Whether something was applied.
    pub(super) changed: bool,
}

impl Replica {
    /// An empty one. `client` must be unique among the replicas of the document.
    pub(super) fn new(client: u32) -> Self {
        let client = ClientID::new(u64::from(client));
        // The identity of the document is the server's affair: a random one would only cost memory.
        let mut options = Options::with_guid_and_client_id(Arc::from("slatest"), client);
        options.cleanup_formatting = false;
        let doc = Doc::with_options(options);
        let text = doc.get_or_insert_text(TEXT);
        Self { doc, text, client }
    }

    /// The message that starts a sync.
    pub(super) fn greeting(&self) -> Frame {
        frame(SyncMessage::SyncStep1(self.state()))
    }

    /// Who it is to the others.
    pub(super) const fn client(&self) -> ClientID {
        self.client
    }

    /// What it has, by client.
    pub(super) fn state(&self) -> StateVector {
        self.doc.transact().state_vector()
    }

    /// Its text.
    pub(super) fn text(&self) -> String {
        self.text.get_string(&self.doc.transact())
    }

    /// Length of its text in bytes.
    pub(super) fn len(&self) -> usize {
        self.text.len(&self.doc.transact()) as usize
    }

    /// Appends `chunk`, and takes as much from the front as exceeds `limit` bytes.
    pub(super) fn append(&self, chunk: &str, limit: usize) -> Made {
        let mut txn = self.doc.transact_mut();
        self.text.push(&mut txn, chunk);
        let over = (self.text.len(&txn) as usize).saturating_sub(limit);
        if over > 0 {
            let whole = self.text.get_string(&txn);
            let end = (over..=whole.len()).find(|&i| whole.is_char_boundary(i)).unwrap_or(whole.len());
            self.text.remove_range(&mut txn, 0, u32::try_from(end).unwrap_or(u32::MAX));
        }
        let update = txn.encode_update_v1();
        let clock = txn.state_vector().get(&self.client);
        Made { frame: frame(SyncMessage::Update(update)), client: self.client, clock }
    }

    /// Takes one message of the server.
    ///
    /// # Errors
    /// A message that is not of the Yjs protocol, or a refusal.
    pub(super) fn take(&self, message: &[u8]) -> Result<Taken, Broken> {
        // The library asserts of some numbers in a message what it doesn't check (found by fuzzing);
        // a server must not be able to end a worker.
        let taken = catch_unwind(AssertUnwindSafe(|| self.read(message)));
        taken.unwrap_or_else(|_| Err(malformed("its numbers contradict themselves")))
    }

    fn read(&self, message: &[u8]) -> Result<Taken, Broken> {
        let mut taken = Taken::default();
        let mut decoder = DecoderV1::new(Cursor::new(message));
        let mut any = false;
        for message in MessageReader::new(&mut decoder) {
            any = true;
            match message.map_err(|e| malformed(&e.to_string()))? {
                Message::Sync(SyncMessage::SyncStep1(theirs)) => {
                    let missing = self.doc.transact().encode_state_as_update_v1(&theirs);
                    taken.replies.push(frame(SyncMessage::SyncStep2(missing)));
                }
                Message::Sync(SyncMessage::SyncStep2(update)) => {
                    self.apply(&update)?;
                    taken.synced = true;
                    taken.changed = true;
                }
                Message::Sync(SyncMessage::Update(update)) => {
                    self.apply(&update)?;
                    taken.changed = true;
                }
                Message::Auth(Some(_)) => return Err(Broken::new(Outcome::Rejected, "sync: permission denied")),
                // Who else is there, and what a server adds to the protocol, is no state of the document.
                Message::Auth(None) | Message::AwarenessQuery | Message::Awareness(_) | Message::Custom(..) => {}
            }
        }
        if any { Ok(taken) } else { Err(malformed("the message ends early")) }
    }

    fn apply(&self, update: &[u8]) -> Result<(), Broken> {
        check_clients(update)?;
        let update = Update::decode_v1(update).map_err(|e| malformed(&e.to_string()))?;
        self.doc.transact_mut().apply_update(update).map_err(|e| malformed(&e.to_string()))
    }
}

/// An update begins with the number of its clients, for which the library makes room before it reads
/// one; each takes some bytes.
fn check_clients(update: &[u8]) -> Result<(), Broken> {
    let clients: u32 = Cursor::new(update).read_var().map_err(|e| malformed(&e.to_string()))?;
    if clients as usize > update.len() {
        return Err(malformed("more clients than bytes"));
    }
    Ok(())
}

fn malformed(detail: &str) -> Broken {
    Broken::new(Outcome::Disconnected, "sync: malformed message")
        .with_detail(format!("sync: malformed message: {detail}"))
}

fn frame(message: SyncMessage) -> Frame {
    Frame::Binary(Bytes::from(Message::Sync(message).encode_v1()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(frame: &Frame) -> Vec<u8> {
        match frame {
            Frame::Binary(bytes) => bytes.to_vec(),
            other => panic!("the protocol is binary, not {other:?}"),
        }
    }

    /// What a server of two replicas would send.
    fn messages() -> Vec<Vec<u8>> {
        let (a, b) = (Replica::new(1), Replica::new(2));
        let mut frames = vec![a.greeting(), a.append("hello world", 100).frame, a.append("ünï🦀", 10).frame];
        for frame in &frames {
            b.take(&bytes(frame)).unwrap();
        }
        frames.push(b.append("and more", 8).frame);
        frames.extend(b.take(&bytes(&frames[0])).unwrap().replies);
        frames.iter().map(bytes).collect()
    }

    #[test]
    fn an_edit_is_had_when_its_clock_is_reached() {
        let (a, b) = (Replica::new(1), Replica::new(2));
        let (first, second) = (a.append("one ", 100), a.append("two", 100));
        b.take(&bytes(&second.frame)).unwrap();
        assert_eq!(b.state().get(&second.client), 0, "the second edit waits for the first");
        b.take(&bytes(&first.frame)).unwrap();
        assert_eq!(b.state().get(&second.client), second.clock);
        assert_eq!(b.text(), "one two");
    }

    #[test]
    fn text_is_kept_at_its_limit_and_never_cut_within_a_character() {
        let a = Replica::new(1);
        a.append("🦀🦀🦀", 12);
        a.append("x", 10);
        assert_eq!(a.text(), "🦀🦀x");
    }

    /// Found by fuzzing.
    #[test]
    fn a_client_beyond_53_bits_and_clients_without_end_are_survived() {
        let beyond = [
            0, 2, 21, 1, 0xab, 0xab, 0xab, 0xab, 0x23, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xab, 1, 7,
            0x74, 1, 1, 0x6e, 4, 0x63, 0,
        ];
        let endless = [0, 2, 7, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1];
        for message in [&beyond[..24], &beyond[..], &endless[..]] {
            let replica = Replica::new(3);
            assert!(replica.take(message).is_err(), "{message:?}");
            replica.append("goes on", 10);
            assert_eq!(replica.text(), "goes on");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_server_sends_is_taken_or_refused(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
        ) {
            let mut message = which.get(&messages()).clone();
            for (place, byte, how) in changes {
                let place = place.index(message.len());
                match how {
                    0 => message[place] = byte,
                    1 => message.insert(place, byte),
                    _ => message.truncate(place.max(1)),
                }
            }
            let replica = Replica::new(3);
            // Either is fine; what it must not do is to panic, then or later.
            let _ = replica.take(&message);
            replica.append("still works", 5);
            prop_assert!(replica.text().len() <= 5 + 3, "{}", replica.text());
        }
    }
}
