//! A machine that runs out of something: the generator's own fault, and told as such.

use std::net::SocketAddr;
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use slatest_core::model::{GENERATOR_FAULT, Outcome};

use crate::relay::Refusing;
use crate::suite::{Bench, Subject, worker};

/// Set for the process in which there are no file descriptors left.
const CHILD: &str = "SLATEST_TEST_WITHOUT_FILES";
/// Name of the test that starts itself again in that process.
const TEST: &str = "generator::a_lack_of_file_descriptors_is_the_generators_fault_in_every_protocol";

fn workload(driver: &str, settings: &str, request: &str) -> String {
    format!(
        "name: lacking\ndriver: {driver}\nendpoint: it\nsettings: {settings}\noperations:\n  - {{ name: one, timeout: 5s, request: {request} }}\n"
    )
}

/// One workload of each protocol whose errors of sockets can be seen, on an address that refuses.
fn subjects(address: SocketAddr, folder: &std::path::Path) -> Vec<Subject> {
    let secret = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file");
        format!("{{ file: \"{}\" }}", path.display())
    };
    let dsn = secret("dsn", format!("postgres://u:p@{address}/d?sslmode=disable"));
    let uri = secret("uri", format!("amqp://u:p@{address}/v"));
    vec![
        Subject::new("http", workload("http", "{}", "{ get: / }"), format!("{{ http: \"http://{address}\" }}")),
        Subject::new(
            "websocket",
            workload("websocket", "{ path: / }", "{ send: { id: \"1\" }, correlate: $.id }"),
            format!("{{ websocket: \"ws://{address}\" }}"),
        ),
        Subject::new(
            "redis",
            workload("redis", "{ connections: 1 }", "{ command: [GET, a] }"),
            format!("{{ redis: [\"redis://{address}\"] }}"),
        ),
        Subject::new(
            "sql",
            workload("sql", "{ connections: 1 }", "{ query: select 1 }"),
            format!("{{ postgres: {dsn} }}"),
        ),
        Subject::new(
            "amqp",
            workload("amqp", "{}", "{ publish: { queue: q, body: hello } }"),
            format!("{{ amqp: {uri} }}"),
        ),
    ]
}

/// How the first operation of a new session ends.
async fn ended(bench: &Bench) -> (Outcome, String) {
    match bench.workload.connect(&bench.context(0)).await {
        Err(error) => (error.outcome, error.kind),
        Ok(mut session) => {
            let completion = bench.execute(&mut *session, "one", 0).await;
            (completion.outcome, completion.error.unwrap_or_default())
        }
    }
}

fn allow_files(soft: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard).expect("a limit that is lower");
}

#[test]
fn a_lack_of_file_descriptors_is_the_generators_fault_in_every_protocol() {
    if std::env::var_os(CHILD).is_none() {
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args([TEST, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .expect("this program starts");
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
        assert!(said.contains("1 passed"), "the child ran this test: {said}");
        return;
    }
    let refusing = Refusing::new();
    let folder = tempfile::tempdir().expect("a folder");
    let (before, _) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    for subject in subjects(refusing.address(), folder.path()) {
        worker(async {
            // Two of them: what could not be opened is not tried again at once.
            let (bench, lacking) = (subject.prepare().await, subject.prepare().await);
            // What a client opens once, it opens now.
            let (outcome, kind) = ended(&bench).await;
            assert_eq!(outcome, Outcome::Disconnected, "{}: {kind}", subject.driver);
            assert!(!kind.starts_with(GENERATOR_FAULT), "{}: a refusal is the target's: {kind}", subject.driver);
            allow_files(3);
            let (outcome, kind) = ended(&lacking).await;
            allow_files(before);
            let expected = (Outcome::Disconnected, "generator: out of file descriptors");
            assert_eq!((outcome, kind.as_str()), expected, "{}", subject.driver);
        });
    }
}
