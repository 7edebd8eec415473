//! The run so far, from the windows that closed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use slatest_core::measure::{ErrorKinds, EventKind, Latencies, Tally, TrafficSums, Window};
use slatest_core::model::{OUTCOMES, OperationId, Verdict};
use slatest_engine::load::{Event, Phase};
use slatest_engine::profile::{CountedObjective, Plan};
use slatest_engine::record::RunRecord;

/// The run so far. Everything is a sum over windows, so that what is scraped never goes back within a run.
#[derive(Debug, Default)]
pub struct LiveMetrics(Mutex<Option<Run>>);

/// One run.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its id: only on the metric that tells it, else each night makes new series.
    pub(crate) id: String,
    pub(crate) profile: String,
    pub(crate) target: String,
    pub(crate) phase: Phase,
    pub(crate) operations: Vec<Operation>,
    pub(crate) objectives: Vec<Objective>,
    pub(crate) planned_rate: f64,
    pub(crate) in_flight: u64,
    pub(crate) dispatch_lag: Latencies,
    pub(crate) stall_secs: f64,
    /// What drivers say of themselves: `scenario/gauge`.
    pub(crate) gauges: Vec<(String, f64)>,
    /// The last thing that happened to each drill.
    pub(crate) drills: BTreeMap<String, EventKind>,
    /// How many agents are in each state; empty where this process makes the load.
    pub(crate) agents: Vec<(&'static str, u64)>,
    /// Once it is judged.
    pub(crate) verdict: Option<Verdict>,
}

/// One operation, over all windows, judged or not.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) scenario: String,
    pub(crate) operation: String,
    pub(crate) outcomes: [u64; OUTCOMES.len()],
    /// Until it ended, well or not: what a user waited.
    pub(crate) response: Latencies,
    pub(crate) service: Latencies,
    pub(crate) send_lag: Latencies,
    pub(crate) errors: ErrorKinds,
    pub(crate) retried: u64,
    pub(crate) traffic: TrafficSums,
}

/// What counts for and against an objective, so far.
#[derive(Debug)]
pub(crate) struct Objective {
    pub(crate) asked: CountedObjective,
    /// Against it.
    pub(crate) bad: u64,
    /// Out of.
    pub(crate) samples: u64,
    /// Once it is judged; the worst where each operation is judged by itself.
    pub(crate) verdict: Option<Verdict>,
}

impl LiveMetrics {
    /// A run begins: whatever was known of another one is over.
    pub fn begin(&self, id: &str, target: &str, plan: &Plan) {
        let operations = plan.operations.iter().map(|operation| {
            let (scenario, name) = operation.address.split_once('/').unwrap_or(("", &operation.address));
            Operation {
                scenario: scenario.to_owned(),
                operation: name.to_owned(),
                outcomes: Default::default(),
                response: Latencies::default(),
                service: Latencies::default(),
                send_lag: Latencies::default(),
                errors: ErrorKinds::default(),
                retried: 0,
                traffic: TrafficSums::default(),
            }
        });
        let objective = |asked| Objective { asked, bad: 0, samples: 0, verdict: None };
        *self.run() = Some(Run {
            id: id.to_owned(),
            profile: plan.profile.clone(),
            target: target.to_owned(),
            phase: Phase::Opening,
            operations: operations.collect(),
            objectives: plan.counted_objectives().into_iter().map(objective).collect(),
            planned_rate: 0.0,
            in_flight: 0,
            dispatch_lag: Latencies::default(),
            stall_secs: 0.0,
            gauges: Vec::new(),
            drills: BTreeMap::new(),
            agents: Vec::new(),
            verdict: None,
        });
    }

    /// Something happened.
    pub fn take(&self, event: &Event) {
        let mut run = self.run();
        let Some(run) = run.as_mut() else { return };
        match event {
            Event::Phase(phase, _) => run.phase = *phase,
            Event::Window { window, planned_rate, gauges } => {
                run.add(window);
                if !window.late {
                    run.planned_rate = *planned_rate;
                    run.in_flight = window.in_flight;
                    run.gauges.clone_from(gauges);
                }
            }
            Event::Opened(..) | Event::Ready | Event::Notice(_) => {}
        }
    }

    /// Whether any run began.
    pub fn has_run(&self) -> bool {
        self.run().is_some()
    }

    /// How many agents are in each state.
    pub fn agents(&self, states: Vec<(&'static str, u64)>) {
        if let Some(run) = self.run().as_mut() {
            run.agents = states;
        }
    }

    /// It is judged.
    pub fn judged(&self, record: &RunRecord) {
        let mut run = self.run();
        let Some(run) = run.as_mut().filter(|run| run.id == record.id) else { return };
        run.verdict = Some(record.result.verdict);
        run.planned_rate = 0.0;
        run.in_flight = 0;
        for objective in &mut run.objectives {
            let own = record.result.objectives.iter().filter(|judged| judged.name == objective.asked.name);
            objective.verdict = own.map(|judged| judged.verdict).max();
        }
    }

    /// Under its lock; `None` before the first run.
    pub(crate) fn run(&self) -> MutexGuard<'_, Option<Run>> {
        // Sums of windows are whole whatever a panic elsewhere interrupted.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    fn add(&mut self, window: &Window) {
        for (id, tally) in window.all() {
            if let Some(operation) = self.operations.get_mut(id.index()) {
                operation.add(tally);
            }
        }
        self.dispatch_lag.merge(&window.dispatch_lag);
        self.stall_secs += window.stall.as_secs_f64();
        for objective in &mut self.objectives {
            objective.add(&window.judged);
        }
        for event in &window.events {
            self.drills.insert(event.drill.clone(), event.kind);
        }
    }
}

impl Operation {
    fn add(&mut self, tally: &Tally) {
        for (sum, count) in self.outcomes.iter_mut().zip(tally.outcomes) {
            *sum += count;
        }
        self.response.merge(&tally.response);
        self.response.merge(&tally.failed);
        self.service.merge(&tally.service);
        self.send_lag.merge(&tally.send_lag);
        self.errors.merge(&tally.errors);
        self.retried += tally.retried;
        self.traffic.merge(&tally.traffic);
    }
}

impl Objective {
    fn add(&mut self, judged: &[(OperationId, Tally)]) {
        for (operation, counter) in &self.asked.counters {
            for (_, tally) in judged.iter().filter(|(id, _)| id == operation) {
                let (bad, samples) = counter.bad_of(tally);
                self.bad += bad;
                self.samples += samples;
            }
        }
    }
}
