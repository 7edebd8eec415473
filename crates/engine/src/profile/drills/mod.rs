//! Drills: what a profile breaks on purpose, when, and what must hold after it.

mod plan;
mod resolve;
mod spec;

pub use plan::{CountedObjective, DrillPlan, DrillStart, RecoveryPlan};
pub(super) use resolve::{Stage, resolve};
pub use spec::{DrillSpec, RecoverySpec};
