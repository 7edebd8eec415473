//! Known truths of the engine: a scripted workload whose every answer is decided beforehand.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, LocalBoxFuture};
use slatest_core::measure::{Series, Threshold};
use slatest_core::model::{Arrival, Clock, Completion, Nanos, OperationId, Outcome, Verdict};
use slatest_core::schedule::Stripe;
use slatest_drivers::{ConnectError, Health, Operation, Session, SessionContext, Unreachable, Workload};
use slatest_engine::load::{Engine, Event, Order, RunFacts, Stop, TakeOver, judge};
use slatest_engine::profile::{
    Aim, ArrivalLaw, ExecutorPlan, MixItem, ObjectivePlan, OperationPlan, Plan, PlanStep, ScenarioPlan, StagePlan,
};

/// How the scripted target answers.
#[derive(Clone, Copy)]
enum Script {
    /// At once.
    Instant,
    /// After a while.
    After(Duration),
    /// At the end of the freeze that it falls in: frozen for the first so long of every period.
    Freeze { frozen: Nanos, period: Nanos },
    /// Never.
    Silence,
    /// Every nth with an error, the others at once.
    EveryNthFails(u64),
}

struct Scripted {
    operations: Vec<Operation>,
    script: Script,
    refuse_connections: bool,
    /// (number, operation, context) of every execution.
    seen: Arc<Mutex<Vec<(u64, usize, u64)>>>,
    open: Arc<AtomicU64>,
}

impl Scripted {
    fn new(script: Script) -> Self {
        let operation = |name: &str| Operation {
            name: name.into(),
            weight: 1.0,
            timeout: Nanos::from_secs(30),
            timings: vec![],
            ratios: vec![],
            ledger: false,
        };
        Self {
            operations: vec![operation("a"), operation("b")],
            script,
            refuse_connections: false,
            seen: Arc::default(),
            open: Arc::default(),
        }
    }
}

struct ScriptedSession {
    script: Script,
    clock: Arc<dyn Clock>,
    context: u64,
    seen: Arc<Mutex<Vec<(u64, usize, u64)>>>,
    open: Arc<AtomicU64>,
}

impl Drop for ScriptedSession {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Session for ScriptedSession {
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        self.seen.lock().unwrap().push((arrival.seq, arrival.operation, self.context));
        Box::pin(async move {
            let sent = self.clock.now();
            match self.script {
                Script::Instant => {}
                Script::After(length) => tokio::time::sleep(length).await,
                Script::Silence => std::future::pending().await,
                Script::Freeze { frozen, period } => {
                    // The freeze is on the run's clock; 1 ns keeps the phase away from the start.
                    let phase = Nanos(sent.0 % period.0);
                    if phase < frozen {
                        tokio::time::sleep((frozen - phase).as_duration()).await;
                    }
                }
                Script::EveryNthFails(n) if arrival.seq.is_multiple_of(n) => {
                    return Completion::failed(Outcome::Rejected, Some(sent), self.clock.now(), "status 500");
                }
                Script::EveryNthFails(_) => {}
            }
            Completion::ok(sent, self.clock.now())
        })
    }
}

impl Workload for Scripted {
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
            if self.refuse_connections {
                return Err(ConnectError { outcome: Outcome::Disconnected, kind: "connect: refused".into() });
            }
            self.open.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(ScriptedSession {
                script: self.script,
                clock: Arc::clone(&context.clock),
                context: context.index,
                seen: Arc::clone(&self.seen),
                open: Arc::clone(&self.open),
            }) as Box<dyn Session>)
        })
    }
}

fn constant(rate: f64, secs: f64) -> ExecutorPlan {
    ExecutorPlan::steady(ArrivalLaw::Uniform, Nanos::from_secs_f64(secs), rate)
}

fn plan(executor: ExecutorPlan, max_in_flight: u64) -> Plan {
    let operation = |address: &str| OperationPlan {
        timeout: Nanos::from_secs(30),
        thresholds: vec![Threshold { series: Series::ResponseTime, limit: Nanos::from_millis(50) }],
        share: 0.5,
        ..OperationPlan::sample(address)
    };
    let items = vec![MixItem::sample(0), MixItem::sample(1)];
    let scenario = ScenarioPlan { max_in_flight, items, ..ScenarioPlan::sample("s", executor) };
    Plan {
        seed: 42,
        window: Nanos::from_millis(200),
        graceful_stop: Nanos::from_secs(5),
        ..Plan::sample(vec![scenario], vec![operation("s/a"), operation("s/b")])
    }
}

fn run_with(
    plan: Plan,
    workload: Scripted,
    workers: usize,
    stop: &Stop,
    on: &mut dyn FnMut(Event),
) -> (RunFacts, Arc<Scripted>) {
    let workload = Arc::new(workload);
    let engine = Engine::alone(Arc::new(plan), vec![Arc::<Scripted>::clone(&workload)], workers, stop.clone());
    (engine.run(on).expect("the run starts"), workload)
}

fn run(plan: Plan, script: Script, workers: usize) -> (RunFacts, Arc<Scripted>) {
    run_with(plan, Scripted::new(script), workers, &Stop::default(), &mut |_| {})
}

/// planned = every outcome added up, for each operation; and the sums over both.
fn ledger(facts: &RunFacts) -> (u64, u64) {
    let (mut planned, mut ended) = (0, 0);
    for index in 0..facts.timeline.judged.len() {
        let whole = facts.timeline.whole(OperationId(index as u16));
        assert_eq!(whole.planned, whole.completed(), "operation {index}");
        planned += whole.planned;
        ended += whole.completed();
    }
    (planned, ended)
}

fn count(facts: &RunFacts, outcome: Outcome) -> u64 {
    (0..facts.timeline.judged.len()).map(|i| facts.timeline.whole(OperationId(i as u16)).outcome(outcome)).sum()
}

#[test]
fn every_planned_arrival_is_fired_once_and_accounted_for() {
    for workers in [1, 3] {
        let (facts, workload) = run(plan(constant(500.0, 1.0), 100), Script::Instant, workers);
        assert_eq!(ledger(&facts), (500, 500));
        assert_eq!((facts.scheduled, facts.fired), (500, 500));
        let mut seen: Vec<u64> = workload.seen.lock().unwrap().iter().map(|s| s.0).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
        assert_eq!(workload.open.load(Ordering::SeqCst), 0, "every session is closed");
    }
}

#[test]
fn one_seed_executes_the_same_operations_whatever_the_workers() {
    let operations = |workers| {
        let (_, workload) = run(plan(constant(400.0, 0.5), 100), Script::Instant, workers);
        let mut seen: Vec<(u64, usize)> = workload.seen.lock().unwrap().iter().map(|s| (s.0, s.1)).collect();
        seen.sort_unstable();
        seen
    };
    assert_eq!(operations(1), operations(2));
}

#[test]
fn an_arrival_beyond_the_limit_is_dropped_counted_and_an_exceedance() {
    let (facts, _) = run(plan(constant(100.0, 0.5), 4), Script::After(Duration::from_secs(2)), 1);
    assert_eq!(ledger(&facts), (50, 50));
    assert_eq!((count(&facts, Outcome::Ok), count(&facts, Outcome::Dropped)), (4, 46));
    let exceeded: u64 = facts.timeline.judged.iter().map(|t| t.exceeded[0]).sum();
    assert_eq!(exceeded, 50);
}

#[test]
fn a_freeze_is_not_omitted() {
    // Frozen for the first 400 ms of every second at 100/s: an arrival at phase x < 0.4 s waits
    // 0.4 − x, so 35 % take 50 ms or more. A loop that waits for answers would send one request
    // into each freeze and report 1 %.
    let script = Script::Freeze { frozen: Nanos::from_millis(400), period: Nanos::from_secs(1) };
    let (facts, _) = run(plan(constant(100.0, 3.0), 1000), script, 2);
    let (exceeded, observed) =
        facts.timeline.judged.iter().fold((0, 0), |(e, o), t| (e + t.exceeded[0], o + t.observed[0]));
    assert_eq!(observed, 300);
    // Uniform arrivals: 35 of each 100, and one more or less at each of the three freezes' ends.
    assert!((99..=111).contains(&exceeded), "{exceeded} of {observed}");
}

#[test]
fn what_is_still_under_way_at_the_end_is_unknown_and_counted() {
    let mut plan = plan(constant(50.0, 0.4), 100);
    plan.graceful_stop = Nanos::from_millis(200);
    let (facts, _) = run(plan, Script::Silence, 2);
    assert_eq!(ledger(&facts), (20, 20));
    assert_eq!(count(&facts, Outcome::Unknown), 20);
}

#[test]
fn refused_connections_are_failures_not_silence() {
    let mut workload = Scripted::new(Script::Instant);
    workload.refuse_connections = true;
    let (facts, _) = run_with(plan(constant(100.0, 0.3), 10), workload, 1, &Stop::default(), &mut |_| {});
    assert_eq!(ledger(&facts), (30, 30));
    assert_eq!(count(&facts, Outcome::Disconnected), 30);
    let kinds = facts.timeline.whole(OperationId(0)).errors;
    assert_eq!(kinds.top()[0].0, "connect: refused");
}

#[test]
fn planted_errors_come_back_in_number() {
    let (facts, _) = run(plan(constant(500.0, 1.0), 100), Script::EveryNthFails(10), 2);
    assert_eq!(count(&facts, Outcome::Rejected), 50);
    assert_eq!(count(&facts, Outcome::Ok), 450);
}

fn errors_below(share: f64, abort_after: Nanos) -> ObjectivePlan {
    ObjectivePlan {
        name: "errors".into(),
        scope: "s/*".into(),
        operations: vec![OperationId(0), OperationId(1)],
        each: false,
        aim: Aim::ErrorRate { below: share },
        abort_after: Some(abort_after),
    }
}

#[test]
fn an_objective_that_is_shown_to_fail_ends_the_run() {
    for delay in [Nanos::ZERO, Nanos::from_secs(1)] {
        let mut plan = plan(constant(500.0, 60.0), 100);
        plan.objectives = vec![errors_below(0.01, delay)];
        let (facts, _) = run(plan.clone(), Script::EveryNthFails(10), 2);
        let (planned, ended) = ledger(&facts);
        assert_eq!(planned, ended, "the ledger is whole");
        assert!(planned < 30_000, "it ended before its plan: {planned}");
        let aborted = facts.aborted.as_ref().expect("it says why");
        assert!(aborted.at >= delay && !facts.interrupted);
        assert_eq!(judge(&plan, &facts).objectives[0].verdict, Verdict::Fail);
    }
}

#[test]
fn an_objective_that_holds_never_ends_the_run() {
    let mut plan = plan(constant(500.0, 1.0), 100);
    plan.objectives = vec![errors_below(0.01, Nanos::ZERO)];
    let (facts, _) = run(plan, Script::EveryNthFails(200), 2);
    assert_eq!(facts.aborted, None);
    assert_eq!(ledger(&facts), (500, 500));
}

#[test]
fn an_interrupted_run_ends_with_a_whole_ledger() {
    let stop = Stop::default();
    let asked = stop.clone();
    let mut windows = 0;
    let mut on = |event: Event| {
        if let Event::Window { .. } = event {
            windows += 1;
            if windows == 2 {
                asked.ask();
            }
        }
    };
    let scripted = Scripted::new(Script::After(Duration::from_millis(20)));
    let (facts, _) = run_with(plan(constant(200.0, 60.0), 100), scripted, 2, &stop, &mut on);
    let (planned, ended) = ledger(&facts);
    assert!(facts.interrupted);
    assert_eq!(planned, ended);
    assert!(planned < 12_000, "it ended long before its plan: {planned}");
    assert_eq!(facts.fired, planned);
}

#[test]
fn warm_up_is_sent_and_not_judged() {
    let mut plan = plan(constant(100.0, 1.0), 100);
    plan.scenarios[0].warm_up = Nanos::from_millis(400);
    let (facts, _) = run(plan, Script::Instant, 1);
    let judged: u64 = facts.timeline.judged.iter().map(|t| t.planned).sum();
    let unjudged: u64 = facts.timeline.unjudged.iter().map(|t| t.planned).sum();
    assert_eq!((judged, unjudged), (60, 40));
}

#[test]
fn flows_run_their_steps_in_order_on_one_session_and_stop_at_a_failure() {
    let mut plan = plan(constant(20.0, 0.5), 100);
    let steps = vec![PlanStep::Operation(0), PlanStep::Think(Nanos::from_millis(5)), PlanStep::Operation(1)];
    plan.scenarios[0].items = vec![MixItem { weight: 1.0, steps, flow: Some("f".into()) }];
    let (facts, workload) = run(plan.clone(), Script::Instant, 1);
    assert_eq!(ledger(&facts), (20, 20));
    let seen = workload.seen.lock().unwrap();
    for seq in 0..10 {
        let steps: Vec<(usize, u64)> = seen.iter().filter(|s| s.0 == seq).map(|s| (s.1, s.2)).collect();
        assert_eq!((steps[0].0, steps[1].0), (0, 1));
        assert_eq!(steps[0].1, steps[1].1, "one user");
    }
    drop(seen);
    let (facts, _) = run(plan, Script::EveryNthFails(1), 1);
    assert_eq!(ledger(&facts), (10, 10), "the second step of a failed flow is never planned");
}

#[test]
fn virtual_users_start_again_when_they_are_done() {
    let stages = vec![StagePlan { duration: Nanos::from_secs(1), from: 4.0, to: 4.0 }];
    let executor = ExecutorPlan::Users { stages, think: Nanos::ZERO };
    let (facts, workload) = run(plan(executor, 100), Script::After(Duration::from_millis(20)), 2);
    let (planned, ended) = ledger(&facts);
    assert_eq!(planned, ended);
    // 4 users for 1 s at 20 ms or a little more each: at most 200 + the last of each.
    assert!((40..=204).contains(&planned), "{planned}");
    let mut contexts: Vec<u64> = workload.seen.lock().unwrap().iter().map(|s| s.2).collect();
    contexts.sort_unstable();
    contexts.dedup();
    assert_eq!(contexts.len(), 4);
}

#[test]
fn sessions_opened_before_the_start_take_turns() {
    let mut plan = plan(constant(100.0, 0.5), 1000);
    plan.scenarios[0].users = Some(10);
    let (_, workload) = run(plan, Script::Instant, 2);
    let seen = workload.seen.lock().unwrap();
    let mut uses = std::collections::BTreeMap::new();
    for (_, _, context) in seen.iter() {
        *uses.entry(*context).or_insert(0) += 1;
    }
    assert_eq!(uses.into_iter().collect::<Vec<_>>(), (0..10).map(|s| (s, 5)).collect::<Vec<_>>());
}

#[test]
fn windows_add_up_to_the_whole() {
    let mut windows = Vec::new();
    let mut on = |event: Event| {
        if let Event::Window { window, .. } = event {
            windows.push(window);
        }
    };
    let (facts, _) =
        run_with(plan(constant(300.0, 1.0), 100), Scripted::new(Script::Instant), 3, &Stop::default(), &mut on);
    let indexes: Vec<u64> = windows.iter().map(|w| w.index).collect();
    assert_eq!(indexes, (0..indexes.len() as u64).collect::<Vec<_>>(), "in order, none missing, none twice");
    let total: u64 = windows.iter().flat_map(|w| w.all()).map(|(_, t)| t.completed()).sum();
    assert_eq!(total, ledger(&facts).1);
    assert_eq!(Verdict::worst([]), Verdict::Inconclusive);
}

/// Runs a share that waits for its orders: it starts when it is told to, and takes over what it is told to.
fn run_share(plan: Plan, share: Stripe, workers: usize, takes_over: Option<TakeOver>) -> (RunFacts, Arc<Scripted>) {
    let workload = Arc::new(Scripted::new(Script::Instant));
    let (orders, told) = std::sync::mpsc::channel();
    let engine = Engine {
        plan: Arc::new(plan),
        workloads: vec![Arc::<Scripted>::clone(&workload)],
        workers,
        stop: Stop::default(),
        share,
        ledger: None,
        drills: None,
        orders: Some(told),
    };
    let facts = engine.run(&mut |event| {
        if let Event::Ready = event {
            orders.send(Order::StartAt(Instant::now() + Duration::from_millis(30))).unwrap();
            takes_over.into_iter().for_each(|part| orders.send(Order::TakeOver(part)).unwrap());
        }
    });
    (facts.expect("the run starts"), workload)
}

fn arrivals(workload: &Scripted) -> Vec<(u64, usize)> {
    workload.seen.lock().unwrap().iter().map(|s| (s.0, s.1)).collect()
}

#[test]
fn the_shares_of_many_processes_make_up_the_one_schedule() {
    let plan = || plan(constant(400.0, 0.5), 100);
    let (_, alone) = run(plan(), Script::Instant, 2);
    let mut whole = arrivals(&alone);
    whole.sort_unstable();
    let mut union = Vec::new();
    for index in 0..3 {
        let (facts, workload) = run_share(plan(), Stripe { index, of: 3 }, 1 + index as usize, None);
        let share = arrivals(&workload);
        assert_eq!((facts.scheduled, facts.fired), (share.len() as u64, share.len() as u64));
        assert!(share.iter().all(|(seq, _)| seq % 3 == index), "{share:?}");
        union.extend(share);
    }
    union.sort_unstable();
    assert_eq!(union, whole);
}

#[test]
fn what_is_taken_over_is_sent_from_its_instant_on_and_by_one_alone() {
    // At 400 a second arrival n is due at n × 2.5 ms.
    let part = TakeOver { from: Nanos::from_millis(250), stripe: Stripe { index: 1, of: 2 } };
    let (facts, workload) = run_share(plan(constant(400.0, 0.5), 100), Stripe { index: 0, of: 2 }, 3, Some(part));
    let mut seen: Vec<u64> = arrivals(&workload).iter().map(|a| a.0).collect();
    seen.sort_unstable();
    let first = seen.iter().copied().find(|seq| seq % 2 == 1).expect("something is taken over");
    assert!((99..=101).contains(&first), "{first}");
    let expected: Vec<u64> = (0..200).filter(|seq| seq % 2 == 0 || *seq >= first).collect();
    assert_eq!(seen, expected);
    assert_eq!((facts.scheduled, facts.fired), (expected.len() as u64, expected.len() as u64));
    assert_eq!(ledger(&facts).0, expected.len() as u64);
}

#[test]
fn users_are_taken_over_under_numbers_of_their_own() {
    let stages = vec![StagePlan { duration: Nanos::from_millis(500), from: 4.0, to: 4.0 }];
    let users = ExecutorPlan::Users { stages, think: Nanos::from_millis(5) };
    let part = TakeOver { from: Nanos::from_millis(250), stripe: Stripe { index: 1, of: 2 } };
    let (_, workload) = run_share(plan(users, 100), Stripe { index: 0, of: 2 }, 1, Some(part));
    let seen = workload.seen.lock().unwrap();
    let contexts: std::collections::BTreeSet<u64> = seen.iter().map(|s| s.2).collect();
    assert_eq!(contexts.len(), 4, "two of its own, two that it took over: {contexts:?}");
    let mut numbers: Vec<u64> = seen.iter().map(|s| s.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), seen.len(), "no execution's number is used twice");
}
