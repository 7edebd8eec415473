//! Redis against a real cluster (TLS, password), and against one server that the test starts.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use slatest_core::model::Outcome;
use slatest_core::schedule::{Places, Stripe};
use uuid::Uuid;

use crate::relay::{Mode, Refusing, Relay};
use crate::stack::stack;
use crate::suite::{self, Bench, Subject, worker};

/// KEY stands for what only this test's keys start with.
const WORKLOAD: &str = r#"
name: cache
driver: redis
endpoint: cache
settings: { connections: 1 }
operations:
  - name: set
    timeout: 2s
    request: { command: [SET, "KEY:{{ seq }}", "{{ fake.uuid }}", EX, 600] }
    check: { reply: OK }
  - name: get
    timeout: 2s
    request: { command: [GET, "KEY:{{ seq }}"] }
  - name: cached
    timeout: 20s
    request:
      command: [GET, "KEY:{{ seq }}"]
      on_miss: [SET, "KEY:{{ seq }}", "{{ fake.word }}", EX, 600]
  - name: together
    timeout: 20s
    request:
      pipeline:
        - [SET, "{KEY}:a", "{{ seq }}", EX, 600]
        - [SET, "{KEY}:b", "{{ seq }}", EX, 600]
        - [MGET, "{KEY}:a", "{KEY}:b", "{KEY}:missing"]
  - name: wrong-type
    timeout: 20s
    request: { command: [LPUSH, "{KEY}:a", x] }
  - name: wrong-type-together
    timeout: 20s
    request: { pipeline: [[SET, "{KEY}:a", x, EX, 600], [LPUSH, "{KEY}:a", x]] }
  - name: over-slots
    timeout: 20s
    request: { command: [MSET, "KEY:1", 1, "KEY:2", 2] }
  - name: read-over-slots
    timeout: 20s
    request: { command: [MGET, "KEY:1", "KEY:2"] }
  - name: together-over-slots
    timeout: 20s
    request: { pipeline: [[SET, "KEY:1", 1, EX, 600], [SET, "KEY:2", 2, EX, 600]] }
  - name: unknown
    timeout: 20s
    request: { command: [SET, "KEY:x", a, NONSENSE] }
"#;

/// The workload with keys of its own.
fn workload() -> String {
    WORKLOAD.replace("KEY", &Uuid::new_v4().simple().to_string())
}

/// On the cluster of the stack.
fn cluster() -> Subject {
    Subject::new("redis", workload(), stack().endpoint("cache"))
}

/// An endpoint of a cluster that is known by one address.
fn cluster_at(address: SocketAddr, password: &str, ca: &str) -> String {
    format!("{{ redis: [\"rediss://{address}\"], cluster: true, password: {{ file: \"{password}\" }}, ca: \"{ca}\" }}")
}

fn node() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], stack().port("redis", "REDIS_1_PORT")))
}

/// A file with a secret.
fn secret_file(folder: &tempfile::TempDir, secret: &str) -> String {
    let path = folder.path().join("secret");
    std::fs::write(&path, secret).expect("a file");
    path.display().to_string()
}

/// One plain server without a cluster, with a password, gone in the end.
struct Single {
    process: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

/// What the single server asks for.
const PASSWORD: &str = "single-password";

impl Single {
    /// Starts one. A port that somebody else took meanwhile is tried again with another.
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for _ in 0..5 {
            let address = Refusing::new().address();
            let port = address.port().to_string();
            let mut process = Command::new("redis-server")
                .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD, "--dir"])
                .arg(folder.path())
                .args(options)
                .stdout(Stdio::piped())
                .spawn()
                .expect("redis-server, which `tests/stack/stack install` gets");
            let said = BufReader::new(process.stdout.take().expect("its words")).lines();
            // The rest of what it says goes nowhere, which doesn't disturb it.
            if said.map_while(Result::ok).any(|line| line.contains("Ready to accept connections")) {
                return Self { process, address, folder };
            }
            process.wait().expect("it ended");
        }
        panic!("redis-server doesn't start");
    }

    fn at(&self, address: SocketAddr) -> Subject {
        let password = secret_file(&self.folder, PASSWORD);
        let endpoint = format!("{{ redis: [\"redis://{address}\"], password: {{ file: \"{password}\" }} }}");
        Subject::new("redis", workload(), endpoint)
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        // Gone already is gone too.
        drop((self.process.kill(), self.process.wait()));
    }
}

/// Executes an operation once; it must be ok.
async fn works(
    bench: &Bench,
    session: &mut dyn slatest_drivers::Session,
    operation: &str,
    seq: u64,
) -> slatest_core::model::Completion {
    let completion = bench.execute(session, operation, seq).await;
    assert_eq!(completion.outcome, Outcome::Ok, "{operation}: {completion:?}");
    completion
}

#[test]
fn health_tells_of_the_cluster_and_of_one_server() {
    let detail = worker(suite::health_answers(&cluster()));
    assert!(detail.contains("3 primaries, 6 nodes, state ok"), "{detail}");
    let single = Single::new();
    let detail = worker(suite::health_answers(&single.at(single.address)));
    assert!(detail.contains("master, at 127.0.0.1"), "{detail}");
}

/// At a limit of five, a scenario of ten connections over two workers goes on with five, and says so.
#[test]
fn sessions_share_what_a_server_with_few_places_gives_and_no_operation_fails() {
    let limited = |single: &Single| {
        let mut subject = single.at(single.address);
        subject.workload = subject.workload.replace("connections: 1", "connections: 10");
        subject
    };
    let single = Single::with(&["--maxclients", "5"]);
    let detail = worker(suite::health_answers(&limited(&single)));
    assert!(detail.contains("gave 5 of 10 connections"), "{detail}");
    let single = Single::with(&["--maxclients", "5"]);
    worker(async {
        let bench = limited(&single).prepare().await;
        let mut sessions = Vec::new();
        for user in 0..20 {
            let worker = user % 2;
            let share = Places::UNBOUNDED.share(Stripe { index: worker as u64, of: 2 });
            let context = slatest_drivers::SessionContext { worker, share, ..bench.context(user as u64) };
            sessions.push(bench.workload.connect(&context).await.unwrap_or_else(|e| panic!("no session: {e}")));
        }
        for round in 0..10 {
            let all = sessions.iter_mut().map(|session| bench.execute(&mut **session, "set", round));
            for completion in futures_util::future::join_all(all).await {
                assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
            }
        }
        let findings = bench.workload.settle(slatest_core::model::Nanos::from_secs(1)).await;
        let said = findings.iter().find(|finding| finding.check == "connections").expect("it is said");
        assert!(said.holds && said.detail.contains("gave 5 of 10 connections"), "{said:?}");
        let refused: u64 = said.detail.split("refused ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((5..=20).contains(&refused), "it isn't asked again for each operation: {said:?}");
    });
}

#[test]
fn a_server_that_is_no_cluster_is_told_from_one() {
    let single = Single::new();
    let endpoint = single.at(single.address).endpoint.replace("], ", "], cluster: true, ");
    let workload = single.at(single.address).on(endpoint).compile().expect("a workload");
    let error = worker(workload.health()).expect_err("it is no cluster");
    assert!(error.reason.contains("cluster"), "{error}");
}

#[test]
fn an_unreachable_server_is_named() {
    let (folder, refusing) = (tempfile::tempdir().expect("a folder"), Refusing::new());
    let password = secret_file(&folder, "the-password");
    let subject = cluster().on(cluster_at(refusing.address(), &password, stack().ca()));
    worker(suite::unreachable_is_named(&subject, &refusing.address().to_string(), &["the-password"]));
}

#[test]
fn operations_work_on_a_cluster_and_on_one_server() {
    let single = Single::new();
    for subject in [cluster(), single.at(single.address)] {
        for operation in ["set", "get", "cached", "together"] {
            worker(suite::operation_works(&subject, operation));
        }
    }
}

#[test]
fn keys_of_every_slot_are_reached() {
    worker(async {
        let bench = cluster().prepare().await;
        let mut session = bench.session(0).await;
        for seq in 0..100 {
            works(&bench, &mut *session, "set", seq).await;
            let got = works(&bench, &mut *session, "get", seq).await;
            assert_eq!(got.ratios, [(0, 1, 1)], "what was set is there");
        }
    });
}

/// What is written is sent as it is: a command over several slots gets the cluster's own answer, as every client does.
#[test]
fn a_command_over_several_slots_is_the_servers_to_refuse() {
    worker(async {
        let bench = cluster().prepare().await;
        let mut session = bench.session(0).await;
        for operation in ["over-slots", "read-over-slots"] {
            let completion = bench.execute(&mut *session, operation, 0).await;
            assert_eq!((completion.outcome, completion.error.as_deref()), (Outcome::Rejected, Some("CROSSSLOT")));
        }
        let completion = bench.execute(&mut *session, "together-over-slots", 0).await;
        assert_eq!(completion.error.as_deref(), Some("workload: the keys of the pipeline lie in several slots"));
    });
}

#[test]
fn hits_and_fills_are_told() {
    worker(async {
        let bench = cluster().prepare().await;
        let mut session = bench.session(0).await;
        let missed = works(&bench, &mut *session, "get", 0).await;
        assert_eq!(missed.ratios, [(0, 0, 1)]);
        let filled = works(&bench, &mut *session, "cached", 0).await;
        assert_eq!(filled.ratios, [(0, 0, 1)]);
        assert_eq!(filled.timings.len(), 1, "the fill was timed");
        assert!(filled.timings[0].1 <= filled.done.since(filled.sent.expect("sent")), "{filled:?}");
        let hit = works(&bench, &mut *session, "cached", 0).await;
        assert_eq!((hit.ratios.as_slice(), hit.timings.len()), ([(0, 1, 1)].as_slice(), 0), "nothing to fill");
        let together = works(&bench, &mut *session, "together", 1).await;
        assert_eq!(together.ratios, [(0, 2, 3)], "two of three keys are there");
    });
}

#[test]
fn what_the_server_refuses_is_counted_by_its_code() {
    let single = Single::new();
    for subject in [cluster(), single.at(single.address)] {
        worker(suite::operation_works(&subject, "together"));
        worker(suite::error_is_rejected(&subject, "wrong-type", "WRONGTYPE"));
        worker(suite::error_is_rejected(&subject, "wrong-type-together", "WRONGTYPE"));
        worker(suite::error_is_rejected(&subject, "unknown", "ERR"));
    }
}

#[test]
fn a_refused_connection_is_disconnected() {
    let (single, refusing) = (Single::new(), Refusing::new());
    worker(suite::refusal_is_disconnected(&single.at(refusing.address()), "set"));
    let password = stack().secret_file("redis");
    let subject = cluster().on(cluster_at(refusing.address(), password, stack().ca()));
    worker(suite::refusal_is_disconnected(&subject, "set"));
}

#[test]
fn a_silent_server_times_out() {
    let single = Single::new();
    let relay = Relay::to(single.address);
    worker(suite::silence_times_out(&single.at(relay.address()), "set", |silent| {
        relay.set(if silent { Mode::Silent } else { Mode::Pass });
    }));
}

#[test]
fn a_dropped_execution_is_harmless() {
    let single = Single::new();
    let relay = Relay::to(single.address);
    worker(suite::dropped_execution_is_harmless(&single.at(relay.address()), "set", |silent| {
        relay.set(if silent { Mode::Silent } else { Mode::Pass });
    }));
}

#[test]
fn a_broken_connection_is_opened_again() {
    let single = Single::new();
    let relay = Relay::to(single.address);
    worker(async {
        let bench = single.at(relay.address()).prepare().await;
        let mut session = bench.session(0).await;
        works(&bench, &mut *session, "set", 0).await;
        relay.set(Mode::Broken);
        let during = bench.execute(&mut *session, "set", 1).await;
        assert_eq!(during.outcome, Outcome::Disconnected, "{during:?}");
        relay.set(Mode::Pass);
        works(&bench, &mut *session, "set", 2).await;
    });
}

#[test]
fn a_wrong_ca_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.pem");
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).expect("a certificate");
    std::fs::write(&path, other.cert.pem()).expect("a file");
    let endpoint = cluster_at(node(), stack().secret_file("redis"), &path.display().to_string());
    worker(suite::wrong_ca_is_refused(&cluster().on(endpoint)));
}

#[test]
fn wrong_credentials_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = secret_file(&folder, "not-the-password");
    let subject = cluster().on(cluster_at(node(), &password, stack().ca()));
    worker(suite::wrong_credential_is_refused(&subject, "not-the-password"));
}

#[test]
fn a_host_that_is_not_allowed_is_never_contacted() {
    let relay = Relay::to(node());
    let subject = cluster().on(cluster_at(relay.address(), stack().secret_file("redis"), stack().ca()));
    let subject = subject.allowing(&["elsewhere.example"]);
    worker(suite::forbidden_host_is_never_contacted(&subject, "set", || relay.connections()));
}

#[test]
fn one_execution_has_one_payload() {
    let single = Single::new();
    let relay = Relay::to(single.address);
    let subject = single.at(relay.address());
    worker(suite::same_execution_same_payload(async |seed, seq| {
        let bench = subject.seeded(seed).prepare().await;
        let mut session = bench.session(0).await;
        // What came before says who connects.
        drop(relay.taken());
        works(&bench, &mut *session, "set", seq).await;
        relay.taken()
    }));
}
