//! slatest: load generation and SLA verification.

pub mod cli;
pub mod driver;
pub mod engine;
pub mod measure;
pub mod model;
pub mod profile;
pub mod schedule;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod source;
pub mod target;
pub mod workload;
