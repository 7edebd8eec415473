//! AMQP brokers that answer a message with anything but an acknowledgement: each end has the right
//! outcome and kind, and the next message finds a channel that works.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use slatest_core::model::Outcome;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::scripted::{Scripted, reset, write};
use super::suite::{Subject, ends, executed, worker};

/// What the broker does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    Ack,
    Nack,
    /// Nacks what comes on the channel that was opened first, as RabbitMQ does on a channel that is tied to a
    /// queue's leader that is down.
    NackOnFirst,
    /// Back to the sender, and acknowledged, as for what no queue takes.
    Return,
    /// Closes the channel with this code.
    ClosesChannel(u16),
    /// Closes the connection with this code.
    ClosesConnection(u16),
    /// Ends the connection without a word.
    Drops,
    Resets,
    /// Says something that is no frame.
    Babbles,
    /// Says nothing.
    Silence,
    /// Says that it takes no messages, reads nothing for a while, and then takes them again.
    Blocks(Duration),
}

/// One frame: type, channel and payload.
pub(super) async fn frame(stream: &mut TcpStream) -> Option<(u8, u16, Vec<u8>)> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes(head[3..7].try_into().expect("four bytes")) as usize;
    let mut payload = vec![0; length + 1];
    stream.read_exact(&mut payload).await.ok()?;
    payload.pop();
    Some((head[0], u16::from_be_bytes([head[1], head[2]]), payload))
}

pub(super) async fn send(stream: &mut TcpStream, kind: u8, channel: u16, payload: &[u8]) {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend(u32::try_from(payload.len()).expect("a short frame").to_be_bytes());
    bytes.extend(payload);
    bytes.push(0xce);
    write(stream, bytes).await;
}

pub(super) async fn method(stream: &mut TcpStream, channel: u16, class: u16, number: u16, arguments: &[u8]) {
    send(stream, 1, channel, &[&class.to_be_bytes()[..], &number.to_be_bytes(), arguments].concat()).await;
}

fn closing(code: u16) -> Vec<u8> {
    [&code.to_be_bytes()[..], b"\x07because", &60_u16.to_be_bytes(), &40_u16.to_be_bytes()].concat()
}

/// Serves one connection; messages are numbered over all of them.
async fn serve(mut stream: TcpStream, messages: Arc<AtomicUsize>, reaction: impl Fn(usize) -> Reaction) {
    let mut protocol = [0; 8];
    if stream.read_exact(&mut protocol).await.is_err() {
        return;
    }
    method(&mut stream, 0, 10, 10, b"\x00\x09\x00\x00\x00\x00\x00\x00\x00\x05PLAIN\x00\x00\x00\x05en_US").await;
    // Delivery tags count on each channel.
    let mut tags = std::collections::BTreeMap::<u16, u64>::new();
    let mut opened = 0;
    while let Some((kind, channel, payload)) = frame(&mut stream).await {
        let number = |at: usize| payload.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
        let stream = &mut stream;
        match (kind, number(0), number(2)) {
            (1, Some(10), Some(11)) => method(stream, 0, 10, 30, b"\x07\xff\x00\x02\x00\x00\x00\x00").await,
            (1, Some(10), Some(40)) => method(stream, 0, 10, 41, b"\x00").await,
            (1, Some(10), Some(50)) => method(stream, 0, 10, 51, b"").await,
            (1, Some(20), Some(10)) => {
                tags.insert(channel, 0);
                opened += 1;
                method(stream, channel, 20, 11, b"\x00\x00\x00\x00").await;
            }
            (1, Some(20), Some(40)) => method(stream, channel, 20, 41, b"").await,
            (1, Some(85), Some(10)) => method(stream, channel, 85, 11, b"").await,
            // The body: the message is whole.
            (3, ..) => {
                let tag = tags.entry(channel).or_default();
                *tag += 1;
                let tagged = [&tag.to_be_bytes()[..], b"\x00"].concat();
                match reaction(messages.fetch_add(1, Ordering::SeqCst)) {
                    Reaction::NackOnFirst if opened == 1 => method(stream, channel, 60, 120, &tagged).await,
                    Reaction::Ack | Reaction::NackOnFirst => method(stream, channel, 60, 80, &tagged).await,
                    Reaction::Nack => method(stream, channel, 60, 120, &tagged).await,
                    Reaction::Return => {
                        method(stream, channel, 60, 50, b"\x01\x38\x08NO_ROUTE\x00\x01q").await;
                        send(stream, 2, channel, b"\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00").await;
                        method(stream, channel, 60, 80, &tagged).await;
                    }
                    Reaction::ClosesChannel(code) => method(stream, channel, 20, 40, &closing(code)).await,
                    Reaction::ClosesConnection(code) => method(stream, 0, 10, 50, &closing(code)).await,
                    Reaction::Babbles => write(stream, "HTTP/1.1 400 Bad Request\r\n\r\n").await,
                    Reaction::Silence => {}
                    Reaction::Blocks(time) => {
                        method(stream, 0, 10, 60, b"\x03low").await;
                        tokio::time::sleep(time).await;
                        method(stream, 0, 10, 61, b"").await;
                    }
                    Reaction::Drops => return,
                    Reaction::Resets => break,
                }
            }
            _ => {}
        }
    }
    reset(stream);
}

fn broker(reaction: impl Fn(usize) -> Reaction + Send + Sync + 'static) -> Scripted {
    let (reaction, messages) = (Arc::new(reaction), Arc::<AtomicUsize>::default());
    Scripted::serve(move |_, stream| {
        let (reaction, messages) = (Arc::clone(&reaction), Arc::clone(&messages));
        async move { serve(stream, messages, |n| reaction(n)).await }
    })
}

pub(super) fn subject(folder: &tempfile::TempDir, address: SocketAddr) -> Subject {
    subject_with(folder, address, "{}")
}

pub(super) fn subject_with(folder: &tempfile::TempDir, address: SocketAddr, settings: &str) -> Subject {
    let path = folder.path().join("uri");
    std::fs::write(&path, format!("amqp://guest:guest@{address}/v")).expect("a file");
    let workload = format!(
        "name: jobs\ndriver: amqp\nendpoint: queue\nsettings: {settings}\noperations:\n  \
         - {{ name: send, timeout: 3s, request: {{ publish: {{ routing_key: q, body: hello }} }} }}\n"
    );
    Subject::new("amqp", workload, format!("{{ amqp: {{ file: \"{}\" }} }}", path.display()))
}

/// How a broker reacts to the first message, what becomes of it, and how many connections there are
/// when two more were acknowledged.
fn spoilt(first: Reaction, outcome: Outcome, kinds: &[&str], connections: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = broker(move |n| if n == 0 { first } else { Reaction::Ack });
    let completions = executed(&subject(&folder, server.address()), "send", 3);
    let expected = [(Outcome::Ok, None), (Outcome::Ok, None)];
    assert_eq!(completions[0].outcome, outcome, "{first:?}: {completions:?}");
    assert!(kinds.contains(&completions[0].error.as_deref().unwrap_or_default()), "{first:?}: {completions:?}");
    assert_eq!(ends(&completions[1..]), expected, "{first:?}");
    assert_eq!(server.connections(), connections, "{first:?}");
}

#[test]
fn a_message_that_is_refused_or_comes_back_is_rejected() {
    spoilt(Reaction::Nack, Outcome::Rejected, &["nack"], 1);
    spoilt(Reaction::Return, Outcome::Rejected, &["unroutable"], 1);
}

#[test]
fn a_channel_on_which_everything_is_refused_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = broker(|_| Reaction::NackOnFirst);
    worker(async {
        let bench = subject(&folder, server.address()).prepare().await;
        let mut session = bench.session(0).await;
        let first = bench.execute(&mut *session, "send", 0).await;
        assert_eq!((first.outcome, first.error.as_deref()), (Outcome::Rejected, Some("nack")));
        for seq in 1..1000 {
            if bench.execute(&mut *session, "send", seq).await.outcome == Outcome::Ok {
                assert_eq!(server.connections(), 1, "the connection is kept");
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no message was ever sent on another channel");
    });
}

#[test]
fn a_channel_that_the_broker_closes_is_told_by_its_reason_and_opened_again() {
    for (code, name) in
        [(403, "ACCESS_REFUSED"), (404, "NOT_FOUND"), (406, "PRECONDITION_FAILED"), (311, "CONTENT_TOO_LARGE")]
    {
        spoilt(Reaction::ClosesChannel(code), Outcome::Rejected, &[name], 1);
    }
}

#[test]
fn a_connection_that_the_broker_closes_is_disconnected_and_opened_again() {
    for (code, name) in [(320, "CONNECTION_FORCED"), (541, "INTERNAL_ERROR"), (501, "FRAME_ERROR")] {
        spoilt(Reaction::ClosesConnection(code), Outcome::Disconnected, &[name], 2);
    }
}

#[test]
fn a_connection_that_breaks_is_disconnected_and_opened_again() {
    let kinds = ["connection closed", "connection aborted", "connection reset", "broken pipe"];
    spoilt(Reaction::Drops, Outcome::Disconnected, &kinds, 2);
    spoilt(Reaction::Resets, Outcome::Disconnected, &kinds, 2);
}

#[test]
fn what_is_no_frame_is_disconnected_and_the_connection_not_used_again() {
    spoilt(Reaction::Babbles, Outcome::Disconnected, &["not AMQP 0-9-1", "connection closed"], 2);
}

#[test]
fn a_message_that_is_never_confirmed_times_out() {
    spoilt(Reaction::Silence, Outcome::TimedOut, &["not confirmed"], 1);
}

#[test]
fn a_blocked_connection_is_named_and_what_waits_for_it_is_never_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let sent = Arc::<AtomicUsize>::default();
    let server = broker({
        let sent = Arc::clone(&sent);
        move |n| {
            sent.store(n + 1, Ordering::SeqCst);
            if n == 0 { Reaction::Blocks(Duration::from_secs(15)) } else { Reaction::Ack }
        }
    });
    worker(async {
        // Both sessions share the one connection.
        let bench = subject_with(&folder, server.address(), "{ connections: 1 }").prepare().await;
        let mut sessions = [bench.session(0).await, bench.session(1).await];
        for seq in 0..2 {
            let session = &mut *sessions[usize::try_from(seq).expect("few")];
            let blocked = bench.execute(session, "send", seq).await;
            assert_eq!((blocked.outcome, blocked.error.as_deref()), (Outcome::TimedOut, Some("connection blocked")));
            assert_eq!(blocked.sent.is_some(), seq == 0, "only the first was sent: {blocked:?}");
        }
        // A session that begins meanwhile doesn't wait, but its operation does, as long as its own time.
        let mut session = bench.session(2).await;
        let blocked = bench.execute(&mut *session, "send", 2).await;
        assert_eq!((blocked.outcome, blocked.error.as_deref()), (Outcome::TimedOut, Some("connection blocked")));
        for seq in 3..100 {
            if bench.execute(&mut *session, "send", seq).await.outcome == Outcome::Ok {
                assert_eq!((sent.load(Ordering::SeqCst), server.connections()), (2, 1), "on the same connection");
                return;
            }
        }
        panic!("the connection is never unblocked");
    });
}
