//! slatest: load generation and SLA verification.

pub mod cli;
pub mod driver;
pub mod engine;
pub mod measure;
pub mod model;
pub mod objective;
pub mod profile;
pub mod report;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod schedule;
pub mod source;
pub mod store;
pub mod target;
pub mod workload;
