//! What is said of a drill: its components, and whether its recovery objectives hold.

use serde::{Deserialize, Serialize};

use super::bounds::{ComponentRecovery, Restored};
use super::ledger::JudgedLedger;
use crate::repeats::Outage;
use slatest_core::model::{Nanos, Verdict};

/// A component of which more than one window in so many was bad before the fault was none that could recover.
const BAD_BEFORE: u64 = 10;

/// What became of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillEnd {
    /// The fault was injected, and what followed was watched to the end.
    Watched,
    /// It was not injected: why.
    NotStarted(String),
    /// The injector failed: how. What it did until then is not known.
    InjectFailed(String),
    /// The run ended while it was under way.
    Interrupted,
}

/// What became of the heal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heal {
    /// There was nothing to heal: the fault was not injected.
    #[default]
    Nothing,
    /// It is done, at this instant of the run's clock.
    Done(Nanos),
    /// It failed: how. The target is left as it is.
    Failed(String),
    /// The profile leaves it to people.
    ByHand,
    /// The journal of a run without an end knows of no healing: in words. The target is left as it is.
    Open(String),
}

/// What a recovery objective asks, one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// Recovery time below this.
    Rto(Nanos),
    /// Recovery point below this.
    Rpo(Nanos),
    /// At most so many acknowledged writes lost.
    LostWrites(u64),
}

/// One thing that a recovery objective asks, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedPart {
    /// What was asked.
    pub asked: Asked,
    /// What was measured, in words.
    pub measured: String,
    /// Pass, fail, or inconclusive.
    pub verdict: Verdict,
    /// Why, where a reader needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "words")]
    pub message: Option<String>,
}

impl JudgedPart {
    /// What was asked, as it is shown: `recovery time < 60 s`.
    pub fn bound_text(&self) -> String {
        match self.asked {
            Asked::Rto(rto) => format!("recovery time < {rto}"),
            Asked::Rpo(rpo) => format!("recovery point < {rpo}"),
            Asked::LostWrites(0) => "no acknowledged write lost".into(),
            Asked::LostWrites(most) => format!("at most {most} acknowledged writes lost"),
        }
    }
}

/// A recovery objective, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedRecovery {
    /// Its name.
    pub name: String,
    /// Its scope as written.
    pub scope: String,
    /// What it asks, each judged.
    pub parts: Vec<JudgedPart>,
    /// The worst of these.
    pub verdict: Verdict,
}

/// One drill, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedDrill {
    /// Its name.
    pub name: String,
    /// What was broken, in words.
    pub fault: String,
    /// What became of it.
    pub end: DrillEnd,
    /// When the injector was called, on the run's clock: t_fault.
    pub issued: Option<Nanos>,
    /// When it said that it was done.
    pub acknowledged: Option<Nanos>,
    /// When it happened, as the provider says.
    pub reported: Option<Nanos>,
    /// When an alert fired, counted from the fault, and which.
    pub detected: Option<(Nanos, String)>,
    /// What became of the heal.
    pub heal: Heal,
    /// What it did: the drill's scope, those of its objectives, each operation, and the whole.
    pub components: Vec<ComponentRecovery>,
    /// What the ledger of each scenario's writes came to; empty where none was kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ledger: Vec<JudgedLedger>,
    /// Its objectives.
    pub objectives: Vec<JudgedRecovery>,
    /// The worst of its objectives; a heal that failed is a fail, and what the ledgers found may be one without being
    /// asked ([`JudgedLedger::flaws`]).
    pub verdict: Verdict,
}

impl ComponentRecovery {
    /// Whether it did not serve before the fault: then there is nothing that could have recovered.
    pub const fn was_bad_before(&self) -> bool {
        self.bad_before.0.saturating_mul(BAD_BEFORE) > self.known_before.0
    }

    /// The outage; `None` where the fault did nothing, or it was none that could end.
    pub fn outage(&self) -> Option<Outage> {
        if self.first_error.is_none() || self.was_bad_before() {
            return None;
        }
        Some(match self.restored {
            Some(Restored { after, lower, upper }) => Outage { lower, time: Some(after), upper: Some(upper) },
            None => Outage { lower: self.down_until, time: None, upper: None },
        })
    }
}

/// Judges a recovery time: a pass when its upper bound is under the target, a fail when its lower bound is not, else
/// inconclusive; so is a fault that did nothing. What was not restored while it was watched fails when it was
/// still down at the target.
pub fn judge_rto(component: &ComponentRecovery, rto: Nanos) -> JudgedPart {
    let part = |measured: String, verdict, message: Option<String>| JudgedPart {
        asked: Asked::Rto(rto),
        measured,
        verdict,
        message,
    };
    if component.was_bad_before() {
        let message = format!(
            "`{}` was bad for {} of the {} that are known from before the fault: what is no service can't recover",
            component.name, component.bad_before, component.known_before
        );
        return part("bad before the fault".into(), Verdict::Inconclusive, Some(message));
    }
    if component.first_error.is_none() {
        let known = component.watched - component.unknown;
        let message = if known.is_zero() {
            let reason = match component.fewest {
                Some(fewest) => format!("no window held the {fewest} operations that it takes to see an outage"),
                None => "too little was measured before the fault to know what is usual".into(),
            };
            format!("nothing is known of `{}`: {reason}", component.name)
        } else if component.unknown.is_zero() {
            format!("the fault did nothing to `{}` that its users felt", component.name)
        } else {
            format!("the fault did nothing that shows, and {} are unknown", component.unknown)
        };
        return part("nothing happened".into(), Verdict::Inconclusive, Some(message));
    }
    let again = (!component.bad_again.is_zero())
        .then(|| format!("it did not stay so: bad for {} more after that", component.bad_again));
    match component.restored {
        Some(restored) => {
            let measured = format!("{} ({} – {})", restored.after, restored.lower, restored.upper);
            if restored.upper < rto {
                part(measured, Verdict::Pass, again)
            } else if restored.lower >= rto {
                part(measured, Verdict::Fail, again)
            } else {
                let message = format!(
                    "the target lies within the bounds{}",
                    again.map_or_else(String::new, |a| format!("; {a}"))
                );
                part(measured, Verdict::Inconclusive, Some(message))
            }
        }
        None => {
            let measured = format!("not restored within {}", component.watched);
            if component.down_until >= rto {
                let message = format!("still down after {}", component.down_until);
                part(measured, Verdict::Fail, Some(message))
            } else {
                let message = format!(
                    "last seen down after {}, and no row of good windows since: watch for longer",
                    component.down_until
                );
                part(measured, Verdict::Inconclusive, Some(message))
            }
        }
    }
}
