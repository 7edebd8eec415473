//! A coordinator with its service and its journal, and agents that are scripts: what they hand over is what
//! the run's facts are made of, also when the coordinator is another process than the one that led.

use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use slatest_cluster::client::{Incoming, attend};
use slatest_cluster::codec;
use slatest_cluster::coordinator::{Coordinator, CoordinatorError, CoordinatorSetup, Told};
use slatest_cluster::identity::{AgentIdentity, RunAuthority};
use slatest_cluster::transport::connect;
use slatest_cluster::wire::{self, from_agent::Body as Say, to_agent::Body as Hear};
use slatest_core::measure::{Recorder, Timeline};
use slatest_core::model::{Completion, Nanos, OperationId};
use slatest_engine::load::{Event, RunFacts, Stop, shapes};
use slatest_engine::profile::Plan;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::door::{hello, soon};

const RUN: &str = "20261121T080000Z-test-abc123";
const WINDOWS: u64 = 3;

/// One open scenario of two operations, as long as three windows.
fn plan() -> Arc<Plan> {
    let plan = serde_json::json!({
        "profile": "test", "description": null, "seed": 1, "window": 200_000_000_u64, "graceful_stop": 0,
        "scenarios": [{
            "name": "api", "workload": "api", "endpoint": "api", "driver": "http",
            "executor": { "arrivals": { "law": "poisson", "stages": [{ "duration": 600_000_000_u64, "from": 50.0, "to": 50.0 }] } },
            "mix": "weighted", "start": 0, "warm_up": 0, "cool_down": 0, "max_in_flight": 10, "sessions": null,
            "first_operation": 0, "items": []
        }],
        "operations": [{
            "scenario": 0, "address": "api/list", "timeout": 1_000_000_000, "timings": [], "ratios": [],
            "thresholds": [], "share": 1.0
        }],
        "objectives": [], "left_out": []
    });
    Arc::new(serde_json::from_value(plan).expect("a plan"))
}

fn setup(folder: &Path, authority: &Arc<RunAuthority>, agents: u64) -> CoordinatorSetup {
    CoordinatorSetup {
        run: RUN.into(),
        folder: folder.to_owned(),
        plan: plan(),
        agents,
        wait: Nanos::from_secs(20),
        assignment: wire::Assignment { name: "test".into(), ..wire::Assignment::default() },
        authority: Arc::clone(authority),
    }
}

/// A window of an agent: `count` answers of times that are its own.
fn interval(agent: u64, number: u64, count: u64) -> wire::Interval {
    let mut recorder = Recorder::new(shapes(&plan()), plan().window);
    for i in 0..count {
        recorder.fired(OperationId(0), true, Nanos::ZERO, Nanos(i));
        let done = Nanos(1_000_000 * (agent + 1) + 777 * i * number);
        recorder.ended(OperationId(0), true, Nanos::ZERO, &Completion::ok(Nanos::ZERO, done));
    }
    let mut window = recorder.close_window();
    window.index = number - 1;
    wire::Interval { number, window: Some(codec::write(&window)), cpu_share: 0.1 }
}

/// What all agents measured, recorded in one place.
fn recorded(agents: u64) -> Timeline {
    let mut timeline = Timeline::new(&shapes(&plan()));
    let codec = codec::Codec::new(shapes(&plan()), plan().window);
    for agent in 0..agents {
        for number in 1..=WINDOWS {
            timeline.add(&codec.read(interval(agent, number, 5 + agent).window.as_ref().unwrap()).unwrap());
        }
    }
    timeline
}

/// The conversation of one agent.
struct Script {
    say: mpsc::Sender<wire::FromAgent>,
    heard: Incoming,
    index: u64,
    acknowledged: u64,
}

impl Script {
    async fn begin(address: &str, identity: &AgentIdentity, hello: wire::Hello) -> Self {
        let (say, outgoing) = mpsc::channel(16);
        let carrier = connect(address).await.unwrap();
        let heard = soon(attend(carrier, identity, ReceiverStream::new(outgoing))).await.unwrap();
        let mut script = Self { say, heard, index: hello.index, acknowledged: 0 };
        script.say(Say::Hello(hello)).await;
        script.until(|heard| matches!(heard, Hear::Welcome(_))).await;
        script
    }

    async fn say(&self, body: Say) {
        let _ = self.say.send(wire::FromAgent { body: Some(body) }).await;
    }

    /// Answers pings until it hears what it waits for.
    async fn until(&mut self, wanted: impl Fn(&Hear) -> bool) {
        loop {
            let heard = soon(self.heard.next()).await.expect("the conversation goes on").unwrap().body.unwrap();
            match &heard {
                Hear::Ping(ping) => {
                    let pong = wire::Pong { number: ping.number, ..wire::Pong::default() };
                    self.say(Say::Pong(pong)).await;
                }
                Hear::Ack(ack) => self.acknowledged = ack.through,
                Hear::Welcome(welcome) => (self.index, self.acknowledged) = (welcome.index, welcome.acknowledged),
                _ => {}
            }
            if wanted(&heard) {
                return;
            }
        }
    }

    async fn send(&self, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            self.say(Say::Interval(interval(self.index, number, 5 + self.index))).await;
        }
    }

    /// The rest, and the end.
    async fn hand_over(mut self) {
        self.send(self.acknowledged + 1..=WINDOWS).await;
        let fired = WINDOWS * (5 + self.index);
        let finished = wire::Finished {
            last_interval: WINDOWS,
            scheduled: fired,
            fired,
            length_run_ns: 600_000_000,
            ..wire::Finished::default()
        };
        self.say(Say::Finished(finished)).await;
        self.until(|heard| matches!(heard, Hear::Farewell(_))).await;
    }
}

/// The facts of a coordinator that leads on a thread of its own, and the notices on the way.
fn lead(
    coordinator: Coordinator,
    stop: Stop,
) -> std::thread::JoinHandle<(Result<RunFacts, CoordinatorError>, Vec<String>)> {
    std::thread::spawn(move || {
        let notices = Mutex::new(Vec::new());
        let facts = coordinator.run(&stop, &mut |told| {
            if let Told::Event(Event::Notice(message)) = told {
                notices.lock().unwrap().push(message);
            }
        });
        (facts, notices.into_inner().unwrap())
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Agents that have handed over the first interval and know that it is on disk.
async fn started(address: &str, identities: &[AgentIdentity]) -> Vec<Script> {
    let mut scripts = Vec::new();
    for identity in identities {
        scripts.push(Script::begin(address, identity, hello(identity.name())).await);
    }
    for script in &scripts {
        script.say(Say::Ready(wire::Ready {})).await;
    }
    let under_way = scripts.into_iter().map(|mut script| async move {
        script.until(|heard| matches!(heard, Hear::Start(_))).await;
        script.send(1..=1).await;
        script.until(|heard| matches!(heard, Hear::Ack(_))).await;
        script
    });
    futures_util::future::join_all(under_way).await
}

fn identities(authority: &RunAuthority, agents: u64) -> Vec<AgentIdentity> {
    (0..agents).map(|k| authority.identity(&format!("scripted-{k}")).unwrap()).collect()
}

#[test]
fn what_agents_hand_over_is_what_the_facts_are_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Arc::new(RunAuthority::new().unwrap());
    let coordinator = Coordinator::open(setup(folder.path(), &authority, 3), "127.0.0.1:0").unwrap();
    let address = coordinator.address().to_string();
    let leading = lead(coordinator, Stop::default());
    let identities = identities(&authority, 3);
    runtime().block_on(async {
        let scripts = started(&address, &identities).await;
        futures_util::future::join_all(scripts.into_iter().map(Script::hand_over)).await;
    });
    let (facts, notices) = leading.join().unwrap();
    let facts = facts.unwrap();
    let recorded = recorded(3);
    assert_eq!(facts.timeline.judged, recorded.judged, "to the last bit");
    assert_eq!(facts.timeline.dispatch_lag, recorded.dispatch_lag);
    assert_eq!(facts.timeline.windows, WINDOWS);
    assert_eq!((facts.scheduled, facts.fired), (54, 54));
    assert_eq!(facts.agents.len(), 3);
    assert!(facts.agents.iter().all(|agent| agent.intervals == WINDOWS && agent.lost_at.is_none()));
    assert!(!facts.interrupted && facts.aborted.is_none());
    assert!(notices.iter().all(|notice| notice.contains("wall clock")), "{notices:?}");
}

#[test]
fn a_coordinator_that_is_started_again_collects_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let killed = tempfile::tempdir().unwrap();
    let authority = Arc::new(RunAuthority::new().unwrap());
    let coordinator = Coordinator::open(setup(folder.path(), &authority, 2), "127.0.0.1:0").unwrap();
    let address = coordinator.address().to_string();
    let stop = Stop::default();
    let leading = lead(coordinator, stop.clone());
    let identities = identities(&authority, 2);
    runtime().block_on(async {
        let scripts = started(&address, &identities).await;
        // What lies on the disk at this moment is what a coordinator leaves that is killed.
        std::fs::create_dir(killed.path().join("cluster")).unwrap();
        let file = "cluster/intervals.bin";
        std::fs::copy(folder.path().join(file), killed.path().join(file)).unwrap();
        stop.ask();
        stop.ask();
        futures_util::future::join_all(scripts.into_iter().map(Script::hand_over)).await;
    });
    assert!(leading.join().unwrap().0.unwrap().interrupted);

    // It listens where the first one did, and the agents come back with what is not acknowledged.
    let coordinator = Coordinator::resume(setup(killed.path(), &authority, 0)).unwrap();
    assert_eq!(coordinator.address().to_string(), address);
    let leading = lead(coordinator, Stop::default());
    runtime().block_on(async {
        for (index, identity) in (0..).zip(&identities) {
            let back = wire::Hello { run: RUN.into(), index, last_interval: WINDOWS, ..hello(identity.name()) };
            let script = Script::begin(&address, identity, back).await;
            assert_eq!(script.acknowledged, 1, "it knows what it had written");
            script.hand_over().await;
        }
    });
    let (facts, notices) = leading.join().unwrap();
    let facts = facts.unwrap();
    assert_eq!(facts.timeline.judged, recorded(2).judged, "to the last bit, nothing twice");
    assert_eq!(facts.timeline.windows, WINDOWS);
    assert!(!facts.interrupted);
    assert!(notices.iter().any(|notice| notice.contains("started again")), "{notices:?}");
}

#[test]
fn a_run_that_is_ended_before_its_start_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Arc::new(RunAuthority::new().unwrap());
    let stop = Stop::default();
    let coordinator = Coordinator::open(setup(folder.path(), &authority, 2), "127.0.0.1:0").unwrap();
    stop.ask();
    let (facts, _) = lead(coordinator, stop).join().unwrap();
    let error = facts.unwrap_err();
    assert!(matches!(error, CoordinatorError::NotStarted { interrupted: true, .. }), "{error}");
    // Nothing was sent, so there is nothing to collect.
    let coordinator = Coordinator::resume(setup(folder.path(), &authority, 0)).unwrap();
    let error = lead(coordinator, Stop::default()).join().unwrap().0.unwrap_err();
    assert_eq!(error.to_string(), "the run had not started: there is nothing to collect");
}

#[test]
fn what_can_not_be_used_is_said_before_anybody_is_told_to_come() {
    let authority = Arc::new(RunAuthority::new().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = Coordinator::open(setup(folder.path(), &authority, 2), &address).err().unwrap();
    assert!(error.to_string().contains(&address) && error.to_string().contains("--listen"), "{error}");
    let error = Coordinator::resume(setup(folder.path(), &authority, 2)).err().unwrap();
    assert!(error.to_string().contains("intervals.bin: can't be read"), "{error}");
}
