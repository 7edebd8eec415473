//! HTTP against servers that break every rule: each end has the right outcome, none hangs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use slatest_core::model::{Completion, Outcome};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::scripted::{Scripted, read_request, reset, write};
use super::suite::{Subject, worker};

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

fn subject(address: SocketAddr, settings: &str, operation: &str) -> Subject {
    let workload = format!(
        "name: faults\ndriver: http\nendpoint: api\nsettings: {settings}\noperations:\n  - {{ name: one, {operation} }}\n"
    );
    Subject::new("http", workload, format!("{{ http: \"http://{address}\" }}"))
}

fn plain(address: SocketAddr) -> Subject {
    subject(address, "{}", "timeout: 300ms, request: { get: / }")
}

/// Executes the operation `times` times in one session.
fn executed(subject: &Subject, times: u64) -> Vec<Completion> {
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        let mut completions = Vec::new();
        for seq in 0..times {
            completions.push(bench.execute(&mut *session, "one", seq).await);
        }
        session.close().await;
        completions
    })
}

/// What a first connection does that spoils its answer must end like this, and a second connection
/// must then serve the session as if nothing had been.
fn spoilt<F, S>(script: S, outcome: Outcome, kind: &str)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(TcpStream) -> F + Send + 'static,
{
    let script = Arc::new(Mutex::new(script));
    let server = Scripted::serve(move |number, mut stream| {
        let script = Arc::clone(&script);
        async move {
            while read_request(&mut stream).await.is_some() {
                if number == 0 {
                    let spoil = script.lock().expect("nobody panicked with it")(stream);
                    return spoil.await;
                }
                write(&mut stream, GOOD).await;
            }
        }
    });
    let completions = executed(&plain(server.address()), 2);
    assert_eq!((completions[0].outcome, completions[0].error.as_deref()), (outcome, Some(kind)));
    assert!(completions[0].sent.is_some());
    assert_eq!(completions[1].outcome, Outcome::Ok, "{:?}", completions[1]);
    assert_eq!(server.connections(), 2);
}

async fn for_ever(stream: TcpStream) {
    std::future::pending::<()>().await;
    drop(stream);
}

async fn drip(mut stream: TcpStream, bytes: &'static str) {
    for byte in bytes.as_bytes().iter().cycle() {
        write(&mut stream, [*byte]).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_server_that_never_answers_times_out() {
    spoilt(for_ever, Outcome::TimedOut, "timeout: no answer");
}

#[test]
fn a_head_that_never_ends_times_out() {
    let script = |mut stream| async move {
        write(&mut stream, "HTTP/1.1 200 OK\r\nx-slow: ").await;
        drip(stream, "a").await;
    };
    spoilt(script, Outcome::TimedOut, "timeout: no answer");
}

#[test]
fn a_body_that_never_ends_times_out() {
    let script = |mut stream| async move {
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
        drip(stream, "a").await;
    };
    spoilt(script, Outcome::TimedOut, "timeout: in the body");
}

#[test]
fn a_connection_that_closes_without_an_answer_is_disconnected_and_not_tried_again() {
    spoilt(|stream| async move { drop(stream) }, Outcome::Disconnected, "answer: connection closed");
}

#[test]
fn a_reset_before_the_answer_is_disconnected() {
    spoilt(|stream| async move { reset(stream) }, Outcome::Disconnected, "answer: connection reset");
}

#[test]
fn a_reset_in_the_body_is_disconnected() {
    let script = |mut stream: TcpStream| async move {
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await;
        // The client must have taken this much, or the reset would overtake it.
        tokio::time::sleep(Duration::from_millis(50)).await;
        reset(stream);
    };
    spoilt(script, Outcome::Disconnected, "body: connection reset");
}

#[test]
fn a_body_shorter_than_it_was_said_to_be_is_truncated() {
    let script = |mut stream| async move {
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await;
    };
    spoilt(script, Outcome::Disconnected, "body: truncated");
}

#[test]
fn chunks_that_stop_before_the_last_are_truncated() {
    let script = |mut stream| async move {
        write(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n").await;
    };
    spoilt(script, Outcome::Disconnected, "body: truncated");
}

#[test]
fn chunks_of_no_size_are_malformed() {
    let script = |mut stream| async move {
        write(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabcde\r\n").await;
        for_ever(stream).await;
    };
    spoilt(script, Outcome::Rejected, "body: malformed");
}

#[test]
fn an_answer_in_another_protocol_is_malformed() {
    let script = |mut stream| async move {
        write(&mut stream, "SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
        for_ever(stream).await;
    };
    spoilt(script, Outcome::Rejected, "answer: malformed");
}

#[test]
fn a_head_without_bounds_is_given_up() {
    let script = |mut stream| async move {
        write(&mut stream, format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(1 << 20))).await;
        for_ever(stream).await;
    };
    spoilt(script, Outcome::Rejected, "answer: malformed");
}

#[test]
fn a_body_without_bounds_is_given_up() {
    let server = Scripted::serve(|_, mut stream| async move {
        if read_request(&mut stream).await.is_some() {
            write(&mut stream, "HTTP/1.1 200 OK\r\n\r\n").await;
            let piece = vec![b'a'; 1 << 20];
            while tokio::io::AsyncWriteExt::write_all(&mut stream, &piece).await.is_ok() {}
        }
    });
    let completion = executed(&subject(server.address(), "{}", "request: { get: / }"), 1).remove(0);
    assert_eq!(completion.outcome, Outcome::Rejected);
    assert_eq!(completion.error.as_deref(), Some("body: larger than 16 MiB"));
}

#[test]
fn a_kept_connection_that_was_closed_while_idle_costs_nothing() {
    let (closed, wait) = std::sync::mpsc::channel();
    let server = Scripted::serve(move |_, mut stream| {
        let closed = closed.clone();
        async move {
            if read_request(&mut stream).await.is_some() {
                write(&mut stream, GOOD).await;
                drop(stream);
                closed.send(()).expect("the test waits");
            }
        }
    });
    worker(async {
        let bench = plain(server.address()).prepare().await;
        let mut session = bench.session(0).await;
        for seq in 0..20 {
            let completion = bench.execute(&mut *session, "one", seq).await;
            assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
            wait.recv().expect("the server closes");
            // One turn of the runtime, in which the end of the connection is read.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert_eq!(server.connections(), 20);
}

#[test]
fn an_answer_that_closes_its_connection_is_whole() {
    let server = Scripted::serve(|_, mut stream| async move {
        if read_request(&mut stream).await.is_some() {
            write(&mut stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end").await;
        }
    });
    let completions = executed(&plain(server.address()), 5);
    assert!(completions.iter().all(|c| c.outcome == Outcome::Ok), "{completions:?}");
    assert_eq!(server.connections(), 5);
}

#[test]
fn answers_without_a_body_leave_the_connection_usable() {
    for answer in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 50\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx",
    ] {
        let server = Scripted::answering(answer);
        let completions = executed(&plain(server.address()), 3);
        assert!(completions.iter().all(|c| c.outcome == Outcome::Ok), "{answer}: {completions:?}");
        assert_eq!(server.connections(), 1, "{answer}");
    }
    let server = Scripted::answering("HTTP/1.1 200 OK\r\ncontent-length: 500\r\ncontent-encoding: gzip\r\n\r\n");
    let head = subject(server.address(), "{}", "request: { head: / }, check: { body: { matches: \"^$\" } }");
    assert!(executed(&head, 3).iter().all(|c| c.outcome == Outcome::Ok));
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_redirect_without_end_ends() {
    let server = Scripted::answering("HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n");
    let completion =
        executed(&subject(server.address(), "{ follow_redirects: 3 }", "request: { get: / }"), 1).remove(0);
    assert_eq!(completion.outcome, Outcome::Rejected);
    assert_eq!(completion.error.as_deref(), Some("redirect: too many"));
    assert_eq!(server.connections(), 1, "one connection does for one origin");
    let unfollowed = executed(&plain(server.address()), 1).remove(0);
    assert_eq!(unfollowed.outcome, Outcome::Ok, "a redirect is an answer unless it was to be followed");
}

#[test]
fn a_redirect_goes_to_another_server_only_where_the_guard_lets_it() {
    let elsewhere = Scripted::answering(GOOD);
    let there = elsewhere.address();
    let server = Scripted::serve(move |_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            write(&mut stream, format!("HTTP/1.1 307 X\r\nlocation: http://{there}/\r\ncontent-length: 0\r\n\r\n"))
                .await;
        }
    });
    let by_name = |host: &str| {
        let at = format!("{{ http: \"http://localhost:{}\" }}", server.address().port());
        let workload = subject(server.address(), "{ follow_redirects: 3 }", "request: { get: / }");
        executed(&workload.on(at).allowing(&["localhost", host]), 1).remove(0)
    };
    let forbidden = by_name("nowhere.example");
    assert_eq!(forbidden.error.as_deref(), Some("redirect: to a host that is not allowed"));
    assert_eq!(elsewhere.connections(), 0);
    assert_eq!(by_name("127.0.0.1").outcome, Outcome::Ok);
    assert_eq!(elsewhere.connections(), 1);
}

/// Serves HTTP/2 without TLS; the first connection does `spoil` to its first request.
fn spoilt_http2(
    spoil: fn(&mut h2::server::Connection<TcpStream, bytes::Bytes>, h2::server::SendResponse<bytes::Bytes>),
) -> Vec<Completion> {
    let server = Scripted::serve(move |number, stream| async move {
        let mut connection = h2::server::handshake(stream).await.expect("a client that speaks HTTP/2");
        let mut first = number == 0;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            if std::mem::take(&mut first) {
                spoil(&mut connection, respond);
            } else {
                respond.send_response(http::Response::new(()), true).expect("a client that listens");
            }
        }
    });
    let subject = subject(server.address(), "{ version: http2 }", "timeout: 5s, request: { get: / }");
    let completions = executed(&subject, 3);
    assert!(completions[1..].iter().all(|c| c.outcome == Outcome::Ok), "{completions:?}");
    completions
}

#[test]
fn an_http2_stream_that_is_reset_is_disconnected() {
    let completions = spoilt_http2(|_, mut respond| respond.send_reset(h2::Reason::CANCEL));
    assert_eq!(completions[0].outcome, Outcome::Disconnected);
    assert_eq!(completions[0].error.as_deref(), Some("answer: http2 reset CANCEL"));
}

#[test]
fn an_http2_body_that_is_reset_is_disconnected() {
    let completions = spoilt_http2(|_, mut respond| {
        let mut body = respond.send_response(http::Response::new(()), false).expect("a client that listens");
        body.send_reset(h2::Reason::INTERNAL_ERROR);
    });
    assert_eq!(completions[0].outcome, Outcome::Disconnected);
    // The reset may overtake the head that came with it.
    let kind = completions[0].error.as_deref().expect("a kind");
    assert!(kind.ends_with(": http2 reset INTERNAL_ERROR"), "{kind}");
}

#[test]
fn an_http2_connection_that_is_given_up_is_disconnected() {
    let completions = spoilt_http2(|connection, _| connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM));
    assert_eq!(completions[0].outcome, Outcome::Disconnected);
    // Whether the reason or the end of the socket is seen first is a race.
    let kind = completions[0].error.as_deref().expect("a kind");
    assert!(kind.starts_with("answer: "), "{kind}");
}

#[test]
fn an_http2_connection_that_says_goodbye_serves_what_it_took() {
    let completions = spoilt_http2(|connection, mut respond| {
        respond.send_response(http::Response::new(()), true).expect("a client that listens");
        connection.graceful_shutdown();
    });
    assert!(completions.iter().all(|c| c.outcome == Outcome::Ok), "{completions:?}");
}

#[test]
fn a_server_that_speaks_no_http2_is_told_apart() {
    let server = Scripted::serve(|_, mut stream| async move {
        let mut preface = [0; 24];
        drop(stream.read_exact(&mut preface).await);
        write(&mut stream, "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    });
    let subject = subject(server.address(), "{ version: http2 }", "timeout: 5s, request: { get: / }");
    for completion in executed(&subject, 2) {
        assert_eq!(completion.outcome, Outcome::Disconnected, "{completion:?}");
    }
}
