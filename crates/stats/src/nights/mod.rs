//! Night after night: whether tonight is as the nights before, and whether one run is as another.
//!
//! Two instruments. [`compare`] holds two runs against each other by their batches of time; it is the gate's. [`night_shift`]
//! looks at a history of nights; it is an alarm. Both say what they could not have seen.

mod compare;
mod mann_whitney;
mod moments;
mod shift;

pub use compare::{BATCHES_MAX, BATCHES_MIN, Batched, Compared, Comparing, Difference, MEANINGFUL, compare};
pub use mann_whitney::mann_whitney_greater;
pub use shift::{NIGHTS_MAX, NIGHTS_MIN, NIGHTS_RECENT, NightFacts, NightShift, Nights, night_shift};
