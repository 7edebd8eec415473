//! Does what [`Steps`] say: journals, injects, heals, looks; heals whatever happens.
//!
//! Three nets hold each other up. A step that fails, panics or takes too long comes back to the steps as
//! news, and they heal. When this future itself is dropped (its task was cancelled, or panicked), a guard
//! heals on a thread of its own. When the process dies, the journal says what was injected, and
//! [`heal_unhealed`] heals it later.

mod guard;
mod heal_journal;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::journal::{DrillKey, Entry, Journal, Phase, Remedy, Step};
use super::steps::{Act, Conclusion, News, Stage, Steps, Timing};
use super::{Fault, FaultError, Injected, Moment, Probe, Soundness, Stopwatch, Undo};
use crate::FaultSpec;
use guard::{Armed, HealGuard};
pub use heal_journal::{Mended, heal_unhealed, unsound};
use slatest_core::model::Nanos;

/// How often it is looked whether what was healed is sound.
const PROBE_EVERY: Duration = Duration::from_millis(250);
/// Longest that a provider is asked when something happened.
const REPORTED_WITHIN: Duration = Duration::from_secs(30);
/// How far from its deadline a stage is looked at again, at least.
const TICK_LEAST: Duration = Duration::from_millis(1);

/// A drill that is ready to run.
#[derive(Clone)]
pub struct Drill {
    /// Its name and which of its repeats it is.
    pub key: DrillKey,
    /// What it breaks.
    pub fault: Arc<dyn Fault>,
    /// The same, as it was written.
    pub spec: FaultSpec,
    /// Folder that relative paths in it start from.
    pub folder: PathBuf,
    /// Hosts that the target allows.
    pub hosts: Vec<String>,
    /// The times of its steps.
    pub timing: Timing,
}

/// What a drill is told while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The state is steady: it may begin.
    Steady,
    /// Everything was watched that was to be; whether it was seen to be restored.
    Watched(bool),
    /// The run ends, for this reason.
    Stop(String),
}

/// A stage that was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The stage.
    pub stage: Stage,
    /// When.
    pub at: Moment,
}

/// What a drill did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub conclusion: Conclusion,
    /// The instants of the fault.
    pub injected: Option<Injected>,
    /// What healing did, in words.
    pub healed: Option<String>,
    /// What the last look found.
    pub probe: Option<Probe>,
    /// The stages that it went through.
    pub marks: Vec<Mark>,
}

/// A journal that several drills write.
pub type SharedJournal = Arc<Mutex<Journal>>;

/// A journal whose writer panicked is still a journal.
fn lock(journal: &SharedJournal) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an act ended with.
enum Done {
    Planned(Result<Undo, FaultError>),
    Injected(Result<Injected, FaultError>),
    Healed(Result<String, FaultError>),
    Verified(Result<Probe, FaultError>),
}

/// Runs a drill to its end. When `signals` close, it is stopped. `told` hears of each stage.
pub async fn execute(
    drill: &Drill,
    journal: &SharedJournal,
    stopwatch: &Stopwatch,
    mut signals: mpsc::Receiver<Signal>,
    mut told: impl FnMut(Mark),
) -> Outcome {
    let mut steps = Steps::new(drill.timing, stopwatch.now().run);
    let mut marks = vec![Mark { stage: Stage::Waiting, at: stopwatch.now() }];
    told(marks[0]);
    let mut ledger = Ledger::new(drill, journal);
    let mut open = true;
    let mut act: Option<BoxFuture<'static, Done>> = None;
    while steps.conclusion().is_none() {
        let now = stopwatch.now().run;
        let left = steps.deadline().map_or(Nanos::ZERO, |deadline| deadline.since(now)).as_duration();
        let news = tokio::select! {
            biased;
            done = under_way(&mut act) => {
                act = None;
                ledger.note(done)
            }
            signal = signals.recv(), if open => match signal {
                Some(Signal::Steady) => News::Steady,
                Some(Signal::Watched(restored)) => News::Watched(restored),
                Some(Signal::Stop(reason)) => News::Stop(reason),
                None => {
                    open = false;
                    News::Stop("the run has ended".into())
                }
            },
            () = tokio::time::sleep(left.max(TICK_LEAST)) => News::Tick,
        };
        let before = steps.stage();
        let wanted = steps.take(stopwatch.now().run, news);
        if steps.stage() != before {
            // A step that took too long is let go before the next begins.
            act = None;
            ledger.given_up();
            marks.push(Mark { stage: steps.stage(), at: stopwatch.now() });
            told(marks[marks.len() - 1]);
        }
        if let Some(wanted) = wanted {
            act = Some(ledger.begin(wanted));
        }
    }
    drop(act);
    ledger.ask_provider().await;
    let conclusion = steps.conclusion().cloned().unwrap_or_else(|| unreachable!("the loop ends with it"));
    let Ledger { injected, healed, probe, guard, .. } = ledger;
    guard.disarm();
    Outcome { conclusion, injected, healed, probe, marks }
}

async fn under_way(act: &mut Option<BoxFuture<'static, Done>>) -> Done {
    match act {
        Some(act) => act.await,
        None => std::future::pending().await,
    }
}

/// What is known of a drill while it runs, and its lines in the journal.
struct Ledger<'a> {
    drill: &'a Drill,
    journal: &'a SharedJournal,
    undo: Undo,
    /// The journalled step whose end is waited for.
    under_way: Option<Step>,
    injected: Option<Injected>,
    healed: Option<String>,
    probe: Option<Probe>,
    guard: HealGuard,
}

impl<'a> Ledger<'a> {
    fn new(drill: &'a Drill, journal: &'a SharedJournal) -> Self {
        let guard = HealGuard(None);
        Self {
            drill,
            journal,
            undo: Undo::default(),
            under_way: None,
            injected: None,
            healed: None,
            probe: None,
            guard,
        }
    }

    /// Begins an act. Its first line is in the journal when this returns.
    fn begin(&mut self, act: Act) -> BoxFuture<'static, Done> {
        let fault = Arc::clone(&self.drill.fault);
        let undo = self.undo.clone();
        self.under_way = match act {
            Act::Plan => None,
            Act::Inject => Some(Step::Inject),
            Act::Heal => Some(Step::Heal),
            Act::Verify => Some(Step::Verify),
        };
        match act {
            Act::Plan => Box::pin(async move { Done::Planned(caught("planning", fault.plan()).await) }),
            Act::Inject => {
                self.guard = HealGuard(Some(Armed {
                    fault: Arc::clone(&fault),
                    undo: undo.clone(),
                    journal: Arc::clone(self.journal),
                    key: self.drill.key.clone(),
                    within: self.drill.timing.heal_within,
                }));
                Box::pin(async move { Done::Injected(caught("injecting", fault.inject(&undo)).await) })
            }
            Act::Heal => {
                self.write(Step::Heal, Phase::AboutTo, "");
                Box::pin(async move { Done::Healed(caught("healing", fault.heal(&undo)).await) })
            }
            Act::Verify => Box::pin(async move { Done::Verified(sound(&*fault, &undo).await) }),
        }
    }

    /// Notes how an act ended, and makes news of it.
    fn note(&mut self, done: Done) -> News {
        let words = |error: &FaultError| Err(error.to_string());
        self.under_way = None;
        match done {
            Done::Planned(Err(error)) => News::Planned(words(&error)),
            Done::Planned(Ok(undo)) => {
                self.undo = undo;
                // Before it is injected, because afterwards may be too late.
                News::Planned(self.about_to_inject().or_else(|error| words(&error)))
            }
            Done::Injected(Ok(injected)) => {
                let mut entry = Entry::new(&self.drill.key, Step::Inject, Phase::Done, &injected.detail);
                entry.injected = Some(injected.clone());
                self.append(&entry);
                self.injected = Some(injected);
                News::Injected(Ok(()))
            }
            Done::Injected(Err(error)) => {
                self.write(Step::Inject, Phase::Failed, &error.to_string());
                News::Injected(words(&error))
            }
            Done::Healed(Ok(did)) => {
                self.write(Step::Heal, Phase::Done, &did);
                std::mem::replace(&mut self.guard, HealGuard(None)).disarm();
                self.healed = Some(did);
                News::Healed(Ok(()))
            }
            Done::Healed(Err(error)) => {
                self.write(Step::Heal, Phase::Failed, &error.to_string());
                std::mem::replace(&mut self.guard, HealGuard(None)).disarm();
                News::Healed(words(&error))
            }
            Done::Verified(Ok(probe)) => {
                let end = if probe.state == Soundness::Broken { Err(probe.detail.clone()) } else { Ok(()) };
                let phase = if end.is_ok() { Phase::Done } else { Phase::Failed };
                self.write(Step::Verify, phase, &probe.detail);
                self.probe = Some(probe);
                News::Verified(end)
            }
            Done::Verified(Err(error)) => {
                self.write(Step::Verify, Phase::Failed, &error.to_string());
                News::Verified(words(&error))
            }
        }
    }

    /// The stage was left: what is still under way took too long.
    fn given_up(&mut self) {
        let Some(step) = self.under_way.take() else { return };
        self.write(step, Phase::Failed, "took too long");
        if step == Step::Heal {
            // It was tried for as long as it may be.
            std::mem::replace(&mut self.guard, HealGuard(None)).disarm();
        }
    }

    fn about_to_inject(&self) -> Result<(), FaultError> {
        let drill = self.drill;
        let mut entry = Entry::new(&drill.key, Step::Inject, Phase::AboutTo, drill.fault.describe());
        entry.remedy = Some(Remedy {
            fault: drill.spec.clone(),
            undo: self.undo.clone(),
            folder: drill.folder.clone(),
            hosts: drill.hosts.clone(),
        });
        lock(self.journal).append(&entry)
    }

    fn write(&self, step: Step, phase: Phase, detail: &str) {
        self.append(&Entry::new(&self.drill.key, step, phase, detail));
    }

    /// A line without which nothing is lost but the line: healing goes on.
    fn append(&self, entry: &Entry) {
        if let Err(error) = lock(self.journal).append(entry) {
            tracing::error!(%error, drill = %entry.drill, "a line of the journal is lost");
        }
    }

    async fn ask_provider(&mut self) {
        let Some(injected) = &self.injected else { return };
        let asked = AssertUnwindSafe(self.drill.fault.reported(&self.undo, injected)).catch_unwind();
        match timeout(REPORTED_WITHIN, asked).await {
            Ok(Ok(Ok(Some(reported)))) => {
                if let Some(injected) = &mut self.injected {
                    injected.reported = Some(reported);
                }
            }
            Ok(Ok(Ok(None))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the provider doesn't say when it happened"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the provider could not be asked when it happened"),
        }
    }
}

/// A call whose panic is an error like any other.
async fn caught<T>(doing: &str, call: BoxFuture<'_, Result<T, FaultError>>) -> Result<T, FaultError> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".into());
        Err(FaultError::Panicked(format!("{doing}: {said}")))
    })
}

/// Looks until it is sound, or nothing can tell. Bounded by whoever waits.
async fn sound(fault: &dyn Fault, undo: &Undo) -> Result<Probe, FaultError> {
    loop {
        match caught("looking at it", fault.probe(undo)).await {
            Ok(probe) if probe.state != Soundness::Broken => return Ok(probe),
            Err(error @ FaultError::Panicked(_)) => return Err(error),
            // A pid file that is not written yet, a service that doesn't answer yet.
            Ok(_) | Err(_) => tokio::time::sleep(PROBE_EVERY).await,
        }
    }
}

#[cfg(test)]
mod tests;
