//! What a drill does when: a state machine without clocks, tasks or faults, so that all of its ways can be
//! tried. It says what is to be done; who does it says how that ended.
//!
//! ```text
//! Waiting ─► Planning ─► Injecting ─► Holding ─► Healing ─► Watching ─► Verifying ─► Ended     (with `hold`)
//! Waiting ─► Planning ─► Injecting ─► Watching ─► Healing ─► Verifying ─► Ended                (without)
//! ```
//!
//! From wherever something was injected, or may have been, every way leads through Healing: a stop, a step
//! that fails, a step that takes too long, an injection that failed. Healing is asked for once, has a time of
//! its own that nothing shortens, and its failure is the drill's, whatever else went well.

use serde::{Deserialize, Serialize};

use slatest_core::model::Nanos;

/// Longest times of a drill's steps. What is due at once can be as short as one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Longest wait for a steady state; then the drill doesn't start.
    pub steady_within: Nanos,
    /// Longest that looking at the fault and injecting it may take, each.
    pub inject_within: Nanos,
    /// How long the fault is held before it is healed. Without one it is healed at the end of the watch: the
    /// platform is to recover by itself.
    pub hold: Option<Nanos>,
    /// How long the recovery is watched, at most.
    pub watch: Nanos,
    /// Longest that healing may take.
    pub heal_within: Nanos,
    /// Longest that the look afterwards may take.
    pub verify_within: Nanos,
    /// Who heals.
    pub heal: HealBy,
}

/// Who heals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealBy {
    /// The drill.
    #[default]
    Auto,
    /// A person: the drill says so at its end, and only heals what it breaks off or what failed.
    Manual,
}

impl HealBy {
    /// Whether the drill heals.
    pub const fn is_auto(&self) -> bool {
        matches!(self, Self::Auto)
    }
}

/// Where a drill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// For a steady state.
    Waiting,
    /// The fault is looked at; nothing is broken yet.
    Planning,
    /// From here on something may be broken.
    Injecting,
    /// The fault is left as it is.
    Holding,
    /// The recovery is watched.
    Watching,
    /// It is being mended.
    Healing,
    /// It is looked whether it is.
    Verifying,
    /// Nothing more comes.
    Ended,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The state is steady: inject.
    Steady,
    /// The fault can be injected, or why not.
    Planned(Result<(), String>),
    /// It was injected, or why not.
    Injected(Result<(), String>),
    /// Everything was watched that was to be; whether it was seen to be restored.
    Watched(bool),
    /// It was healed, or why not.
    Healed(Result<(), String>),
    /// The look afterwards found it sound, or not.
    Verified(Result<(), String>),
    /// The run ends (Ctrl-C, an aborted run).
    Stop(String),
    /// Time passes.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Look whether it can be injected.
    Plan,
    /// Inject.
    Inject,
    /// Heal.
    Heal,
    /// Look whether it is sound.
    Verify,
}

/// How a drill ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conclusion {
    /// Whether it was injected.
    pub injection: Injection,
    /// Whether what was watched for came within its time.
    pub restored: bool,
    /// Whether it was healed.
    pub healing: Healing,
    /// What went wrong, in the order in which it did.
    pub wrong: Vec<String>,
}

/// Whether a fault was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Injection {
    /// Never tried.
    No,
    /// Tried, and it failed or took too long: it may have had its effect.
    Unsure,
    /// It was.
    Yes,
}

/// Whether a fault was healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Healing {
    /// Nothing was to be healed.
    NotNeeded,
    /// It was.
    Healed,
    /// A person is to heal it.
    Manual,
    /// It failed: something is left broken.
    Failed,
}

impl Conclusion {
    /// Whether something is left broken, that was to be mended: to be said as loudly as can be.
    pub fn left_broken(&self) -> bool {
        self.healing == Healing::Failed
    }

    /// Whether it went as planned. Whether the platform recovered in time is for objectives to say.
    pub fn as_planned(&self) -> bool {
        self.injection == Injection::Yes && self.healing != Healing::Failed && self.wrong.is_empty()
    }
}

/// A drill's steps.
#[derive(Clone, Debug)]
pub struct Steps {
    timing: Timing,
    stage: Stage,
    entered: Nanos,
    broken_off: bool,
    conclusion: Conclusion,
}

impl Steps {
    /// A drill that begins to wait at `now`.
    pub fn new(timing: Timing, now: Nanos) -> Self {
        let conclusion =
            Conclusion { injection: Injection::No, restored: false, healing: Healing::NotNeeded, wrong: Vec::new() };
        Self { timing, stage: Stage::Waiting, entered: now, broken_off: false, conclusion }
    }

    /// Where it is.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// When the present stage is over at the latest; a tick is due then.
    pub fn deadline(&self) -> Option<Nanos> {
        let length = match self.stage {
            Stage::Waiting => self.timing.steady_within,
            Stage::Planning | Stage::Injecting => self.timing.inject_within,
            Stage::Holding => self.timing.hold.unwrap_or(Nanos::ZERO),
            Stage::Watching => self.timing.watch,
            Stage::Healing => self.timing.heal_within,
            Stage::Verifying => self.timing.verify_within,
            Stage::Ended => return None,
        };
        Some(self.entered + length)
    }

    /// How it ended, when it has.
    pub fn conclusion(&self) -> Option<&Conclusion> {
        (self.stage == Stage::Ended).then_some(&self.conclusion)
    }

    /// Takes what happened at `now` and says what is to be done. News that don't fit the stage are late and
    /// change nothing.
    pub fn take(&mut self, now: Nanos, news: News) -> Option<Act> {
        match (self.stage, news) {
            (Stage::Waiting, News::Steady) => self.enter(now, Stage::Planning),
            (Stage::Planning, News::Planned(Ok(()))) => self.enter(now, Stage::Injecting),
            (Stage::Planning, News::Planned(Err(reason))) => self.wrong(now, Stage::Ended, reason),
            (Stage::Injecting, News::Injected(Ok(()))) => {
                self.conclusion.injection = Injection::Yes;
                let next = if self.timing.hold.is_some() { Stage::Holding } else { Stage::Watching };
                self.enter(now, next)
            }
            (Stage::Injecting, News::Injected(Err(reason))) => self.broken_off(now, reason),
            (Stage::Watching, News::Watched(restored)) => {
                self.conclusion.restored = restored;
                self.after_watch(now)
            }
            (Stage::Healing, News::Healed(Ok(()))) => {
                self.conclusion.healing = Healing::Healed;
                let watch = self.timing.hold.is_some() && !self.broken_off;
                self.enter(now, if watch { Stage::Watching } else { Stage::Verifying })
            }
            (Stage::Healing, News::Healed(Err(reason))) => {
                self.conclusion.healing = Healing::Failed;
                self.wrong(now, Stage::Verifying, format!("healing failed: {reason}"))
            }
            (Stage::Verifying, News::Verified(Ok(()))) => self.enter(now, Stage::Ended),
            (Stage::Verifying, News::Verified(Err(reason))) => {
                // What should be sound and isn't was not healed, whatever healing said.
                if self.conclusion.healing == Healing::Healed {
                    self.conclusion.healing = Healing::Failed;
                }
                self.wrong(now, Stage::Ended, format!("not seen to be sound afterwards: {reason}"))
            }
            (Stage::Waiting | Stage::Planning, News::Stop(reason)) => {
                self.wrong(now, Stage::Ended, format!("stopped before anything was injected: {reason}"))
            }
            // While it is being injected, the answer is waited for: a heal beside it would race it.
            (Stage::Injecting, News::Stop(reason)) => {
                self.broken_off = true;
                self.conclusion.wrong.push(format!("stopped while it was being injected: {reason}"));
                None
            }
            // What was held is watched after it was healed: no more.
            (Stage::Healing, News::Stop(reason)) if self.timing.hold.is_some() && !self.broken_off => {
                self.broken_off = true;
                self.conclusion.wrong.push(format!("stopped while it was being healed: {reason}"));
                None
            }
            (Stage::Holding, News::Stop(reason)) => self.broken_off(now, format!("stopped: {reason}")),
            (Stage::Watching, News::Stop(reason)) => match self.conclusion.healing {
                Healing::Healed => self.wrong(now, Stage::Verifying, format!("stopped: {reason}")),
                _ => self.broken_off(now, format!("stopped: {reason}")),
            },
            (_, News::Tick) if self.deadline().is_some_and(|deadline| now >= deadline) => self.late(now),
            _ => None,
        }
    }

    /// The stage's time is over.
    fn late(&mut self, now: Nanos) -> Option<Act> {
        match self.stage {
            Stage::Waiting => {
                let length = self.timing.steady_within;
                self.wrong(now, Stage::Ended, format!("no steady state within {length}: nothing was injected"))
            }
            Stage::Planning => {
                let length = self.timing.inject_within;
                self.wrong(now, Stage::Ended, format!("looking at it took longer than {length}: nothing was injected"))
            }
            Stage::Injecting => {
                let length = self.timing.inject_within;
                self.broken_off(now, format!("injecting took longer than {length}; it may have had its effect"))
            }
            Stage::Holding => self.enter(now, Stage::Healing),
            Stage::Watching => self.after_watch(now),
            Stage::Healing => {
                self.conclusion.healing = Healing::Failed;
                let length = self.timing.heal_within;
                self.wrong(now, Stage::Verifying, format!("healing took longer than {length}"))
            }
            Stage::Verifying => {
                let length = self.timing.verify_within;
                self.take(now, News::Verified(Err(format!("within {length}"))))
            }
            Stage::Ended => None,
        }
    }

    fn after_watch(&mut self, now: Nanos) -> Option<Act> {
        let healed = self.conclusion.healing == Healing::Healed;
        self.enter(now, if healed { Stage::Verifying } else { Stage::Healing })
    }

    /// Something may be broken, and the drill doesn't go on as planned: it is healed now, whoever was to.
    fn broken_off(&mut self, now: Nanos, reason: String) -> Option<Act> {
        self.broken_off = true;
        self.wrong(now, Stage::Healing, reason)
    }

    fn wrong(&mut self, now: Nanos, next: Stage, reason: String) -> Option<Act> {
        self.conclusion.wrong.push(reason);
        self.enter(now, next)
    }

    fn enter(&mut self, now: Nanos, stage: Stage) -> Option<Act> {
        let stage = match stage {
            // A stop came while it was being injected.
            Stage::Holding | Stage::Watching if self.broken_off => Stage::Healing,
            Stage::Healing if self.timing.heal == HealBy::Manual && !self.broken_off => {
                self.conclusion.healing = Healing::Manual;
                // What nobody has healed yet can't be seen to be sound.
                match self.timing.hold.is_some() && self.stage == Stage::Holding {
                    true => Stage::Watching,
                    false => Stage::Ended,
                }
            }
            stage => stage,
        };
        self.stage = stage;
        self.entered = now;
        match stage {
            Stage::Planning => Some(Act::Plan),
            Stage::Injecting => {
                self.conclusion.injection = Injection::Unsure;
                Some(Act::Inject)
            }
            Stage::Healing => {
                // Until it is known better: a guard may ask at any time.
                self.conclusion.healing = Healing::Failed;
                Some(Act::Heal)
            }
            Stage::Verifying => Some(Act::Verify),
            Stage::Waiting | Stage::Holding | Stage::Watching | Stage::Ended => None,
        }
    }
}

#[cfg(test)]
mod tests;
