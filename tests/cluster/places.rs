//! Places in a run: one for each agent, and for no more than were asked for.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use jiff::{SignedDuration, Timestamp};
use slatest_cluster::PROTOCOL;
use slatest_cluster::client::{ClientError, attend};
use slatest_cluster::coordinator::{Coordinator, CoordinatorError, CoordinatorSetup, Told};
use slatest_cluster::fleet::FleetNews;
use slatest_cluster::identity::RunAuthority;
use slatest_cluster::transport::connect;
use slatest_cluster::wire::{self, from_agent, to_agent};
use slatest_core::model::Nanos;
use slatest_core::schedule::ArrivalLaw;
use slatest_engine::load::Stop;
use slatest_engine::profile::{ExecutorPlan, OperationPlan, Plan, ScenarioPlan};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::door::{Attending, hello, soon};

fn plan() -> Plan {
    let steady = ExecutorPlan::steady(ArrivalLaw::Poisson, Nanos::from_secs(60), 10.0);
    let operations = vec![OperationPlan::sample("api/list")];
    Plan { profile: "places".into(), ..Plan::sample(vec![ScenarioPlan::sample("api", steady)], operations) }
}

/// A coordinator that leads a run on a thread of its own.
struct Led {
    authority: Arc<RunAuthority>,
    address: String,
    told: Receiver<Told>,
    stop: Stop,
    thread: std::thread::JoinHandle<Result<(), CoordinatorError>>,
    _folder: tempfile::TempDir,
}

impl Led {
    fn start(agents: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = RunAuthority::new().unwrap();
        authority.issue_token(Timestamp::now() + SignedDuration::from_hours(1));
        let authority = Arc::new(authority);
        let setup = CoordinatorSetup {
            run: "20261121T080000Z-places-abc123".to_owned(),
            folder: folder.path().to_owned(),
            plan: Arc::new(plan()),
            agents,
            wait: Nanos::from_secs(60),
            assignment: wire::Assignment::default(),
            authority: Arc::clone(&authority),
        };
        let coordinator = Coordinator::open(setup, "127.0.0.1:0").unwrap();
        let address = coordinator.address().to_string();
        let (tell, told) = channel();
        let stop = Stop::default();
        let asked = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut on = |what| {
                let _ = tell.send(what);
            };
            coordinator.run(&asked, &mut on).map(|_| ())
        });
        Self { authority, address, told, stop, thread, _folder: folder }
    }

    async fn says(&self, hello: wire::Hello) -> Attending {
        let identity = self.authority.identity(&hello.agent).unwrap();
        let (say, outgoing) = mpsc::channel(16);
        let connection = connect(&self.address).await.unwrap();
        let heard = soon(attend(connection, &identity, ReceiverStream::new(outgoing))).await.unwrap();
        let agent = Attending { say, heard };
        agent.say(from_agent::Body::Hello(hello)).await;
        agent
    }

    /// An agent that has a place: its number.
    async fn joins(&self, name: &str) -> (Attending, u64) {
        let mut agent = self.says(hello(name)).await;
        loop {
            match agent.hear().await.unwrap() {
                to_agent::Body::Welcome(welcome) => return (agent, welcome.index),
                to_agent::Body::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// What one that is sent away hears; the coordinator tells of it in the same words.
    async fn is_refused(&self, hello: wire::Hello) -> String {
        let name = hello.agent.clone();
        let mut agent = self.says(hello).await;
        let message = loop {
            match agent.hear().await {
                Ok(to_agent::Body::Ping(_)) => {}
                Ok(other) => panic!("{other:?}"),
                Err(ClientError::Refused(message)) => break message,
                Err(other) => panic!("{other:?}"),
            }
        };
        loop {
            let told = self.told.recv_timeout(std::time::Duration::from_secs(20)).expect("it is told");
            if let Told::News(FleetNews::Refused { name: refused, reason }) = told {
                assert_eq!((refused, reason.to_string()), (name, message.clone()));
                return message;
            }
        }
    }

    fn end(self) {
        self.stop.ask();
        let end = self.thread.join().expect("no panic");
        assert!(matches!(end, Err(CoordinatorError::NotStarted { interrupted: true, .. })), "{end:?}");
    }
}

/// Whether an agent is still in the conversation: it is asked for its clock.
async fn goes_on(agent: &mut Attending) {
    loop {
        if let to_agent::Body::Ping(_) = agent.hear().await.unwrap() {
            return;
        }
    }
}

#[test]
fn one_agent_has_one_place_and_there_are_no_more_than_asked_for() {
    let led = Led::start(2);
    // The coordinator brings a runtime of its own; this one is the agents'.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut first, index) = led.joins("a1").await;
        assert_eq!(index, 0);
        let another = wire::Hello { incarnation: b"another process".to_vec().into(), ..hello("a1") };
        let twice = led.is_refused(another).await;
        assert!(twice.contains("`a1` takes part already"), "{twice}");
        let version = led.is_refused(wire::Hello { protocol: PROTOCOL + 1, ..hello("a2") }).await;
        assert!(version.contains(&format!("version {}", PROTOCOL + 1)), "{version}");
        let (mut second, index) = led.joins("a2").await;
        assert_eq!(index, 1);
        let full = led.is_refused(hello("a3")).await;
        assert!(full.contains("has its 2 agents already"), "{full}");
        goes_on(&mut first).await;
        goes_on(&mut second).await;
    });
    led.end();
}
