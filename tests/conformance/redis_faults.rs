//! Redis servers that answer what real ones rarely do: each end has the right outcome and kind, and
//! the session goes on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use slatest_core::model::Outcome;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use super::scripted::{Scripted, reset, write};
use super::suite::{Subject, ends, executed};

const WORKLOAD: &str = r#"
name: faults
driver: redis
endpoint: cache
settings: { connections: 1 }
operations:
  - { name: get, timeout: 2s, request: { command: [GET, "key"] } }
  - { name: both, timeout: 2s, request: { pipeline: [[GET, "{key}1"], [GET, "{key}2"]] } }
"#;

/// How a request is answered; `None` leaves it without one.
type Answer = Option<String>;

/// One request of a client; `None` when it is gone.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let message: usize = line(stream).await?.strip_prefix('*')?.parse().ok()?;
    let mut request = Vec::with_capacity(message);
    for _ in 0..message {
        let length: usize = line(stream).await?.strip_prefix('$')?.parse().ok()?;
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word).await.ok()?;
        word.truncate(length);
        request.push(String::from_utf8_lossy(&word).into_owned());
    }
    Some(request)
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    line.strip_suffix("\r\n").map(str::to_owned)
}

/// A server that welcomes clients, and answers what they then ask as `answer` says: it gets the
/// number of the question from 0 and its words.
fn server(answer: impl Fn(usize, &[String]) -> Answer + Send + Sync + 'static) -> Scripted {
    let (answer, asked) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    Scripted::serve(move |_, stream| {
        let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
        async move {
            let mut stream = BufReader::new(stream);
            while let Some(message) = request(&mut stream).await {
                let reply = match message[0].to_ascii_uppercase().as_str() {
                    "CLIENT" | "SELECT" | "AUTH" | "READONLY" => Some("+OK\r\n".to_owned()),
                    "HELLO" => Some("%1\r\n$5\r\nproto\r\n:3\r\n".to_owned()),
                    "PING" => Some("+PONG\r\n".to_owned()),
                    _ => answer(asked.fetch_add(1, Ordering::SeqCst), &message),
                };
                match reply.as_deref() {
                    Some("reset") => return reset(stream.into_inner()),
                    Some("close") => return,
                    Some(reply) => write(stream.get_mut(), reply).await,
                    None => {}
                }
            }
        }
    })
}

fn single(address: SocketAddr) -> Subject {
    Subject::new("redis", WORKLOAD, format!("{{ redis: [\"redis://{address}\"] }}"))
}

const GOOD: &str = "$2\r\nok\r\n";

/// What a server may say instead of an answer, and the code that it is counted by.
#[test]
fn what_a_server_says_instead_is_rejected_by_its_code_and_the_connection_kept() {
    for (said, code) in [
        ("-LOADING Redis is loading the dataset in memory\r\n", "LOADING"),
        ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", "OOM"),
        ("-BUSY Redis is busy running a script.\r\n", "BUSY"),
        ("-MASTERDOWN Link with MASTER is down\r\n", "MASTERDOWN"),
        ("-CLUSTERDOWN The cluster is down\r\n", "CLUSTERDOWN"),
        ("-TRYAGAIN Multiple keys request during rehashing of slot\r\n", "TRYAGAIN"),
        ("-MOVED 12539 127.0.0.1:6379\r\n", "MOVED"),
        ("-ASK 12539 127.0.0.1:6379\r\n", "ASK"),
        ("-ERR something else\r\n", "ERR"),
        ("-NOSUCHCODE of any server\r\n", "NOSUCHCODE"),
    ] {
        let server = server(move |n, _| Some(if n == 0 { said } else { GOOD }.to_owned()));
        let completions = executed(&single(server.address()), "get", 3);
        let expected = [(Outcome::Rejected, Some(code)), (Outcome::Ok, None), (Outcome::Ok, None)];
        assert_eq!(ends(&completions), expected, "{said}");
        assert_eq!(server.connections(), 1, "an answer is no reason to connect again: {said}");
    }
}

/// A primary that became a replica says so for ever: only a new connection finds the new primary.
#[test]
fn a_primary_that_became_a_replica_is_looked_for_anew() {
    let said = "-READONLY You can't write against a read only replica.\r\n";
    let server = server(move |n, _| Some(if n == 0 { said } else { GOOD }.to_owned()));
    let completions = executed(&single(server.address()), "get", 2);
    assert_eq!(ends(&completions), [(Outcome::Rejected, Some("READONLY")), (Outcome::Ok, None)]);
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_connection_that_breaks_with_a_command_under_way_is_disconnected_and_remade() {
    for (how, kinds) in [
        ("close", &["connection: unexpected end of file", "connection: broken pipe", "connection: broken"][..]),
        ("reset", &["connection: connection reset", "connection: broken pipe", "connection: broken"][..]),
        ("$100\r\nhalf", &["reply: timed out"][..]),
    ] {
        let server = server(move |n, _| Some(if n == 0 { how } else { GOOD }.to_owned()));
        let completions = executed(&single(server.address()), "get", 3);
        let outcome = if how.starts_with('$') { Outcome::TimedOut } else { Outcome::Disconnected };
        assert_eq!(completions[0].outcome, outcome, "{how}: {completions:?}");
        assert!(kinds.contains(&completions[0].error.as_deref().unwrap_or_default()), "{how}: {completions:?}");
        assert!(completions[1..].iter().all(|c| c.outcome == Outcome::Ok), "{how}: {completions:?}");
        assert_eq!(server.connections(), 2, "{how}");
    }
}

#[test]
fn what_is_no_resp_is_disconnected_and_the_connection_not_used_again() {
    let server = server(|n, _| Some(if n == 0 { "HTTP/1.1 400 Bad Request\r\n\r\n" } else { GOOD }.to_owned()));
    let completions = executed(&single(server.address()), "get", 2);
    assert_eq!(ends(&completions), [(Outcome::Disconnected, Some("protocol")), (Outcome::Ok, None)]);
    assert_eq!(server.connections(), 2);
}

/// What a hostile server announces is refused when it is announced; it isn't waited for, and nothing is kept for it.
#[test]
fn what_is_too_large_is_disconnected_when_it_is_said_and_the_session_goes_on() {
    for (said, kind) in [
        ("$999999999999\r\n".to_owned(), "protocol: reply too large"),
        ("*999999999999\r\n".to_owned(), "protocol: too many elements"),
        ("%999999999\r\n".to_owned(), "protocol: too many elements"),
        ("*1\r\n".repeat(10_000), "protocol: reply too deep"),
        (format!("({}\r\n", "9".repeat(100_000)), "protocol: reply too large"),
        (format!("+{}\r\n", "a".repeat(100_000)), "protocol: reply too large"),
        (
            "*9999\r\n".to_owned() + &format!("${0}\r\n{1}\r\n", 9_000_000, "x".repeat(9_000_000)).repeat(3),
            "protocol: reply too large",
        ),
    ] {
        let head: String = said.chars().take(20).collect();
        let server = server(move |n, _| Some(if n == 0 { said.clone() } else { GOOD.to_owned() }));
        let completions = executed(&single(server.address()), "get", 2);
        assert_eq!(ends(&completions), [(Outcome::Disconnected, Some(kind)), (Outcome::Ok, None)], "{head}");
    }
}

/// Each reply of a pipeline may be small: together they are bounded, too.
#[test]
fn the_replies_of_a_pipeline_are_bounded_together() {
    let large = format!("${0}\r\n{1}\r\n", 15_000_000, "x".repeat(15_000_000));
    let both = r#"
name: faults
driver: redis
endpoint: cache
settings: { connections: 1 }
operations:
  - { name: six, timeout: 20s, request: { pipeline: [[GET, a], [GET, a], [GET, a], [GET, a], [GET, a], [GET, a]] } }
"#;
    let server = server(move |_, _| Some(large.clone()));
    let subject = Subject::new("redis", both, format!("{{ redis: [\"redis://{}\"] }}", server.address()));
    let completions = executed(&subject, "six", 1);
    assert_eq!(ends(&completions), [(Outcome::Disconnected, Some("protocol: replies too large together"))]);
}

#[test]
fn a_lost_reply_times_out_and_the_next_operation_gets_its_own() {
    let server = server(|n, _| (n > 0).then(|| GOOD.to_owned()));
    let completions = executed(&single(server.address()), "get", 2);
    assert_eq!(ends(&completions), [(Outcome::TimedOut, Some("reply: timed out")), (Outcome::Ok, None)]);
}

#[test]
fn one_error_within_a_pipeline_is_its_outcome() {
    let server = server(|n, _| Some(if n == 1 { "-LOADING not yet\r\n" } else { GOOD }.to_owned()));
    let completions = executed(&single(server.address()), "both", 2);
    assert_eq!(ends(&completions), [(Outcome::Rejected, Some("LOADING")), (Outcome::Ok, None)]);
    assert_eq!(server.connections(), 1);
}

/// Two nodes of a cluster of which the first says that it has every slot. What each was asked is
/// kept; `answer` says what the first does with its question of this number.
struct Cluster {
    nodes: [Scripted; 2],
    asked: [Arc<Mutex<Vec<String>>>; 2],
}

impl Cluster {
    fn answering(answer: impl Fn(usize, SocketAddr) -> String + Send + Sync + 'static) -> Self {
        let asked: [Arc<Mutex<Vec<String>>>; 2] = Default::default();
        let noted = Arc::clone(&asked[1]);
        let second = server(move |_, message| {
            if message[0].eq_ignore_ascii_case("CLUSTER") {
                return Some("-ERR it is not for the second to say\r\n".to_owned());
            }
            noted.lock().expect("nobody panicked with it").push(message[0].to_ascii_uppercase());
            Some(if message[0].eq_ignore_ascii_case("ASKING") { "+OK\r\n" } else { GOOD }.to_owned())
        });
        let there = second.address();
        let noted = Arc::clone(&asked[0]);
        let own = Arc::new(Mutex::new(0));
        let port = Arc::new(AtomicUsize::new(0));
        let at = Arc::clone(&port);
        let first = server(move |_, message| {
            if message[0].eq_ignore_ascii_case("CLUSTER") {
                let port = at.load(Ordering::SeqCst);
                return Some(format!(
                    "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$40\r\n{}\r\n",
                    "a".repeat(40)
                ));
            }
            noted.lock().expect("nobody panicked with it").push(message[0].to_ascii_uppercase());
            let mut own = own.lock().expect("nobody panicked with it");
            *own += 1;
            Some(answer(*own - 1, there))
        });
        port.store(usize::from(first.address().port()), Ordering::SeqCst);
        Self { nodes: [first, second], asked }
    }

    fn subject(&self) -> Subject {
        let endpoint = format!("{{ redis: [\"redis://{}\"], cluster: true }}", self.nodes[0].address());
        Subject::new("redis", WORKLOAD, endpoint)
    }

    fn asked(&self, node: usize) -> Vec<String> {
        self.asked[node].lock().expect("nobody panicked with it").clone()
    }
}

#[test]
fn a_slot_that_moved_is_followed_within_the_operation() {
    let cluster = Cluster::answering(|n, there| if n == 0 { format!("-MOVED 12539 {there}\r\n") } else { GOOD.into() });
    let completions = executed(&cluster.subject(), "get", 1);
    assert_eq!(ends(&completions), [(Outcome::Ok, None)]);
    assert_eq!((cluster.asked(0), cluster.asked(1)), (vec!["GET".into()], vec!["GET".into()]), "asked once each");
}

#[test]
fn a_slot_that_is_moving_is_asked_for_within_the_operation() {
    let cluster = Cluster::answering(|n, there| if n == 0 { format!("-ASK 12539 {there}\r\n") } else { GOOD.into() });
    let completions = executed(&cluster.subject(), "get", 2);
    assert_eq!(ends(&completions), [(Outcome::Ok, None), (Outcome::Ok, None)]);
    assert_eq!(cluster.asked(1), ["ASKING", "GET"]);
    assert_eq!(cluster.asked(0), ["GET", "GET"], "the slot is still the first node's");
}

#[test]
fn a_slot_that_moves_to_a_host_that_is_not_allowed_is_not_followed() {
    let cluster = Cluster::answering(|_, there| format!("-MOVED 12539 localhost:{}\r\n", there.port()));
    let completions = executed(&cluster.subject().allowing(&["127.0.0.1"]), "get", 1);
    assert_ne!(completions[0].outcome, Outcome::Ok, "{completions:?}");
    assert_eq!(cluster.nodes[1].connections(), 0, "the host was contacted");
}

/// What the platform must get over by itself is not tried again behind its back.
#[test]
fn a_slot_that_is_not_whole_is_rejected_by_its_code() {
    let cluster = Cluster::answering(|_, _| "-TRYAGAIN Multiple keys request during rehashing of slot\r\n".into());
    let completions = executed(&cluster.subject(), "get", 2);
    for completion in &completions {
        assert_eq!((completion.outcome, completion.error.as_deref()), (Outcome::Rejected, Some("TRYAGAIN")));
    }
    assert_eq!(cluster.asked(0).len(), 2, "once for each");
}

/// Slots that are sent from one node to the other and back must end within the operation's time.
#[test]
fn redirections_without_end_end() {
    let own = Arc::new(AtomicUsize::new(0));
    let port = Arc::clone(&own);
    let cluster = Cluster::answering(move |_, _| format!("-MOVED 12539 127.0.0.1:{}\r\n", port.load(Ordering::SeqCst)));
    own.store(usize::from(cluster.nodes[0].address().port()), Ordering::SeqCst);
    let completions = executed(&cluster.subject(), "get", 2);
    assert_eq!(ends(&completions), [(Outcome::Rejected, Some("MOVED")), (Outcome::Rejected, Some("MOVED"))]);
    let asked = cluster.asked(0).len();
    assert!((2..=8).contains(&asked), "few tries for each: {asked}");
}

/// Only what is the lost node's fails, at once, and only for as long as it is lost.
#[test]
fn a_lost_node_holds_up_nobody_else() {
    let cluster = Cluster::answering(|n, _| if n == 0 { "reset".into() } else { GOOD.into() });
    let completions = executed(&cluster.subject(), "get", 3);
    assert_eq!(completions[0].outcome, Outcome::Disconnected, "{completions:?}");
    let after = [completions[1].outcome, completions[2].outcome];
    assert_eq!(after, [Outcome::Ok, Outcome::Ok], "a new connection, by the next one: {completions:?}");
}

#[test]
fn a_cluster_that_is_down_is_rejected_by_its_code_and_works_again() {
    let down = |n: usize, _| if n < 2 { "-CLUSTERDOWN The cluster is down\r\n".into() } else { GOOD.to_owned() };
    let cluster = Cluster::answering(down);
    let completions = executed(&cluster.subject(), "get", 3);
    let (outcome, kind) = (completions[0].outcome, completions[0].error.as_deref());
    assert_eq!((outcome, kind), (Outcome::Rejected, Some("CLUSTERDOWN")), "{completions:?}");
    assert_eq!(completions[2].outcome, Outcome::Ok, "{completions:?}");
}
