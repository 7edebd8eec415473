//! Many machines: a coordinator with its agents, and results merged without loss.

pub mod codec;
pub mod fleet;
pub mod identity;
pub mod journal;
pub mod wire;

/// Version of the protocol. A peer of another one is refused.
pub const PROTOCOL: u32 = 1;
