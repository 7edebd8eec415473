//! A generator that makes no load but knows exactly what it says that it made: for tests of everything
//! between an agent and the merged result, in simulated time too.

use std::collections::BTreeMap;
use std::sync::mpsc::TryRecvError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Failure, FailureKind, Generator, Made, Task};
use crate::{codec, wire};
use slatest_core::measure::{Recorder, Window};
use slatest_core::model::{Completion, Nanos, OperationId, Outcome};
use slatest_core::schedule::Stripe;
use slatest_engine::load::{Order, shapes};
use slatest_engine::profile::Plan;

/// How often it looks at its orders.
const LOOK: Duration = Duration::from_millis(10);

/// What a simulated generator made, merged by window. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    windows: BTreeMap<u64, Window>,
    fired: u64,
    last_fired: Nanos,
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every window that it made, by number.
    pub fn windows(&self) -> BTreeMap<u64, Window> {
        self.entries().windows.clone()
    }

    /// Arrivals that it fired.
    pub fn fired(&self) -> u64 {
        self.entries().fired
    }

    /// The planned instant of the last arrival that it fired, on the run's clock.
    pub fn last_fired(&self) -> Nanos {
        self.entries().last_fired
    }

    fn add(&self, window: &Window) {
        let mut entries = self.entries();
        match entries.windows.get_mut(&window.index) {
            Some(merged) => merged.merge(window.clone()),
            None => drop(entries.windows.insert(window.index, window.clone())),
        }
    }
}

/// Fires arrivals at one rate on paper: arrival `seq` of the whole run at `seq / rate`, to an operation
/// and with a response time that depend on the seed and `seq` alone. So however many share them, their
/// union is what one alone would have made.
#[derive(Clone, Debug)]
pub struct SimulatedGenerator {
    /// Whose operations, windows and policies it goes by.
    pub plan: Arc<Plan>,
    /// Seed of operations and response times.
    pub seed: u64,
    /// Arrivals per second of the whole run, above 0.
    pub rate: f64,
    /// How long it fires.
    pub length: Nanos,
    /// What it made.
    pub ledger: Ledger,
}

impl Generator for SimulatedGenerator {
    fn start(self: Box<Self>, task: Task) -> Result<(), String> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|e| e.to_string())?;
        drop(runtime.spawn(async move {
            let made = task.made.clone();
            let last = match self.generate(task).await {
                Ok(finished) => Made::Finished(Box::new(finished)),
                Err(failure) => Made::Failed(failure),
            };
            // Nobody waits for it when the agent is gone already.
            let _ = made.send(last).await;
        }));
        Ok(())
    }
}

/// Part of the schedule that it owns, from an instant of the run on.
#[derive(Clone, Copy)]
struct Owned {
    from: Nanos,
    stripe: Stripe,
}

impl SimulatedGenerator {
    async fn generate(&self, task: Task) -> Result<wire::Finished, Failure> {
        let gone = || Failure { kind: FailureKind::Broken, reason: "the agent is gone".into() };
        for word in [Made::Planned(self.plan.on_coordinator_loss), Made::Opened(1, 1), Made::Ready] {
            task.made.send(word).await.map_err(|_| gone())?;
        }
        let epoch = loop {
            match task.orders.try_recv() {
                Ok(Order::StartAt(epoch)) => break Instant::from_std(epoch),
                Err(TryRecvError::Empty) if !task.stop.is_asked() => sleep(LOOK).await,
                Ok(Order::TakeOver(_)) => {}
                Err(_) => {
                    return Err(Failure {
                        kind: FailureKind::NotReady,
                        reason: "stopped before the load started".into(),
                    });
                }
            }
        };
        let mut owned = vec![Owned { from: Nanos::ZERO, stripe: Stripe { index: task.index, of: task.of } }];
        let mut recorder = Recorder::new(shapes(&self.plan), self.plan.window);
        let (mut seq, mut scheduled, mut now) = (0, 0, Nanos::ZERO);
        while now < self.length && !task.stop.is_asked() {
            sleep_until(epoch + now.as_duration() + LOOK).await;
            now = Nanos::from(Instant::now().saturating_duration_since(epoch)).min(self.length);
            while let Ok(order) = task.orders.try_recv() {
                if let Order::TakeOver(part) = order {
                    owned.push(Owned { from: part.from, stripe: part.stripe });
                }
            }
            loop {
                let at = Nanos::from_secs_f64(seq as f64 / self.rate);
                let due = at < now;
                // What is due after a window's end belongs to the next.
                while recorder.window_end() <= if due { at } else { now } {
                    self.hand_over(&mut recorder, &task.made).await.map_err(|()| gone())?;
                }
                if !due {
                    break;
                }
                if owned.iter().any(|part| at >= part.from && part.stripe.owns(seq)) {
                    self.fire(&mut recorder, seq, at);
                    scheduled += 1;
                }
                seq += 1;
            }
        }
        self.hand_over(&mut recorder, &task.made).await.map_err(|()| gone())?;
        Ok(wire::Finished {
            scheduled,
            fired: scheduled,
            length_run_ns: now.0,
            early: if now < self.length { "it was stopped".into() } else { String::new() },
            resources: Some(wire::Resources { workers: task.workers as u64, cores: 1.0, ..wire::Resources::default() }),
            ..wire::Finished::default()
        })
    }

    fn fire(&self, recorder: &mut Recorder, seq: u64, at: Nanos) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(seq.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let operations = self.plan.operations.len().max(1);
        let operation = OperationId(u16::try_from(random.random_range(0..operations)).unwrap_or_default());
        let took = Nanos::from_secs_f64(-0.02 * f64::ln_1p(-random.random::<f64>()));
        recorder.fired(operation, true, at, at);
        let completion = if random.random_range(0..100) == 0 {
            Completion::failed(Outcome::TimedOut, Some(at), at + took, "simulated")
        } else {
            Completion::ok(at, at + took)
        };
        recorder.ended(operation, true, at, &completion);
        let mut entries = self.ledger.entries();
        entries.fired += 1;
        entries.last_fired = at;
    }

    async fn hand_over(&self, recorder: &mut Recorder, made: &Sender<Made>) -> Result<(), ()> {
        let window = recorder.close_window();
        self.ledger.add(&window);
        let window = Made::Window { window: codec::write(&window), cpu_share: 0.25 };
        made.send(window).await.map_err(|_| ())
    }
}
