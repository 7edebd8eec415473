//! One shared document: its state, who is in it, and the ring that carries its changes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;
use yrs::block::ClientID;
use yrs::encoding::read::Cursor;
use yrs::sync::{Awareness, AwarenessUpdate, Message, MessageReader, SyncMessage};
use yrs::updates::decoder::{Decode, DecoderV1};
use yrs::updates::encoder::Encode;
use yrs::{Doc, ReadTxn, StateVector, Transact, Update};

/// Changes that a slow connection may lag behind before it is sent the whole state instead.
const RING: usize = 32;
/// Bytes of updates that one document takes in; a client that goes on is sent away. The whole
/// state must fit into one frame: clients commonly take 16 MiB.
pub const LARGEST_DOCUMENT: usize = 8 << 20;
/// Participants that one document remembers.
const MOST_PARTICIPANTS: usize = 1_024;

/// A change on its way to the other connections.
#[derive(Clone, Debug)]
pub struct Change {
    /// The connection that it came from: the one that doesn't need it.
    pub origin: u64,
    /// An encoded protocol message.
    pub message: Bytes,
}

/// Why a connection is closed by the server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It doesn't speak the protocol.
    #[error("not a message of the Yjs sync protocol: {0}")]
    Malformed(String),
    /// The document holds no more.
    #[error("the document is full ({} MiB of updates)", LARGEST_DOCUMENT >> 20)]
    Full,
    /// Too many participants.
    #[error("too many participants in the document ({MOST_PARTICIPANTS})")]
    Crowded,
}

struct State {
    awareness: Awareness,
    bytes_taken: usize,
}

/// A document and the connections that follow it.
pub struct Document {
    state: Mutex<State>,
    changes: broadcast::Sender<Change>,
}

impl Document {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State { awareness: Awareness::new(Doc::new()), bytes_taken: 0 }),
            changes: broadcast::Sender::new(RING),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes from now on.
    pub fn follow(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// What a new connection is greeted with: what we have (so that it answers with what we
    /// lack), and who is here.
    pub fn greeting(&self) -> Vec<Bytes> {
        let state = self.state();
        let mut messages =
            vec![encoded(&Message::Sync(SyncMessage::SyncStep1(state.awareness.doc().transact().state_vector())))];
        messages.extend(participants(&state));
        messages
    }

    /// The whole state as one update, and who is here: for a connection that lagged behind.
    pub fn whole(&self) -> Vec<Bytes> {
        let state = self.state();
        let update = state.awareness.doc().transact().encode_state_as_update_v1(&StateVector::default());
        let mut messages = vec![encoded(&Message::Sync(SyncMessage::Update(update)))];
        messages.extend(participants(&state));
        messages
    }

    /// Takes in what one connection sent; returns the answers for it alone. `present` collects
    /// the participants that the connection speaks for.
    ///
    /// # Errors
    /// When it is to be closed.
    pub fn take_in(&self, origin: u64, data: &[u8], present: &mut Vec<ClientID>) -> Result<Vec<Bytes>, Refusal> {
        let mut answers = Vec::new();
        let mut decoder = DecoderV1::new(Cursor::new(data));
        for message in MessageReader::new(&mut decoder) {
            match message.map_err(malformed)? {
                Message::Sync(SyncMessage::SyncStep1(theirs)) => {
                    let state = self.state();
                    let update = state.awareness.doc().transact().encode_state_as_update_v1(&theirs);
                    answers.push(encoded(&Message::Sync(SyncMessage::SyncStep2(update))));
                }
                Message::Sync(SyncMessage::SyncStep2(update) | SyncMessage::Update(update)) => {
                    self.apply(origin, update)?;
                }
                Message::Awareness(update) => self.greet(origin, update, present)?,
                Message::AwarenessQuery => {
                    let update = self.state().awareness.update().map_err(malformed)?;
                    answers.push(encoded(&Message::Awareness(update)));
                }
                // Neither is sent by clients; y-websocket servers ignore them too.
                Message::Auth(_) | Message::Custom(..) => {}
            }
        }
        Ok(answers)
    }

    fn apply(&self, origin: u64, bytes: Vec<u8>) -> Result<(), Refusal> {
        // Nothing new and nothing deleted: what a client that is up to date answers.
        if bytes == [0, 0] {
            return Ok(());
        }
        let update = Update::decode_v1(&bytes).map_err(malformed)?;
        let mut state = self.state();
        state.bytes_taken += bytes.len();
        if state.bytes_taken > LARGEST_DOCUMENT {
            return Err(Refusal::Full);
        }
        state.awareness.doc().transact_mut().apply_update(update).map_err(malformed)?;
        // Under the lock: the ring's order is the order of application.
        self.pass_on(origin, &Message::Sync(SyncMessage::Update(bytes)));
        Ok(())
    }

    fn greet(&self, origin: u64, update: AwarenessUpdate, present: &mut Vec<ClientID>) -> Result<(), Refusal> {
        let mut state = self.state();
        if state.awareness.iter().count() + update.clients.len() > MOST_PARTICIPANTS {
            return Err(Refusal::Crowded);
        }
        for id in update.clients.keys() {
            if !present.contains(id) {
                present.push(*id);
            }
        }
        state.awareness.apply_update(update.clone()).map_err(malformed)?;
        self.pass_on(origin, &Message::Awareness(update));
        Ok(())
    }

    /// Tells the others that the participants of a closed connection left.
    pub fn leave(&self, origin: u64, present: &[ClientID]) {
        if present.is_empty() {
            return;
        }
        let mut state = self.state();
        for id in present {
            state.awareness.remove_state(*id);
        }
        if let Ok(update) = state.awareness.update_with_clients(present.iter().copied()) {
            self.pass_on(origin, &Message::Awareness(update));
        }
    }

    fn pass_on(&self, origin: u64, message: &Message) {
        // An error says that nobody follows, which is no error here.
        let _ = self.changes.send(Change { origin, message: encoded(message) });
    }
}

fn participants(state: &State) -> Option<Bytes> {
    let update = state.awareness.update().ok().filter(|update| !update.clients.is_empty())?;
    Some(encoded(&Message::Awareness(update)))
}

fn encoded(message: &Message) -> Bytes {
    message.encode_v1().into()
}

fn malformed(error: impl std::fmt::Display) -> Refusal {
    Refusal::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use yrs::{GetString, Text};

    use super::*;

    fn edit(doc: &Doc, content: &str) -> Vec<u8> {
        let text = doc.get_or_insert_text("notes");
        let mut txn = doc.transact_mut();
        text.push(&mut txn, content);
        Message::Sync(SyncMessage::Update(txn.encode_update_v1())).encode_v1()
    }

    #[test]
    fn an_edit_reaches_the_ring_and_a_late_client_gets_the_whole() {
        let document = Document::new();
        let mut follower = document.follow();
        let author = Doc::new();
        document.take_in(1, &edit(&author, "hello"), &mut Vec::new()).unwrap();
        assert_eq!(follower.try_recv().unwrap().origin, 1);

        let late = Doc::new();
        let ask = Message::Sync(SyncMessage::SyncStep1(late.transact().state_vector())).encode_v1();
        let answers = document.take_in(2, &ask, &mut Vec::new()).unwrap();
        let Ok(Message::Sync(SyncMessage::SyncStep2(update))) = Message::decode_v1(&answers[0]) else {
            panic!("no second step in {answers:?}")
        };
        late.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
        let text = late.get_or_insert_text("notes");
        assert_eq!(text.get_string(&late.transact()), "hello");
    }

    #[test]
    fn who_falls_behind_the_ring_is_served_by_the_whole() {
        let document = Document::new();
        let mut slow = document.follow();
        let author = Doc::new();
        for _ in 0..2 * RING {
            document.take_in(1, &edit(&author, "x"), &mut Vec::new()).unwrap();
        }
        assert!(matches!(slow.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));
        let Ok(Message::Sync(SyncMessage::Update(update))) = Message::decode_v1(&document.whole()[0]) else {
            panic!("no update")
        };
        let late = Doc::new();
        late.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
        let text = late.get_or_insert_text("notes");
        assert_eq!(text.get_string(&late.transact()).len(), 2 * RING);
    }

    #[test]
    fn a_full_document_takes_no_more() {
        let document = Document::new();
        let author = Doc::new();
        let page = "x".repeat(1 << 20);
        let taken = (0..20).take_while(|_| document.take_in(1, &edit(&author, &page), &mut Vec::new()).is_ok()).count();
        assert_eq!(taken, 7);
    }

    #[test]
    fn nonsense_is_refused() {
        let document = Document::new();
        assert!(document.take_in(1, &[0, 2, 3, 255, 255, 255], &mut Vec::new()).is_err());
    }

    #[test]
    fn who_leaves_is_announced() {
        let document = Document::new();
        let mut theirs = Awareness::new(Doc::with_client_id(7));
        theirs.set_local_state_raw(r#"{"name":"a"}"#);
        let mut present = Vec::new();
        let hello = Message::Awareness(theirs.update().unwrap()).encode_v1();
        document.take_in(1, &hello, &mut present).unwrap();
        assert_eq!(present, [ClientID::new(7)]);
        assert_eq!(document.greeting().len(), 2);

        let mut follower = document.follow();
        document.leave(1, &present);
        let Ok(Message::Awareness(update)) = Message::decode_v1(&follower.try_recv().unwrap().message) else {
            panic!("no awareness")
        };
        assert_eq!(&*update.clients[&ClientID::new(7)].json, "null");
    }
}
