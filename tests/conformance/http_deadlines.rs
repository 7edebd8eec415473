//! HTTP against servers that are always ready, or send much: deadlines hold, and the worker stays free for others.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use slatest_core::model::{Completion, Nanos, Outcome};

use super::scripted::{Scripted, read_request, write};
use super::suite::{Subject, worker};

/// How much later than its deadline an operation may end on a busy machine.
const LATENESS_MAX: Nanos = Nanos::from_secs(5);

fn subject(address: SocketAddr, operation: &str) -> Subject {
    let workload = format!(
        "name: deadlines\ndriver: http\nendpoint: api\nsettings: {{ answer_max_mib: 32 }}\noperations:\n  - {{ name: one, {operation} }}\n"
    );
    Subject::new("http", workload, format!("{{ http: \"http://{address}\" }}"))
}

/// Executes the operation once in each of `sessions` sessions at the same time, and says how often another task of the
/// same worker had its turn.
fn together(subject: &Subject, sessions: u64) -> (Vec<Completion>, u64) {
    worker(async {
        let bench = Rc::new(subject.prepare().await);
        let turns = Rc::new(Cell::new(0));
        let ticker = tokio::task::spawn_local({
            let turns = Rc::clone(&turns);
            async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    turns.set(turns.get() + 1);
                }
            }
        });
        let running: Vec<_> = (0..sessions)
            .map(|number| {
                let bench = Rc::clone(&bench);
                tokio::task::spawn_local(async move {
                    let mut session = bench.session(number).await;
                    let arrival = bench.arrival("one", number);
                    let completion = session.execute(&arrival).await;
                    assert!(completion.done <= arrival.deadline + LATENESS_MAX, "{completion:?}");
                    completion
                })
            })
            .collect();
        let mut completions = Vec::new();
        for one in running {
            completions.push(one.await.expect("no panic"));
        }
        ticker.abort();
        (completions, turns.get())
    })
}

/// Answers with `head`, then `piece` again and again for as long as the client takes it.
fn endless(head: &'static str, piece: &'static str) -> Scripted {
    Scripted::serve(move |_, mut stream| async move {
        if read_request(&mut stream).await.is_some() {
            write(&mut stream, head).await;
            let pieces = piece.repeat(64 * 1024 / piece.len());
            while tokio::io::AsyncWriteExt::write_all(&mut stream, pieces.as_bytes()).await.is_ok() {}
        }
    })
}

#[test]
fn a_body_of_one_byte_chunks_without_pause_ends_at_its_deadline() {
    let server = endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\na\r\n");
    let operation = "timeout: 1s, request: { get: /, answer: drain }";
    let (completions, turns) = together(&subject(server.address(), operation), 8);
    for completion in completions {
        assert_eq!(completion.outcome, Outcome::TimedOut, "{completion:?}");
        assert_eq!(completion.error.as_deref(), Some("timeout: in the body"));
    }
    assert!(turns > 0, "the worker was taken");
}

#[test]
fn informational_answers_without_end_end_at_their_deadline() {
    for head in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"] {
        let server = endless("", head);
        let (completions, turns) = together(&subject(server.address(), "timeout: 1s, request: { get: / }"), 8);
        for completion in completions {
            assert_eq!(completion.outcome, Outcome::TimedOut, "{completion:?}");
            assert_eq!(completion.error.as_deref(), Some("timeout: no answer"));
        }
        assert!(turns > 0, "the worker was taken");
    }
}

#[test]
fn the_deadline_runs_from_the_instant_at_which_it_was_fired() {
    let server = Scripted::answering("");
    let late = worker(async {
        let bench = subject(server.address(), "timeout: 30s, request: { get: / }").prepare().await;
        let mut session = bench.session(0).await;
        let mut arrival = bench.arrival("one", 0);
        arrival.deadline = arrival.at + Nanos::from_millis(200);
        session.execute(&arrival).await
    });
    assert_eq!((late.outcome, late.error.as_deref()), (Outcome::TimedOut, Some("timeout: no answer")));
}

#[test]
fn a_large_answer_is_looked_at_off_the_worker_within_bounds() {
    // 14 MB of JSON, a hundred levels deep, in which there is no `id` but at its end.
    let branch = format!("{}0{}", "[{\"x\":1},".repeat(100), "]".repeat(100));
    let document: &'static str =
        Box::leak(format!("[{},{{\"id\":\"found\"}}]", vec![branch.as_str(); 12_000].join(",")).into_boxed_str());
    let server = Scripted::serve(move |_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            write(&mut stream, format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", document.len())).await;
            write(&mut stream, document).await;
        }
    });
    let operation = "timeout: 50s, request: { get: / }, capture: { id: $..id }";
    let (completions, turns) = together(&subject(server.address(), operation), 2);
    for completion in completions {
        let kind = completion.error.as_deref();
        assert_eq!((completion.outcome, kind), (Outcome::Rejected, Some("body: JSON of more than 1,500,000 values")));
    }
    assert!(turns > 0, "the worker was taken");
}

#[test]
fn a_download_is_drained_and_counted_however_long_it_is() {
    let server = Scripted::serve(|_, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            write(&mut stream, format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 40 << 20)).await;
            for _ in 0..40 {
                write(&mut stream, vec![b'a'; 1 << 20]).await;
            }
        }
    });
    worker(async {
        let drained = subject(server.address(), "timeout: 50s, request: { get: /, answer: drain }").prepare().await;
        let mut session = drained.session(0).await;
        for seq in 0..2 {
            let completion = drained.execute(&mut *session, "one", seq).await;
            assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
        }
        let findings = drained.workload.settle(Nanos::from_secs(1)).await;
        assert_eq!(findings[0].detail, format!("2 answers of {} bytes together were drained", 80 << 20));
        let kept = subject(server.address(), "timeout: 50s, request: { get: / }").prepare().await;
        let refused = kept.session(0).await.execute(&kept.arrival("one", 0)).await;
        assert_eq!(refused.error.as_deref(), Some("body: larger than 32 MiB"));
    });
}
