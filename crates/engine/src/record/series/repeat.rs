//! What is kept of one repeat: enough to tell all of them side by side. Everything else stands in its run's folder.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::record::{RunRecord, Status};
use slatest_core::model::{Nanos, Verdict};
use slatest_stats::{Asked, DrillEnd, Heal, JudgedDrill, JudgedPart, JudgedRecovery, Outage, Went};

/// One repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repeat {
    /// Which, from 1.
    pub number: u64,
    /// Its seed.
    pub seed: u64,
    /// Id of its run; its folder lies beside the series'.
    pub run: String,
    /// When it started.
    pub started: Timestamp,
    /// How long it ran.
    pub length: Nanos,
    /// How far it came.
    pub status: Status,
    /// What is said of the run as a whole: its drills, its other objectives and itself.
    pub verdict: Verdict,
    /// What that rests on.
    #[serde(alias = "words")]
    pub message: String,
    /// Its drills.
    pub drills: Vec<DrillRepeat>,
}

/// One drill of a repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillRepeat {
    /// Its name.
    pub name: String,
    /// What was broken, in words.
    pub fault: String,
    /// What became of it.
    pub end: DrillEnd,
    /// Whether the fault was injected.
    pub injected: bool,
    /// When an alert fired, counted from the fault, and which.
    pub detected: Option<(Nanos, String)>,
    /// What became of the heal.
    pub heal: Heal,
    /// What is said of it.
    pub verdict: Verdict,
    /// What it did to each component.
    pub components: Vec<ComponentRepeat>,
    /// What was lost; `None` where no ledger was kept.
    pub losses: Option<LossRepeat>,
    /// Its objectives.
    pub objectives: Vec<ObjectiveRepeat>,
}

/// What a fault did to one component. Times are counted from the fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentRepeat {
    /// The scope, or an operation's address.
    pub name: String,
    /// When the first operation failed.
    pub first_error: Option<Nanos>,
    /// The outage with its bounds; `None` where the fault did nothing.
    pub outage: Option<Outage>,
    /// Length of all bad windows.
    pub bad: Nanos,
    /// Length of all unknown windows.
    pub unknown: Nanos,
    /// How often it turned bad.
    pub spells: u64,
}

/// What was lost in one repeat, of the writes of all scenarios.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossRepeat {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Of these, how many could not be asked for: they may be lost.
    pub unreadable: u64,
    /// Lost ones that were acknowledged before the fault.
    pub lost_before: u64,
    /// Lost ones that were acknowledged after it.
    pub lost_after: u64,
    /// Writes of which nobody can tell whether they were acknowledged.
    pub unknown: u64,
    /// Stores that could not be read back: nothing is known of their writes.
    pub unread: u64,
    /// The recovery point, of the scenario with the longest.
    pub recovery_point: Nanos,
}

impl LossRepeat {
    fn of(drill: &JudgedDrill) -> Option<Self> {
        let mut sum = Self::default();
        for ledger in &drill.ledger {
            let Some(found) = ledger.findings() else {
                sum.unread += 1;
                continue;
            };
            sum.acknowledged += found.acknowledged;
            sum.unreadable += found.unreadable;
            sum.lost_before += found.lost.count;
            sum.lost_after += found.lost_after_fault.count;
            sum.unknown += found.unknown;
            sum.recovery_point = sum.recovery_point.max(found.recovery_point);
        }
        (!drill.ledger.is_empty()).then_some(sum)
    }

    /// Lost ones in all.
    pub const fn lost(&self) -> u64 {
        self.lost_before.saturating_add(self.lost_after)
    }
}

/// A recovery objective in one repeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectiveRepeat {
    /// Its name.
    pub name: String,
    /// Its scope as written.
    pub scope: String,
    /// What it asks, each judged.
    pub parts: Vec<JudgedPart>,
    /// The worst of these.
    pub verdict: Verdict,
    /// What the repeat says of it.
    pub went: Went,
}

impl Repeat {
    /// What is kept of a run.
    pub(super) fn of(run: &RunRecord, number: u64, message: String) -> Self {
        let void = run.result.verdict == Verdict::Void;
        Self {
            number,
            seed: run.seed,
            run: run.id.clone(),
            started: run.started,
            length: run.result.length,
            status: run.status,
            verdict: run.result.verdict,
            message,
            drills: run.result.drills.iter().map(|drill| DrillRepeat::of(drill, void)).collect(),
        }
    }
}

impl DrillRepeat {
    fn of(drill: &JudgedDrill, void: bool) -> Self {
        let components = drill.components.iter().map(|component| ComponentRepeat {
            name: component.name.clone(),
            first_error: component.first_error,
            outage: component.outage(),
            bad: component.bad,
            unknown: component.unknown,
            spells: component.spells,
        });
        let objectives = drill.objectives.iter().map(|objective| ObjectiveRepeat {
            name: objective.name.clone(),
            scope: objective.scope.clone(),
            parts: objective.parts.clone(),
            verdict: objective.verdict,
            went: went(drill, objective, void),
        });
        Self {
            name: drill.name.clone(),
            fault: drill.fault.clone(),
            end: drill.end.clone(),
            injected: drill.issued.is_some(),
            detected: drill.detected.clone(),
            heal: drill.heal.clone(),
            verdict: drill.verdict,
            components: components.collect(),
            losses: LossRepeat::of(drill),
            objectives: objectives.collect(),
        }
    }

    /// What it did to a component.
    pub fn component(&self, name: &str) -> Option<&ComponentRepeat> {
        self.components.iter().find(|component| component.name == name)
    }

    /// The outage of a component, where there was one and it was watched: one that its user broke off says nothing of how
    /// long it would have been.
    pub fn outage(&self, component: &str) -> Option<Outage> {
        let outage = self.component(component)?.outage?;
        (self.end != DrillEnd::Interrupted || outage.time.is_some()).then_some(outage)
    }
}

/// What a repeat says of an objective.
fn went(drill: &JudgedDrill, objective: &JudgedRecovery, void: bool) -> Went {
    if void {
        return Went::Void;
    }
    match objective.verdict {
        Verdict::Pass => Went::Held,
        Verdict::Fail => Went::Missed,
        Verdict::Void => Went::Void,
        Verdict::Inconclusive if drill.issued.is_none() => Went::NothingFailed,
        Verdict::Inconclusive if !matches!(drill.end, DrillEnd::Watched | DrillEnd::Interrupted) => Went::NothingFailed,
        Verdict::Inconclusive => {
            // A fault that did nothing is no failure of what the objective promises a recovery of; windows of which
            // nothing is known may hide one.
            let asks_time = objective.parts.iter().any(|part| matches!(part.asked, Asked::Rto(_)));
            let component = drill.components.iter().find(|component| component.name == objective.scope);
            let nothing = component.is_some_and(|one| one.first_error.is_none() && one.unknown.is_zero());
            // Broken off before anything showed, it may still have come.
            let watched = drill.end == DrillEnd::Watched;
            if asks_time && nothing && watched { Went::NothingFailed } else { Went::Untold }
        }
    }
}
