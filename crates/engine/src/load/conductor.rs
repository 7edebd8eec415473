//! The conductor: starts the workers together, merges their windows, leads the run to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::abort::AbortWatch;
use super::clock::RunClock;
use super::drills::{DrillController, DrillExclusion, DrillGround, ReadyDrills};
use super::event::{Event, Phase};
use super::facts::{Abortion, RunFacts};
use super::meter::Meter;
use super::order::{Order, TakeOver};
use super::phase_schedule::PhaseSchedule;
use super::realtime;
use super::stage::{Message, Stage, Stop};
use super::watchdog::{Pulse, Watchdog};
use super::worker::{self, WorkerSetup};

mod ending;
use crate::profile::Plan;
use ending::join;
use slatest_core::measure::{OperationShape, Timeline, Window};
use slatest_core::model::{Clock as _, Nanos};
use slatest_core::schedule::Stripe;
use slatest_core::writes::LedgerSink;
use slatest_drivers::Workload;

/// Messages that may wait for the conductor: minutes of windows. A worker that finds the queue full
/// waits, is late, and says so by its lateness.
const QUEUE: usize = 1024;
/// How often the conductor looks at the clock and at the user's wish to stop.
const TICK: Duration = Duration::from_millis(50);
/// Time between the last worker's word that it is ready and the start.
const LEAD: Duration = Duration::from_millis(20);
/// How long an interrupted run waits for what is under way.
const INTERRUPTED_STOP: Nanos = Nanos::from_secs(5);

/// How long a run that lets go of what is under way waits for a worker that makes no turn.
const LETTING_GO: Nanos = Nanos::from_millis(500);
/// A worker that makes no turn for so long is said to, and given up where the run is to end.
const SILENT_TOLD: Duration = Duration::from_secs(2);
/// Getting ready may hold a worker for longer: files are read, and what they hold is built.
const SILENT_OPENING_MAX: Duration = Duration::from_secs(30);

/// Why a run could not start or go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A scenario could not get ready: nothing was judged.
    #[error("{0}")]
    NotReady(String),
    /// A worker failed under way.
    #[error("a worker failed: {0}")]
    Worker(String),
}

/// A run that is ready to start.
pub struct Engine {
    /// What to do.
    pub plan: Arc<Plan>,
    /// One compiled workload for each scenario, in order.
    pub workloads: Vec<Arc<dyn Workload>>,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// The user's wish to stop.
    pub stop: Stop,
    /// Which arrivals and users are this process's.
    pub share: Stripe,
    /// Where writes of operations with `ledger` are recorded; nowhere without one.
    pub ledger: Option<LedgerSink>,
    /// Where the drills of the plan find what they break; needed where there are any.
    pub drills: Option<DrillGround>,
    /// Who says when to start, and what else to do. Without anybody it starts as soon as it is ready.
    pub orders: Option<Receiver<Order>>,
}

/// What a plan keeps of each operation.
pub fn shapes(plan: &Plan) -> Vec<OperationShape> {
    let shape = |o: &crate::profile::OperationPlan| OperationShape {
        timings: o.timings.len(),
        ratios: o.ratios.len(),
        thresholds: o.thresholds.clone(),
    };
    plan.operations.iter().map(shape).collect()
}

impl Engine {
    /// One that makes the whole of the load, and starts as soon as it is ready.
    pub const fn alone(plan: Arc<Plan>, workloads: Vec<Arc<dyn Workload>>, workers: usize, stop: Stop) -> Self {
        Self { plan, workloads, workers, stop, share: Stripe::WHOLE, ledger: None, drills: None, orders: None }
    }

    /// Runs to the end on threads of its own, telling `on_event` what happens. Blocks.
    ///
    /// # Errors
    /// When a scenario can't get ready, or a worker fails.
    pub fn run(self, on_event: &mut dyn FnMut(Event)) -> Result<RunFacts, EngineError> {
        let workers = self.workers.max(1);
        let clock = Arc::new(RunClock::default());
        let drills = match (self.plan.drills.is_empty(), self.drills) {
            (true, _) => None,
            (false, Some(ground)) => {
                let looked = ReadyDrills::look(&self.plan, ground, Arc::<RunClock>::clone(&clock), &self.stop);
                Some(looked.map_err(EngineError::NotReady)?)
            }
            (false, None) => return Err(EngineError::NotReady("drills are led by `slatest run` alone".into())),
        };
        let exclusion = DrillExclusion::default();
        let (stage, stage_seen) = watch::channel(Stage::Opening);
        let (takeovers, takeovers_seen) = watch::channel(Vec::new());
        let (to_conductor, messages) = sync_channel(QUEUE);
        if let Some(ledger) = &self.ledger {
            self.workloads.iter().for_each(|workload| workload.keep(ledger.clone()));
        }
        let mut threads = Vec::with_capacity(workers);
        let pulses: Vec<Arc<Pulse>> = (0..workers).map(|_| Arc::default()).collect();
        let wish = self.stop.clone();
        for (index, pulse) in pulses.iter().enumerate() {
            let setup = WorkerSetup {
                plan: Arc::clone(&self.plan),
                workloads: self.workloads.clone(),
                shapes: shapes(&self.plan),
                worker: index,
                stripe: self.share.part_of(index as u64, workers as u64),
                process: self.share,
                parts: workers as u64,
                takeovers: self.orders.is_some().then(|| takeovers_seen.clone()),
                clock: Arc::<RunClock>::clone(&clock),
                ledger: self.ledger.clone(),
                exclusion: exclusion.clone(),
                stage: stage_seen.clone(),
                to_conductor: to_conductor.clone(),
                pulse: Arc::clone(pulse),
                stop: wish.clone(),
            };
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || worker::run(setup))
                .map_err(|e| EngineError::NotReady(format!("a worker thread can't be started: {e}")))?;
            threads.push(thread);
        }
        drop(to_conductor);
        let conductor = Conductor {
            watchdog: Watchdog::start(pulses),
            told_of_silence: false,
            lost: Vec::new(),
            abort: AbortWatch::new(&self.plan),
            aborted: None,
            stall_limit: self.plan.stall_limit(),
            load: None,
            arrival_law: Vec::new(),
            phases: PhaseSchedule::new(&self.plan),
            timeline: Timeline::new(&shapes(&self.plan)),
            pending: BTreeMap::new(),
            done_workers: 0,
            ready_drills: drills,
            exclusion,
            drills: None,
            plan: self.plan,
            workloads: self.workloads,
            workers,
            stop: self.stop,
            stage,
            orders: self.orders,
            takeovers,
            messages,
            clock,
            on_event,
        };
        let facts = conductor.conduct();
        let any_lost = facts.as_ref().is_ok_and(|facts| facts.resources.workers_lost > 0);
        join(threads, &wish, any_lost);
        facts
    }
}

/// What there is while load is sent.
struct Load {
    meter: Meter,
    /// The instant of the run's zero.
    epoch: Instant,
}

struct Conductor<'a> {
    watchdog: Watchdog,
    /// Whether it was said that a worker stands still.
    told_of_silence: bool,
    /// Workers that are not waited for any more.
    lost: Vec<usize>,
    abort: AbortWatch,
    aborted: Option<Abortion>,
    stall_limit: Nanos,
    load: Option<Load>,
    arrival_law: Vec<f64>,
    plan: Arc<Plan>,
    workloads: Vec<Arc<dyn Workload>>,
    workers: usize,
    stop: Stop,
    stage: watch::Sender<Stage>,
    orders: Option<Receiver<Order>>,
    /// Everything that was taken over so far.
    takeovers: watch::Sender<Vec<TakeOver>>,
    messages: Receiver<Message>,
    clock: Arc<RunClock>,
    phases: PhaseSchedule,
    timeline: Timeline,
    /// Windows that not all workers have closed yet, with how many have.
    pending: BTreeMap<u64, (Window, usize)>,
    done_workers: usize,
    ready_drills: Option<ReadyDrills>,
    exclusion: DrillExclusion,
    /// Leads the drills, once load is sent.
    drills: Option<DrillController>,
    on_event: &'a mut dyn FnMut(Event),
}

impl Conductor<'_> {
    fn conduct(mut self) -> Result<RunFacts, EngineError> {
        let ready = self.await_ready();
        if let Err(error) = ready {
            self.lead(Stage::Closing);
            return Err(error);
        }
        if self.stop.is_asked() {
            self.lead(Stage::Closing);
            return Err(EngineError::NotReady("interrupted before the load started".into()));
        }
        let epoch = match self.await_start() {
            Ok(epoch) => epoch,
            Err(error) => {
                self.lead(Stage::Closing);
                return Err(error);
            }
        };
        self.load = Some(Load { meter: Meter::start(), epoch });
        self.clock.start_at(epoch);
        if let Some(ready) = self.ready_drills.take() {
            match ready.begin(&self.plan, self.exclusion.clone(), Arc::<RunClock>::clone(&self.clock)) {
                Ok(controller) => self.drills = Some(controller),
                Err(reason) => {
                    self.lead(Stage::Closing);
                    return Err(EngineError::NotReady(reason));
                }
            }
        }
        self.lead(Stage::Running);
        let (scheduled, fired, failed) = self.follow();
        self.flush();
        // What is settled afterwards is no load: the figures end here.
        let mut resources = self.load.take().map(|mut load| load.meter.read(self.workers)).unwrap_or_default();
        let length = self.clock.now();
        if let Some(reason) = failed {
            self.lead(Stage::Closing);
            return Err(EngineError::Worker(reason));
        }
        let drills = self.finish_drills(length);
        let findings = self.settle();
        self.lead(Stage::Closing);
        resources.scheduling = realtime::scheduling();
        resources.silent_max = self.watchdog.longest();
        resources.workers_lost = self.lost.len() as u64;
        Ok(RunFacts {
            timeline: self.timeline,
            scheduled,
            fired,
            length,
            interrupted: self.stop.is_asked(),
            aborted: self.aborted,
            arrival_law: self.arrival_law,
            resources,
            findings,
            agents: Vec::new(),
            drills,
        })
    }

    fn lead(&self, stage: Stage) {
        // Workers that are gone follow nobody.
        let _ = self.stage.send(stage);
    }

    fn tell(&mut self, event: Event) {
        (self.on_event)(event);
    }

    fn await_ready(&mut self) -> Result<(), EngineError> {
        self.tell(Event::Phase(Phase::Opening, Nanos::ZERO));
        let wanted = self.plan.scenarios.iter().filter_map(|s| s.users).sum();
        let (mut opened, mut ready) = (0, 0);
        while ready < self.workers {
            match self.messages.recv_timeout(TICK) {
                Ok(Message::Opened) => {
                    opened += 1;
                    self.tell(Event::Opened(opened, wanted));
                }
                Ok(Message::Ready) => ready += 1,
                Ok(Message::Failed(reason)) => return Err(EngineError::NotReady(reason)),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(EngineError::NotReady("every worker ended before it was ready".into()));
                }
            }
            // Also while one session after another is opened.
            if self.stop.is_asked() {
                return Ok(());
            }
            if !self.watchdog.silent(SILENT_OPENING_MAX).is_empty() {
                return Err(EngineError::NotReady(format!(
                    "a worker thread made no turn for {} s while it got ready: a defect of slatest; please report it",
                    SILENT_OPENING_MAX.as_secs()
                )));
            }
        }
        Ok(())
    }

    /// The instant at which the clock reads zero: now, or when somebody else says.
    fn await_start(&mut self) -> Result<Instant, EngineError> {
        if self.orders.is_none() {
            return Ok(Instant::now() + LEAD);
        }
        self.tell(Event::Ready);
        loop {
            let order = self.orders.as_ref().map(|orders| orders.recv_timeout(TICK));
            match order {
                Some(Ok(Order::StartAt(epoch))) => return Ok(epoch),
                Some(Err(RecvTimeoutError::Timeout)) if !self.stop.is_asked() => {}
                // Nothing can be taken over from anybody before the start.
                Some(Ok(Order::TakeOver(_))) => {}
                _ => return Err(EngineError::NotReady("stopped before the load started".into())),
            }
        }
    }

    /// Hands on what is to be taken over.
    fn take_orders(&mut self) {
        while let Some(Ok(order)) = self.orders.as_ref().map(Receiver::try_recv) {
            if let Order::TakeOver(part) = order {
                self.takeovers.send_modify(|all| all.push(part));
            }
        }
    }

    /// From the start until every worker is drained: (scheduled, fired, why a worker failed).
    fn follow(&mut self) -> (u64, u64, Option<String>) {
        let mut phase = None;
        let mut stopping_since: Option<Nanos> = None;
        let mut letting_go: Option<Nanos> = None;
        let (mut scheduled, mut fired, mut drained) = (0, 0, 0);
        let mut failed = None;
        while drained < self.workers {
            match self.messages.recv_timeout(TICK) {
                Ok(Message::Window(window)) => {
                    self.take(*window);
                    // Once everything is sent there is nothing left to spare.
                    if self.aborted.is_none() && self.timeline.end < self.phases.end() {
                        self.aborted = self.abort.look(&self.plan, &self.timeline, self.timeline.end);
                    }
                }
                Ok(Message::Drained { scheduled: s, fired: f, arrival_law }) => {
                    scheduled += s;
                    fired += f;
                    self.arrival_law.extend(arrival_law);
                    drained += 1;
                }
                Ok(Message::Failed(reason)) => {
                    failed = Some(reason);
                    self.lead(Stage::Aborting);
                }
                Ok(Message::Done) => {
                    self.done_workers += 1;
                    drained += 1;
                    failed.get_or_insert_with(|| "it ended before the run did (see the panic above)".into());
                    self.lead(Stage::Aborting);
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.take_orders();
            let now = self.clock.now();
            let ending = self.stop.is_asked() || self.aborted.is_some();
            let current = self.phases.phase(now, ending);
            if phase != Some(current) {
                phase = Some(current);
                self.tell(Event::Phase(current, now));
            }
            let notices = self.drills.as_mut().map(|controller| controller.tick(now)).unwrap_or_default();
            notices.into_iter().for_each(|words| self.tell(Event::Notice(words)));
            if ending {
                match stopping_since {
                    None => {
                        stopping_since = Some(now);
                        self.lead(Stage::Stopping);
                        if let Some(controller) = &mut self.drills {
                            controller.stop("the run was ended early");
                        }
                        let reason = self.aborted.as_ref().map_or_else(
                            || "interrupted: waiting for what is under way (again to end at once)".into(),
                            |aborted| aborted.words(&self.plan),
                        );
                        self.tell(Event::Notice(reason));
                    }
                    Some(since) if self.stop.is_urgent() || now - since > INTERRUPTED_STOP => {
                        letting_go.get_or_insert(now);
                        self.lead(Stage::Aborting);
                    }
                    Some(_) => {}
                }
            }
            self.tell_of_silence();
            let ends = self.phases.end() + self.plan.graceful_stop;
            let is_late = letting_go.is_some_and(|since| now - since > LETTING_GO) || now > ends + INTERRUPTED_STOP;
            if is_late && self.gives_up(drained) {
                break;
            }
        }
        (scheduled, fired, failed)
    }

    /// Merges a worker's window; hands on what all have closed.
    fn take(&mut self, window: Window) {
        let index = window.index;
        match self.pending.get_mut(&index) {
            Some((merged, workers)) => {
                merged.merge(window);
                *workers += 1;
            }
            None => {
                self.pending.insert(index, (window, 1));
            }
        }
        while let Some(entry) = self.pending.first_entry() {
            if entry.get().1 < self.workers {
                break;
            }
            let (window, _) = entry.remove();
            self.hand_on(window);
        }
    }

    /// Hands on what is left when the workers have ended at different windows.
    fn flush(&mut self) {
        while let Some((_, (window, _))) = self.pending.pop_first() {
            self.hand_on(window);
        }
    }

    fn hand_on(&mut self, mut window: Window) {
        let at = window.start() + window.length;
        if let Some(load) = &mut self.load {
            let (from, to) = (load.epoch + window.start().as_duration(), load.epoch + at.as_duration());
            window.stall = load.meter.window_closed(to).max(self.watchdog.stood_still(from, to));
            window.spoiled = window.stall >= self.stall_limit;
        }
        if let Some(controller) = &mut self.drills {
            controller.window(&mut window);
        }
        self.timeline.add(&window);
        let planned_rate = self.phases.rate_at(at);
        let mut gauges = Vec::new();
        for (scenario, workload) in self.plan.scenarios.iter().zip(&self.workloads) {
            gauges.extend(
                workload.gauges().into_iter().map(|(name, value)| (format!("{}/{name}", scenario.name), value)),
            );
        }
        self.tell(Event::Window { window: Arc::new(window), planned_rate, gauges });
    }
}
