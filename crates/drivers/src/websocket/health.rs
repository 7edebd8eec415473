//! Opening the endpoint once more: for the look whether it answers, and for what the server has of a document.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::Message;

use super::budget::Budget;
use super::connection::GOODBYE;
use super::dial::Socket;
use super::failure;
use super::plan::{Mode, Shared};
use super::replica::Replica;
use crate::failure::Failure;
use crate::{Health, Unreachable};
use slatest_core::model::Nanos;

/// Whether the endpoint opens connections and, for edits, speaks Yjs sync.
///
/// # Errors
/// What it says or does instead.
pub(super) async fn health(shared: &Shared) -> Result<Health, Unreachable> {
    let unreachable = |failure: Failure| Unreachable {
        endpoint: shared.endpoint.clone(),
        address: shared.dialer.address(),
        reason: failure.detail,
    };
    shared.probe().await.map(|detail| Health { detail }).map_err(unreachable)
}

impl Shared {
    /// Opens the document of this number (or name) once more and takes the server's whole state.
    pub(super) async fn fetch(&self, document: &str) -> Result<Fetched, Failure> {
        let start = Instant::now();
        let mut socket = self.dialer.dial(&self.path_of(0, document)?).await?;
        let handshake = start.elapsed();
        let start = Instant::now();
        let limit = if let Mode::Sync(sync) = &self.mode { sync.limit } else { 0 };
        let replica = Replica::within(1, &Budget::of_document(limit, None));
        if matches!(self.mode, Mode::Sync(_)) {
            timeout(self.dialer.timeout, take_state(&mut socket, &replica)).await.map_err(|_| {
                let detail = "it opens WebSockets, but doesn't answer the first step of the Yjs sync protocol";
                failure::timed_out("sync").with_detail(detail)
            })??;
        }
        let sync = start.elapsed();
        // All is said; a server that breaks off now did answer.
        let _ = timeout(GOODBYE, socket.close(None)).await;
        Ok(Fetched { replica, handshake, sync })
    }

    async fn probe(&self) -> Result<String, Failure> {
        let fetched = self.fetch("health").await?;
        let mut detail = format!("handshake in {}", Nanos::from(fetched.handshake));
        if matches!(self.mode, Mode::Sync(_)) {
            detail.push_str(&format!(", Yjs sync in {}", Nanos::from(fetched.sync)));
        }
        Ok(detail)
    }
}

/// A document as the server has it.
pub(super) struct Fetched {
    pub(super) replica: Replica,
    handshake: Duration,
    sync: Duration,
}

async fn take_state(socket: &mut Socket, replica: &Replica) -> Result<(), Failure> {
    socket.send(replica.greeting()).await.map_err(|e| failure::stream(&e))?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) if replica.take(&bytes)?.synced => return Ok(()),
            Some(Ok(Message::Close(frame))) => return Err(failure::closed(frame.as_ref())),
            Some(Ok(_)) => {}
            Some(Err(e)) => return Err(failure::stream(&e)),
            None => return Err(failure::closed(None)),
        }
    }
}
