//! What all repeats of a series say together.

use serde::{Deserialize, Serialize};

use super::{DrillRepeat, Repeat};
use slatest_core::model::{Nanos, Verdict};
use slatest_stats::{Asked, Distribution, Outage, Repeats, SHARES, TREND_Z, distribution, mann_kendall};

/// Fewer outages than these say nothing of a trend.
const TREND_FEWEST: usize = 8;

/// One drill, over all repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillSummary {
    /// Its name.
    pub name: String,
    /// What was broken, in words.
    pub fault: String,
    /// In how many repeats the fault was injected.
    pub injected: u64,
    /// Its objectives.
    pub objectives: Vec<ObjectiveSummary>,
    /// Its components.
    pub components: Vec<ComponentSummary>,
    /// How long it took until an alert fired, of those faults that were seen; `None` where none was.
    pub detection: Option<Distribution>,
    /// How many faults no alert was seen of.
    pub undetected: u64,
    /// What was lost; `None` where no ledger was kept.
    pub losses: Option<LossSummary>,
}

/// A recovery objective, over all repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveSummary {
    /// Its name.
    pub name: String,
    /// Its scope as written.
    pub scope: String,
    /// What it asks, in words.
    pub asks: Vec<String>,
    /// Its recovery time objective.
    pub rto: Option<Nanos>,
    /// What the repeats came to, and the outages of its scope.
    pub goes: Repeats,
    /// How the recovery times of its scope lie.
    pub recovery: Option<Distribution>,
    /// The share of failures that hold it, at least, with a confidence of 95 %.
    pub shown_share: f64,
    /// How many passes are missing for 80, 90 and 95 %.
    pub missing: Vec<Missing>,
    /// Mann and Kendall's Z of the recovery times in their order, where they have a trend: then what failed early and what
    /// failed late is not the same, and no share holds for both.
    pub trend: Option<f64>,
}

/// How many more passes a share takes, without another miss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// The share, in (0, 1).
    pub share: f64,
    /// How many; zero where it is shown.
    pub passes: Option<u64>,
}

/// A component, over all repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentSummary {
    /// The scope, or an operation's address.
    pub name: String,
    /// How its recovery times lie; `None` where nothing happened to it.
    pub recovery: Option<Distribution>,
    /// How often it was not restored while it was watched.
    pub never: u64,
    /// Most that it was bad in one repeat.
    pub bad_most: Nanos,
}

/// What was lost, over all repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossSummary {
    /// In how many repeats it was looked for.
    pub goes: u64,
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
    /// How often a store could not be read back.
    pub unread: u64,
    /// The worst recovery point.
    pub recovery_point_most: Nanos,
}

/// Every drill, in the order in which they were first seen. Repeats that are void count where they are counted, and
/// measure nothing.
pub(super) fn summaries(repeats: &[Repeat]) -> Vec<DrillSummary> {
    names(repeats.iter().flat_map(|repeat| &repeat.drills).map(|drill| drill.name.as_str()))
        .into_iter()
        .map(|name| {
            let of = |repeat: &'_ Repeat| repeat.drills.iter().position(|drill| drill.name == name);
            let all: Vec<(bool, &DrillRepeat)> = repeats
                .iter()
                .filter_map(|repeat| Some((repeat.verdict != Verdict::Void, repeat.drills.get(of(repeat)?)?)))
                .collect();
            summary(name, &all)
        })
        .collect()
}

/// `goes`: whether a repeat says something, and its drill.
fn summary(name: &str, goes: &[(bool, &DrillRepeat)]) -> DrillSummary {
    let sound: Vec<&DrillRepeat> = goes.iter().filter(|(sound, _)| *sound).map(|(_, drill)| *drill).collect();
    let detected: Vec<Outage> = sound
        .iter()
        .filter_map(|drill| drill.detected.as_ref())
        .map(|&(after, _)| Outage { lower: after, time: Some(after), upper: Some(after) })
        .collect();
    let injected = sound.iter().filter(|drill| drill.injected).count();
    DrillSummary {
        name: name.to_owned(),
        fault: goes.first().map(|(_, drill)| drill.fault.clone()).unwrap_or_default(),
        injected: injected as u64,
        objectives: objectives(goes),
        components: components(&sound),
        detection: distribution(&detected),
        undetected: injected.saturating_sub(detected.len()) as u64,
        losses: losses(&sound),
    }
}

fn objectives(goes: &[(bool, &DrillRepeat)]) -> Vec<ObjectiveSummary> {
    let every = || goes.iter().flat_map(|(_, drill)| drill.objectives.iter().map(move |one| (*drill, one)));
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (_, one) in every() {
        if !seen.contains(&(one.name.as_str(), one.scope.as_str())) {
            seen.push((&one.name, &one.scope));
        }
    }
    let summary = |(name, scope): (&str, &str)| {
        let mut sum = Repeats::default();
        let mut parts = &[][..];
        for (drill, one) in every().filter(|(_, one)| one.name == name && one.scope == scope) {
            sum.add(one.went, drill.outage(scope));
            parts = &one.parts;
        }
        let rto = parts.iter().find_map(|part| match part.asked {
            Asked::Rto(rto) => Some(rto),
            _ => None,
        });
        ObjectiveSummary {
            name: name.to_owned(),
            scope: scope.to_owned(),
            asks: parts.iter().map(|part| part.bound_text()).collect(),
            rto,
            recovery: sum.distribution(),
            shown_share: sum.shown_share(),
            missing: SHARES.map(|share| Missing { share, passes: sum.passes_missing(share) }).to_vec(),
            trend: trend(&sum.outages),
            goes: sum,
        }
    };
    seen.into_iter().map(summary).collect()
}

fn trend(outages: &[Outage]) -> Option<f64> {
    // What never ended is longer than any; several of these are alike.
    let times: Vec<f64> = outages.iter().map(|o| o.time.map_or(f64::INFINITY, Nanos::as_secs_f64)).collect();
    let z = (times.len() >= TREND_FEWEST).then(|| mann_kendall(&times))?;
    (z.abs() > TREND_Z).then_some(z)
}

fn components(goes: &[&DrillRepeat]) -> Vec<ComponentSummary> {
    names(goes.iter().flat_map(|drill| &drill.components).map(|component| component.name.as_str()))
        .into_iter()
        .map(|name| {
            let outages: Vec<Outage> = goes.iter().filter_map(|drill| drill.outage(name)).collect();
            let bad = goes.iter().filter_map(|drill| drill.component(name)).map(|component| component.bad);
            ComponentSummary {
                name: name.to_owned(),
                never: outages.iter().filter(|outage| outage.time.is_none()).count() as u64,
                bad_most: bad.max().unwrap_or_default(),
                recovery: distribution(&outages),
            }
        })
        .collect()
}

fn losses(goes: &[&DrillRepeat]) -> Option<LossSummary> {
    let mut sum = LossSummary::default();
    for drill in goes {
        let Some(losses) = &drill.losses else { continue };
        sum.goes += 1;
        sum.acknowledged += losses.acknowledged;
        sum.unreadable += losses.unreadable;
        sum.lost_before += losses.lost_before;
        sum.lost_after += losses.lost_after;
        sum.unknown += losses.unknown;
        sum.unread += losses.unread;
        sum.recovery_point_most = sum.recovery_point_most.max(losses.recovery_point);
    }
    (sum.goes > 0).then_some(sum)
}

/// Each once, in the order in which they came.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
