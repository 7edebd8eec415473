//! Does what [`Steps`] say: journals, injects, heals, looks; heals whatever happens.
//!
//! Three nets hold each other up. A step that fails, panics or takes too long comes back to the steps as
//! news, and they heal. When this future itself is dropped (its task was cancelled, or panicked), a guard
//! heals on a thread of its own. When the process dies, the journal says what was injected, and
//! [`heal_unhealed`] heals it later.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::journal::{self, DrillKey, Entry, Journal, Phase, Remedy, Step};
use super::registry::{FaultContext, compile};
use super::steps::{Act, Conclusion, News, Stage, Steps, Timing};
use super::{Fault, FaultError, Injected, Moment, Probe, Soundness, Stopwatch, Undo};
use crate::model::{Nanos, Span};
use crate::target::fault::FaultSpec;
use crate::target::{Allow, Guard};

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
    /// What it watches for has come.
    Restored,
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
                Some(Signal::Restored) => News::Restored,
                Some(Signal::Stop(why)) => News::Stop(why),
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
            ledger.left(before);
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
    injected: Option<Injected>,
    healed: Option<String>,
    probe: Option<Probe>,
    guard: HealGuard,
}

impl<'a> Ledger<'a> {
    fn new(drill: &'a Drill, journal: &'a SharedJournal) -> Self {
        let guard = HealGuard(None);
        Self { drill, journal, undo: Undo::default(), injected: None, healed: None, probe: None, guard }
    }

    /// Begins an act. Its first line is in the journal when this returns.
    fn begin(&mut self, act: Act) -> BoxFuture<'static, Done> {
        let fault = Arc::clone(&self.drill.fault);
        let undo = self.undo.clone();
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

    /// A stage was left, perhaps because its time was over.
    fn left(&mut self, stage: Stage) {
        let armed = self.guard.0.is_some();
        if stage == Stage::Healing && armed {
            self.write(Step::Heal, Phase::Failed, "took too long");
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

/// Heals when it is dropped armed: on a thread of its own, because the runtime may be ending.
struct HealGuard(Option<Armed>);

struct Armed {
    fault: Arc<dyn Fault>,
    undo: Undo,
    journal: SharedJournal,
    key: DrillKey,
    within: Nanos,
}

impl HealGuard {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for HealGuard {
    fn drop(&mut self) {
        let Some(armed) = self.0.take() else { return };
        let drill = armed.key.drill.clone();
        let healing = std::thread::Builder::new().name("heal".into()).spawn(move || armed.heal());
        match healing.map(std::thread::JoinHandle::join) {
            Ok(Ok(Ok(did))) => tracing::warn!(%drill, %did, "the drill was broken off, and healed"),
            Ok(Ok(Err(error))) => loud(&drill, &error.to_string()),
            Ok(Err(_)) => loud(&drill, "healing panicked"),
            Err(error) => loud(&drill, &format!("no thread to heal on: {error}")),
        }
    }
}

/// What is left broken is said where it can't be missed.
fn loud(drill: &str, why: &str) {
    tracing::error!(%drill, %why, "HEALING FAILED: something is left broken");
    eprintln!("slatest: HEALING FAILED: the drill `{drill}` has left something broken: {why}");
}

impl Armed {
    fn heal(self) -> Result<String, FaultError> {
        let note = |phase, detail: &str| {
            if let Err(error) = lock(&self.journal).append(&Entry::new(&self.key, Step::Heal, phase, detail)) {
                tracing::error!(%error, "a line of the journal is lost");
            }
        };
        note(Phase::AboutTo, "the drill was broken off");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let healed = match runtime {
            Ok(runtime) => runtime.block_on(heal(&*self.fault, &self.undo, self.within)),
            Err(error) => Err(FaultError::failed("healing", error)),
        };
        match &healed {
            Ok(did) => note(Phase::Done, did),
            Err(error) => note(Phase::Failed, &error.to_string()),
        }
        healed
    }
}

async fn heal(fault: &dyn Fault, undo: &Undo, within: Nanos) -> Result<String, FaultError> {
    let slow = |_| FaultError::Slow { doing: "healing".into(), limit: Span(within) };
    timeout(within.as_duration(), caught("healing", fault.heal(undo))).await.map_err(slow)?
}

/// What became of something that was left unhealed.
#[derive(Debug)]
pub struct Mended {
    /// Which drill.
    pub key: DrillKey,
    /// What was done, or what is still broken.
    pub end: Result<String, FaultError>,
}

/// Heals what the journal of a run's folder says was injected and not healed, the last first, each within
/// its time. What fails doesn't keep the others from being healed.
///
/// # Errors
/// In words, when the journal can't be read or written.
pub async fn heal_unhealed(folder: &Path, stopwatch: &Stopwatch, within: Nanos) -> Result<Vec<Mended>, String> {
    let read = journal::read(folder)?;
    for line in &read.unreadable {
        tracing::warn!(%line, "the journal has a line that can't be read");
    }
    let left = journal::unhealed(&read.entries);
    if left.is_empty() {
        return Ok(Vec::new());
    }
    let mut journal = Journal::open(folder).map_err(|e| e.to_string())?;
    let mut mended = Vec::new();
    for unhealed in left {
        let mut note = |phase, detail: &str| journal.append(&Entry::new(&unhealed.key, Step::Heal, phase, detail));
        note(Phase::AboutTo, "asked for later").map_err(|e| e.to_string())?;
        let end = match unhealed.remedy {
            Some(remedy) => heal_later(&remedy, stopwatch, within).await,
            None => Err(FaultError::Undo("the line that says how to heal it is missing".into())),
        };
        let noted = match &end {
            Ok(did) => note(Phase::Done, did),
            Err(error) => note(Phase::Failed, &error.to_string()),
        };
        noted.map_err(|e| e.to_string())?;
        mended.push(Mended { key: unhealed.key, end });
    }
    Ok(mended)
}

async fn heal_later(remedy: &Remedy, stopwatch: &Stopwatch, within: Nanos) -> Result<String, FaultError> {
    let allow = Allow { hosts: remedy.hosts.clone(), max_rate: None, drills: true };
    let context = FaultContext {
        folder: remedy.folder.clone(),
        guard: Guard::new(&allow).map_err(FaultError::Undo)?,
        stopwatch: stopwatch.clone(),
        proxies: None,
    };
    let fault = compile(&remedy.fault, &context).map_err(|wrong| {
        let all: Vec<String> = wrong.into_iter().map(|(key, why)| format!("{key}: {why}")).collect();
        FaultError::failed("healing", all.join("; "))
    })?;
    heal(&*fault, &remedy.undo, within).await
}

#[cfg(test)]
#[path = "execute_tests.rs"]
mod tests;
