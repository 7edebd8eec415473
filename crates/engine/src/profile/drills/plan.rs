//! Drills and recovery objectives, resolved.

use serde::{Deserialize, Serialize};

use crate::profile::plan::{Aim, ObjectivePlan, Plan};
use slatest_core::measure::Counter;
use slatest_core::model::{Nanos, OperationId};
use slatest_faults::FaultSpec;
use slatest_faults::steps::HealBy;
use slatest_stats::{Asked, Component, Promise, Reading, SteadyLimit, fewest_operations};

/// When a fault is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillStart {
    /// At this instant of the run.
    At(Nanos),
    /// When every objective has held for so many windows in a row.
    AfterSteady {
        /// How many.
        windows: u64,
        /// How long that may take, from the end of the drill before (or the start of the run).
        within: Nanos,
    },
}

/// A drill, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrillPlan {
    /// Its name.
    pub name: String,
    /// When the fault is injected.
    pub start: DrillStart,
    /// Name of the target's fault; `None` where it is written in the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What is broken, as written in the target or the profile.
    pub injector: FaultSpec,
    /// How long the fault lasts before it is healed; `None`: until nothing is watched any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Nanos>,
    /// Who heals it.
    pub heal: HealBy,
    /// How long is watched.
    pub watch: Nanos,
    /// How many good windows in a row are a recovery.
    pub restored_after: u64,
    /// As written.
    pub scope: String,
    /// Operations in scope; never empty.
    pub operations: Vec<OperationId>,
    /// What must hold after it.
    pub objectives: Vec<RecoveryPlan>,
}

/// A recovery objective, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveryPlan {
    /// Its name.
    pub name: String,
    /// As written, or the drill's.
    pub scope: String,
    /// Operations in scope; never empty.
    pub operations: Vec<OperationId>,
    /// What it asks; never empty.
    pub asks: Vec<Asked>,
}

impl RecoveryPlan {
    /// Its recovery time objective.
    pub fn rto(&self) -> Option<Nanos> {
        self.asks.iter().find_map(|asked| match asked {
            Asked::Rto(rto) => Some(*rto),
            _ => None,
        })
    }
}

impl DrillPlan {
    /// What is broken, in a few words: the name of the target's fault, or the injector's.
    pub fn fault_words(&self) -> String {
        self.fault.clone().unwrap_or_else(|| self.injector.injector().to_owned())
    }

    /// The components that are watched: the drill's scope, those of its objectives, each operation of
    /// the drill's scope, and everything together as `*`. One scope stands once.
    pub fn components(&self, plan: &Plan) -> Vec<Component> {
        let mut components: Vec<Component> = Vec::new();
        let mut add = |name: &str, operations: Vec<OperationId>| {
            if !components.iter().any(|known| known.name == name) {
                let promises = plan.objectives.iter().filter_map(|objective| promise(objective, &operations)).collect();
                components.push(Component { name: name.to_owned(), operations, promises });
            }
        };
        add(&self.scope, self.operations.clone());
        for objective in &self.objectives {
            add(&objective.scope, objective.operations.clone());
        }
        for operation in &self.operations {
            if let Some(known) = plan.operations.get(operation.index()) {
                add(&known.address, vec![*operation]);
            }
        }
        let all = (0..plan.operations.len()).filter_map(|i| u16::try_from(i).ok()).map(OperationId);
        add("*", all.collect());
        components
    }
}

impl Plan {
    /// What every objective that counts operations asks of a window, for the steady state; the places where
    /// each counts stand beside it. Without one, that less than 1 % of all operations fail.
    pub fn steady_limits(&self) -> Vec<(SteadyLimit, Vec<(OperationId, Counter)>)> {
        let mut limits: Vec<_> = self
            .objectives
            .iter()
            .filter_map(|objective| {
                let counters = counters(objective, &objective.operations);
                let limit = steady_limit(
                    format!("{}: {}", objective.name, message(objective)?),
                    objective.aim.bad_share_limit()?,
                );
                Some((limit, counters))
            })
            .collect();
        if limits.is_empty() {
            let all = (0..self.operations.len()).filter_map(|i| u16::try_from(i).ok()).map(OperationId);
            let counters = all.map(|operation| (operation, Counter::Failures)).collect();
            limits.push((steady_limit("error_rate < 1%".into(), STEADY_FAILURES), counters));
        }
        limits
    }
}

/// An objective as what is counted for and against it while the run goes.
#[derive(Clone, Debug, PartialEq)]
pub struct CountedObjective {
    /// Its name.
    pub name: String,
    /// Share of bad samples that it allows, from 0 to 1.
    pub allowed: f64,
    /// Where the samples are counted.
    pub counters: Vec<(OperationId, Counter)>,
}

impl Plan {
    /// Every objective that is a share of samples: times, errors and ratios. A throughput is none.
    pub fn counted_objectives(&self) -> Vec<CountedObjective> {
        let counted = |objective: &ObjectivePlan| {
            let counters = counters(objective, &objective.operations);
            let allowed = objective.aim.bad_share_limit()?;
            (!counters.is_empty()).then(|| CountedObjective { name: objective.name.clone(), allowed, counters })
        };
        self.objectives.iter().filter_map(counted).collect()
    }
}

/// Without objectives, a steady state has fewer failures than this.
const STEADY_FAILURES: f64 = 0.01;

fn steady_limit(message: String, share: f64) -> SteadyLimit {
    SteadyLimit { message, share, fewest: fewest_operations(share).unwrap_or(u64::MAX) }
}

/// What an objective says of one operation, in words; `None` where it is a figure of the whole run, or no part of
/// serving.
fn message(objective: &ObjectivePlan) -> Option<String> {
    match &objective.aim {
        Aim::Quantile { of, quantile, below, .. } => {
            Some(format!("p{} {of} < {below}", (quantile * 1e6).round() / 1e4))
        }
        Aim::ErrorRate { below } => Some(format!("error_rate < {}", Reading::Share(*below))),
        Aim::Ratio { of, above, .. } => Some(format!("{of} > {}", Reading::Share(*above))),
        Aim::Throughput { .. } => None,
    }
}

/// Where an objective counts, of these operations.
fn counters(objective: &ObjectivePlan, operations: &[OperationId]) -> Vec<(OperationId, Counter)> {
    let place = |(position, operation): (usize, &OperationId)| {
        operations.contains(operation).then_some(())?;
        Some((*operation, objective.aim.counter(position)?))
    };
    objective.operations.iter().enumerate().filter_map(place).collect()
}

/// What an objective promises of a component; `None` where it says nothing of whether it serves. A ratio is no part
/// of serving: a cache that was restarted serves, and misses.
fn promise(objective: &ObjectivePlan, operations: &[OperationId]) -> Option<Promise> {
    let counters = counters(objective, operations);
    if counters.is_empty() || matches!(objective.aim, Aim::Ratio { .. } | Aim::Throughput { .. }) {
        return None;
    }
    Some(Promise {
        message: format!("{}: {}", objective.name, message(objective)?),
        share: objective.aim.bad_share_limit()?,
        counters,
    })
}
