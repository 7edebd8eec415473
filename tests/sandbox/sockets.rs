//! The Yjs sync endpoint and the echo.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, connect_async_with_config};
use yrs::sync::{Message, SyncMessage};
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, GetString, ReadTxn, Text, Transact, Update};

use super::process::Started;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a y-websocket client does, in its smallest form.
struct Replica {
    doc: Doc,
    socket: Socket,
}

impl Replica {
    async fn join(started: &Started, document: &str) -> Self {
        let url = format!("{}/{document}", started.ready.websocket.as_ref().unwrap());
        let (socket, _) = connect_async(url).await.unwrap();
        let mut replica = Self { doc: Doc::new(), socket };
        let ours = replica.doc.transact().state_vector();
        replica.send(Message::Sync(SyncMessage::SyncStep1(ours))).await;
        replica
    }

    async fn send(&mut self, message: Message) {
        self.socket.send(Frame::Binary(message.encode_v1().into())).await.unwrap();
    }

    async fn write(&mut self, text: &str) {
        let update = {
            let notes = self.doc.get_or_insert_text("notes");
            let mut change = self.doc.transact_mut();
            let end = notes.len(&change);
            notes.insert(&mut change, end, text);
            change.encode_update_v1()
        };
        self.send(Message::Sync(SyncMessage::Update(update))).await;
    }

    fn text(&self) -> String {
        let notes = self.doc.get_or_insert_text("notes");
        notes.get_string(&self.doc.transact())
    }

    /// Takes messages in until the text satisfies `done`.
    async fn follow(&mut self, done: impl Fn(&str) -> bool) -> String {
        let following = async {
            while !done(&self.text()) {
                let Some(Ok(frame)) = self.socket.next().await else { panic!("the connection ended") };
                let Frame::Binary(data) = frame else { continue };
                match Message::decode_v1(&data).unwrap() {
                    Message::Sync(SyncMessage::SyncStep1(theirs)) => {
                        let update = self.doc.transact().encode_state_as_update_v1(&theirs);
                        self.send(Message::Sync(SyncMessage::SyncStep2(update))).await;
                    }
                    Message::Sync(SyncMessage::SyncStep2(update) | SyncMessage::Update(update)) => {
                        let update = Update::decode_v1(&update).unwrap();
                        self.doc.transact_mut().apply_update(update).unwrap();
                    }
                    _ => {}
                }
            }
            self.text()
        };
        tokio::time::timeout(Duration::from_secs(30), following).await.expect("replicas converge")
    }
}

#[tokio::test]
async fn replicas_of_a_document_converge_and_other_documents_stay_apart() {
    let started = Started::new(&["--only", "sync"]);
    let (mut a, mut b) = (Replica::join(&started, "ward-1").await, Replica::join(&started, "ward-1").await);
    let mut elsewhere = Replica::join(&started, "ward-2").await;
    for i in 0..20 {
        a.write(&format!("a{i} ")).await;
        b.write(&format!("b{i} ")).await;
    }
    elsewhere.write("other").await;
    let whole = |text: &str| (0..20).all(|i| text.contains(&format!("a{i} ")) && text.contains(&format!("b{i} ")));
    let (of_a, of_b) = (a.follow(whole).await, b.follow(whole).await);
    assert_eq!(of_a, of_b);
    assert!(!of_a.contains("other"));

    // Who comes late, when everyone has gone, gets the whole document.
    drop((a, b));
    assert_eq!(Replica::join(&started, "ward-1").await.follow(whole).await, of_a);
}

#[tokio::test]
async fn who_lags_behind_is_brought_up_to_date() {
    let started = Started::new(&["--only", "sync"]);
    let mut slow = Replica::join(&started, "busy").await;
    let mut author = Replica::join(&started, "busy").await;
    // More than the ring and the sockets' buffers hold, while the slow one reads nothing.
    let page = "x".repeat(64 << 10);
    for i in 0..110 {
        author.write(&page).await;
        author.write(&format!("[{i}]")).await;
    }
    let length = author.text().len();
    let text = slow.follow(|text| text.len() == length).await;
    assert_eq!(text, author.text());
}

#[tokio::test]
async fn what_is_not_the_protocol_is_closed() {
    let started = Started::new(&["--only", "sync"]);
    for frame in [Frame::Text("hello".into()), Frame::Binary(vec![0, 2, 2, 255, 255].into())] {
        let mut replica = Replica::join(&started, "d").await;
        replica.socket.send(frame).await.unwrap();
        let mut closed = false;
        while let Some(Ok(frame)) = replica.socket.next().await {
            closed |= frame.is_close();
        }
        assert!(closed);
    }
}

#[tokio::test]
async fn an_echo_carries_the_id_of_its_request() {
    let started = Started::new(&["--only", "sync"]);
    let (mut socket, _) = connect_async(started.ready.echo.as_ref().unwrap()).await.unwrap();
    for id in ["a", "b", "c"] {
        socket.send(Frame::Text(json!({ "id": id, "n": 1 }).to_string().into())).await.unwrap();
    }
    for id in ["a", "b", "c"] {
        let Some(Ok(Frame::Text(text))) = socket.next().await else { panic!("no answer") };
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["id"], id);
    }
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The `connections` profile holds 10,000 sessions over 2,500 documents: here a tenth of it.
#[tokio::test]
async fn an_idle_connection_is_cheap() {
    let count: usize = std::env::var("SANDBOX_TEST_CONNECTIONS").map_or(1_000, |n| n.parse().unwrap());
    let started = Started::new(&["--only", "sync"]);
    let url = started.ready.websocket.clone().unwrap();
    let config = WebSocketConfig::default().read_buffer_size(1_024).write_buffer_size(0);
    let before = resident_kib(started.ready.pid);
    let mut open = Vec::new();
    for i in 0..count {
        let url = format!("{url}/document-{}", i / 4);
        let (mut socket, _) = connect_async_with_config(url, Some(config), false).await.unwrap();
        // The greeting: the connection is served.
        assert!(socket.next().await.unwrap().unwrap().is_binary());
        open.push(socket);
    }
    let each = (resident_kib(started.ready.pid) - before) as f64 / count as f64;
    println!("{count} connections, {each:.1} KiB each");
    // A quarter of a document is in it. Buffers as the libraries set them would cost 129 KiB.
    assert!(each < 40.0, "{each:.1} KiB for each connection");
}
