//! HTTP answers that are slow, odd or cut short, by the bytes: outcome, parts of the time, and how
//! often the server was asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use slatest_core::model::{Completion, Nanos, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::scripted::{Scripted, read_request, write};
use super::suite::{Subject, ends, executed};

const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
/// How long a slow server waits; nothing is said of how much longer it took.
const DELAY: Duration = Duration::from_millis(120);

fn subject(address: SocketAddr, settings: &str, operation: &str) -> Subject {
    let workload = format!(
        "name: truths\ndriver: http\nendpoint: api\nsettings: {settings}\noperations:\n  - {{ name: one, {operation} }}\n"
    );
    Subject::new("http", workload, format!("{{ http: \"http://{address}\" }}"))
}

/// A server that answers each request by its number, and counts them.
fn counting(
    answer: impl Fn(usize) -> Vec<(Duration, Vec<u8>)> + Send + Sync + 'static,
) -> (Scripted, Arc<AtomicUsize>) {
    let (answer, asked) = (Arc::new(answer), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&asked);
    let server = Scripted::serve(move |_, mut stream| {
        let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
        async move {
            while read_request(&mut stream).await.is_some() {
                for (wait, bytes) in answer(asked.fetch_add(1, Ordering::SeqCst)) {
                    tokio::time::sleep(wait).await;
                    write(&mut stream, bytes).await;
                }
            }
        }
    });
    (server, count)
}

fn timing(completion: &Completion, index: u8) -> Nanos {
    let found = completion.timings.iter().find(|(i, _)| *i == index);
    found.map_or_else(|| panic!("no timing {index}: {completion:?}"), |(_, length)| *length)
}

fn service(completion: &Completion) -> Nanos {
    completion.done.since(completion.sent.expect("it was sent"))
}

#[test]
fn a_slow_head_and_a_slow_body_are_time_of_the_server() {
    let (head, body) = ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n", "abcdef");
    let (server, asked) = counting(move |n| match n {
        0 => vec![(Duration::ZERO, head[..20].into()), (DELAY, [&head[20..], body].concat().into())],
        _ => vec![(Duration::ZERO, [head, &body[..3]].concat().into()), (DELAY, body[3..].into())],
    });
    let completions = executed(&subject(server.address(), "{}", "timeout: 20s, request: { get: / }"), "one", 2);
    assert_eq!(ends(&completions), [(Outcome::Ok, None); 2]);
    for completion in &completions {
        assert!(service(completion) >= DELAY.into(), "the whole answer counts: {completion:?}");
        assert!(timing(completion, 1) <= service(completion), "{completion:?}");
    }
    assert!(timing(&completions[0], 1) >= DELAY.into(), "the first byte of the head is not the head");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// Whatever spoils an answer, the request was made once: a server may have done what it was asked.
#[test]
fn a_spoilt_answer_is_never_asked_for_again() {
    let spoilt: [(&str, &str, Outcome, &str); 6] = [
        ("nothing", "", Outcome::Disconnected, "answer: connection closed"),
        ("half a head", "HTTP/1.1 200 OK\r\nconte", Outcome::Disconnected, "answer: connection closed"),
        ("half a body", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", Outcome::Disconnected, "body: truncated"),
        (
            "half a chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc",
            Outcome::Disconnected,
            "body: truncated",
        ),
        (
            "no last chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            Outcome::Disconnected,
            "body: truncated",
        ),
        (
            "an interim answer only",
            "HTTP/1.1 103 Early Hints\r\n\r\n",
            Outcome::Disconnected,
            "answer: connection closed",
        ),
    ];
    for (what, bytes, outcome, kind) in spoilt {
        let asked = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&asked);
        let server = Scripted::serve(move |_, mut stream| {
            let asked = Arc::clone(&asked);
            async move {
                while read_request(&mut stream).await.is_some() {
                    if asked.fetch_add(1, Ordering::SeqCst) > 0 {
                        write(&mut stream, GOOD).await;
                        continue;
                    }
                    write(&mut stream, bytes).await;
                    // Half-closed: the server says that it is done, and goes on listening.
                    drop(stream.shutdown().await);
                }
            }
        });
        let operation = "timeout: 20s, request: { post: /, body: once }";
        let completions = executed(&subject(server.address(), "{}", operation), "one", 3);
        let expected = [(outcome, Some(kind)), (Outcome::Ok, None), (Outcome::Ok, None)];
        assert_eq!(ends(&completions), expected, "{what}");
        assert_eq!(count.load(Ordering::SeqCst), 3, "{what}");
        assert_eq!(server.connections(), 2, "{what}");
    }
}

#[test]
fn chunks_trailers_gzip_and_interim_answers_are_whole() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, b"{\"items\":[1]}").expect("it can be packed");
    let packed = packed.finish().expect("it can be packed");
    let chunked = |head: &str, body: &[u8]| {
        let (first, second) = body.split_at(body.len() / 2);
        let mut answer =
            format!("HTTP/1.1 200 OK\r\n{head}transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n").into_bytes();
        for part in [first, second] {
            answer.extend(format!("{:x};name=value\r\n", part.len()).into_bytes());
            answer.extend(part);
            answer.extend(b"\r\n");
        }
        answer.extend(b"0\r\nx-sum: 7\r\n\r\n");
        answer
    };
    let interim =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let plain = chunked("", b"{\"items\":[1]}");
    let answers = [plain.clone(), chunked("content-encoding: gzip\r\n", &packed), [&interim[..], &plain].concat()];
    let (server, _) = counting(move |n| vec![(Duration::ZERO, answers[n % answers.len()].clone())]);
    let operation = "timeout: 20s, request: { get: / }, check: { json: { '$.items[0]': 1 } }";
    let completions = executed(&subject(server.address(), "{}", operation), "one", 6);
    assert_eq!(ends(&completions), [(Outcome::Ok, None); 6]);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_packed_body_that_is_cut_short_is_rejected_where_somebody_looks_at_it() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, &b"{\"items\":[1]}".repeat(50)).expect("it can be packed");
    let packed = packed.finish().expect("it can be packed");
    let half = &packed[..packed.len() / 2];
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", half.len());
    let answer = [head.as_bytes(), half].concat();
    let (server, _) = counting(move |_| vec![(Duration::ZERO, answer.clone())]);
    let operation = "timeout: 20s, request: { get: / }, check: { body: { contains: items } }";
    let completions = executed(&subject(server.address(), "{}", operation), "one", 2);
    assert_eq!(ends(&completions), [(Outcome::Rejected, Some("body: malformed gzip")); 2]);
}

/// Bytes that nobody asked for don't become the next request's answer.
#[test]
fn an_answer_too_many_is_nobodys() {
    let asked = Arc::<AtomicUsize>::default();
    let server = Scripted::serve(move |_, mut stream| {
        let asked = Arc::clone(&asked);
        async move {
            while read_request(&mut stream).await.is_some() {
                let n = asked.fetch_add(1, Ordering::SeqCst);
                let surplus = if n == 0 { "HTTP/1.1 500 Surplus\r\ncontent-length: 0\r\n\r\n" } else { "" };
                write(&mut stream, [GOOD, surplus].concat()).await;
            }
        }
    });
    let completions = executed(&subject(server.address(), "{}", "timeout: 20s, request: { get: / }"), "one", 4);
    let failed = completions.iter().filter(|c| c.outcome != Outcome::Ok).count();
    assert!(failed <= 1, "{completions:?}");
    assert!(
        completions.iter().all(|c| c.error.as_deref() != Some("status 500")),
        "the surplus was taken for an answer: {completions:?}"
    );
}

/// Speaks HTTP/2 by the bytes: takes the preface, answers SETTINGS, and gives each request's stream
/// to `answer`, which says what to write.
async fn http2(mut stream: TcpStream, answer: impl Fn(u32) -> Vec<Vec<u8>>) {
    let mut preface = [0; 24];
    if stream.read_exact(&mut preface).await.is_err() {
        return;
    }
    write(&mut stream, frame(4, 0, 0, &[])).await;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            return;
        }
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match (head[3], head[4]) {
            (4, flags) if flags & 1 == 0 => write(&mut stream, frame(4, 1, 0, &[])).await,
            (6, flags) if flags & 1 == 0 => write(&mut stream, frame(6, 1, 0, &payload)).await,
            (1, _) => {
                for bytes in answer(id) {
                    write(&mut stream, bytes).await;
                }
            }
            _ => {}
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Status 200 and no body, by the static table of HPACK.
fn ok(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, &[0x88])
}

fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// The first connection answers its streams with `answer`; the later ones with 200.
fn spoilt_http2(answer: impl Fn(u32) -> Vec<Vec<u8>> + Send + Sync + 'static) -> (Vec<Completion>, usize) {
    let answer = Arc::new(answer);
    let server = Scripted::serve(move |number, stream| {
        let answer = Arc::clone(&answer);
        async move {
            if number == 0 {
                http2(stream, |id| answer(id)).await;
            } else {
                http2(stream, |id| vec![ok(id)]).await;
            }
        }
    });
    let subject = subject(server.address(), "{ version: http2 }", "timeout: 20s, request: { get: / }");
    (executed(&subject, "one", 4), server.connections())
}

#[test]
fn a_goaway_lets_what_was_taken_be_answered_and_the_next_request_goes_elsewhere() {
    let (completions, connections) = spoilt_http2(|id| match id {
        1 => vec![ok(1)],
        id => vec![goaway(id, 0), ok(id)],
    });
    assert_eq!(ends(&completions), [(Outcome::Ok, None); 4]);
    assert_eq!(connections, 2);
}

/// A request above the last stream of a GOAWAY was not taken: it is sent again, elsewhere, and that is counted
/// (RFC 9113, 6.8), whatever the reason of the GOAWAY.
#[test]
fn a_request_above_the_last_stream_of_a_goaway_is_sent_again_on_another_connection() {
    for code in [0, 2, 11, 77] {
        let (completions, connections) = spoilt_http2(move |id| match id {
            1 => vec![ok(1)],
            _ => vec![goaway(1, code)],
        });
        assert_eq!(ends(&completions), [(Outcome::Ok, None); 4], "{code}");
        assert_eq!(completions.iter().map(|c| c.retries).collect::<Vec<_>>(), [0, 1, 0, 0], "{code}");
        assert_eq!(connections, 2, "{code}");
    }
}

#[test]
fn a_server_that_passes_every_request_over_is_told_by_the_reason_of_its_goaway() {
    for (code, name) in
        [(0, "NO_ERROR"), (2, "INTERNAL_ERROR"), (11, "ENHANCE_YOUR_CALM"), (77, "of an unknown reason")]
    {
        let server = Scripted::serve(move |_, stream| http2(stream, move |_| vec![goaway(0, code)]));
        let subject = subject(server.address(), "{ version: http2 }", "timeout: 20s, request: { get: / }");
        let completion = executed(&subject, "one", 1).remove(0);
        let kind = format!("answer: http2 goaway {name}");
        assert_eq!((completion.outcome, completion.error), (Outcome::Disconnected, Some(kind)));
        assert_eq!((completion.retries, server.connections()), (2, 3), "{name}: twice again, and no more");
    }
}

#[test]
fn a_stream_that_is_refused_is_sent_again_and_the_connection_kept() {
    let refused = |id| if id == 1 { frame(3, 0, 1, &7_u32.to_be_bytes()) } else { ok(id) };
    let (completions, connections) = spoilt_http2(move |id| vec![refused(id)]);
    assert_eq!(ends(&completions), [(Outcome::Ok, None); 4]);
    assert_eq!(completions.iter().map(|c| c.retries).collect::<Vec<_>>(), [1, 0, 0, 0]);
    assert_eq!(connections, 1, "one stream is not the connection");
}

/// All but a refused stream may have been acted on: what was sent is not sent again.
#[test]
fn a_stream_that_is_reset_is_told_by_its_reason_and_the_connection_kept() {
    for (code, name) in [(8_u32, "CANCEL"), (13, "HTTP_1_1_REQUIRED")] {
        let (completions, connections) = spoilt_http2(move |id| match id {
            1 => vec![frame(3, 0, 1, &code.to_be_bytes())],
            id => vec![ok(id)],
        });
        let kind = format!("answer: http2 reset {name}");
        assert_eq!(ends(&completions)[0], (Outcome::Disconnected, Some(kind.as_str())));
        assert_eq!(completions[0].retries, 0, "{name}");
        assert_eq!(ends(&completions)[1..], [(Outcome::Ok, None); 3], "{name}");
        assert_eq!(connections, 1, "{name}: one stream is not the connection");
    }
}

#[test]
fn what_breaks_http2_is_disconnected() {
    let oversized = frame(0, 0, 1, &[0; 20_000]);
    for (what, bytes) in [
        ("data before headers", frame(0, 1, 1, b"abc")),
        ("headers that can't be unpacked", frame(1, 5, 1, &[0xff; 8])),
        ("an answer on stream 0", frame(1, 5, 0, &[0x88])),
        ("an answer on a stream that isn't open", ok(99)),
        ("a frame larger than was agreed", oversized),
        ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
    ] {
        let (completions, _) = spoilt_http2(move |_| vec![bytes.clone()]);
        assert!(matches!(completions[0].outcome, Outcome::Disconnected | Outcome::Rejected), "{what}: {completions:?}");
        assert_eq!(ends(&completions)[1..], [(Outcome::Ok, None); 3], "{what}");
    }
}
