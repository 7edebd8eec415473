//! The highest rate at which the objectives of a scenario still pass, found by steps of steady load.

mod account;
mod search;
mod step;

pub use account::{Account, Measured, VERSION};
pub use search::{Ceiling, End, Limits, Next, Search, Seen};
pub use step::{StepError, step_plan};
