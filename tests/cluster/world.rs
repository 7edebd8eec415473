//! A coordinator and its agents in a simulated network and in simulated time: the real fleet behind the
//! real service, with TLS; real agents whose generators know exactly what they made. Only the disk of the
//! coordinator is made up: what is written is safe a moment later, and what is not yet safe is lost in a
//! crash.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::{Stream, StreamExt as _};
use slatest_cluster::agent::{
    AgentClock, AgentDeps, AgentEnd, AgentError, AgentNews, AgentSettings, ConnectionError, Credentials, Dial,
    Incoming, Ledger, Outgoing, SimulatedGenerator, live,
};
use slatest_cluster::client;
use slatest_cluster::fleet::{Fleet, FleetEnd, FleetNews, FleetSettings, Input, LOSS_AFTER, Output};
use slatest_cluster::identity::{AgentIdentity, RunAuthority};
use slatest_cluster::journal::Entry;
use slatest_cluster::service::Service;
use slatest_cluster::wire::{self, FromAgent};
use slatest_core::measure::Window;
use slatest_core::model::Nanos;
use slatest_core::schedule::{ArrivalLaw, StagePlan};
use slatest_engine::load::Stop;
use slatest_engine::profile::{ExecutorPlan, OnAgentLoss, OnCoordinatorLoss, Plan};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Arrivals per second of all agents together.
pub const RATE: f64 = 120.0;
const PORT: u16 = 7420;
/// How long the disk takes.
const DISK: Duration = Duration::from_millis(30);

/// What outlives the coordinator's process, and what a test looks at.
#[derive(Default)]
pub struct Kept {
    /// What is safe on the coordinator's disk.
    journal: Vec<Entry>,
    /// What the coordinator handed on, merged by window; what was handed on before a crash is handed on
    /// again by whoever comes after.
    pub windows: BTreeMap<u64, Window>,
    pub late: usize,
    pub end: Option<FleetEnd>,
    pub news: Vec<(Duration, FleetNews)>,
    /// What each agent told, and how it ended.
    pub agents: BTreeMap<String, Vec<(Duration, AgentNews)>>,
    pub ends: BTreeMap<String, Result<AgentEnd, AgentError>>,
}

#[derive(Clone)]
pub struct World {
    pub plan: Arc<Plan>,
    pub length: Nanos,
    pub agents: u64,
    authority: Arc<RunAuthority>,
    kept: Arc<Mutex<Kept>>,
    pub ledgers: Vec<Ledger>,
    /// How many agents are to come to their end.
    expected: Arc<AtomicU64>,
}

/// A plan of one even rate.
fn plan(length: Nanos, loss: OnAgentLoss, coordinator_loss: OnCoordinatorLoss) -> Plan {
    let mut plan: Plan = serde_json::from_str(include_str!("../data/plan.json")).expect("the plan");
    (plan.on_agent_loss, plan.on_coordinator_loss) = (loss, coordinator_loss);
    let rate = RATE / plan.scenarios.len() as f64;
    for scenario in &mut plan.scenarios {
        let stages = vec![StagePlan { duration: length, from: rate, to: rate }];
        scenario.executor = ExecutorPlan::Arrivals { law: ArrivalLaw::Uniform, stages };
        (scenario.start, scenario.warm_up, scenario.cool_down) = (Nanos::ZERO, Nanos::ZERO, Nanos::ZERO);
    }
    plan
}

impl World {
    pub fn new(agents: u64, secs: u64, loss: OnAgentLoss, coordinator_loss: OnCoordinatorLoss) -> Self {
        let length = Nanos::from_secs(secs);
        Self {
            plan: Arc::new(plan(length, loss, coordinator_loss)),
            length,
            agents,
            authority: Arc::new(RunAuthority::new().expect("an authority")),
            kept: Arc::default(),
            ledgers: (0..agents).map(|_| Ledger::default()).collect(),
            expected: Arc::new(AtomicU64::new(agents)),
        }
    }

    /// An agent is killed, and will not come to an end of its own.
    pub fn kill(&self, sim: &mut turmoil::Sim<'_>, agent: u64) {
        self.expected.fetch_sub(1, Ordering::Relaxed);
        sim.crash(agent_name(agent));
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no test holds it when it fails")
    }

    /// Everything that agents made, merged by window: those chosen by number, each up to a number of
    /// intervals.
    pub fn made(&self, through: impl Fn(usize) -> u64) -> BTreeMap<u64, Window> {
        let mut sum: BTreeMap<u64, Window> = BTreeMap::new();
        for (agent, ledger) in self.ledgers.iter().enumerate() {
            for (index, window) in ledger.windows() {
                // Interval n is window n - 1: a simulated generator leaves none out.
                if index < through(agent) {
                    add(&mut sum, window);
                }
            }
        }
        sum
    }

    /// Adds the coordinator and the agents to a simulation.
    pub fn populate(&self, sim: &mut turmoil::Sim<'_>) {
        let world = self.clone();
        sim.host("coordinator", move || world.clone().coordinate());
        for index in 0..self.agents {
            let world = self.clone();
            sim.host(agent_name(index), move || world.clone().take_part(index));
        }
        let world = self.clone();
        sim.client("observer", async move {
            let over =
                |kept: &Kept| kept.end.is_some() && kept.ends.len() as u64 >= world.expected.load(Ordering::Relaxed);
            while !over(&world.kept()) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        });
    }

    async fn coordinate(self) -> turmoil::Result {
        let listener = turmoil::net::TcpListener::bind(("0.0.0.0", PORT)).await?;
        let incoming = futures_util::stream::unfold(listener, |listener| async {
            let (stream, from) = listener.accept().await.ok()?;
            Some(((stream, from.to_string()), listener))
        });
        let mut service = Service::start(incoming, Arc::clone(&self.authority), self.agents)?;
        let origin = Instant::now();
        let now = || Nanos::from(origin.elapsed());
        let wall = turmoil::sim_elapsed().unwrap_or_default() + Duration::from_secs(1_700_000_000);
        let settings = FleetSettings {
            run: "run".into(),
            agents: self.agents,
            wait: Nanos::from_secs(60),
            loss_after: LOSS_AFTER,
            plan: Arc::clone(&self.plan),
            assignment: wire::Assignment::default(),
            wall_at_zero: i64::try_from(wall.as_nanos())?,
        };
        let mut fleet = Fleet::new(settings, now());
        let mut out = Vec::new();
        let journal = std::mem::take(&mut self.kept().journal);
        if !journal.is_empty() {
            self.kept().windows.clear();
            for entry in journal {
                fleet.replay(now(), entry.clone(), &mut out);
                self.kept().journal.push(entry);
            }
            fleet.resume(now())?;
        }
        let mut disk: VecDeque<(Instant, Entry)> = VecDeque::new();
        let mut tick = interval(Duration::from_millis(50));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut inputs = VecDeque::new();
        loop {
            for output in out.drain(..) {
                match output {
                    Output::Send { peer, message } => drop(service.connections.send(peer, message)),
                    Output::Refuse { peer, refusal } => service.connections.refuse(peer, &refusal),
                    Output::Persist { agent, interval } => {
                        disk.push_back((Instant::now() + DISK, Entry::Interval { agent, interval }));
                    }
                    Output::PersistEnd { agent, finished } => {
                        disk.push_back((Instant::now() + DISK, Entry::End { agent, finished }));
                    }
                    Output::Note(note) => {
                        let mut kept = self.kept();
                        kept.journal.extend(disk.drain(..).map(|(_, entry)| {
                            inputs.push_back(stored(&entry));
                            entry
                        }));
                        kept.journal.push(Entry::Note(note));
                    }
                    Output::Window { mut window } => {
                        let mut kept = self.kept();
                        kept.late += usize::from(std::mem::take(&mut window.late));
                        add(&mut kept.windows, window);
                    }
                    Output::News(news) => {
                        let at = turmoil::sim_elapsed().unwrap_or_default();
                        self.kept().news.push((at, news));
                    }
                    Output::Ended(end) => {
                        self.kept().end = Some(end);
                        service.end().await;
                        return Ok(());
                    }
                }
            }
            if let Some(input) = inputs.pop_front() {
                fleet.handle(now(), input, &mut out);
                continue;
            }
            tokio::select! {
                input = service.inputs.recv() => inputs.extend(input),
                _ = service.refusals.recv() => {}
                _ = tick.tick() => inputs.push_back(Input::Tick),
            }
            while disk.front().is_some_and(|(safe, _)| *safe <= Instant::now()) {
                if let Some((_, entry)) = disk.pop_front() {
                    inputs.push_back(stored(&entry));
                    self.kept().journal.push(entry);
                }
            }
        }
    }

    async fn take_part(self, index: u64) -> turmoil::Result {
        let name = agent_name(index);
        let generator = SimulatedGenerator {
            plan: Arc::clone(&self.plan),
            seed: 11,
            rate: RATE,
            length: self.length,
            ledger: self.ledgers[usize::try_from(index)?].clone(),
        };
        // Clocks that disagree by hours, in both directions.
        let hours = 3_600_000_000_000;
        let clock =
            AgentClock::disagreeing(Nanos(index * 7 * hours), i64::try_from(index)? * -3 * i64::try_from(hours)?);
        let settings = AgentSettings {
            coordinator: "coordinator".into(),
            name: name.clone(),
            credentials: Credentials::Token(String::new()),
            state: None,
            patience: Duration::from_secs(600),
            workers: 1,
            working_directory: ".".into(),
        };
        let deps = AgentDeps {
            dial: Arc::new(Simulated { identity: self.authority.identity(&name)? }),
            generator: Box::new(generator),
            clock,
            seed: index,
            machine: wire::Machine { host: name.clone(), ..wire::Machine::default() },
        };
        let (world, told_by) = (self.clone(), name.clone());
        let mut on_news = move |news| {
            let at = turmoil::sim_elapsed().unwrap_or_default();
            world.kept().agents.entry(told_by.clone()).or_default().push((at, news));
        };
        let end = live(settings, deps, Stop::default(), &mut on_news).await;
        self.kept().ends.insert(name, end);
        Ok(())
    }
}

fn stored(entry: &Entry) -> Input {
    match entry {
        Entry::Interval { agent, interval } => Input::Stored { agent: *agent, through: interval.number },
        Entry::End { agent, finished } => Input::Stored { agent: *agent, through: finished.last_interval + 1 },
        Entry::Note(_) => Input::Tick,
    }
}

fn add(sum: &mut BTreeMap<u64, Window>, window: Window) {
    match sum.get_mut(&window.index) {
        Some(merged) => merged.merge(window),
        None => drop(sum.insert(window.index, window)),
    }
}

pub fn agent_name(index: u64) -> String {
    format!("agent-{index}")
}

/// Dials through the simulated network.
struct Simulated {
    identity: AgentIdentity,
}

impl Dial for Simulated {
    fn dial(&self, outgoing: Outgoing) -> BoxFuture<'static, Result<Incoming, ConnectionError>> {
        let identity = self.identity.clone();
        async move {
            let stream = turmoil::net::TcpStream::connect(("coordinator", PORT)).await;
            let stream = stream.map_err(|e| ConnectionError::Lost(e.to_string()))?;
            let incoming = client::attend(stream, &identity, Said(outgoing)).await?;
            Ok(incoming.map(|word| word.map_err(ConnectionError::from)).boxed())
        }
        .boxed()
    }
}

struct Said(Outgoing);

impl Stream for Said {
    type Item = FromAgent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FromAgent>> {
        self.0.poll_next_unpin(cx)
    }
}
