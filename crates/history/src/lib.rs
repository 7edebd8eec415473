//! Runs beside each other and night after night: what the folders of results say together.
//!
//! | module | purpose |
//! |---|---|
//! | `conditions` | whether two runs are alike enough to be compared, and what differs |
//! | `comparison` | two runs, operation by operation |
//! | `runs` | the runs under a folder, in the order of time |
//! | `trend` | the last nights of a profile against those before |
//!
//! Nothing here writes: folders of results stay as they are.

// A print that fails panics: `slatest_core::terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod comparison;
mod conditions;
mod error;
mod runs;
#[cfg(test)]
mod tests;
mod trend;

pub use comparison::{BETWEEN_RUNS, Comparison, Figure, Row, compare_runs};
pub use conditions::{Difference as ConditionDifference, differences};
pub use error::HistoryError;
pub use runs::{Listed, Runs, list};
pub use trend::{Course, Said, Trend, trend};
