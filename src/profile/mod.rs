//! Profiles: YAML in, a checked [`Plan`] out. Every mistake of a user is caught here, with its file,
//! line and a way out. Knows no protocol.

mod file;
mod plan;
mod written;

pub use crate::schedule::{ArrivalLaw, StagePlan};
pub use file::{
    BoundValue, Each, ExecutorKind, IndicatorKind, Mix, ObjectiveSpec, ProfileFile, ScenarioSpec, StageSpec,
    StageTarget,
};
pub use plan::{Aim, ExecutorPlan, MixItem, ObjectivePlan, OperationPlan, Plan, PlanStep, ScenarioPlan};
