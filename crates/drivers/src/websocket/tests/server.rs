//! The smallest server that speaks the Yjs protocol, and misbehaves when told to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as Frame};
use yrs::encoding::read::Cursor;
use yrs::sync::protocol::MessageReader;
use yrs::sync::{Message, SyncMessage};
use yrs::updates::decoder::{Decode, DecoderV1};
use yrs::updates::encoder::Encode;
use yrs::{Doc, GetString, ReadTxn, Transact, Update};

/// What the server does when something comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// What it should.
    Faithful,
    /// Takes updates and keeps them to itself.
    LosesUpdates,
    /// Answers the next message with a close frame of this code.
    Closes(u16),
    /// Refuses handshakes with this status.
    Refuses(u16),
    /// Takes connections and says nothing.
    Silent,
    /// Completes handshakes, and doesn't answer what comes.
    Mute,
    /// Answers the next message with bytes that mean nothing.
    Babbles,
}

#[derive(Default)]
struct Room {
    doc: Doc,
    peers: BTreeMap<u64, mpsc::UnboundedSender<Frame>>,
}

struct State {
    behaviour: Cell<Behaviour>,
    rooms: RefCell<BTreeMap<String, Room>>,
    connections: Cell<u64>,
    pings: Cell<u64>,
    authorization: RefCell<Option<String>>,
    breaks: tokio::sync::Notify,
}

/// The server; it lives in the local set that it was started in.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    state: Rc<State>,
}

impl Server {
    pub(super) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Rc::new(State {
            behaviour: Cell::new(behaviour),
            rooms: RefCell::default(),
            connections: Cell::new(0),
            pings: Cell::new(0),
            authorization: RefCell::default(),
            breaks: tokio::sync::Notify::new(),
        });
        let shared = Rc::clone(&state);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.set(shared.connections.get() + 1);
                let (state, number) = (Rc::clone(&shared), shared.connections.get());
                tokio::task::spawn_local(async move {
                    let breaks = state.breaks.notified();
                    tokio::select! {
                        () = serve(stream, &state, number) => {}
                        () = breaks => {}
                    }
                    for room in state.rooms.borrow_mut().values_mut() {
                        room.peers.remove(&number);
                    }
                });
            }
        });
        Self { address, state }
    }

    pub(super) fn set(&self, behaviour: Behaviour) {
        self.state.behaviour.set(behaviour);
    }

    /// Drops every connection without a word.
    pub(super) fn break_all(&self) {
        self.state.breaks.notify_waiters();
    }

    /// Loses every document, as a restart without storage does, and keeps the connections.
    pub(super) fn forget(&self) {
        for room in self.state.rooms.borrow_mut().values_mut() {
            room.doc = Doc::new();
        }
    }

    /// What it holds now.
    pub(super) fn backup(&self) -> BTreeMap<String, Vec<u8>> {
        let state = |room: &Room| room.doc.transact().encode_state_as_update_v1(&yrs::StateVector::default());
        self.state.rooms.borrow().iter().map(|(name, room)| (name.clone(), state(room))).collect()
    }

    /// Goes back to what it held then.
    pub(super) fn restore(&self, backup: &BTreeMap<String, Vec<u8>>) {
        self.forget();
        for (name, update) in backup {
            let rooms = self.state.rooms.borrow();
            let update = Update::decode_v1(update).unwrap();
            rooms[name].doc.transact_mut().apply_update(update).unwrap();
        }
    }

    pub(super) fn connections(&self) -> u64 {
        self.state.connections.get()
    }

    pub(super) fn pings(&self) -> u64 {
        self.state.pings.get()
    }

    pub(super) fn authorization(&self) -> Option<String> {
        self.state.authorization.borrow().clone()
    }

    pub(super) fn text(&self, room: &str) -> String {
        let rooms = self.state.rooms.borrow();
        let doc = &rooms[room].doc;
        let text = doc.get_or_insert_text("content");
        text.get_string(&doc.transact())
    }

    pub(super) fn rooms(&self) -> Vec<String> {
        self.state.rooms.borrow().keys().cloned().collect()
    }
}

#[expect(clippy::result_large_err, reason = "the library's own type for a refusal")]
async fn serve(stream: TcpStream, state: &State, number: u64) {
    if state.behaviour.get() == Behaviour::Silent {
        let never: () = std::future::pending().await;
        return never;
    }
    let mut path = String::new();
    let handshake = accept_hdr_async(stream, |request: &Request, response: Response| {
        path = request.uri().path().to_owned();
        let header = request.headers().get("authorization").and_then(|v| v.to_str().ok());
        *state.authorization.borrow_mut() = header.map(str::to_owned);
        match state.behaviour.get() {
            Behaviour::Refuses(status) => {
                let mut refusal = ErrorResponse::new(None);
                *refusal.status_mut() = status.try_into().unwrap();
                Err(refusal)
            }
            _ => Ok(response),
        }
    });
    let Ok(mut socket) = handshake.await else { return };
    let (peer, mut inbox) = mpsc::unbounded_channel();
    state.rooms.borrow_mut().entry(path.clone()).or_default().peers.insert(number, peer);
    loop {
        let frame = tokio::select! {
            frame = socket.next() => frame,
            Some(news) = inbox.recv() => {
                if socket.send(news).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let frame = match frame {
            Some(Ok(frame)) => frame,
            _ => return,
        };
        if matches!(frame, Frame::Ping(_)) {
            state.pings.set(state.pings.get() + 1);
        }
        if !matches!(frame, Frame::Text(_) | Frame::Binary(_)) {
            continue;
        }
        let replies = match state.behaviour.get() {
            Behaviour::Mute => continue,
            Behaviour::Closes(code) => {
                state.behaviour.set(Behaviour::Faithful);
                let frame = CloseFrame { code: code.into(), reason: "told to".into() };
                let _ = socket.close(Some(frame)).await;
                return;
            }
            Behaviour::Babbles => {
                state.behaviour.set(Behaviour::Faithful);
                vec![Frame::binary(vec![0, 2, 200, 1, 2, 3])]
            }
            behaviour => answer(state, &path, number, frame, behaviour),
        };
        for reply in replies {
            if socket.send(reply).await.is_err() {
                return;
            }
        }
    }
}

fn answer(state: &State, path: &str, number: u64, frame: Frame, behaviour: Behaviour) -> Vec<Frame> {
    let Frame::Binary(bytes) = frame else {
        // Requests come back as they are, after something that nobody asked for.
        return vec![Frame::text("{\"id\":\"somebody else's\"}"), frame];
    };
    let mut rooms = state.rooms.borrow_mut();
    let room = rooms.get_mut(path).unwrap();
    let mut replies = Vec::new();
    let mut decoder = DecoderV1::new(Cursor::new(&bytes));
    for message in MessageReader::new(&mut decoder) {
        match message.unwrap() {
            Message::Sync(SyncMessage::SyncStep1(theirs)) => {
                let txn = room.doc.transact();
                replies.push(Message::Sync(SyncMessage::SyncStep2(txn.encode_state_as_update_v1(&theirs))));
                replies.push(Message::Sync(SyncMessage::SyncStep1(txn.state_vector())));
            }
            Message::Sync(SyncMessage::SyncStep2(update) | SyncMessage::Update(update)) => {
                if behaviour == Behaviour::LosesUpdates {
                    continue;
                }
                room.doc.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
                let news = Frame::binary(Message::Sync(SyncMessage::Update(update)).encode_v1());
                for (_, peer) in room.peers.iter().filter(|(n, _)| **n != number) {
                    let _ = peer.send(news.clone());
                }
            }
            _ => {}
        }
    }
    replies.iter().map(|m| Frame::binary(m.encode_v1())).collect()
}
