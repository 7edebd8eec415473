//! Many machines: a coordinator with its agents, and results merged without loss.

// A print that fails panics: `slatest_core::terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg(feature = "kubernetes")]
pub mod kubernetes;

pub mod agent;
pub mod bundle;
pub mod client;
pub mod codec;
pub mod coordinator;
pub mod fleet;
pub mod identity;
pub mod journal;
pub mod lead;
pub mod service;
pub mod transport;
pub mod wire;

/// Version of the protocol. A peer of another one is refused.
pub const PROTOCOL: u32 = 1;

/// Header of a refusal: whether the same agent may come again.
const REFUSAL: &str = "slatest-refusal";
/// It need not.
const REFUSED_FOR_GOOD: &str = "final";
/// It may, by a new connection.
const REFUSED_FOR_NOW: &str = "again";
