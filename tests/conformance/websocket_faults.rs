//! WebSocket servers that break off in every way: each end has the right outcome and kind, and the
//! next operation finds a new connection.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use slatest_core::model::Outcome;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use super::scripted::{Scripted, reset, write};
use super::suite::{Subject, ends, executed};

const WORKLOAD: &str = r#"
name: calls
driver: websocket
endpoint: sync
operations:
  - { name: call, timeout: 2s, request: { send: { id: "{{ seq }}" }, correlate: $.id } }
"#;

type Socket = WebSocketStream<TcpStream>;

fn subject(address: SocketAddr) -> Subject {
    Subject::new("websocket", WORKLOAD, format!("{{ websocket: \"ws://{address}\" }}"))
}

/// Sends what comes back, until the client leaves.
async fn echo(mut socket: Socket) {
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// What the first connection does with its first message must end so; the session's next operations
/// are answered, on one more connection at most.
fn spoilt<F>(what: &str, script: impl Fn(Socket) -> F + Send + Sync + 'static, outcome: Outcome, kind: &str)
where
    F: Future<Output = ()> + Send + 'static,
{
    let script = Arc::new(script);
    let server = Scripted::serve(move |number, stream| {
        let script = Arc::clone(&script);
        async move {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            if number > 0 {
                return echo(socket).await;
            }
            if let Some(Ok(_)) = socket.next().await {
                script(socket).await;
            }
        }
    });
    let completions = executed(&subject(server.address()), "call", 3);
    assert_eq!(ends(&completions), [(outcome, Some(kind)), (Outcome::Ok, None), (Outcome::Ok, None)], "{what}");
    assert!(completions[0].sent.is_some(), "{what}: it was sent");
    assert!(server.connections() <= 2, "{what}: {} connections", server.connections());
}

#[test]
fn a_close_frame_is_told_by_its_code() {
    for code in [1000_u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4999] {
        let close = move |mut socket: Socket| async move {
            let frame = CloseFrame { code: CloseCode::from(code), reason: "because".into() };
            drop(socket.close(Some(frame)).await);
            // The client answers the close frame, and the server closes then.
            while let Some(Ok(_)) = socket.next().await {}
        };
        spoilt(&code.to_string(), close, Outcome::Disconnected, &format!("closed: {code}"));
    }
    let bare = |mut socket: Socket| async move {
        drop(socket.close(None).await);
        while let Some(Ok(_)) = socket.next().await {}
    };
    spoilt("no code", bare, Outcome::Disconnected, "closed: no code");
}

/// RFC 6455, 5.5.1: a close frame is answered with its own code, also where it comes byte by byte, and between the
/// fragments of a message.
#[test]
fn a_close_frame_is_answered_with_its_code() {
    for (what, before) in [("alone", &b""[..]), ("between fragments", b"\x01\x02ab"), ("behind a ping", b"\x89\x01p")] {
        let (told, answers) = std::sync::mpsc::channel();
        let server = Scripted::serve(move |_, stream| {
            let told = told.clone();
            async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                if let Some(Ok(_)) = socket.next().await {
                    let mut stream = socket.into_inner();
                    write(&mut stream, before).await;
                    for byte in *b"\x88\x02\x03\xf0" {
                        write(&mut stream, [byte]).await;
                        tokio::task::yield_now().await;
                    }
                    let mut answer = Vec::new();
                    drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await);
                    drop(told.send(answer));
                }
            }
        });
        let completions = executed(&subject(server.address()), "call", 1);
        assert_eq!(ends(&completions), [(Outcome::Disconnected, Some("closed: 1008"))], "{what}");
        let answer = answers.recv_timeout(std::time::Duration::from_secs(20)).expect("the client's last bytes");
        // Masked, two bytes long: the same code.
        let close = answer.windows(8).find(|bytes| bytes.starts_with(&[0x88, 0x82])).expect("a close frame");
        assert_eq!([close[2] ^ close[6], close[3] ^ close[7]], 1008_u16.to_be_bytes(), "{what}: {answer:?}");
    }
}

/// A close frame can't be sent in parts, nor be longer than 125 bytes, nor have half a code.
#[test]
fn a_close_frame_that_can_t_be_breaks_the_protocol() {
    let long = [&b"\x88\x7e\x00\x7e"[..], &[b'x'; 126]].concat();
    for (what, bytes) in
        [("in parts", b"\x08\x02\x03\xf0".to_vec()), ("too long", long), ("half a code", b"\x88\x01\x03".to_vec())]
    {
        let babble = move |socket: Socket| {
            let bytes = bytes.clone();
            async move {
                let mut stream = socket.into_inner();
                write(&mut stream, bytes).await;
                std::future::pending::<()>().await;
            }
        };
        spoilt(what, babble, Outcome::Disconnected, "protocol: malformed frame");
    }
}

/// What applications see as 1006: an end without a close frame.
#[test]
fn an_end_without_a_close_frame_is_disconnected() {
    spoilt("dropped", |socket| async move { drop(socket) }, Outcome::Disconnected, "closed: no close frame");
    let torn = |socket: Socket| async move { reset(socket.into_inner()) };
    spoilt("reset", torn, Outcome::Disconnected, "connection: connection reset");
    let half = |socket: Socket| async move {
        let mut stream = socket.into_inner();
        write(&mut stream, b"\x81\x7e\x01\x00abc").await;
    };
    spoilt("in the middle of a frame", half, Outcome::Disconnected, "closed: no close frame");
}

#[test]
fn what_breaks_the_protocol_is_disconnected() {
    for (what, bytes, kind) in [
        ("masked by the server", &b"\x81\x82\x01\x02\x03\x04ab"[..], "protocol: malformed frame"),
        ("reserved bits", b"\xf1\x02ab", "protocol: malformed frame"),
        ("an unknown opcode", b"\x83\x02ab", "protocol: malformed frame"),
        ("text that is no text", b"\x81\x02\xff\xfe", "protocol: malformed frame"),
        ("a fragmented ping", b"\x09\x00", "protocol: malformed frame"),
        ("a continuation of nothing", b"\x80\x02ab", "protocol: malformed frame"),
        ("a frame of 2^62 bytes", b"\x82\x7f\x40\x00\x00\x00\x00\x00\x00\x00", "protocol: message too large"),
    ] {
        let babble = move |socket: Socket| async move {
            let mut stream = socket.into_inner();
            write(&mut stream, bytes).await;
            std::future::pending::<()>().await;
        };
        spoilt(what, babble, Outcome::Disconnected, kind);
    }
}

/// A close code that may never stand in a frame breaks the protocol, or is told as it stands.
#[test]
fn a_code_that_no_frame_may_carry_is_disconnected_too() {
    for code in [999_u16, 1004, 1005, 1006, 1015, 5000] {
        let server = Scripted::serve(move |number, stream| async move {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
            if number > 0 {
                return echo(socket).await;
            }
            if let Some(Ok(_)) = socket.next().await {
                let mut stream = socket.into_inner();
                let [high, low] = code.to_be_bytes();
                write(&mut stream, [0x88, 2, high, low]).await;
                std::future::pending::<()>().await;
            }
        });
        let completions = executed(&subject(server.address()), "call", 2);
        assert_eq!(completions[0].outcome, Outcome::Disconnected, "{code}: {completions:?}");
        assert_eq!(completions[1].outcome, Outcome::Ok, "{code}: {completions:?}");
    }
}

/// Messages that answer nothing neither end an operation nor keep it from ending.
#[test]
fn what_was_not_asked_for_is_no_answer() {
    let server = Scripted::serve(|_, stream| async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
        while let Some(Ok(message)) = socket.next().await {
            if !message.is_text() {
                continue;
            }
            let unasked = ["", "{", "null", "[]", r#"{"id":null}"#, r#"{"id":"another"}"#, r#"{"id":{"id":"0"}}"#];
            for text in unasked {
                drop(socket.feed(Message::text(text)).await);
            }
            drop(socket.feed(Message::binary(vec![0xff; 100])).await);
            drop(socket.feed(Message::Ping(vec![1; 125].into())).await);
            drop(socket.send(message).await);
        }
    });
    let completions = executed(&subject(server.address()), "call", 5);
    assert_eq!(ends(&completions), [(Outcome::Ok, None); 5]);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_lost_answer_times_out_and_its_late_answer_is_nobodys() {
    let server = Scripted::serve(|_, stream| async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
        let mut kept = None;
        while let Some(Ok(message)) = socket.next().await {
            if !message.is_text() {
                continue;
            }
            match kept.take() {
                None => kept = Some(message),
                Some(late) => {
                    drop(socket.send(late).await);
                    drop(socket.send(message).await);
                }
            }
        }
    });
    let completions = executed(&subject(server.address()), "call", 2);
    assert_eq!(ends(&completions), [(Outcome::TimedOut, Some("answer: timed out")), (Outcome::Ok, None)]);
}
