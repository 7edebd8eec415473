//! The thread that breaks and mends, beside the workers.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::detection::{Detection, beside};
use crate::load::stage::Stop;
use crate::profile::{DrillPlan, DrillStart, Plan};
use slatest_core::model::{Clock, Nanos};
use slatest_core::target::{Allow, Guard};
use slatest_faults::execute::{Drill, Mark, Outcome, SharedJournal, Signal, execute};
use slatest_faults::journal::{DrillKey, Journal};
use slatest_faults::steps::{Stage, Timing};
use slatest_faults::{AlertWatch, FaultContext, Proxies, Stopwatch, compile};

/// Longest that looking at a fault and injecting it may take, each: AWS takes its time to answer.
const INJECT_WITHIN: Nanos = Nanos::from_secs(120);
/// Longest that healing may take: a replica that was lost is copied anew.
const HEAL_WITHIN: Nanos = Nanos::from_secs(600);
/// Longest that the look afterwards may take.
const VERIFY_WITHIN: Nanos = Nanos::from_secs(180);
/// Beyond the time of a drill's start that its plan gives: the run's own hand is never that slow.
const START_SLACK: Nanos = Nanos::from_secs(30);
/// Words to a drill that may wait: each is said at most once.
const SIGNALS: usize = 8;

/// Where drills find what they break, and write what they do.
#[derive(Clone, Debug)]
pub struct DrillGround {
    /// Hosts that the target allows.
    pub hosts: Vec<String>,
    /// The folder that relative paths start from, for the fault of each drill of the plan.
    pub folders: Vec<PathBuf>,
    /// The proxies of this process.
    pub proxies: Arc<Proxies>,
    /// Who says when a fault was detected; `None` where the target names nobody.
    pub alerts: Option<AlertWatch>,
    /// The run's folder, in which the journal lies.
    pub folder: PathBuf,
}

/// What the runner tells of its drills, by their index in the plan.
#[derive(Debug)]
pub enum Word {
    /// A stage was entered.
    Mark(usize, Mark),
    /// It is over; when it was detected.
    Ended(usize, Box<Outcome>, Detection),
}

/// How much longer a drill's watch may last than what is watched: windows are seen when they are over, and
/// later where the machine is busy. The controller says when all of them were.
const WATCH_SLACK: Nanos = Nanos::from_secs(120);

fn timing(drill: &DrillPlan) -> Timing {
    let steady_within = match drill.start {
        DrillStart::At(at) => at + START_SLACK,
        DrillStart::AfterSteady { within, .. } => within,
    };
    Timing {
        steady_within,
        inject_within: INJECT_WITHIN,
        hold: drill.hold,
        watch: drill.watch + WATCH_SLACK,
        heal_within: HEAL_WITHIN,
        verify_within: VERIFY_WITHIN,
        heal: drill.heal,
    }
}

/// Makes the drills of a plan ready, and looks whether each fault can be injected. Changes nothing.
///
/// # Errors
/// In words, the first drill that can't be done.
pub fn ready(plan: &Plan, ground: &DrillGround, clock: Arc<dyn Clock>, stop: &Stop) -> Result<Vec<Drill>, String> {
    let allow = Allow { hosts: ground.hosts.clone(), max_rate: None, max_users: None, drills: true };
    let guard = Guard::new(&allow)?;
    let mut drills = Vec::with_capacity(plan.drills.len());
    for (drill, folder) in plan.drills.iter().zip(&ground.folders) {
        let context = FaultContext {
            folder: folder.clone(),
            guard: guard.clone(),
            stopwatch: Stopwatch::new(Arc::clone(&clock)),
            proxies: Some(Arc::clone(&ground.proxies)),
        };
        let fault = compile(&drill.injector, &context).map_err(|wrong| {
            let all: Vec<String> = wrong.into_iter().map(|(key, reason)| format!("{key}: {reason}")).collect();
            format!("the drill `{}` can't be done: {}", drill.name, all.join("; "))
        })?;
        drills.push(Drill {
            key: DrillKey { drill: drill.name.clone(), repeat: 1 },
            fault,
            spec: drill.injector.clone(),
            folder: folder.clone(),
            hosts: ground.hosts.clone(),
            timing: timing(drill),
        });
    }
    let runtime = runtime()?;
    for drill in &drills {
        // Nothing is broken yet: a wish to stop ends the look at once.
        let looked = async {
            tokio::select! {
                looked = tokio::time::timeout(INJECT_WITHIN.as_duration(), drill.fault.plan()) => Some(looked),
                () = stop.asked_beyond(0) => None,
            }
        };
        let reason = match runtime.block_on(looked) {
            None => return Err("interrupted before the load started".into()),
            Some(Ok(Ok(_))) => continue,
            Some(Ok(Err(error))) => error.to_string(),
            Some(Err(_)) => format!("looking at it takes longer than {INJECT_WITHIN}"),
        };
        return Err(format!("the fault of the drill `{}` can't be injected: {reason}", drill.key.drill));
    }
    Ok(drills)
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|e| format!("no runtime for the drills: {e}"))
}

/// The drills of a run under way, one after another. When this is dropped they are stopped, and it waits until
/// what they broke is healed.
#[derive(Debug)]
pub struct DrillRunner {
    signals: Vec<Option<mpsc::Sender<Signal>>>,
    words: Receiver<Word>,
    thread: Option<JoinHandle<()>>,
}

impl DrillRunner {
    /// Starts with the first.
    ///
    /// # Errors
    /// In words, when the journal can't be written or there is no thread to be had.
    pub fn start(drills: Vec<Drill>, clock: Arc<dyn Clock>, ground: DrillGround) -> Result<Self, String> {
        let journal: SharedJournal = Arc::new(Mutex::new(Journal::open(&ground.folder).map_err(|e| e.to_string())?));
        let (signals, heard): (Vec<_>, Vec<_>) = drills.iter().map(|_| mpsc::channel(SIGNALS)).unzip();
        let (tell, words) = channel();
        let runtime = runtime()?;
        let work = move || {
            let stopwatch = Stopwatch::new(clock);
            for (index, (drill, signals)) in drills.iter().zip(heard).enumerate() {
                let alerts = ground.alerts.clone();
                let (outcome, detection) =
                    runtime.block_on(led(drill, index, &journal, &stopwatch, signals, alerts, &tell));
                let _ = tell.send(Word::Ended(index, Box::new(outcome), detection));
            }
        };
        let thread = std::thread::Builder::new().name("drills".into()).spawn(work);
        let thread = thread.map_err(|e| format!("no thread for the drills: {e}"))?;
        Ok(Self { signals: signals.into_iter().map(Some).collect(), words, thread: Some(thread) })
    }

    /// What was told since the last time.
    pub fn words(&self) -> impl Iterator<Item = Word> {
        self.words.try_iter()
    }

    /// Waits a moment for a word; `None` where there is none, or nobody is left to say any.
    pub fn next_word(&self, within: std::time::Duration) -> Option<Word> {
        self.words.recv_timeout(within).ok()
    }

    /// Whether nothing more will be told.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Tells one of the drills something. One that is over hears nothing.
    pub fn signal(&self, drill: usize, signal: Signal) {
        if let Some(Some(sender)) = self.signals.get(drill) {
            let _ = sender.try_send(signal);
        }
    }

    /// No drill that has not begun begins any more, and what is broken is healed.
    pub fn stop(&mut self, reason: &str) {
        for sender in &mut self.signals {
            if let Some(sender) = sender.take() {
                let _ = sender.try_send(Signal::Stop(reason.to_owned()));
            }
        }
    }
}

async fn led(
    drill: &Drill,
    index: usize,
    journal: &SharedJournal,
    stopwatch: &Stopwatch,
    signals: mpsc::Receiver<Signal>,
    alerts: Option<AlertWatch>,
    tell: &Sender<Word>,
) -> (Outcome, Detection) {
    let (broken, fault) = oneshot::channel();
    let mut broken = Some(broken);
    let executing = execute(drill, journal, stopwatch, signals, |mark| {
        if mark.stage == Stage::Injecting
            && let Some(broken) = broken.take()
        {
            let _ = broken.send(mark.at);
        }
        let _ = tell.send(Word::Mark(index, mark));
    });
    // Windows are looked at for longer than what is watched; alerts that came so late would say nothing.
    beside(executing, alerts, fault, (drill.timing.watch - WATCH_SLACK).as_duration()).await
}

impl Drop for DrillRunner {
    fn drop(&mut self) {
        self.stop("the run has ended");
        if let Some(thread) = self.thread.take() {
            // One that panicked has been told of by the panic hook; its guard has healed.
            let _ = thread.join();
        }
    }
}
