//! Service time held against the server's own log of the same requests, on one clock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use slatest_core::model::{MonotonicClock, Nanos, Outcome};

use super::scripted::{Scripted, read_request, write};
use super::suite::{Bench, Subject, worker};

/// Requests of one session.
const REQUESTS: u64 = 60;

/// When the server had a request whole, and when it began to answer it.
type Log = Arc<Mutex<BTreeMap<u64, (Instant, Instant)>>>;

/// How long the server thinks about a request; different for each, and known to nobody else.
fn thinks(seq: u64) -> Duration {
    Duration::from_millis(2 + seq * 7 % 23)
}

fn server(log: &Log) -> Scripted {
    let log = Arc::clone(log);
    Scripted::serve(move |_, mut stream| {
        let log = Arc::clone(&log);
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let came = Instant::now();
                let seq = request.strip_prefix("GET /").and_then(|rest| rest.split_once(' ')?.0.parse().ok());
                let seq = seq.expect("the number of the request");
                tokio::time::sleep(thinks(seq)).await;
                let answered = Instant::now();
                log.lock().expect("nobody panicked with it").insert(seq, (came, answered));
                write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
            }
        }
    })
}

#[test]
fn service_time_is_the_servers_own_time_and_the_way_there_and_back() {
    let log = Log::default();
    let server = server(&log);
    let workload = "name: log\ndriver: http\nendpoint: api\noperations:\n  \
                    - { name: one, timeout: 30s, request: { get: \"/{{ seq }}\" } }\n";
    let subject = Subject::new("http", workload, format!("{{ http: \"http://{}\" }}", server.address()));
    let epoch = Instant::now();
    let completions = worker(async {
        let workload = subject.compile().expect("it compiles");
        let bench = Bench { workload, clock: Arc::new(MonotonicClock::starting_at(epoch)) };
        let mut session = bench.session(0).await;
        let mut completions = Vec::new();
        for seq in 0..REQUESTS {
            completions.push(bench.execute(&mut *session, "one", seq).await);
        }
        session.close().await;
        completions
    });
    let log = log.lock().expect("nobody panicked with it");
    assert_eq!(log.len() as u64, REQUESTS, "the server saw each request once");
    let mut ways = Vec::new();
    let mut spans = Vec::new();
    for (seq, completion) in (0..).zip(&completions) {
        assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
        let (came, answered) = log[&seq];
        let (came, answered) = (Nanos::from(came - epoch), Nanos::from(answered - epoch));
        let sent = completion.sent.expect("it was sent");
        assert!(sent <= came, "request {seq} came at {came:?} before it was sent at {sent:?}");
        assert!(answered <= completion.done, "request {seq} was over before it was answered");
        let first_byte = completion.timings.iter().find(|(index, _)| *index == 1).expect("first_byte").1;
        assert!(sent + first_byte >= answered, "request {seq} had its first byte before it was answered");
        spans.push(answered.since(came));
        ways.push(completion.done.since(sent).since(answered.since(came)));
    }
    spans.sort_unstable();
    ways.sort_unstable();
    let (way, span) = (ways[ways.len() / 2], spans[spans.len() / 2]);
    assert!(way.0 * 2 < span.0, "the way there and back took {way}, the server itself {span}");
}
