//! Leads the drills of a run: says when it is steady, watches what follows, and when it has seen enough.

use std::sync::Arc;
use std::time::Duration;

use super::detection::Detection;
use super::exclusion::DrillExclusion;
use super::runner::{DrillGround, DrillRunner, Word, ready};
use super::{BEYOND, DrillFacts, DrillWatch, SteadyWatch};
use crate::load::stage::Stop;
use crate::profile::{DrillPlan, DrillStart, Plan};
use slatest_core::measure::{EventKind, Window, WindowEvent};
use slatest_core::model::{Clock, Nanos};
use slatest_faults::execute::{Drill, Mark, Outcome, Signal};
use slatest_faults::steps::{Healing, Injection, Stage};
use slatest_stats::{DrillEnd, Heal, Watched};

/// From when on before a fault it is the drill that judges: what is under way when the fault comes is its own.
pub(super) const LEAD: Nanos = Nanos::from_secs(1);
/// A fault may take effect so much later than the word to inject it, and be watched beyond the load by as much.
const LATE: Nanos = Nanos::from_secs(10);
/// How often it is looked whether a drill is over when the load is.
const LOOK: Duration = Duration::from_millis(50);

/// What drills have to say to those who watch the run.
pub type Notices = Vec<String>;

/// The drill that is under way.
struct Current {
    index: usize,
    stage: Stage,
    watch: DrillWatch,
    steady: Option<SteadyWatch>,
    /// When the word to begin is due; `None` until it is known.
    due: Option<Nanos>,
    begun: bool,
    /// From when on it judges.
    exclusion: Option<Nanos>,
    fault: Option<Nanos>,
    /// Everything was watched that was to be.
    watched: bool,
    /// When healing was said to be done.
    healed: Option<Nanos>,
    /// It was told so.
    said_enough: bool,
    /// It was stopped from outside.
    stopped: bool,
}

/// Leads the drills of one run.
pub struct DrillController {
    plan: Arc<Plan>,
    exclusion: DrillExclusion,
    runner: DrillRunner,
    current: Option<Current>,
    /// Faults in words, by drill.
    breaks: Vec<String>,
    facts: Vec<DrillFacts>,
    events: Vec<WindowEvent>,
    notices: Notices,
    /// Until when load was sent, once that is over.
    load_ended: Option<Nanos>,
}

/// Drills that are ready to be led.
pub struct ReadyDrills {
    drills: Vec<Drill>,
    ground: DrillGround,
}

impl ReadyDrills {
    /// Looks whether every fault of the plan can be injected. Changes nothing.
    ///
    /// # Errors
    /// In words, the first that can't.
    pub fn look(plan: &Plan, ground: DrillGround, clock: Arc<dyn Clock>, stop: &Stop) -> Result<Self, String> {
        Ok(Self { drills: ready(plan, &ground, clock, stop)?, ground })
    }

    /// The load begins.
    ///
    /// # Errors
    /// In words, when the journal can't be written.
    pub fn begin(
        self,
        plan: &Arc<Plan>,
        exclusion: DrillExclusion,
        clock: Arc<dyn Clock>,
    ) -> Result<DrillController, String> {
        let breaks = self.drills.iter().map(|drill| drill.fault.describe()).collect();
        let runner = DrillRunner::start(self.drills, clock, self.ground)?;
        let mut controller = DrillController {
            plan: Arc::clone(plan),
            exclusion,
            runner,
            current: None,
            breaks,
            facts: Vec::new(),
            events: Vec::new(),
            notices: Vec::new(),
            load_ended: None,
        };
        controller.wait_for(0, Nanos::ZERO);
        Ok(controller)
    }
}

impl DrillController {
    /// Turns to the drill of this index, if there is one.
    fn wait_for(&mut self, index: usize, now: Nanos) {
        let plan = Arc::clone(&self.plan);
        self.current = plan.drills.get(index).map(|drill| {
            let (steady, due) = match drill.start {
                DrillStart::At(at) => (None, Some(at)),
                DrillStart::AfterSteady { windows, .. } => (Some(SteadyWatch::new(&plan, windows)), None),
            };
            Current {
                index,
                stage: Stage::Waiting,
                watch: DrillWatch::new(&plan, drill, now.0 / plan.window.0.max(1)),
                steady,
                due,
                begun: false,
                exclusion: None,
                fault: None,
                watched: false,
                said_enough: false,
                healed: None,
                stopped: false,
            }
        });
    }

    /// A window was closed by all workers. What happened in the meantime is marked in it.
    pub fn window(&mut self, window: &mut Window) {
        self.hear();
        let drill = self.current.as_ref().and_then(|current| self.plan.drills.get(current.index));
        if let (Some(current), Some(drill)) = (&mut self.current, drill) {
            current.watch.window(window);
            let end = window.start() + window.length;
            if let Some(steady) = &mut current.steady
                && current.due.is_none()
                && current.stage == Stage::Waiting
                && steady.window(window)
            {
                current.due = Some(end + LEAD);
            }
            let enough = |fault: Nanos| fault + drill.watch + Nanos(window.length.0 * BEYOND);
            if current.fault.is_some_and(|fault| end >= enough(fault)) {
                current.watched = true;
            }
        }
        self.end_watch();
        window.events.append(&mut self.events);
    }

    /// Time passes. What is to be told to those who watch the run.
    pub fn tick(&mut self, now: Nanos) -> Notices {
        self.hear();
        if let Some(current) = &mut self.current
            && let Some(due) = current.due
            && !current.begun
        {
            if now >= due - LEAD && current.exclusion.is_none() {
                current.exclusion = Some(now);
                self.exclusion.begin(now);
            }
            if now >= due {
                current.begun = true;
                self.runner.signal(current.index, Signal::Steady);
            }
        }
        std::mem::take(&mut self.notices)
    }

    /// The run is to end early.
    pub fn stop(&mut self, reason: &str) {
        if let Some(current) = &mut self.current {
            current.stopped = true;
        }
        self.runner.stop(reason);
    }

    /// No more load is sent, and nothing is under way any more: waits until the drill that is has healed what it
    /// broke. `tell` hears what is to be told meanwhile; who `asks` for an end gets it as soon as all is healed.
    pub fn finish(mut self, now: Nanos, asks: &dyn Fn() -> bool, tell: &mut dyn FnMut(String)) -> Vec<DrillFacts> {
        self.load_ended = Some(now);
        self.hear();
        if let Some(current) = &mut self.current {
            let drill = self.plan.drills.get(current.index);
            let watch = drill.map_or(Nanos::ZERO, |drill| drill.watch);
            // A fault that came late may be watched a moment beyond the load.
            current.watched |= current.fault.is_some_and(|fault| fault + watch <= now + LATE);
        }
        self.end_watch();
        let mut asked = false;
        while self.current.is_some() && !self.runner.is_over() {
            if asks() {
                if !std::mem::replace(&mut asked, true) {
                    tell("interrupted: what is broken is healed first".into());
                }
                self.stop("interrupted");
            } else if !self.ends_by_itself() {
                self.stop("the load has ended");
            }
            if let Some(word) = self.runner.next_word(LOOK) {
                self.take(word);
            }
            std::mem::take(&mut self.notices).into_iter().for_each(&mut *tell);
        }
        self.hear();
        std::mem::take(&mut self.notices).into_iter().for_each(&mut *tell);
        std::mem::take(&mut self.facts)
    }

    fn hear(&mut self) {
        let words: Vec<Word> = self.runner.words().collect();
        for word in words {
            self.take(word);
        }
    }

    /// Everything was watched: the drill hears so, once, and whether its scope serves again.
    fn end_watch(&mut self) {
        let Some(current) = &mut self.current else { return };
        let Some(drill) = self.plan.drills.get(current.index) else { return };
        let Some(fault) = current.fault.filter(|_| current.watched && current.stage == Stage::Watching) else { return };
        if !current.said_enough {
            current.said_enough = true;
            let until = fault + drill.watch;
            let watched = Watched { fault, until, restored_after: drill.restored_after, clock_bound: Nanos::ZERO };
            let restored = current.watch.restored(&drill.scope, &watched);
            self.runner.signal(current.index, Signal::Watched(restored));
        }
    }

    /// Whether the drill that is under way ends by itself: all was watched, and it only heals.
    fn ends_by_itself(&self) -> bool {
        let Some(current) = &self.current else { return true };
        let held = self.plan.drills.get(current.index).is_some_and(|drill| drill.hold.is_some());
        match current.stage {
            Stage::Verifying | Stage::Ended => true,
            Stage::Healing => current.watched || !held,
            Stage::Watching => current.watched,
            Stage::Waiting | Stage::Planning | Stage::Injecting | Stage::Holding => false,
        }
    }

    fn take(&mut self, word: Word) {
        match word {
            Word::Mark(index, mark) => self.mark(index, mark),
            Word::Ended(index, outcome, detection) => self.ended(index, &outcome, detection),
        }
    }

    fn mark(&mut self, index: usize, mark: Mark) {
        let at = mark.at.run;
        let plan = Arc::clone(&self.plan);
        let (Some(current), Some(drill)) = (&mut self.current, plan.drills.get(index)) else { return };
        if current.index != index {
            return;
        }
        let before = std::mem::replace(&mut current.stage, mark.stage);
        let mut event = |kind| self.events.push(WindowEvent { at, drill: drill.name.clone(), kind });
        let healed = before == Stage::Healing;
        match mark.stage {
            Stage::Injecting => {
                current.fault = Some(at);
                current.watch.fault(at);
                event(EventKind::FaultIssued);
            }
            Stage::Holding => event(EventKind::FaultAcknowledged),
            Stage::Watching if before == Stage::Injecting => event(EventKind::FaultAcknowledged),
            Stage::Healing => {
                if before == Stage::Watching {
                    event(EventKind::WatchEnded);
                }
                event(EventKind::HealIssued);
            }
            Stage::Watching | Stage::Verifying if healed => {
                current.healed = Some(at);
                event(EventKind::Healed);
            }
            Stage::Verifying | Stage::Ended if before == Stage::Watching => event(EventKind::WatchEnded),
            _ => {}
        }
        let breaks = self.breaks.get(index).map_or("", String::as_str);
        self.notices.extend(words(drill, &mark, before, breaks));
        self.end_watch();
    }

    fn ended(&mut self, index: usize, outcome: &Outcome, detection: Detection) {
        let plan = Arc::clone(&self.plan);
        let Some(drill) = plan.drills.get(index) else { return };
        let Some(current) = self.current.take() else { return };
        let at = outcome.marks.last().map_or(Nanos::ZERO, |mark| mark.at.run);
        if current.exclusion.is_some() {
            self.exclusion.end(at);
        }
        let wrong = || outcome.conclusion.wrong.join("; ");
        if outcome.conclusion.left_broken() {
            self.notices.push(format!(
                "drill {}: HEALING FAILED, something is left broken: {}; `slatest drill heal` on this run's folder tries again",
                drill.name,
                wrong()
            ));
        } else if !outcome.conclusion.wrong.is_empty() {
            self.notices.push(format!("drill {}: {}", drill.name, wrong()));
        }
        let detected = match detection {
            Ok(detected) => detected.map(|found| (found.at, found.alert)),
            Err(error) => {
                let notice = format!("drill {}: when it was detected is not known: {error}", drill.name);
                self.notices.push(notice);
                None
            }
        };
        let steady = current.steady.as_ref().filter(|_| current.due.is_none());
        let end = match outcome.conclusion.injection {
            Injection::No => {
                let state = steady.map(|steady| format!(" ({})", steady.why_not())).unwrap_or_default();
                DrillEnd::NotStarted(format!("{}{state}", wrong()))
            }
            Injection::Unsure if current.stopped => DrillEnd::Interrupted,
            Injection::Unsure => DrillEnd::InjectFailed(wrong()),
            Injection::Yes if current.watched && (current.said_enough || !current.stopped) => DrillEnd::Watched,
            Injection::Yes => DrillEnd::Interrupted,
        };
        let issued = outcome.injected.as_ref().map(|injected| injected.issued.run).or(current.fault);
        let over = issued.map_or(at, |issued| issued + drill.watch);
        self.facts.push(DrillFacts {
            drill: index,
            end,
            issued,
            acknowledged: outcome.injected.as_ref().map(|injected| injected.acknowledged.run),
            reported: outcome.injected.as_ref().and_then(|injected| Some(injected.reported.as_ref()?.run)),
            detected,
            heal: match outcome.conclusion.healing {
                Healing::NotNeeded => Heal::Nothing,
                Healing::Healed => Heal::Done(current.healed.unwrap_or(at)),
                Healing::Manual => Heal::ByHand,
                Healing::Failed => Heal::Failed(wrong()),
            },
            watched_until: over.min(self.load_ended.unwrap_or(over)).min(at),
            clock_bound: Nanos::ZERO,
            cells: current.watch.into_cells(),
            ledgers: Vec::new(),
            exclusion: current.exclusion.map(|from| (from, at)),
        });
        self.wait_for(index + 1, at);
    }
}

/// What a stage means to those who watch.
fn words(drill: &DrillPlan, mark: &Mark, before: Stage, breaks: &str) -> Option<String> {
    let name = &drill.name;
    let said = match mark.stage {
        Stage::Waiting => match drill.start {
            DrillStart::At(_) => return None,
            DrillStart::AfterSteady { windows, .. } => {
                format!("drill {name}: waits for {windows} windows in which every objective holds")
            }
        },
        Stage::Injecting => format!("drill {name}: {breaks}"),
        Stage::Holding => format!("drill {name}: broken; held for {}", drill.hold.unwrap_or_default()),
        Stage::Watching if before == Stage::Injecting => format!("drill {name}: broken; watches for {}", drill.watch),
        Stage::Healing => format!("drill {name}: heals"),
        Stage::Watching | Stage::Verifying if before == Stage::Healing => format!("drill {name}: healed"),
        Stage::Planning | Stage::Watching | Stage::Verifying | Stage::Ended => return None,
    };
    Some(said)
}
