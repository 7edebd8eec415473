//! The replicas of one document in this run, and the edits on their way between them.
//!
//! All sessions of a document live on one worker, so the lock is never waited for; it is there
//! because the end of the run looks at every document from one place. What takes a replica long is done off the worker and
//! without the lock: its `turn` is held meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::Message as Frame;
use yrs::block::ClientID;

use super::budget::Budget;
use super::replica::{Replica, Taken};
use super::text::mix;
use crate::failure::Failure;
use crate::large::off_worker;
use slatest_core::model::{Nanos, Outcome};

/// Most replicas of one document: the outstanding ones of an edit are bits of one word.
pub(super) const REPLICAS_MAX: usize = 64;

/// Who works with a replica.
pub(super) type Turn = tokio::sync::Mutex<()>;

/// When the others had an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    /// The first of them.
    pub(super) first: Nanos,
    /// The last of them.
    pub(super) last: Nanos,
}

/// One document.
pub(super) struct Document {
    seed: u64,
    limit: usize,
    budget: Arc<Budget>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: Vec<Option<Slot>>,
    edits: Vec<Edit>,
    next_edit: u64,
    /// How often each slot was taken.
    joins: Vec<u64>,
}

struct Slot {
    replica: Arc<Replica>,
    /// Held while the replica takes something large.
    turn: Arc<Turn>,
    connected: bool,
    /// The clock of its last edit that every other replica had.
    acknowledged: u32,
}

struct Edit {
    number: u64,
    author: usize,
    client: ClientID,
    clock: u32,
    /// Replicas that don't have it yet.
    outstanding: u64,
    spread: Option<Spread>,
    over: oneshot::Sender<Result<Spread, Failure>>,
}

/// An edit that was made and must be sent; forgotten when dropped.
pub(super) struct Pending {
    document: Arc<Document>,
    number: u64,
    /// The update.
    pub(super) frame: Option<Frame>,
    /// Who made it, and the clock that a replica has reached when it has it.
    pub(super) made: (ClientID, u32),
    /// Resolves when it is everywhere.
    pub(super) over: oneshot::Receiver<Result<Spread, Failure>>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.document.lock().edits.retain(|e| e.number != self.number);
    }
}

/// What a look at all replicas of a document found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Replicas that are open.
    pub(super) replicas: usize,
    /// Those of them without a connection.
    pub(super) disconnected: usize,
    /// Whether all of them are equal.
    pub(super) equal: bool,
    /// Edits acknowledged (the author was told that all had them) that some replica lacks.
    pub(super) missing: usize,
}

impl Document {
    /// A document without replicas; `limit` bytes is the size that its text is kept at. It shares what the documents of
    /// its workload may take.
    pub(super) fn new(seed: u64, limit: usize, workload: Option<Arc<Budget>>) -> Self {
        Self { seed, limit, budget: Budget::of_document(limit, workload), state: Mutex::default() }
    }

    /// A session opens the replica of this number.
    pub(super) fn join(&self, slot: usize) {
        let mut state = self.lock();
        if state.slots.len() <= slot {
            state.slots.resize_with(slot + 1, || None);
            state.joins.resize(slot + 1, 0);
        }
        state.joins[slot] += 1;
        // A replica that comes again starts empty, so it must not count on from its old clock.
        let client = mix(self.seed ^ (state.joins[slot] << 8) ^ slot as u64) as u32;
        state.slots[slot] = Some(Slot {
            replica: Arc::new(Replica::within(client, &self.budget)),
            turn: Arc::default(),
            connected: false,
            acknowledged: 0,
        });
    }

    /// The session is over: nobody waits for its replica any more.
    pub(super) fn leave(&self, slot: usize) {
        let mut state = self.lock();
        if let Some(place) = state.slots.get_mut(slot) {
            *place = None;
        }
        state.settle_edits(|edit| {
            edit.outstanding &= !(1 << slot);
            edit.author != slot && edit.outstanding != 0
        });
    }

    /// The first message on a new connection of a replica.
    pub(super) fn greeting(&self, slot: usize) -> Option<Frame> {
        self.lock().slot(slot).map(|s| s.replica.greeting())
    }

    /// A replica's connection is gone; its own edits have failed, those of others wait for it.
    pub(super) fn lost(&self, slot: usize, reason: &Failure) {
        let mut state = self.lock();
        if let Some(slot) = state.slot(slot) {
            slot.connected = false;
        }
        for edit in state.edits.extract_if(.., |e| e.author == slot) {
            // Nobody listens any more where the operation was given up.
            let _ = edit.over.send(Err(reason.clone()));
        }
    }

    /// Takes one message of the server, which came at `came`, for a replica; one that takes long off the worker.
    ///
    /// # Errors
    /// See [`Replica::take`].
    pub(super) async fn hear(&self, slot: usize, message: Bytes, came: Nanos) -> Result<Taken, Failure> {
        let place = self.lock().slot(slot).map(|place| (Arc::clone(&place.replica), Arc::clone(&place.turn)));
        let Some((replica, turn)) = place else { return Ok(Taken::default()) };
        if !replica.takes_long(&message) {
            return self.receive(slot, &message, came);
        }
        let turn = turn.lock_owned().await;
        let taking = Arc::clone(&replica);
        let taken = off_worker(move || {
            let _turn = turn;
            taking.take(&message)
        });
        let taken = taken.await.unwrap_or_else(|| Err(Failure::new(Outcome::Disconnected, "sync: given up")))?;
        Ok(self.took(slot, &replica, taken, came))
    }

    /// Takes one message of the server for a replica.
    ///
    /// # Errors
    /// See [`Replica::take`].
    pub(super) fn receive(&self, slot: usize, message: &[u8], came: Nanos) -> Result<Taken, Failure> {
        let replica = self.lock().slot(slot).map(|place| Arc::clone(&place.replica));
        let Some(replica) = replica else { return Ok(Taken::default()) };
        let taken = replica.take(message)?;
        Ok(self.took(slot, &replica, taken, came))
    }

    /// What it means to the others that a replica took something.
    fn took(&self, slot: usize, replica: &Arc<Replica>, mut taken: Taken, came: Nanos) -> Taken {
        let mut state = self.lock();
        // Its session may have ended meanwhile, and another begun.
        let place = state.slot(slot).filter(|place| Arc::ptr_eq(&place.replica, replica));
        let Some(place) = place else { return Taken::default() };
        if taken.synced && !place.connected {
            place.connected = true;
            if slot == 0 && place.replica.len() == 0 {
                let content = super::text::words(self.seed, self.limit);
                taken.replies.push(place.replica.append(&content, self.limit).frame);
            }
        }
        if taken.changed && state.edits.iter().any(|e| e.outstanding & (1 << slot) != 0) {
            state.arrived(slot, came);
        }
        taken
    }

    /// Whose turn it is at a replica: to be held by who edits it. `None` when nobody has it open.
    pub(super) fn turn(&self, slot: usize) -> Option<Arc<Turn>> {
        self.lock().slot(slot).map(|place| Arc::clone(&place.turn))
    }

    /// Makes an edit in a replica. It is over when every other replica that is open now has it;
    /// where there is none yet, when the first that comes has it.
    pub(super) fn edit(self: &Arc<Self>, slot: usize, chunk: &str) -> Option<Pending> {
        let mut state = self.lock();
        let made = state.slot(slot)?.replica.append(chunk, self.limit);
        let others = state.slots.iter().enumerate().filter(|(i, s)| *i != slot && s.is_some());
        let outstanding = others.fold(0, |bits, (i, _)| bits | 1 << i);
        let outstanding = if outstanding == 0 { !(1 << slot) } else { outstanding };
        let number = state.next_edit;
        state.next_edit += 1;
        let (over, receiver) = oneshot::channel();
        let (client, clock) = (made.client, made.clock);
        state.edits.push(Edit { number, author: slot, client, clock, outstanding, spread: None, over });
        drop(state);
        Some(Pending {
            document: Arc::clone(self),
            number,
            frame: Some(made.frame),
            made: (client, clock),
            over: receiver,
        })
    }

    /// Whether no edit is on its way.
    pub(super) fn is_quiet(&self) -> bool {
        self.lock().edits.is_empty()
    }

    /// Compares all replicas that are open, by what they have and by their text.
    pub(super) fn compare(&self) -> Comparison {
        let state = self.lock();
        let slots: Vec<&Slot> = state.slots.iter().flatten().collect();
        let states: Vec<_> = slots.iter().map(|s| s.replica.state()).collect();
        let missing = slots
            .iter()
            .filter(|author| states.iter().any(|s| s.get(&author.replica.client()) < author.acknowledged))
            .count();
        let equal = states.windows(2).all(|pair| pair[0] == pair[1]) && {
            let mut texts = slots.iter().map(|s| s.replica.text());
            let first = texts.next();
            texts.all(|text| Some(text) == first)
        };
        let disconnected = slots.iter().filter(|s| !s.connected).count();
        Comparison { replicas: slots.len(), disconnected, equal, missing }
    }

    /// Whether `fresh`, which came from the server, has every acknowledged edit.
    pub(super) fn is_kept_by(&self, fresh: &Replica) -> bool {
        let has = fresh.state();
        self.lock().slots.iter().flatten().all(|s| has.get(&s.replica.client()) >= s.acknowledged)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock leaves the state half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages of a server, each with its length in a byte before it, to the replicas of a document in
/// turn: taken or refused, and edits go on.
#[cfg(any(fuzzing, feature = "readers"))]
pub fn fuzz(mut bytes: &[u8]) {
    const SLOTS: usize = 3;
    const LIMIT: usize = 100;
    let document = Arc::new(Document::new(7, LIMIT, None));
    (0..SLOTS).for_each(|slot| document.join(slot));
    let mut pending = Vec::new();
    for slot in (0..SLOTS).cycle() {
        let Some((&length, rest)) = bytes.split_first() else { break };
        let (message, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        drop(document.receive(slot, message, Nanos::ZERO));
        pending.extend(document.edit(slot, "edit "));
        document.compare();
    }
    document.leave(0);
    drop(pending);
    document.compare();
}

impl State {
    fn slot(&mut self, slot: usize) -> Option<&mut Slot> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// A replica has new content: which edits did it bring?
    fn arrived(&mut self, slot: usize, now: Nanos) {
        let Some(place) = self.slots.get(slot).and_then(Option::as_ref) else { return };
        let has = place.replica.state();
        let open = self.slots.iter().enumerate().filter(|(_, s)| s.is_some()).fold(0u64, |bits, (i, _)| bits | 1 << i);
        for edit in &mut self.edits {
            if edit.outstanding & (1 << slot) != 0 && has.get(&edit.client) >= edit.clock {
                edit.outstanding &= !(1 << slot) & open;
                edit.spread = Some(Spread { first: edit.spread.map_or(now, |s| s.first), last: now });
            }
        }
        self.settle_edits(|edit| edit.outstanding != 0);
    }

    /// Ends the edits that `keep` doesn't keep.
    fn settle_edits(&mut self, mut keep: impl FnMut(&mut Edit) -> bool) {
        let over: Vec<Edit> = self.edits.extract_if(.., |e| !keep(e)).collect();
        for edit in over {
            let end = edit.spread.filter(|_| edit.outstanding == 0);
            if end.is_some()
                && let Some(author) = self.slot(edit.author)
            {
                author.acknowledged = author.acknowledged.max(edit.clock);
            }
            let end = end.ok_or_else(|| Failure::new(Outcome::Unknown, "the replicas left"));
            // Nobody listens any more where the operation was given up.
            let _ = edit.over.send(end);
        }
    }
}
