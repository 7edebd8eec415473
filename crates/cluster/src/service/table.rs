//! The conversations that there are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::fleet_refusal;
use super::outbound::Outbound;
use crate::fleet::{Peer, Refusal};
use crate::wire::{ToAgent, to_agent};

/// Messages that may wait for a peer. Who lets more wait reads too slowly to take part.
const OUTBOUND: usize = 64;

/// A message that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    /// There is no such conversation (any more).
    #[error("the connection has ended")]
    Gone,
    /// It reads too slowly; the conversation is being ended.
    #[error("the agent reads too slowly")]
    Slow,
}

/// Says things to agents. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    last: AtomicU64,
    slots: Mutex<HashMap<Peer, AgentSlot>>,
}

/// One conversation, from the side of who leads it.
#[derive(Debug)]
struct AgentSlot {
    messages: mpsc::Sender<ToAgent>,
    end: oneshot::Sender<Status>,
    over: CancellationToken,
}

impl Connections {
    /// Says something.
    ///
    /// # Errors
    /// When the conversation has ended, or the peer lets too much wait: then it is ended, and told as
    /// [`crate::fleet::Input::Gone`].
    pub fn send(&self, peer: Peer, message: to_agent::Body) -> Result<(), Unsent> {
        let slots = self.slots();
        let slot = slots.get(&peer).ok_or(Unsent::Gone)?;
        match slot.messages.try_send(ToAgent { body: Some(message) }) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Unsent::Gone),
            Err(mpsc::error::TrySendError::Full(_)) => {
                drop(slots);
                self.close(peer);
                Err(Unsent::Slow)
            }
        }
    }

    /// Ends a conversation with these words, after what has been said already.
    pub fn refuse(&self, peer: Peer, reason: &Refusal) {
        self.end(peer, fleet_refusal(reason));
    }

    /// Ends a conversation without words, after what has been said already.
    pub fn close(&self, peer: Peer) {
        if let Some(slot) = self.slots().remove(&peer) {
            slot.over.cancel();
        }
    }

    /// How many conversations there are.
    pub fn len(&self) -> usize {
        self.slots().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots().is_empty()
    }

    pub(super) fn close_all(&self) {
        for (_, slot) in self.slots().drain() {
            slot.over.cancel();
        }
    }

    pub(super) fn end(&self, peer: Peer, status: Status) {
        if let Some(slot) = self.slots().remove(&peer) {
            let _ = slot.end.send(status);
            slot.over.cancel();
        }
    }

    /// A new conversation: its number, what is said in it, and what tells that it is over. With `over` the
    /// connection ends too.
    pub(super) fn begin(&self) -> (Peer, Outbound, CancellationToken) {
        let peer = self.shared.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (messages, to_send) = mpsc::channel(OUTBOUND);
        let (end, status) = oneshot::channel();
        let over = CancellationToken::new();
        self.slots().insert(peer, AgentSlot { messages, end, over: over.clone() });
        (peer, Outbound::new(to_send, status), over)
    }

    /// Nothing under this lock can panic, and nothing waits.
    fn slots(&self) -> MutexGuard<'_, HashMap<Peer, AgentSlot>> {
        self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
