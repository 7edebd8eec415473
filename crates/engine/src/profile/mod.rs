//! Profiles: YAML in, a checked [`Plan`] out. Every mistake of a user is caught here, with its file,
//! line and a way out. Knows no protocol.

mod addresses;
mod draft;
mod drills;
mod executor;
mod file;
mod library;
mod limits;
mod objectives;
mod overrides;
mod plan;
mod resolve;
#[cfg(any(test, feature = "samples"))]
mod sample;
mod scenario;
mod written;

pub use addresses::{AddressNeed, addresses_needed};
pub use drills::{CountedObjective, DrillPlan, DrillSpec, DrillStart, RecoveryPlan, RecoverySpec};
pub use file::{
    AbortOnFail, BoundValue, Each, ExecutorKind, IndicatorKind, Mix, ObjectiveSpec, OnAgentLoss, OnCoordinatorLoss,
    ProfileFile, RateCounts, ScenarioSpec, StageSpec, StageTarget,
};
pub use library::{Library, Shelf};
pub use limits::peak_rate;
pub use overrides::Overrides;
pub use plan::{Aim, ExecutorPlan, MixItem, ObjectivePlan, OperationPlan, Plan, PlanStep, ScenarioPlan};
pub use resolve::{Resolved, resolve};
pub use slatest_core::schedule::{ArrivalLaw, StagePlan};

/// A target file (`targets/*.yaml`) with the endpoints of all protocols and the faults of all injectors.
pub type Target = slatest_faults::Target<slatest_drivers::Endpoint>;
