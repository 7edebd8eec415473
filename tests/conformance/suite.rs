//! The cases that all drivers pass, over the traits alone. Each case is one function that panics
//! with what went wrong; a driver's file calls it with its own workload and server, inside
//! [`worker`].

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slatest_core::model::{Arrival, Completion, MonotonicClock, Nanos, Outcome, Problems};
use slatest_core::source::Source;
use slatest_core::target::Guard;
use slatest_drivers::{self, CompileContext, Session, SessionContext, Workload};
use slatest_engine::profile::Target;

/// Longest that any case waits for something that must come; far above what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much later than its timeout a session may notice on a busy machine.
const LATENESS_MAX: Nanos = Nanos::from_secs(10);
/// How often a session is asked after its server came back before it counts as unusable.
const ATTEMPTS_MAX: u64 = 20;

/// Runs a case the way a worker runs sessions: one thread, one current-thread runtime, one local
/// set, and never for ever.
pub fn worker<F: Future>(case: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let bounded = async { tokio::time::timeout(PATIENCE, case).await };
    local.block_on(&runtime, bounded).expect("the case hangs")
}

/// One workload on one endpoint.
#[derive(Clone)]
pub struct Subject {
    /// Name of the driver.
    pub driver: &'static str,
    /// The workload file.
    pub workload: String,
    /// The endpoint's section of a target file, on one line: `{ http: "http://127.0.0.1:80" }`.
    pub endpoint: String,
    /// The allow list.
    pub hosts: Vec<String>,
    /// Seed of the run.
    pub seed: u64,
    /// Sessions that the scenario asks for.
    pub sessions: u64,
}

impl Subject {
    /// A workload on an endpoint of this machine.
    pub fn new(driver: &'static str, workload: impl Into<String>, endpoint: impl Into<String>) -> Self {
        let hosts = vec!["127.0.0.1".into(), "localhost".into()];
        Self { driver, workload: workload.into(), endpoint: endpoint.into(), hosts, seed: 7, sessions: 1 }
    }

    /// The same workload on another endpoint.
    pub fn on(&self, endpoint: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), ..self.clone() }
    }

    /// The same with another allow list.
    pub fn allowing(&self, hosts: &[&str]) -> Self {
        Self { hosts: hosts.iter().map(|&h| h.to_owned()).collect(), ..self.clone() }
    }

    /// The same in a run with another seed.
    pub fn seeded(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }

    /// The same with another number of sessions.
    pub fn with_sessions(&self, sessions: u64) -> Self {
        Self { sessions, ..self.clone() }
    }

    /// Compiles it as `profile` does.
    pub fn compile(&self) -> Result<Arc<dyn Workload>, Problems> {
        let driver = slatest_drivers::driver(self.driver).expect("a driver of this name");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = Source::new("workloads/conformance.yaml", self.workload.as_str(), folder);
        let endpoint_name = source.parse::<Head>()?.endpoint;
        let target = format!(
            "name: conformance\nenvironment: sandbox\nallow: {{ hosts: {} }}\nendpoints:\n  {endpoint_name}: {}\n",
            serde_json::to_string(&self.hosts).expect("a list of names"),
            self.endpoint
        );
        let target_source = Source::new("targets/conformance.yaml", target, folder);
        let target: Target = target_source.parse()?;
        let endpoint = &target.endpoints[&endpoint_name].value;
        let kinds = slatest_drivers::protocol(self.driver).expect("a protocol of this name").endpoint_kinds;
        assert!(kinds.contains(&endpoint.kind()), "{} takes no {}", self.driver, endpoint.kind());
        driver.compile(&CompileContext {
            source: &source,
            endpoint,
            endpoint_name: &endpoint_name,
            target: &target_source,
            target_folder: folder,
            guard: &Guard::new(&target.allow).expect("an allow list"),
            scenario: "conformance",
            sessions: Some(self.sessions),
            seed: self.seed,
            run: "conformance-run",
        })
    }

    /// Compiles it and prepares it on this thread.
    pub async fn prepare(&self) -> Bench {
        let workload = self.compile().unwrap_or_else(|e| panic!("the workload doesn't compile: {e}"));
        let bench = Bench { workload, clock: Arc::new(MonotonicClock::starting_at(Instant::now())) };
        bench.workload.prepare(&bench.context(0)).await.unwrap_or_else(|e| panic!("preparing failed: {e}"));
        bench
    }
}

/// The part of a workload file that says where it goes.
#[derive(serde::Deserialize)]
struct Head {
    endpoint: String,
}

/// A compiled workload with a clock.
pub struct Bench {
    /// The workload.
    pub workload: Arc<dyn Workload>,
    /// The run's clock.
    pub clock: Arc<MonotonicClock>,
}

impl Bench {
    /// A place for the session of this number.
    pub fn context(&self, index: u64) -> SessionContext {
        SessionContext {
            index,
            worker: 0,
            share: slatest_core::schedule::Share::WHOLE,
            process: slatest_core::schedule::Share::WHOLE,
            clock: self.clock.clone(),
        }
    }

    /// Opens the session of this number.
    pub async fn session(&self, index: u64) -> Box<dyn Session> {
        self.workload.connect(&self.context(index)).await.unwrap_or_else(|e| panic!("no session: {e}"))
    }

    /// An arrival, now, of the operation of this name.
    pub fn arrival(&self, operation: &str, seq: u64) -> Arrival {
        let at = slatest_core::model::Clock::now(&*self.clock);
        let found = self.workload.operations().iter().position(|o| o.name == operation);
        let operation = found.unwrap_or_else(|| panic!("no operation `{operation}`"));
        let deadline = at + self.workload.operations()[operation].timeout;
        Arrival { seq, at, deadline, step: 0, operation }
    }

    /// Executes an operation once and sees that what is reported makes sense.
    pub async fn execute(&self, session: &mut dyn Session, operation: &str, seq: u64) -> Completion {
        let arrival = self.arrival(operation, seq);
        let completion = session.execute(&arrival).await;
        let declared = &self.workload.operations()[arrival.operation];
        if let Some(sent) = completion.sent {
            assert!(arrival.at <= sent && sent <= completion.done, "planned, sent, done: {completion:?}");
        }
        assert_eq!(completion.outcome == Outcome::Ok, completion.error.is_none(), "{completion:?}");
        assert!(completion.timings.iter().all(|(i, _)| usize::from(*i) < declared.timings.len()), "{completion:?}");
        for &(i, good, total) in &completion.ratios {
            assert!(usize::from(i) < declared.ratios.len() && good <= total, "{completion:?}");
        }
        completion
    }
}

/// Executes an operation so many times in one session.
pub fn executed(subject: &Subject, operation: &str, times: u64) -> Vec<Completion> {
    worker(async {
        let bench = subject.prepare().await;
        let mut session = bench.session(0).await;
        let mut completions = Vec::new();
        for seq in 0..times {
            completions.push(bench.execute(&mut *session, operation, seq).await);
        }
        session.close().await;
        completions
    })
}

/// How executions ended, and the kinds of their errors.
pub fn ends(completions: &[Completion]) -> Vec<(Outcome, Option<&str>)> {
    completions.iter().map(|c| (c.outcome, c.error.as_deref())).collect()
}

/// The endpoint is reached, and it is said what was found.
pub async fn health_answers(subject: &Subject) -> String {
    let workload = subject.compile().unwrap_or_else(|e| panic!("the workload doesn't compile: {e}"));
    let health = workload.health().await.unwrap_or_else(|e| panic!("not healthy: {e}"));
    assert!(!health.detail.trim().is_empty(), "a health check says what it found");
    health.detail
}

/// An endpoint that can't be reached is named with its address, and no secret is said.
pub async fn unreachable_is_named(subject: &Subject, address: &str, secrets: &[&str]) {
    let workload = subject.compile().unwrap_or_else(|e| panic!("the workload doesn't compile: {e}"));
    let error = workload.health().await.expect_err("nobody listens there");
    let name = Source::new("w", subject.workload.as_str(), "").parse::<Head>().expect("a workload").endpoint;
    assert_eq!(error.endpoint, name);
    assert!(error.address.contains(address), "`{}` says where it is: {address}", error.address);
    assert!(!error.reason.trim().is_empty(), "and why");
    let said = error.to_string();
    for secret in secrets {
        assert!(!said.contains(secret), "a secret is in: {said}");
    }
}

/// The operation works, twice in one session.
pub async fn operation_works(subject: &Subject, operation: &str) -> Completion {
    let bench = subject.prepare().await;
    let mut session = bench.session(0).await;
    let mut last = None;
    for seq in 0..2 {
        let completion = bench.execute(&mut *session, operation, seq).await;
        assert_eq!(completion.outcome, Outcome::Ok, "{completion:?}");
        assert!(completion.sent.is_some(), "what is ok was sent");
        last = Some(completion);
    }
    session.close().await;
    last.expect("it ran twice")
}

/// Where nobody listens, an arrival ends as disconnected, whether the session opens eagerly or not.
pub async fn refusal_is_disconnected(subject: &Subject, operation: &str) {
    let bench = subject.prepare().await;
    let (outcome, kind) = match bench.workload.connect(&bench.context(0)).await {
        Err(error) => (error.outcome, error.kind),
        Ok(mut session) => {
            let completion = bench.execute(&mut *session, operation, 0).await;
            (completion.outcome, completion.error.unwrap_or_default())
        }
    };
    assert_eq!(outcome, Outcome::Disconnected, "{kind}");
    assert!(!kind.trim().is_empty() && kind.len() < 100, "a kind, short: {kind}");
}

/// A server that falls silent makes the operation time out in its time, and the session works again
/// once the server does. `silent` makes it fall silent and answer again.
pub async fn silence_times_out(subject: &Subject, operation: &str, silent: impl Fn(bool)) {
    let bench = subject.prepare().await;
    let mut session = bench.session(0).await;
    let before = bench.execute(&mut *session, operation, 0).await;
    assert_eq!(before.outcome, Outcome::Ok, "{before:?}");
    silent(true);
    let during = bench.execute(&mut *session, operation, 1).await;
    assert_eq!(during.outcome, Outcome::TimedOut, "{during:?}");
    let declared = bench.workload.operations().iter().find(|o| o.name == operation).expect("the operation").timeout;
    let sent = during.sent.expect("it was sent before it timed out");
    let waited = during.done.since(sent);
    assert!(waited >= declared, "waited {waited} of {declared}");
    assert!(waited <= declared + LATENESS_MAX, "waited {waited} of {declared}");
    silent(false);
    works_again(&bench, &mut *session, operation).await;
    session.close().await;
}

/// An answer that says no is rejected, with this kind.
pub async fn error_is_rejected(subject: &Subject, operation: &str, kind: &str) {
    let bench = subject.prepare().await;
    let mut session = bench.session(0).await;
    let completion = bench.execute(&mut *session, operation, 0).await;
    assert_eq!(completion.outcome, Outcome::Rejected, "{completion:?}");
    assert_eq!(completion.error.as_deref(), Some(kind));
    session.close().await;
}

/// A certificate of an unknown issuer is refused, in words that say so.
pub async fn wrong_ca_is_refused(subject: &Subject) {
    let workload = subject.compile().unwrap_or_else(|e| panic!("the workload doesn't compile: {e}"));
    let error = workload.health().await.expect_err("the issuer is unknown");
    let said = error.to_string().to_lowercase();
    assert!(said.contains("certificate") || said.contains("issuer"), "it says what is wrong: {said}");
}

/// Wrong credentials are refused at the health check, and not repeated in the error.
pub async fn wrong_credential_is_refused(subject: &Subject, credential: &str) {
    let workload = subject.compile().unwrap_or_else(|e| panic!("the workload doesn't compile: {e}"));
    let error = workload.health().await.expect_err("the credential is wrong");
    assert!(!format!("{error} {error:?}").contains(credential), "the credential is in the error");
}

/// A host that the allow list doesn't have is refused when the workload is compiled or at the
/// latest when it is used, and `contacts` (connections that its server saw) stays at zero.
pub async fn forbidden_host_is_never_contacted(subject: &Subject, operation: &str, contacts: impl Fn() -> usize) {
    let refused = match subject.compile() {
        Err(problems) => problems.to_string(),
        Ok(workload) => {
            let bench = Bench { workload, clock: Arc::new(MonotonicClock::starting_at(Instant::now())) };
            if let Ok(mut session) = bench.workload.connect(&bench.context(0)).await {
                let completion = bench.execute(&mut *session, operation, 0).await;
                assert_ne!(completion.outcome, Outcome::Ok);
            }
            bench.workload.health().await.expect_err("the host is not allowed").to_string()
        }
    };
    assert!(refused.contains("allow"), "it says why: {refused}");
    assert_eq!(contacts(), 0, "the host was contacted");
}

/// An execution that is given up half-way (the run ends) harms neither the process nor the session.
/// `silent` as for [`silence_times_out`].
pub async fn dropped_execution_is_harmless(subject: &Subject, operation: &str, silent: impl Fn(bool)) {
    let bench = subject.prepare().await;
    let mut session = bench.session(0).await;
    let before = bench.execute(&mut *session, operation, 0).await;
    assert_eq!(before.outcome, Outcome::Ok, "{before:?}");
    silent(true);
    for seq in 1..4 {
        let arrival = bench.arrival(operation, seq);
        let given_up = tokio::time::timeout(Duration::from_millis(20), session.execute(&arrival)).await;
        assert!(given_up.is_err(), "a silent server answered: {given_up:?}");
    }
    silent(false);
    works_again(&bench, &mut *session, operation).await;
    session.close().await;
}

/// One execution has one payload: the same in two runs with one seed, another for another number.
/// `observe` executes the arrival of this number in a run with this seed and gives what the server
/// got, without what may differ (times, connection details).
pub async fn same_execution_same_payload<F: Future<Output = Vec<u8>>>(observe: impl Fn(u64, u64) -> F) {
    let first = observe(7, 3).await;
    assert!(!first.is_empty(), "the server got something");
    assert_eq!(String::from_utf8_lossy(&first), String::from_utf8_lossy(&observe(7, 3).await), "one seed, one payload");
    assert_ne!(first, observe(7, 4).await, "another execution, another payload");
    assert_ne!(first, observe(8, 3).await, "another seed, another payload");
}

/// The session is usable: after some attempts (each may find another broken connection) one is ok.
async fn works_again(bench: &Bench, session: &mut dyn Session, operation: &str) {
    let mut last = None;
    for attempt in 0..ATTEMPTS_MAX {
        let completion = bench.execute(session, operation, 100 + attempt).await;
        if completion.outcome == Outcome::Ok {
            return;
        }
        last = Some(completion);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the session never works again: {last:?}");
}
