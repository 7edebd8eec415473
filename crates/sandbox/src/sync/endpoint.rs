//! One connection to a document.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use yrs::block::ClientID;

use super::document::{LARGEST_DOCUMENT, Refusal};
use super::{Document, Documents};
use crate::behaviour::Behaviours;

/// tungstenite's defaults cost 129 KiB for each idle connection, these 5.
const READ_BUFFER: usize = 1_024;
/// The largest message that is taken.
const LARGEST_MESSAGE: usize = 4 << 20;
/// The longest document name.
const LONGEST_NAME: usize = 256;
/// A client that takes nothing for this long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// What the endpoint needs.
#[derive(Clone)]
pub struct Sync {
    documents: Arc<Documents>,
    behaviours: Behaviours,
    connections: Arc<AtomicU64>,
}

impl Sync {
    /// With no documents yet.
    pub fn new(behaviours: Behaviours) -> Self {
        Self { documents: Arc::default(), behaviours, connections: Arc::default() }
    }
}

/// `GET /sync/{document}`, upgraded.
pub async fn connect(State(sync): State<Sync>, Path(name): Path<String>, upgrade: WebSocketUpgrade) -> Response {
    if name.len() > LONGEST_NAME {
        return (StatusCode::BAD_REQUEST, "the document's name is too long").into_response();
    }
    let Some(document) = sync.documents.open(&name) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no room for another document").into_response();
    };
    let id = sync.connections.fetch_add(1, Ordering::Relaxed);
    upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * LARGEST_DOCUMENT)
        .max_message_size(LARGEST_MESSAGE)
        .max_frame_size(LARGEST_MESSAGE)
        .on_upgrade(move |socket| {
            let connection = Connection { id, socket, document, present: Vec::new(), behaviours: sync.behaviours };
            connection.serve()
        })
}

struct Connection {
    id: u64,
    socket: WebSocket,
    document: Arc<Document>,
    /// The participants that this connection speaks for.
    present: Vec<ClientID>,
    behaviours: Behaviours,
}

impl Connection {
    async fn serve(mut self) {
        let close = self.follow().await;
        self.document.leave(self.id, &self.present);
        if let Some(frame) = close {
            // The client may be gone already.
            let _ = timeout(SEND_TIMEOUT, self.socket.send(Message::Close(Some(frame)))).await;
        }
    }

    /// Until the connection ends; with a frame where it is ours to close it.
    async fn follow(&mut self) -> Option<CloseFrame> {
        let mut changes = self.document.follow();
        for message in self.document.greeting() {
            self.send(message).await.ok()?;
        }
        loop {
            tokio::select! {
                received = self.socket.recv() => match received {
                    Some(Ok(Message::Binary(data))) => {
                        hold(&self.behaviours).await;
                        match self.document.take_in(self.id, &data, &mut self.present) {
                            Ok(answers) => for answer in answers {
                                self.send(answer).await.ok()?;
                            },
                            Err(refusal) => return Some(closing(&refusal)),
                        }
                    }
                    Some(Ok(Message::Text(_))) => {
                        return Some(CloseFrame { code: 1003, reason: "the Yjs sync protocol is binary".into() });
                    }
                    // tungstenite answers pings by itself.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                },
                change = changes.recv() => match change {
                    Ok(change) if change.origin == self.id => {}
                    Ok(change) => {
                        self.behaviours.thaw("sync").await;
                        self.send(change.message).await.ok()?;
                    }
                    Err(RecvError::Lagged(_)) => {
                        for message in self.document.whole() {
                            self.send(message).await.ok()?;
                        }
                    }
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    async fn send(&mut self, message: Bytes) -> Result<(), ()> {
        match timeout(SEND_TIMEOUT, self.socket.send(Message::Binary(message))).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(()),
        }
    }
}

/// The frame that says why; a control frame has room for 123 bytes of it.
fn closing(refusal: &Refusal) -> CloseFrame {
    let mut reason = refusal.to_string();
    reason.truncate(reason.floor_char_boundary(123));
    CloseFrame { code: 1008, reason: reason.into() }
}

async fn hold(behaviours: &Behaviours) {
    if let Some(drawn) = behaviours.draw("sync") {
        drawn.wait().await;
        behaviours.thaw("sync").await;
    }
}
