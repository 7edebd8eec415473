//! One replica of a document, as a Yjs client keeps it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::Message as Frame;
use yrs::block::ClientID;
use yrs::encoding::read::{Error, Read};
use yrs::sync::{Message, SyncMessage};
use yrs::updates::encoder::Encode;
use yrs::{Doc, GetString, Options, ReadTxn, StateVector, Text, TextRef, Transact};

use super::bounded::{self, Bounded};
use super::budget::{Budget, Share};
use crate::failure::Failure;
use slatest_core::model::Outcome;

/// Kinds of messages, and of those of a sync (the protocols `y-sync` and `y-auth`).
const MESSAGE_SYNC: u8 = 0;
const MESSAGE_AUTH: u8 = 2;
const MESSAGE_QUERY_AWARENESS: u8 = 3;
const SYNC_STEP_1: u8 = 0;
const SYNC_STEP_2: u8 = 1;
const SYNC_UPDATE: u8 = 2;
const AUTH_DENIED: u8 = 0;
/// What a block takes in memory besides its bytes.
const BLOCK_BYTES: usize = 256;
/// Most that one replica may take in memory.
const WEIGHT_MAX: usize = 32 * 1024 * 1024;
/// What must have come before a replica is measured again.
const MEASURED_MIN: usize = 1024 * 1024;
/// Most bytes of updates that wait for others.
const WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Longest message, and text to answer with, that is taken on the worker: each byte may be work.
const LONG_BYTES: usize = 8 * 1024;
/// Name of the shared text within a document.
const TEXT: &str = "content";

/// One replica of a document.
pub(super) struct Replica {
    doc: Doc,
    text: TextRef,
    client: ClientID,
    /// What came since the document was last measured.
    came: AtomicUsize,
    /// What it takes of what all have together.
    share: Share,
    /// Bytes of updates that came while some wait for others.
    waiting: AtomicUsize,
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
    /// An empty one that is alone.
    #[cfg(test)]
    pub(super) fn new(client: u32) -> Self {
        Self::within(client, &Budget::of_document(0, None))
    }

    /// An empty one. `client` must be unique among the replicas of the document.
    pub(super) fn within(client: u32, budget: &Arc<Budget>) -> Self {
        let client = ClientID::new(u64::from(client));
        // The identity of the document is the server's affair: a random one would only cost memory.
        let mut options = Options::with_guid_and_client_id(Arc::from("slatest"), client);
        options.cleanup_formatting = false;
        let doc = Doc::with_options(options);
        let text = doc.get_or_insert_text(TEXT);
        let share = budget.share();
        Self { doc, text, client, came: AtomicUsize::default(), share, waiting: AtomicUsize::default() }
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

    /// Whether a message may take a worker for long: by its length, because it asks for all that is there, or because the
    /// replica will be measured.
    pub(super) fn takes_long(&self, message: &[u8]) -> bool {
        let asks = message.starts_with(&[MESSAGE_SYNC, SYNC_STEP_1]) && self.len() > LONG_BYTES;
        let came = self.came.load(Ordering::Relaxed);
        let measured = came + weight(message.len(), message.len()) > WEIGHT_MAX / 2
            || (came + weight(message.len(), message.len()) > MEASURED_MIN && self.share.is_exceeded());
        message.len() > LONG_BYTES || asks || measured
    }

    /// Takes one message of the server.
    ///
    /// # Errors
    /// A message that is not of the Yjs protocol, or a refusal.
    pub(super) fn take(&self, message: &[u8]) -> Result<Taken, Failure> {
        #[cfg(test)]
        crate::large::tests::parsed_here(message.len());
        // The library asserts of some numbers in a message what it doesn't check (found by fuzzing);
        // a server must not be able to end a worker.
        let taken = catch_unwind(AssertUnwindSafe(|| self.read(message)));
        taken.unwrap_or_else(|_| Err(malformed("its numbers contradict themselves")))
    }

    fn read(&self, message: &[u8]) -> Result<Taken, Failure> {
        let mut taken = Taken::default();
        let mut bounded = Bounded::new(message);
        let mut any = false;
        while bounded.has_content() {
            match self.read_one(&mut bounded, &mut taken) {
                Ok(()) => any = true,
                // What ends early is left, as the protocol's own reader does.
                Err(Unread::Encoding(Error::EndOfBuffer(_))) => break,
                Err(Unread::Encoding(error)) => return Err(malformed(&error.to_string())),
                Err(Unread::Broken(reason)) => return Err(reason),
            }
        }
        if any { Ok(taken) } else { Err(malformed("the message ends early")) }
    }

    fn read_one(&self, message: &mut Bounded<'_>, taken: &mut Taken) -> Result<(), Unread> {
        match message.read_var::<u8>()? {
            MESSAGE_SYNC => match message.read_var::<u8>()? {
                SYNC_STEP_1 => {
                    let theirs = whole(bounded::state_vector(message.read_buf()?))?;
                    let missing = self.doc.transact().encode_state_as_update_v1(&theirs);
                    taken.replies.push(frame(SyncMessage::SyncStep2(missing)));
                }
                kind @ (SYNC_STEP_2 | SYNC_UPDATE) => {
                    self.apply(message.read_buf()?)?;
                    taken.synced |= kind == SYNC_STEP_2;
                    taken.changed = true;
                }
                _ => return Err(malformed("no kind of sync").into()),
            },
            MESSAGE_AUTH => {
                if message.read_var::<u8>()? == AUTH_DENIED {
                    message.read_string()?;
                    return Err(Failure::new(Outcome::Rejected, "sync: permission denied").into());
                }
            }
            MESSAGE_QUERY_AWARENESS => {}
            // Who else is there, and what a server adds to the protocol, is no state of the document.
            _ => _ = message.read_buf()?,
        }
        Ok(())
    }

    fn apply(&self, bytes: &[u8]) -> Result<(), Failure> {
        let (update, blocks) = bounded::update(bytes).map_err(|e| malformed(&e.to_string()))?;
        self.doc.transact_mut().apply_update(update).map_err(|e| malformed(&e.to_string()))?;
        let waiting = if self.doc.transact().has_missing_updates() {
            self.waiting.load(Ordering::Relaxed) + bytes.len() + 1
        } else {
            0
        };
        self.waiting.store(waiting, Ordering::Relaxed);
        if waiting > WAITING_BYTES_MAX {
            return Err(too_large("updates wait for others that don't come"));
        }
        let more = weight(bytes.len(), blocks);
        let came = self.came.load(Ordering::Relaxed) + more;
        self.came.store(came, Ordering::Relaxed);
        let too_much = self.share.set(self.share.held() + more);
        // Where all together have too much, whoever gets more is measured, but not for each byte.
        if came > WEIGHT_MAX / 2 || (too_much && came > MEASURED_MIN) {
            self.came.store(0, Ordering::Relaxed);
            // What was deleted and merged since takes no room any more.
            let state = self.doc.transact().encode_state_as_update_v1(&StateVector::default());
            let kept = bounded::update(&state).map_or(WEIGHT_MAX + 1, |(_, blocks)| weight(state.len(), blocks));
            if kept > WEIGHT_MAX {
                return Err(too_large("the document is too large"));
            }
            if self.share.set(kept) {
                return Err(too_large("the replicas are too large together"));
            }
        }
        Ok(())
    }
}

/// Why a message can't be taken.
enum Unread {
    Encoding(Error),
    Broken(Failure),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Encoding(error)
    }
}

impl From<Failure> for Unread {
    fn from(reason: Failure) -> Self {
        Self::Broken(reason)
    }
}

/// What lies within a message has a length of its own: one that ends early is malformed.
fn whole<T>(read: Result<T, Error>) -> Result<T, Unread> {
    read.map_err(|error| malformed(&error.to_string()).into())
}

/// What an update takes in memory, roughly.
const fn weight(bytes: usize, blocks: usize) -> usize {
    bytes.saturating_add(blocks.saturating_mul(BLOCK_BYTES))
}

fn too_large(detail: &str) -> Failure {
    Failure::new(Outcome::Disconnected, "sync: document too large").with_detail(format!("sync: {detail}"))
}

fn malformed(detail: &str) -> Failure {
    Failure::new(Outcome::Disconnected, "sync: malformed message")
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

    /// An update of one item with this content behind `content`'s kind.
    fn update_of(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut update = vec![1, 1, 7, 0, kind, 1, 1, b'x'];
        update.extend_from_slice(content);
        update.push(0);
        let mut message = vec![0, 2];
        let mut length = update.len();
        while length >= 128 {
            message.push(length as u8 | 128);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend(update);
        message
    }

    #[test]
    fn values_within_values_are_taken_to_a_depth_and_refused_beyond() {
        let nested = |open: &[u8], depth: usize| update_of(8, &[&[1], open.repeat(depth).as_slice(), &[126]].concat());
        for (open, deep) in [(&[117_u8, 1][..], 60), (&[118, 1, 1, b'k'], 60)] {
            assert!(Replica::new(3).take(&nested(open, deep)).is_ok());
            for depth in [100, 50_000, 500_000] {
                assert!(Replica::new(3).take(&nested(open, depth)).is_err(), "{depth}");
            }
        }
        // A value that says that it has more than can be.
        assert!(Replica::new(3).take(&update_of(8, &[1, 118, 0xff, 0xff, 0xff, 0x7a])).is_err());
        // Who is there says how many they are.
        assert!(Replica::new(3).take(&[1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_ok());
    }

    #[test]
    fn a_document_that_grows_without_end_is_given_up() {
        let (server, replica) = (Replica::new(1), Replica::new(2));
        let chunk = "x".repeat(1024 * 1024);
        let refused = (0..200).find_map(|_| replica.take(&bytes(&server.append(&chunk, usize::MAX).frame)).err());
        assert_eq!(refused.expect("it has no end").kind, "sync: document too large");
    }

    #[test]
    fn a_document_that_is_kept_at_its_size_is_taken_for_ever() {
        let (server, replica) = (Replica::new(1), Replica::new(2));
        let chunk = "x".repeat(512 * 1024);
        for _ in 0..100 {
            replica.take(&bytes(&server.append(&chunk, 1024 * 1024).frame)).unwrap();
        }
        assert_eq!(replica.len(), 1024 * 1024);
    }

    #[test]
    fn updates_that_wait_for_what_never_comes_are_given_up() {
        let (server, replica) = (Replica::new(1), Replica::new(2));
        server.append("lost", usize::MAX);
        let chunk = "x".repeat(64 * 1024);
        let refused = (0..100).find_map(|_| replica.take(&bytes(&server.append(&chunk, usize::MAX).frame)).err());
        assert_eq!(refused.expect("they wait for ever").detail, "sync: updates wait for others that don't come");
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
