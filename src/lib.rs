//! slatest: load generation and SLA verification.

pub mod cli;
pub mod model;
