//! slatest: load generation and SLA verification.

pub mod cli;
pub mod driver;
pub mod model;
pub mod source;
pub mod target;
pub mod workload;
