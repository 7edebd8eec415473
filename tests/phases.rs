//! Every phase of a run hears who asks for an end, and no worker that stands still holds a run for ever.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, LocalBoxFuture};
use slatest_core::model::{Arrival, Clock, Completion, Nanos, OperationId, Verdict};
use slatest_drivers::{ConnectError, Finding, Health, Operation, Session, SessionContext, Unreachable, Workload};
use slatest_engine::load::{Engine, EngineError, Event, RunFacts, Stop, judge};
use slatest_engine::profile::{
    ArrivalLaw, ExecutorPlan, Mix, MixItem, OperationPlan, Plan, PlanStep, ScenarioPlan, StagePlan,
};

/// What the target does.
#[derive(Clone, Copy, PartialEq)]
enum Way {
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
}

struct Target {
    operations: Vec<Operation>,
    way: Way,
    stop: Stop,
    connects: AtomicU64,
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
                Way::HoldsUntilLetGo => Some(Duration::MAX),
                Way::Holds(length) => Some(length),
                _ => None,
            };
            let first = !self.held.swap(true, Ordering::SeqCst);
            let hold = length.filter(|_| first).map(|length| (length, Arc::clone(&self.let_go)));
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
    let stages = vec![StagePlan { duration: Nanos::from_millis(500), from: 100.0, to: 100.0 }];
    Plan {
        profile: "test".into(),
        description: None,
        seed: 42,
        window: Nanos::from_millis(100),
        graceful_stop: Nanos::from_millis(200),
        on_agent_loss: Default::default(),
        on_coordinator_loss: Default::default(),
        scenarios: vec![ScenarioPlan {
            name: "s".into(),
            workload: "w".into(),
            endpoint: "e".into(),
            driver: "scripted".into(),
            executor: ExecutorPlan::Arrivals { law: ArrivalLaw::Uniform, stages },
            mix: Mix::Weighted,
            start: Nanos::ZERO,
            warm_up: Nanos::ZERO,
            cool_down: Nanos::ZERO,
            max_in_flight: 10,
            sessions,
            places: slatest_core::schedule::Places::UNBOUNDED,
            first_operation: OperationId(0),
            items: vec![MixItem { weight: 1.0, steps: vec![PlanStep::Operation(0)], flow: None }],
        }],
        operations: vec![OperationPlan {
            scenario: 0,
            address: "s/a".into(),
            timeout: Nanos::from_secs(4),
            timings: vec![],
            ratios: vec![],
            thresholds: vec![],
            share: 1.0,
            ledger: false,
        }],
        objectives: vec![],
        drills: vec![],
        left_out: vec![],
    }
}

struct Ran {
    facts: Result<RunFacts, EngineError>,
    target: Arc<Target>,
    notices: Vec<String>,
    verdict: Option<Verdict>,
    /// Checks of the run that do not hold.
    broken: Vec<String>,
}

fn run(way: Way, sessions: Option<u64>) -> Ran {
    let stop = Stop::default();
    let operation = Operation {
        name: "a".into(),
        weight: 1.0,
        timeout: Nanos::from_secs(4),
        timings: vec![],
        ratios: vec![],
        ledger: false,
    };
    let target = Arc::new(Target {
        operations: vec![operation],
        way,
        stop: stop.clone(),
        connects: AtomicU64::new(0),
        held: AtomicBool::new(false),
        let_go: Arc::default(),
    });
    let plan = Arc::new(plan(sessions));
    let notices = Mutex::new(Vec::new());
    let engine = Engine::alone(Arc::clone(&plan), vec![Arc::<Target>::clone(&target)], 2, stop);
    let facts = engine.run(&mut |event| {
        if let Event::Notice(message) = event {
            notices.lock().unwrap().push(message);
        }
    });
    target.let_go.store(true, Ordering::SeqCst);
    let judged = facts.as_ref().ok().map(|facts| judge(&plan, facts));
    let broken = judged.iter().flat_map(|judged| &judged.validity).filter(|check| check.voids());
    let broken = broken.map(|check| check.name.clone()).collect();
    let verdict = judged.as_ref().map(|judged| judged.verdict);
    Ran { facts, target, notices: notices.into_inner().unwrap(), verdict, broken }
}

#[test]
fn while_sessions_are_opened() {
    let ran = run(Way::Mute, Some(10));
    let Err(EngineError::NotReady(reason)) = ran.facts else { panic!("it began") };
    assert!(reason.contains("interrupted before the load started"), "{reason}");
    // A connect that timed out would have been tried again.
    assert!(ran.target.connects.load(Ordering::SeqCst) <= 10);
}

#[test]
fn while_it_comes_to_rest() {
    let ran = run(Way::Restless, None);
    let facts = ran.facts.expect("it ran");
    assert!(facts.interrupted && facts.findings.is_empty(), "{:?}", facts.findings);
    assert_eq!((facts.scheduled, facts.fired), (50, 50), "the load was sent to its end");
    assert!(ran.notices.iter().any(|message| message.contains("what can only be checked at the end was not")));
    assert_ne!(ran.verdict, Some(Verdict::Pass));
}

#[test]
fn a_worker_that_is_held_for_ever_is_given_up_and_named_as_the_generators() {
    let ran = run(Way::HoldsUntilLetGo, None);
    let facts = ran.facts.expect("it ends");
    assert_eq!(facts.resources.workers_lost, 1);
    assert_eq!(ran.verdict, Some(Verdict::Void));
    assert!(ran.broken.iter().any(|name| name == "worker threads"), "{:?}", ran.broken);
    assert!(ran.notices.iter().any(|message| message.contains("the generator's own fault")), "{:?}", ran.notices);
    // The other worker did its half.
    let ok: u64 = (0..1).map(|i| facts.timeline.whole(OperationId(i)).completed()).sum();
    assert!(ok >= 25, "{ok}");
}

#[test]
fn a_worker_that_is_held_for_a_while_is_said_and_spoils_what_it_met() {
    let ran = run(Way::Holds(Duration::from_millis(1_500)), None);
    let facts = ran.facts.expect("it ends");
    assert_eq!(facts.resources.workers_lost, 0);
    assert!(facts.resources.silent_max >= Nanos::from_millis(500), "{}", facts.resources.silent_max);
    assert!(ran.broken.iter().any(|name| name == "worker threads"), "{:?}", ran.broken);
    assert_eq!(ran.verdict, Some(Verdict::Void));
    assert!(facts.timeline.spoiled_windows >= 1, "{:?}", facts.timeline.spoiled_windows);
    let whole = facts.timeline.whole(OperationId(0));
    // What was due while it was held and is not fired by the end is owed, and said to be.
    assert_eq!(whole.planned, whole.completed());
    assert_eq!((facts.scheduled, facts.fired), (50, whole.planned));
}

#[test]
fn a_run_whose_workers_go_on_says_nothing_of_them() {
    let ran = run(Way::Quick, None);
    assert_eq!(ran.facts.expect("it ran").resources.workers_lost, 0);
    assert!(!ran.broken.iter().any(|name| name == "worker threads"), "{:?}", ran.broken);
}
