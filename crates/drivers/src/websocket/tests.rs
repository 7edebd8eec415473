//! The driver against a server of its own: what it does when all is well, and when it isn't.

mod read_back;
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use server::{Behaviour, Server};

use super::WebsocketDriver;
use crate::{CompileContext, Driver, Finding, Session, SessionContext, TIMEOUT_DEFAULT, Target, Workload};
use slatest_core::model::{Arrival, Clock, Completion, MonotonicClock, Nanos, Outcome, Problems};
use slatest_core::source::Source;
use slatest_core::target::Guard;

const EDITS: &str = "name: edits\ndriver: websocket\nendpoint: sync\n\
    settings: { replicas: 3, document_bytes: 500, connect_timeout: 10s }\n\
    operations:\n  - { name: edit, timeout: 20s, request: { edit: { bytes: 40 } } }\n";
const CALLS: &str = "name: calls\ndriver: websocket\nendpoint: sync\nsettings: { path: /echo }\n\
    operations:\n  - { name: call, timeout: 20s, request: { send: { id: one, items: [1] }, correlate: $.id }, \
    check: { json: { '$.items': present } }, capture: { kept: '$.items[0]' } }\n";

fn compile(workload: &str, endpoint: &str, host: &str) -> Result<Arc<dyn Workload>, Problems> {
    let target =
        format!("name: t\nenvironment: sandbox\nallow: {{ hosts: [\"{host}\"] }}\nendpoints:\n  sync: {endpoint}\n");
    let target_source = Source::new("targets/t.yaml", target, "/");
    let target: Target = target_source.parse()?;
    WebsocketDriver.compile(&CompileContext {
        source: &Source::new("workloads/w.yaml", workload, "/"),
        endpoint: &target.endpoints["sync"].value,
        endpoint_name: "sync",
        target: &target_source,
        target_folder: std::path::Path::new("/"),
        guard: &Guard::new(&target.allow).unwrap(),
        scenario: "s",
        sessions: None,
        seed: 7,
        run: "r1",
    })
}

/// A compiled workload on a server, as a worker sees it.
struct Bench {
    workload: Arc<dyn Workload>,
    clock: Arc<MonotonicClock>,
}

impl Bench {
    fn on(server: &Server, workload: &str) -> Self {
        let endpoint = format!("{{ websocket: \"ws://{}/sync\" }}", server.address);
        let workload = compile(workload, &endpoint, "127.0.0.1").unwrap();
        Self { workload, clock: Arc::new(MonotonicClock::starting_at(Instant::now())) }
    }

    async fn session(&self, index: u64) -> Box<dyn Session> {
        let context = SessionContext {
            index,
            worker: 0,
            share: slatest_core::schedule::Share::WHOLE,
            process: slatest_core::schedule::Share::WHOLE,
            clock: self.clock.clone(),
        };
        self.workload.connect(&context).await.unwrap()
    }

    async fn execute(&self, session: &mut dyn Session, seq: u64) -> Completion {
        let at = self.clock.now();
        let arrival = Arrival { seq, at, deadline: at + TIMEOUT_DEFAULT, operation: 0, step: 0 };
        session.execute(&arrival).await
    }

    fn gauge(&self, name: &str) -> f64 {
        self.workload.gauges().into_iter().find(|(n, _)| n == name).unwrap().1
    }

    async fn settle(&self, patience: Nanos) -> Vec<Finding> {
        self.workload.settle(patience).await
    }

    /// Waits until a gauge has a value.
    async fn until(&self, name: &str, value: f64) {
        while self.gauge(name) != value {
            tokio::task::yield_now().await;
        }
    }
}

fn run<F: Future>(case: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_secs(60), case).await };
    tokio::task::LocalSet::new().block_on(&runtime, bounded).expect("the case hangs")
}

fn holds(findings: &[Finding], check: &str) -> bool {
    findings.iter().find(|f| f.check == check).unwrap().holds
}

#[test]
fn an_edit_is_over_when_every_other_replica_has_it() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let bench = Bench::on(&server, EDITS);
        assert_eq!(bench.workload.session_group(), 3);
        let mut sessions = Vec::new();
        // Two documents: the replicas of the second one never see the edits of the first.
        for index in 0..6 {
            sessions.push(bench.session(index).await);
        }
        for seq in 0..40 {
            let session = usize::try_from(seq % 6).unwrap();
            let completion = bench.execute(&mut *sessions[session], seq).await;
            assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
            let sent = completion.sent.unwrap();
            let timings: Vec<Nanos> = completion.timings.iter().map(|t| t.1).collect();
            assert!(timings[0] <= timings[1], "{completion:?}");
            assert_eq!(timings[1], completion.done - sent, "it is over with the last replica");
        }
        assert_eq!(server.rooms(), ["/sync/r1-0", "/sync/r1-1"], "the run's name keeps runs apart");
        assert_eq!(bench.gauge("open_sessions"), 6.0);
        let findings = bench.settle(Nanos::from_secs(20)).await;
        assert!(findings.iter().all(|f| f.holds), "{findings:?}");
        assert!(findings[0].detail.starts_with("2 of 2 documents equal"), "{findings:?}");
        for session in sessions {
            session.close().await;
        }
        assert_eq!(bench.gauge("open_sessions"), 0.0);
    });
}

#[test]
fn lost_updates_time_out_and_the_replicas_differ() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let bench = Bench::on(&server, &EDITS.replace("timeout: 20s,", "timeout: 200ms,"));
        let (mut a, b) = (bench.session(0).await, bench.session(1).await);
        assert_eq!(bench.execute(&mut *a, 0).await.outcome, Outcome::Ok);
        server.set(Behaviour::LosesUpdates);
        let lost = bench.execute(&mut *a, 1).await;
        assert_eq!(lost.outcome, Outcome::TimedOut);
        assert!(lost.done - lost.sent.unwrap() >= Nanos::from_millis(200));
        let findings = bench.settle(Nanos::from_millis(100)).await;
        assert!(!holds(&findings, "convergence"), "{findings:?}");
        assert!(findings[0].detail.contains("1 with replicas that differ"), "{findings:?}");
        assert!(holds(&findings, "acknowledged edits"), "the lost edit was never acknowledged");
        drop((a, b));
    });
}

#[test]
fn what_the_server_passed_on_and_did_not_keep_is_found_out() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let bench = Bench::on(&server, EDITS);
        let (mut a, b) = (bench.session(0).await, bench.session(1).await);
        assert_eq!(bench.execute(&mut *a, 0).await.outcome, Outcome::Ok);
        server.forget();
        let findings = bench.settle(Nanos::from_secs(20)).await;
        assert!(holds(&findings, "convergence"), "the replicas have it: {findings:?}");
        assert!(!holds(&findings, "acknowledged edits"), "a new client would not: {findings:?}");
        server.break_all();
        bench.until("reconnects", 2.0).await;
        let findings = bench.settle(Nanos::from_secs(20)).await;
        assert!(findings.iter().all(|f| f.holds), "replicas that come back bring what they have: {findings:?}");
        drop((a, b));
    });
}

#[test]
fn a_close_frame_fails_what_is_in_flight_and_the_session_comes_back() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let bench = Bench::on(&server, EDITS);
        let (mut a, mut b) = (bench.session(0).await, bench.session(1).await);
        server.set(Behaviour::Closes(1011));
        let closed = bench.execute(&mut *a, 0).await;
        assert_eq!((closed.outcome, closed.error.as_deref()), (Outcome::Disconnected, Some("closed: 1011")));
        for (seq, session) in [(1, &mut a), (2, &mut b)] {
            let again = bench.execute(&mut **session, seq).await;
            assert_eq!(again.outcome, Outcome::Ok, "{again:?}");
        }
        assert_eq!(bench.gauge("reconnects"), 1.0);
        let findings = bench.settle(Nanos::from_secs(20)).await;
        assert!(findings.iter().all(|f| f.holds), "the edit that was refused came with the next sync: {findings:?}");
    });
}

#[test]
fn an_edit_waits_for_a_replica_that_comes_back() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let bench = Bench::on(&server, EDITS);
        let (mut a, b) = (bench.session(0).await, bench.session(1).await);
        server.break_all();
        bench.until("open_sessions", 0.0).await;
        let edit = bench.execute(&mut *a, 0).await;
        assert_eq!(edit.outcome, Outcome::Ok, "{edit:?}");
        assert_eq!(bench.gauge("reconnects"), 2.0);
        drop(b);
    });
}

#[test]
fn documents_keep_their_size() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let bench = Bench::on(&server, &EDITS.replace("{ bytes: 40 }", "\"ünï¢ødé {{ seq }} 🦀 \""));
        let (mut a, mut b) = (bench.session(0).await, bench.session(1).await);
        for seq in 0..40 {
            let session = if seq % 2 == 0 { &mut a } else { &mut b };
            let edit = bench.execute(&mut **session, seq).await;
            assert_eq!(edit.outcome, Outcome::Ok, "{edit:?}");
        }
        let findings = bench.settle(Nanos::from_secs(20)).await;
        assert!(findings.iter().all(|f| f.holds), "{findings:?}");
        let text = server.text(&server.rooms()[0]);
        assert!((450..=600).contains(&text.len()), "{} bytes", text.len());
        assert!(text.trim_end().ends_with("🦀"), "{text}");
    });
}

#[test]
fn a_malformed_message_breaks_the_connection_and_nothing_else() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let bench = Bench::on(&server, EDITS);
        let (mut a, _b) = (bench.session(0).await, bench.session(1).await);
        server.set(Behaviour::Babbles);
        let broken = bench.execute(&mut *a, 0).await;
        assert_eq!(broken.error.as_deref(), Some("sync: malformed message"), "{broken:?}");
        assert_eq!(bench.execute(&mut *a, 1).await.outcome, Outcome::Ok);
    });
}

#[test]
fn pings_go_out_and_a_dead_peer_is_noticed() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let quick = EDITS.replace("connect_timeout", "ping: 20ms, pong_timeout: 20s, connect_timeout");
        let bench = Bench::on(&server, &quick);
        let session = bench.session(0).await;
        while server.pings() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.gauge("reconnects"), 0.0);
        drop(session);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("{{ websocket: \"ws://{}\" }}", listener.local_addr().unwrap());
        let quick = CALLS.replace("path: /echo", "ping: 20ms, pong_timeout: 20ms");
        let workload = compile(&quick, &endpoint, "127.0.0.1").unwrap();
        let bench = Bench { workload, clock: bench.clock };
        tokio::task::spawn_local(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // Opened, then never read again: no pong comes.
            let _socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut session = bench.session(0).await;
        let dead = bench.execute(&mut *session, 0).await;
        assert_eq!((dead.outcome, dead.error.as_deref()), (Outcome::Disconnected, Some("ping: timed out")));
    });
}

#[test]
fn a_call_is_over_when_the_answer_with_its_id_comes() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let bench = Bench::on(&server, CALLS);
        let mut session = bench.session(0).await;
        for seq in 0..3 {
            let answered = bench.execute(&mut *session, seq).await;
            assert_eq!(answered.outcome, Outcome::Ok, "{answered:?}");
        }
        assert_eq!(server.rooms(), ["/sync/echo"]);
        server.break_all();
        bench.until("open_sessions", 0.0).await;
        assert_eq!(bench.execute(&mut *session, 3).await.outcome, Outcome::Ok, "it opens the connection again");
        session.close().await;
    });
}

#[test]
fn a_call_without_an_answer_times_out_and_a_wrong_answer_is_rejected() {
    run(async {
        let server = Server::start(Behaviour::Mute).await;
        let bench = Bench::on(&server, &CALLS.replace("timeout: 20s,", "timeout: 100ms,"));
        let mut session = bench.session(0).await;
        let mute = bench.execute(&mut *session, 0).await;
        assert_eq!((mute.outcome, mute.error.as_deref()), (Outcome::TimedOut, Some("answer: timed out")));
        server.set(Behaviour::Faithful);
        let bench = Bench::on(&server, &CALLS.replace("'$.items': present", "'$.items[0]': 2"));
        let mut session = bench.session(0).await;
        let wrong = bench.execute(&mut *session, 0).await;
        assert_eq!((wrong.outcome, wrong.error.as_deref()), (Outcome::Rejected, Some("check: $.items[0] differs")));
    });
}

#[test]
fn what_is_large_is_read_off_the_worker() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let large = "x".repeat(100_000);
        let bench = Bench::on(&server, &CALLS.replace("items: [1]", &format!("items: [1, {large}]")));
        let mut session = bench.session(0).await;
        for seq in 0..3 {
            let answered = bench.execute(&mut *session, seq).await;
            assert_eq!(answered.outcome, Outcome::Ok, "{answered:?}");
        }
        let edits =
            EDITS.replace("document_bytes: 500", "document_bytes: 200000").replace("bytes: 40 ", "bytes: 40000 ");
        let bench = Bench::on(&server, &edits);
        let (mut a, mut b) = (bench.session(0).await, bench.session(1).await);
        for seq in 0..8 {
            let session = if seq % 2 == 0 { &mut a } else { &mut b };
            let edit = bench.execute(&mut **session, seq).await;
            assert_eq!(edit.outcome, Outcome::Ok, "{edit:?}");
        }
        // Before it settles: then no operation waits any more, and the whole document is read anew.
        let longest = crate::large::tests::longest_parsed_here();
        assert!(longest <= crate::large::SMALL_BYTES, "{longest} bytes were read on the worker");
        let findings = bench.settle(Nanos::from_secs(20)).await;
        assert!(findings.iter().all(|f| f.holds), "{findings:?}");
    });
}

#[test]
fn failures_to_connect_are_told_apart() {
    run(async {
        let quick = EDITS.replace("connect_timeout: 10s", "connect_timeout: 200ms");
        let cases = [
            (Behaviour::Refuses(403), Outcome::Rejected, "handshake: status 403"),
            (Behaviour::Refuses(429), Outcome::Rejected, "handshake: status 429"),
            (Behaviour::Silent, Outcome::TimedOut, "handshake: timed out"),
            (Behaviour::Mute, Outcome::TimedOut, "sync: timed out"),
        ];
        for (behaviour, outcome, kind) in cases {
            let server = Server::start(behaviour).await;
            let bench = Bench::on(&server, &quick);
            let context = SessionContext {
                index: 0,
                worker: 0,
                share: slatest_core::schedule::Share::WHOLE,
                process: slatest_core::schedule::Share::WHOLE,
                clock: bench.clock.clone(),
            };
            let error = bench.workload.connect(&context).await.err().unwrap();
            assert_eq!((error.outcome, error.kind.as_str()), (outcome, kind));
            let unreachable = bench.workload.health().await.unwrap_err();
            assert_eq!(unreachable.endpoint, "sync");
            assert!(unreachable.address.contains(&server.address.to_string()), "{unreachable}");
        }
        let server = Server::start(Behaviour::Faithful).await;
        let health = Bench::on(&server, EDITS).workload.health().await.unwrap();
        assert!(health.detail.contains("Yjs sync in"), "{health:?}");
    });
}

#[test]
fn the_token_goes_into_the_handshake_and_nowhere_else() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "t0ps3cret\n").unwrap();
        let endpoint = format!(
            "{{ websocket: \"ws://{}/sync\", token: {{ file: {} }} }}",
            server.address,
            secret.path().display()
        );
        let workload = compile(EDITS, &endpoint, "127.0.0.1").unwrap();
        workload.health().await.unwrap();
        assert_eq!(server.authorization().as_deref(), Some("Bearer t0ps3cret"));
        server.set(Behaviour::Refuses(401));
        let said = format!("{:?}", workload.health().await.unwrap_err());
        assert!(!said.contains("t0ps3cret"), "{said}");
    });
}

#[test]
fn a_host_outside_the_allow_list_is_never_contacted() {
    run(async {
        let server = Server::start(Behaviour::Faithful).await;
        let endpoint = format!("{{ websocket: \"ws://{}/sync\" }}", server.address);
        let workload = compile(EDITS, &endpoint, "elsewhere.example").unwrap();
        let context = SessionContext {
            index: 0,
            worker: 0,
            share: slatest_core::schedule::Share::WHOLE,
            process: slatest_core::schedule::Share::WHOLE,
            clock: Arc::new(MonotonicClock::starting_at(Instant::now())),
        };
        assert_eq!(workload.connect(&context).await.err().unwrap().kind, "guard: host not allowed");
        assert!(workload.health().await.unwrap_err().reason.contains("allow list"));
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn the_workload_that_ships_compiles() {
    let endpoint = "{ websocket: \"wss://127.0.0.1:1/sync\" }";
    let workload = compile(include_str!("../../../../workloads/sync-edits.yaml"), endpoint, "127.0.0.1").unwrap();
    assert_eq!(workload.session_group(), 4);
    assert_eq!(workload.operations()[0].timings, ["first_replica", "last_replica"]);
}

#[test]
fn mistakes_are_named_with_their_place() {
    let endpoint = "{ websocket: \"ws://127.0.0.1:1/sync\" }";
    let cases = [
        (EDITS.replace("replicas: 3", "replicas: 1"), "settings.replicas"),
        (EDITS.replace("connect_timeout: 10s", "connect_timeout: 11s"), "settings.connect_timeout"),
        (EDITS.replace("bytes: 40", "bytes: 0"), "operations[0].request.edit.bytes"),
        (EDITS.replace("edit: { bytes: 40 }", "correlate: $.id"), "operations[0].request"),
        (EDITS.replace("} } }", "} }, check: { json: { $.x: 1 } } }"), "operations[0].check"),
        (CALLS.replace(", correlate: $.id", ""), "operations[0].request.correlate"),
        (CALLS.replace("correlate: $.id", "correlate: 'id['"), "operations[0].request.correlate"),
        (CALLS.replace("'$.items':", "'items[':"), "operations[0].check.json"),
        (CALLS.replace("kept: '$.items[0]'", "kept: 'header:x'"), "operations[0].capture.kept"),
        (CALLS.replace("path: /echo", "replicas: 3"), "settings.replicas"),
    ];
    for (workload, key) in cases {
        let problems = compile(&workload, endpoint, "127.0.0.1").err().unwrap_or_default();
        let problem = problems.0.first().unwrap_or_else(|| panic!("nothing wrong with {workload}"));
        assert!(problem.place.key.starts_with(key), "{problem} for {key}");
        assert!(problem.place.line > 0, "{problem}");
    }
    for wrong in ["http://127.0.0.1", "ws://user:pw@127.0.0.1", "nonsense"] {
        let endpoint = format!("{{ websocket: \"{wrong}\" }}");
        let problems = compile(EDITS, &endpoint, "127.0.0.1").err().unwrap();
        assert_eq!(problems.0[0].place.key, "endpoints.sync.websocket", "{problems}");
        assert!(!problems.to_string().contains("pw@"), "{problems}");
    }
}
