//! A worker: an operating-system thread with a runtime of its own, its stripe of every schedule,
//! its sessions and its books. Nothing on a request's path is shared with another thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::opening::{enter, open};
use super::arrival_law::ArrivalLawSample;
use super::cancel::Cancel;
use super::drills::DrillExclusion;
use super::facts::ScenarioFinding;
use super::in_flight::InFlight;
use super::order::TakeOver;
use super::realtime;
use super::scenario_runner::ScenarioRunner;
use super::sign_in;
use super::stage::{Message, Stage, Stop};
use super::timer::Timer;
use super::users::Users;
use super::wake_coalescer::WakeCoalescer;
use super::watchdog::{BEAT, Pulse};
use crate::profile::{ExecutorPlan, Plan};
use slatest_core::measure::{OperationShape, Recorder};
use slatest_core::model::{Clock, Nanos};
use slatest_core::schedule::{ArrivalSchedule, Share, Shared, Stripe};
use slatest_core::writes::LedgerSink;
use slatest_drivers::Workload;
use slatest_stats::GAPS_MAX;

mod opening;

/// Arrivals fired before other tasks of the worker get their turn.
const BURST: usize = 64;
/// Longest wait for sessions to close at the end.
const CLOSING: Nanos = Nanos::from_secs(3);
/// How long a workload may take to come to rest and be checked.
const SETTLE_PATIENCE: Nanos = Nanos::from_secs(15);

/// What a worker is given.
pub struct WorkerSetup {
    pub plan: Arc<Plan>,
    pub workloads: Vec<Arc<dyn Workload>>,
    pub shapes: Vec<OperationShape>,
    /// Number of the worker in this process.
    pub worker: usize,
    pub stripe: Stripe,
    /// What the whole process is of all.
    pub process: Stripe,
    /// How many workers this process has, which share what it takes over.
    pub parts: u64,
    /// What is taken over, where orders may come: the worker then stays until the plan's end.
    pub takeovers: Option<watch::Receiver<Vec<TakeOver>>>,
    pub clock: Arc<dyn Clock>,
    /// Where writes are recorded.
    pub ledger: Option<LedgerSink>,
    /// What is a drill's to judge.
    pub exclusion: DrillExclusion,
    pub stage: watch::Receiver<Stage>,
    pub to_conductor: SyncSender<Message>,
    /// By which it shows that it goes on.
    pub pulse: Arc<Pulse>,
    /// The user's wish to stop.
    pub stop: Stop,
}

/// An open-model runner with its part of the schedule.
struct ScheduledScenario {
    runner: Rc<ScenarioRunner>,
    schedule: Shared<ArrivalSchedule>,
    /// Arrivals before this instant of the run are not its own.
    from: Nanos,
    arrival_law: Option<ArrivalLawSample>,
}

/// The schedules of a worker's open-model runners, merged in order of time.
struct ArrivalQueue {
    runners: Vec<ScheduledScenario>,
    /// The next arrival of each runner: (instant, runner, number).
    next: BinaryHeap<Reverse<(Nanos, usize, u64)>>,
}

impl ArrivalQueue {
    fn new(runners: &[Rc<ScenarioRunner>], seed: u64) -> Self {
        let mut queue = Self { runners: Vec::new(), next: BinaryHeap::new() };
        for runner in runners {
            if let ExecutorPlan::Arrivals { law, stages } = &runner.scenario().executor {
                let schedule = ArrivalSchedule::new(stages, *law, seed, &runner.scenario().name);
                let share = runner.share();
                let room = GAPS_MAX as f64 * share.fraction() / runners.len() as f64;
                queue.runners.push(ScheduledScenario {
                    runner: Rc::clone(runner),
                    schedule: share.part(schedule),
                    from: Nanos::ZERO,
                    arrival_law: ArrivalLawSample::new(runner.scenario(), share, room as usize),
                });
                queue.refill(queue.runners.len() - 1);
            }
        }
        queue
    }

    /// Adds another part of a runner's schedule, from an instant on. Its gaps are not sampled: it begins
    /// somewhere in the middle.
    fn take_over(&mut self, runner: &Rc<ScenarioRunner>, seed: u64, share: Share, from: Nanos) {
        if let ExecutorPlan::Arrivals { law, stages } = &runner.scenario().executor {
            let schedule = share.part(ArrivalSchedule::new(stages, *law, seed, &runner.scenario().name));
            self.runners.push(ScheduledScenario { runner: Rc::clone(runner), schedule, from, arrival_law: None });
            self.refill(self.runners.len() - 1);
        }
    }

    fn refill(&mut self, index: usize) {
        let scheduled = &mut self.runners[index];
        let start = scheduled.runner.scenario().start;
        let from = scheduled.from;
        if let Some((seq, at)) = scheduled.schedule.find(|(_, at)| start + *at >= from) {
            self.next.push(Reverse((start + at, index, seq)));
        }
    }

    fn next_at(&self) -> Option<Nanos> {
        self.next.peek().map(|Reverse((at, ..))| *at)
    }

    /// Fires the next arrival when it is due at `now`: the instant that it was planned for.
    fn fire(&mut self, now: Nanos) -> Option<Nanos> {
        let (index, seq, at) = self.pop(now)?;
        let scheduled = &mut self.runners[index];
        if let Some(arrival_law) = &mut scheduled.arrival_law {
            arrival_law.fired(seq, now);
        }
        scheduled.runner.fire(seq, at);
        Some(at)
    }

    /// Takes the next arrival when it is due at `now`: (runner, number, instant).
    fn pop(&mut self, now: Nanos) -> Option<(usize, u64, Nanos)> {
        let Reverse((at, index, seq)) = *self.next.peek()?;
        if at > now {
            return None;
        }
        self.next.pop();
        self.refill(index);
        Some((index, seq, at))
    }

    /// Gaps between the arrivals that were fired, as uniforms under the planned law.
    fn arrival_law(&self) -> Vec<f64> {
        self.runners
            .iter()
            .filter_map(|scheduled| scheduled.arrival_law.as_ref())
            .flat_map(ArrivalLawSample::uniforms)
            .collect()
    }
}

/// Priority of worker threads among the processes of this machine. What is measured may run beside
/// the generator, and an instrument that waits for its turn measures the queue of the scheduler.
pub const NICENESS: i32 = -10;

/// Runs a worker on the current thread until the run is over.
pub fn run(setup: WorkerSetup) {
    // On Linux a thread has a niceness of its own, under its own id. Without the right to raise it
    // the worker runs as others do, and lateness is measured all the same.
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::debug!(%error, "the worker keeps its ordinary priority");
    }
    let (to_conductor, pulse) = (setup.to_conductor.clone(), Arc::clone(&setup.pulse));
    if realtime::is_asked()
        && let Err(error) = realtime::enter_as_worker()
    {
        pulse.end();
        let _ = to_conductor.send(Message::Failed(format!("a worker can't enter the real-time class: {error}")));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let failed = match runtime {
        Ok(runtime) => runtime.block_on(work(setup)).err(),
        Err(e) => Some(format!("a worker's runtime can't be made: {e}")),
    };
    // A conductor that is gone needs no word.
    if let Some(reason) = failed {
        let _ = to_conductor.send(Message::Failed(reason));
    }
    pulse.end();
    let _ = to_conductor.send(Message::Done);
}

async fn work(setup: WorkerSetup) -> Result<(), String> {
    let WorkerSetup {
        plan,
        workloads,
        shapes,
        worker,
        stripe,
        process,
        parts,
        mut takeovers,
        clock,
        ledger,
        exclusion,
        mut stage,
        to_conductor,
        pulse,
        stop: wish,
    } = setup;
    tokio::task::spawn_local(beat(pulse));
    let recorder = Recorder::new(shapes, plan.window).with_cohorts(!plan.drills.is_empty());
    let in_flight = Rc::new(InFlight::new(Arc::clone(&clock), recorder, to_conductor.clone(), ledger, exclusion));
    let abort = Cancel::default();
    let runners: Vec<Rc<ScenarioRunner>> = (0..plan.scenarios.len())
        .map(|i| {
            ScenarioRunner::new(
                &plan,
                i,
                Arc::clone(&workloads[i]),
                (worker, stripe, process),
                Rc::clone(&in_flight),
                abort.clone(),
            )
        })
        .map(Rc::new)
        .collect();
    tokio::select! {
        opened = open(&runners, &to_conductor) => opened?,
        // Nobody waits for it any more.
        _ = await_stage(&mut stage, |s| s != Stage::Opening) => return Ok(()),
    }
    say(&to_conductor, Message::Ready)?;
    if await_stage(&mut stage, |s| s != Stage::Opening).await != Stage::Running {
        return Ok(());
    }

    let stop = CancellationToken::new();
    let end = plan.end();
    let ticker = tokio::task::spawn_local(keep_windows(Rc::clone(&in_flight)));
    let mut users: FuturesUnordered<_> = runners
        .iter()
        .filter_map(|runner| Users::of(runner, stop.clone()))
        .map(|users| tokio::task::spawn_local(users.run()))
        .collect();
    for runner in runners.iter().filter(|runner| runner.does_once()) {
        tokio::task::spawn_local(sign_in::spread(Rc::clone(runner), stop.clone()));
    }
    let mut queue = ArrivalQueue::new(&runners, plan.seed);
    let (mut scheduled, mut fired) = (0, 0);
    let mut entering = FuturesUnordered::new();
    let (may_grow, mut taken_over) = (takeovers.is_some(), 0);
    loop {
        let paced = tokio::select! {
            paced = send(&mut queue, clock.as_ref(), end, end + plan.graceful_stop, &mut fired, may_grow) => paced,
            _ = await_stage(&mut stage, |s| s != Stage::Running) => Ok(()),
            more = more_than(takeovers.as_mut(), taken_over) => {
                taken_over += more.len();
                for part in more {
                    let part = TakeOver { stripe: part.stripe.part_of(worker as u64, parts), ..part };
                    for runner in &runners {
                        let share = runner.scenario().places.share(part.stripe);
                        if !share.is_empty() {
                            entering.push(enter(Rc::clone(runner), share, part.from));
                        }
                    }
                }
                continue;
            }
            Some(entered) = entering.next() => {
                let Some((runner, share, from)) = entered else { continue };
                queue.take_over(&runner, plan.seed, share, from);
                users.extend(
                    Users::taken_over(&runner, share, from, stop.clone())
                        .map(|users| tokio::task::spawn_local(users.run())),
                );
                continue;
            }
        };
        paced.map_err(|e| format!("the pacer's timer failed: {e}"))?;
        break;
    }
    scheduled += fired;
    // What is due and was not fired is owed: a generator that fell behind is found out by it.
    let now = clock.now();
    while queue.pop(now).is_some() {
        scheduled += 1;
    }
    tokio::select! {
        () = users.for_each(|_| async {}) => {}
        _ = await_stage(&mut stage, |s| s != Stage::Running) => {}
    }
    stop.cancel();

    // Users that are stopped finish what they do; the conductor says when patience is over.
    tokio::select! {
        () = in_flight.wait_until_quiet() => {}
        _ = await_stage(&mut stage, |s| !matches!(s, Stage::Running | Stage::Stopping)) => {}
        () = tokio::time::sleep(plan.graceful_stop.as_duration()) => {}
    }
    abort.ask();
    in_flight.wait_until_quiet().await;
    ticker.abort();
    in_flight.close_windows(clock.now());
    in_flight.close_window();
    say(&to_conductor, Message::Drained { scheduled, fired, arrival_law: queue.arrival_law() })?;

    let settling = Stage::Settling(worker);
    if await_stage(&mut stage, |s| s == settling || s == Stage::Closing).await == settling {
        say(&to_conductor, Message::Findings(settle(&runners).await))?;
        await_stage(&mut stage, |s| s == Stage::Closing).await;
    }
    close(&runners, &wish).await;
    Ok(())
}

fn say(to_conductor: &SyncSender<Message>, message: Message) -> Result<(), String> {
    to_conductor.send(message).map_err(|_| "the run's conductor is gone".into())
}

/// What has been taken over beyond the first `known` parts; waits until there is something.
async fn more_than(takeovers: Option<&mut watch::Receiver<Vec<TakeOver>>>, known: usize) -> Vec<TakeOver> {
    if let Some(takeovers) = takeovers
        && let Ok(all) = takeovers.wait_for(|all| all.len() > known).await
    {
        return all[known..].to_vec();
    }
    std::future::pending().await
}

/// Fires every arrival when it is due. Where more may be taken over it stays until the plan's `end`.
async fn send(
    queue: &mut ArrivalQueue,
    clock: &dyn Clock,
    end: Nanos,
    last: Nanos,
    fired: &mut u64,
    may_grow: bool,
) -> io::Result<()> {
    pace(queue, clock, last, fired).await?;
    while may_grow && clock.now() < end {
        tokio::time::sleep((end - clock.now()).as_duration()).await;
    }
    Ok(())
}

/// Waits for a stage; a conductor that is gone means closing.
async fn await_stage(stage: &mut watch::Receiver<Stage>, wanted: impl Fn(Stage) -> bool) -> Stage {
    stage.wait_for(|s| wanted(*s)).await.map_or(Stage::Closing, |s| *s)
}

/// Fires every arrival when it is due, until there is none left or `last` is past.
async fn pace(queue: &mut ArrivalQueue, clock: &dyn Clock, last: Nanos, fired: &mut u64) -> io::Result<()> {
    let timer = Timer::new()?;
    let mut coalescer = WakeCoalescer::default();
    let mut burst = 0;
    while let Some(at) = queue.next_at() {
        timer.wait_until(clock, coalescer.wake_for(at)).await?;
        let now = clock.now();
        coalescer.woke(now);
        if now > last {
            break;
        }
        while let Some(planned) = queue.fire(now) {
            coalescer.fired(planned);
            *fired += 1;
            burst += 1;
            if burst == BURST {
                burst = 0;
                tokio::task::yield_now().await;
            }
        }
        burst = 0;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Shows that the worker's loop turns.
async fn beat(pulse: Arc<Pulse>) {
    loop {
        pulse.beat();
        tokio::time::sleep(BEAT).await;
    }
}

/// Closes windows also when nothing happens in them.
async fn keep_windows(in_flight: Rc<InFlight>) {
    loop {
        let left = in_flight.window_end() - in_flight.clock.now();
        tokio::time::sleep(left.as_duration()).await;
        in_flight.close_windows(in_flight.clock.now());
    }
}

async fn settle(runners: &[Rc<ScenarioRunner>]) -> Vec<ScenarioFinding> {
    let mut all = Vec::new();
    for runner in runners {
        // A workload may use its patience twice: to come to rest, and to read back.
        let limit = (SETTLE_PATIENCE + SETTLE_PATIENCE + SETTLE_PATIENCE).as_duration();
        let found = tokio::time::timeout(limit, runner.workload().settle(SETTLE_PATIENCE)).await;
        let scenario = runner.scenario().name.clone();
        match found {
            Ok(found) => all.extend(found.into_iter().map(|f| ScenarioFinding {
                scenario: scenario.clone(),
                check: f.check,
                holds: f.holds,
                detail: f.detail,
            })),
            Err(_) => all.push(ScenarioFinding {
                scenario,
                check: "settle".into(),
                holds: false,
                detail: "the final check did not end in its time".into(),
            }),
        }
    }
    all
}

async fn close(runners: &[Rc<ScenarioRunner>], wish: &Stop) {
    for runner in runners {
        runner.close();
    }
    let all_closed = async {
        while runners.iter().any(|runner| runner.open_sessions() > 0) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    // Sessions that don't close in time end with the runtime.
    let times = wish.times();
    tokio::select! {
        _ = tokio::time::timeout(CLOSING.as_duration(), all_closed) => {}
        () = wish.asked_beyond(times) => {}
    }
}
