//! A scripted target that holds what a test wants held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, LocalBoxFuture};
use slatest_core::model::{Arrival, Clock, Completion, Nanos, Verdict};
use slatest_drivers::{ConnectError, Finding, Health, Operation, Session, SessionContext, Unreachable, Workload};
use slatest_engine::load::{Engine, EngineError, Event, Judged, RunFacts, Stop, judge};
use slatest_engine::profile::{ArrivalLaw, ExecutorPlan, MixItem, OperationPlan, Plan, ScenarioPlan};
use slatest_stats::Check;

const TIMEOUT: Nanos = Nanos::from_secs(4);

/// What the target does.
#[derive(Clone, Copy, PartialEq)]
pub enum Way {
    /// Answers at once.
    Quick,
    /// Takes connections and never says a word.
    Mute,
    /// Never comes to rest.
    Restless,
    /// Its first answer holds the thread that reads it until it is let go …
    HoldsUntilLetGo,
    /// … or for this long.
    Holds(Duration),
    /// Every answer holds its thread until it is let go.
    HoldsAllUntilLetGo,
}

pub struct Target {
    operations: Vec<Operation>,
    way: Way,
    stop: Stop,
    pub connects: AtomicU64,
    held: AtomicBool,
    let_go: Arc<AtomicBool>,
}

struct User {
    clock: Arc<dyn Clock>,
    hold: Option<(Duration, Arc<AtomicBool>)>,
}

impl Session for User {
    fn execute<'a>(&'a mut self, _: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        let sent = self.clock.now();
        if let Some((length, let_go)) = self.hold.take() {
            let since = Instant::now();
            // Without yielding: as a parser that does not end.
            while since.elapsed() < length && !let_go.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
        }
        Box::pin(std::future::ready(Completion::ok(sent, self.clock.now())))
    }
}

impl Workload for Target {
    fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>> {
        Box::pin(async { Ok(Health { detail: "scripted".into() }) })
    }

    fn connect<'a>(
        &'a self,
        context: &'a SessionContext,
    ) -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            self.connects.fetch_add(1, Ordering::SeqCst);
            if self.way == Way::Mute {
                self.stop.ask();
                return std::future::pending().await;
            }
            let length = match self.way {
                Way::HoldsUntilLetGo | Way::HoldsAllUntilLetGo => Some(Duration::MAX),
                Way::Holds(length) => Some(length),
                _ => None,
            };
            let first = !self.held.swap(true, Ordering::SeqCst);
            let holds = first || self.way == Way::HoldsAllUntilLetGo;
            let hold = length.filter(|_| holds).map(|length| (length, Arc::clone(&self.let_go)));
            Ok(Box::new(User { clock: Arc::clone(&context.clock), hold }) as Box<dyn Session>)
        })
    }

    fn settle(&self, _: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        if self.way != Way::Restless {
            return Box::pin(std::future::ready(Vec::new()));
        }
        self.stop.ask();
        Box::pin(std::future::pending())
    }
}

fn plan(sessions: Option<u64>) -> Plan {
    let steady = ExecutorPlan::steady(ArrivalLaw::Uniform, Nanos::from_millis(500), 100.0);
    let scenario =
        ScenarioPlan { users: sessions, items: vec![MixItem::sample(0)], ..ScenarioPlan::sample("s", steady) };
    Plan {
        seed: 42,
        window: Nanos::from_millis(100),
        graceful_stop: Nanos::from_millis(200),
        ..Plan::sample(vec![scenario], vec![OperationPlan { timeout: TIMEOUT, ..OperationPlan::sample("s/a") }])
    }
}

/// What came of a run.
pub struct Ran {
    pub facts: Result<RunFacts, EngineError>,
    pub target: Arc<Target>,
    pub notices: Vec<String>,
    pub judged: Option<Judged>,
}

impl Ran {
    pub fn verdict(&self) -> Option<Verdict> {
        self.judged.as_ref().map(|judged| judged.verdict)
    }

    /// A check of the run, by name.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.judged.iter().flat_map(|judged| &judged.validity).find(|check| check.name == name)
    }

    /// Whether this check voids the run.
    pub fn voids(&self, name: &str) -> bool {
        self.check(name).is_some_and(Check::voids)
    }
}

/// Runs it with so many workers.
pub fn run(way: Way, sessions: Option<u64>, workers: usize) -> Ran {
    let stop = Stop::default();
    let (timings, ratios) = (vec![], vec![]);
    let operation = Operation { name: "a".into(), weight: 1.0, timeout: TIMEOUT, timings, ratios, ledger: false };
    let target = Arc::new(Target {
        operations: vec![operation],
        way,
        stop: stop.clone(),
        connects: AtomicU64::new(0),
        held: AtomicBool::new(false),
        let_go: Arc::default(),
    });
    let plan = Arc::new(plan(sessions));
    let mut notices = Vec::new();
    let engine = Engine::alone(Arc::clone(&plan), vec![Arc::<Target>::clone(&target)], workers, stop);
    let facts = engine.run(&mut |event| {
        if let Event::Notice(message) = event {
            notices.push(message);
        }
    });
    target.let_go.store(true, Ordering::SeqCst);
    let judged = facts.as_ref().ok().map(|facts| judge(&plan, facts));
    Ran { facts, target, notices, judged }
}
