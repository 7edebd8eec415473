//! Yjs sync: a session is one replica of a document; an operation is an edit that is over when
//! every other replica of the document in the run has it.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::protocol::Message;

use super::connection::{Heard, Inbox};
use super::document::{Document, Pending};
use super::failure;
use super::read_back::EditPlace;
use super::session::Line;
use super::text::{hash, mix, words};
use crate::Session;
use crate::failure::Failure;
use crate::identity::Identity;
use crate::workload::Template;
use slatest_core::model::{Arrival, Clock, Completion, Nanos, Outcome, Written};

/// Most bytes of one edit.
pub(super) const EDIT_BYTES_MAX: usize = 64 * 1024;
/// Names of the parts of an edit's response time, in the order of their indexes.
pub(super) const TIMINGS: [&str; 2] = ["first_replica", "last_replica"];

/// What an edit inserts.
#[derive(Debug)]
pub(super) enum Insert {
    /// This text.
    Text(Template),
    /// Generated text of this size.
    Bytes(usize),
}

/// A session's place in its document. Leaves it when dropped.
pub(super) struct Membership {
    pub(super) document: Arc<Document>,
    pub(super) slot: usize,
    pub(super) clock: Arc<dyn Clock>,
}

impl Membership {
    pub(super) fn join(document: Arc<Document>, slot: usize, clock: Arc<dyn Clock>) -> Rc<Self> {
        document.join(slot);
        Rc::new(Self { document, slot, clock })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.document.leave(self.slot);
    }
}

impl Inbox for Membership {
    fn greeting(&self) -> Option<Message> {
        self.document.greeting(self.slot)
    }

    fn receive(&self, message: Message) -> LocalBoxFuture<'_, Result<Heard, Failure>> {
        Box::pin(async move {
            // The protocol is binary; text is some extension of the server.
            let Message::Binary(bytes) = message else { return Ok(Heard::default()) };
            let taken = self.document.hear(self.slot, bytes, self.clock.now()).await?;
            Ok(Heard { replies: taken.replies, ready: taken.synced })
        })
    }

    fn lost(&self, reason: &Failure) {
        self.document.lost(self.slot, reason);
    }
}

/// One replica's session.
pub(super) struct SyncSession {
    pub(super) line: Line,
    pub(super) membership: Rc<Membership>,
    /// Number of its document.
    pub(super) document: u64,
}

impl SyncSession {
    async fn edit(&self, arrival: &Arrival) -> Completion {
        let line = &self.line;
        let Some(insert) = line.shared.mode.insert(arrival.operation) else {
            return line.refused("operation: unknown");
        };
        let patience = line.patience(arrival);
        if let Err(completion) = line.ready(&patience).await {
            return completion;
        }
        let chunk = match insert {
            Insert::Text(template) => match template.render(&line.values(arrival)) {
                Ok(text) if text.is_empty() => return line.refused("edit: empty text"),
                Ok(text) if text.len() > EDIT_BYTES_MAX => return line.refused("edit: text too long"),
                Ok(text) => text.into_owned(),
                Err(e) => return line.refused(e.to_string()),
            },
            Insert::Bytes(bytes) => {
                let Identity { seed, scenario, .. } = &line.shared.identity;
                let step = mix(u64::from(arrival.step));
                words(mix(seed ^ mix(hash(&[scenario]) ^ arrival.seq) ^ step), *bytes)
            }
        };
        let Membership { document, slot, .. } = &*self.membership;
        let Some(turn) = document.turn(*slot) else { return line.refused("edit: the replica is closed") };
        let Ok(turn) = timeout_at(patience.answer_by(), turn.lock()).await else {
            return line.failed(None, &failure::timed_out("replica"));
        };
        let Some(mut pending) = document.edit(*slot, &chunk) else {
            return line.refused("edit: the replica is closed");
        };
        drop(turn);
        let Some(frame) = pending.frame.take() else { return line.refused("edit: sent already") };
        let (client, clock) = pending.made;
        let sent = line.context.clock.now();
        // A frame that was not handed over is in the replica all the same, which sends it with the next sync.
        let completion = match line.connection.send(frame) {
            Ok(()) => self.follow(sent, patience.answer_by(), &mut pending).await,
            Err(reason) => line.failed(Some(sent), &reason),
        };
        let place = EditPlace { document: self.document, client, clock }.place();
        completion.with_written(Written { place: Some(place), ..Written::default() })
    }

    /// Waits until an edit that was sent is over.
    async fn follow(&self, sent: Nanos, deadline: Instant, pending: &mut Pending) -> Completion {
        let line = &self.line;
        match timeout_at(deadline, &mut pending.over).await {
            Ok(Ok(Ok(spread))) => {
                Completion::ok(sent, spread.last).with_timing(0, spread.first - sent).with_timing(1, spread.last - sent)
            }
            Ok(Ok(Err(reason))) => line.failed(Some(sent), &reason),
            Ok(Err(_)) => line.failed(Some(sent), &Failure::new(Outcome::Unknown, "edit: given up")),
            Err(_) => line.failed(Some(sent), &Failure::new(Outcome::TimedOut, "edit: not at every replica in time")),
        }
    }
}

impl Session for SyncSession {
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        Box::pin(self.edit(arrival))
    }

    fn close(self: Box<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move { self.line.connection.close().await })
    }
}
