//! A PostgreSQL server that says what none would say: each end is an outcome, within bounds.

use std::time::{Duration, Instant};

use slatest_core::model::Outcome;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::scripted::{Scripted, write};
use super::suite::{Subject, worker};

const WORKLOAD: &str = r#"
name: hostile
driver: sql
endpoint: database
settings: { connections: 1, answer_bytes_max: 1048576 }
operations:
  - { name: read, timeout: 2s, request: { query: "select 1 as a" }, capture: { a: $.a } }
"#;

/// A message: what it is, and the rest.
fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    claiming(tag, body.len() as u32 + 4, body)
}

/// A message that claims another length.
fn claiming(tag: u8, length: u32, body: &[u8]) -> Vec<u8> {
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn ready() -> Vec<u8> {
    [message(b'R', &[0; 4]), message(b'Z', b"I")].concat()
}

/// What an orderly answer to a statement in one piece begins with: it has one column of text.
fn described() -> Vec<u8> {
    let column = [b"a\0".as_slice(), &[0; 6], &25_u32.to_be_bytes(), &[0; 8]].concat();
    let columns = [&1_u16.to_be_bytes()[..], &column].concat();
    [message(b'1', b""), message(b'2', b""), message(b'T', &columns)].concat()
}

/// The workload against a server that signs in with `start` and answers each statement with `answer`, over and over
/// where it is `endless`.
fn answering(start: Vec<u8>, answer: Vec<u8>, endless: bool) -> (Scripted, Subject, tempfile::TempDir) {
    let server = Scripted::serve(move |_, mut stream: TcpStream| {
        let (start, answer) = (start.clone(), answer.clone());
        async move {
            let mut asked = [0; 4096];
            if !matches!(stream.read(&mut asked).await, Ok(1..)) {
                return;
            }
            write(&mut stream, &start).await;
            while matches!(stream.read(&mut asked).await, Ok(1..)) {
                write(&mut stream, &answer).await;
                if endless {
                    let more = answer.repeat(1 + 60_000 / answer.len().max(1));
                    let mut piece = more.as_slice();
                    while tokio::io::AsyncWriteExt::write_all(&mut stream, piece).await.is_ok() {
                        piece = more.as_slice();
                    }
                }
            }
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dsn");
    std::fs::write(&path, format!("postgres://u:p@{}/d?sslmode=disable", server.address())).expect("a file");
    let endpoint = format!("{{ postgres: {{ file: \"{}\" }}, prepared_statements: false }}", path.display());
    let subject = Subject::new("sql", WORKLOAD, endpoint);
    (server, subject, folder)
}

/// How an operation ends against such a server; well within twice its timeout.
fn end(start: Vec<u8>, answer: Vec<u8>, endless: bool) -> (Outcome, String) {
    let (_server, subject, _folder) = answering(start, answer, endless);
    let begun = Instant::now();
    let ended = worker(async {
        let bench = subject.prepare().await;
        let mut session = match bench.workload.connect(&bench.context(0)).await {
            Ok(session) => session,
            Err(error) => return (error.outcome, error.kind),
        };
        let completion = bench.execute(&mut *session, "read", 0).await;
        (completion.outcome, completion.error.unwrap_or_default())
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "{ended:?} after {:?}", begun.elapsed());
    ended
}

fn ends(start: Vec<u8>, answer: Vec<u8>, endless: bool, outcome: Outcome, kind: &str) {
    let ended = end(start, answer, endless);
    assert!(ended.0 == outcome && ended.1.starts_with(kind), "{ended:?} instead of {outcome:?} {kind}");
}

#[test]
fn lengths_that_can_not_be_are_a_broken_protocol() {
    for length in [0, 1, 3] {
        let start = claiming(b'R', length, &[0; 8]);
        ends(start, Vec::new(), false, Outcome::Disconnected, "protocol: ");
        let answer = claiming(b'1', length, &[0; 8]);
        ends(ready(), answer, false, Outcome::Disconnected, "protocol: ");
        let answer = [described(), claiming(b'D', length, &[0; 8])].concat();
        ends(ready(), answer, false, Outcome::Disconnected, "protocol: ");
    }
}

#[test]
fn an_answer_that_claims_two_gigabytes_is_refused_at_once() {
    let row = claiming(b'D', i32::MAX as u32, &[0, 1]);
    ends(ready(), [described(), row].concat(), false, Outcome::Rejected, "answer: larger than 1 MiB");
    let field = [&1_u16.to_be_bytes()[..], &i32::MAX.to_be_bytes(), b"abc"].concat();
    let answer = [described(), message(b'D', &field), message(b'Z', b"I")].concat();
    ends(ready(), answer, false, Outcome::Disconnected, "protocol: ");
    let start = claiming(b'R', i32::MAX as u32, &[0; 8]);
    ends(start, Vec::new(), false, Outcome::Rejected, "answer: larger than 1 MiB");
}

#[test]
fn an_answer_without_the_end_of_its_command_is_none() {
    let row = message(b'D', &[&1_u16.to_be_bytes()[..], &1_i32.to_be_bytes(), b"1"].concat());
    let answer = [described(), row, message(b'Z', b"I")].concat();
    ends(ready(), answer, false, Outcome::Disconnected, "protocol: ready before");
    ends(ready(), message(b'Z', b"I"), false, Outcome::Disconnected, "protocol: ready before");
}

#[test]
fn what_never_ends_ends_at_its_bound() {
    let notice = message(b'N', b"SNOTICE\0Mhello\0\0");
    let status = message(b'S', b"name\0value\0");
    for talk in [notice, status, message(b'A', &[0; 12])] {
        ends(ready(), talk.clone(), true, Outcome::Rejected, "answer: larger than 1 MiB");
    }
    // Before the session is ready, too; the first question is the log-in.
    let row = message(b'D', &[&1_u16.to_be_bytes()[..], &1_i32.to_be_bytes(), b"1"].concat());
    let begun = [described(), row.repeat(100_000)].concat();
    ends(ready(), begun, false, Outcome::Rejected, "answer: larger than 1 MiB");
    let statuses = message(b'S', b"name\0value\0").repeat(100_000);
    ends(statuses, Vec::new(), false, Outcome::Rejected, "answer: larger than 1 MiB");
}

#[test]
fn errors_are_short_however_long_they_are() {
    let error = [b"SERROR\0C42601\0M".as_slice(), &vec![b'x'; 900_000], b"\0\0"].concat();
    let answer = [message(b'E', &error), message(b'Z', b"I")].concat();
    ends(ready(), answer, false, Outcome::Rejected, "sqlstate 42601");
}

#[test]
fn messages_without_a_place_are_a_broken_protocol() {
    for tag in [b'x', 0, b'W', b'T', b'D', b's'] {
        ends(ready(), message(tag, &[0; 8]), false, Outcome::Disconnected, "protocol: ");
    }
    // Rows with other columns than were described.
    let two = [&2_u16.to_be_bytes()[..], &(-1_i32).to_be_bytes(), &(-1_i32).to_be_bytes()].concat();
    ends(ready(), [described(), message(b'D', &two)].concat(), false, Outcome::Disconnected, "protocol: ");
}

#[test]
fn a_server_that_asks_for_endless_hashing_is_refused() {
    let sasl = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    let rounds = message(b'R', b"\0\0\0\x0br=nonce,s=c2FsdA==,i=2000000000");
    ends(sasl, rounds, false, Outcome::Disconnected, "protocol: more rounds");
}

/// Nothing that a server says takes memory: rows that nobody captures are counted as they come.
#[test]
fn a_large_answer_is_counted_and_not_kept() {
    let field = vec![b'x'; 512 * 1024];
    let row = [&1_u16.to_be_bytes()[..], &(field.len() as i32).to_be_bytes(), &field].concat();
    let rows = message(b'D', &row).repeat(32);
    let answer = [described(), rows, message(b'C', b"SELECT 32\0"), message(b'Z', b"I")].concat();
    let (_server, subject, _folder) = answering(ready(), answer, false);
    let workload = WORKLOAD.replace("1048576", "67108864").replace(", capture: { a: $.a }", ", check: { rows: 32 }");
    let subject = Subject { workload, ..subject };
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        let completion = bench.execute(&mut *session, "read", 0).await;
        assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
    });
}
