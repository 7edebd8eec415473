//! The highest rate at which the objectives of a scenario still pass, found by steps of steady load.

mod report;
mod search;
mod step;

pub use report::{CapacityReport, Step, VERSION};
pub use search::{Ceiling, End, Limits, Next, Search, StepVerdict};
pub use step::{StepError, step_plan};
