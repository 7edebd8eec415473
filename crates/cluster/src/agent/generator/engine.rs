//! The engine as an agent's generator.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::Sender;

use super::{Failure, FailureKind, Generator, Made, Task};
use crate::bundle::unpack;
use crate::{codec, wire};
use slatest_core::schedule::Stripe;
use slatest_drivers::Workload;
use slatest_engine::load::{Engine, EngineError, Event, RunFacts, reach};
use slatest_engine::profile::Plan;

/// Sends real load.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineGenerator;

impl Generator for EngineGenerator {
    fn start(self: Box<Self>, task: Task) -> Result<(), String> {
        std::thread::Builder::new()
            .name("load".into())
            .spawn(move || {
                let made = task.made.clone();
                let last = match generate(task) {
                    Ok(facts) => Made::Finished(Box::new(finished(&facts))),
                    Err(failure) => Made::Failed(failure),
                };
                // Nobody waits for it when the agent is gone already.
                let _ = made.blocking_send(last);
            })
            .map(drop)
            .map_err(|e| format!("no thread to make the load on: {e}"))
    }
}

fn generate(task: Task) -> Result<RunFacts, Failure> {
    let failure = |kind, reason| Failure { kind, reason };
    let unpacked = unpack(&task.assignment, task.index, &task.working_directory)
        .map_err(|e| failure(FailureKind::Assignment, e.to_string()))?;
    let (mut plan, workloads) = (unpacked.resolved.plan, unpacked.resolved.workloads);
    tell(&task.made, Made::Planned(plan.on_coordinator_loss));
    check(&plan, &workloads)?;
    // An objective is judged over all agents, by the coordinator: one share alone can't end the run.
    for objective in &mut plan.objectives {
        objective.abort_after = None;
    }
    let engine = Engine {
        plan: Arc::new(plan),
        workloads,
        workers: task.workers,
        stop: task.stop.clone(),
        share: Stripe { index: task.index, of: task.of },
        ledger: None,
        drills: None,
        orders: Some(task.orders),
    };
    let mut cpu = Cpu::start();
    let made = task.made;
    let facts = engine.run(&mut |event| {
        let made_of_it = match event {
            Event::Opened(opened, wanted) => Made::Opened(opened, wanted),
            Event::Ready => Made::Ready,
            Event::Window { window, .. } => Made::Window { window: codec::write(&window), cpu_share: cpu.share() },
            Event::Notice(notice) => Made::Notice(notice),
            Event::Phase(..) => return,
        };
        if !tell(&made, made_of_it) && !task.stop.is_asked() {
            // The agent is gone: load never runs on by itself.
            task.stop.ask();
        }
    });
    // What the plan's files were needed for is over only now: some are read again under way.
    drop(unpacked.folder);
    facts.map_err(|error| match error {
        EngineError::NotReady(reason) => failure(FailureKind::NotReady, reason),
        EngineError::Worker(_) => failure(FailureKind::Broken, error.to_string()),
    })
}

/// Whether the agent is there to hear it.
fn tell(made: &Sender<Made>, word: Made) -> bool {
    made.blocking_send(word).is_ok()
}

fn check(plan: &Plan, workloads: &[Arc<dyn Workload>]) -> Result<(), Failure> {
    reach(plan, workloads).map(drop).map_err(|unreachable| {
        let words: Vec<String> = unreachable.iter().map(ToString::to_string).collect();
        Failure { kind: FailureKind::Unreachable, reason: words.join("; ") }
    })
}

fn finished(facts: &RunFacts) -> wire::Finished {
    wire::Finished {
        last_interval: 0,
        scheduled: facts.scheduled,
        fired: facts.fired,
        length_run_ns: facts.length.0,
        early: if facts.interrupted { "it was stopped".into() } else { String::new() },
        arrival_law: facts.arrival_law.clone(),
        resources: Some(codec::write_resources(&facts.resources)),
        findings: facts.findings.iter().map(codec::write_finding).collect(),
    }
}

/// What this process uses of the machine's processors, from one look to the next.
struct Cpu {
    looked: Instant,
    used_secs: f64,
    cores: f64,
}

impl Cpu {
    fn start() -> Self {
        let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
        Self { looked: Instant::now(), used_secs: used_secs(), cores }
    }

    fn share(&mut self) -> f64 {
        let (now, used) = (Instant::now(), used_secs());
        let wall = (now - self.looked).as_secs_f64();
        let share = (used - self.used_secs) / (wall * self.cores);
        (self.looked, self.used_secs) = (now, used);
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }
}

fn used_secs() -> f64 {
    use nix::sys::time::TimeValLike as _;
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF);
    usage.map_or(0.0, |u| (u.user_time() + u.system_time()).num_microseconds() as f64 / 1e6)
}
