//! An agent: joins a coordinator, makes its part of the load, and hands over what it measured.
//!
//! ```text
//! coordinator ◄──► connection (reads, answers pings) ──words──► agent_loop ──orders──► generator (engine)
//!                    ▲                                           │      ▲                  │
//!                    └────────intervals, in order─────────────── outbox  └──windows, end────┘
//! ```

mod agent_loop;
mod attend;
mod backoff;
mod clock;
mod connection;
mod deadman;
mod dial;
mod generator;
mod interval;
mod leaving;
mod news;
mod outbox;
mod part;
mod settings;
mod state;

pub use agent_loop::{AgentDeps, live};
pub use attend::{attend, attend_through};
pub use backoff::Backoff;
pub use clock::AgentClock;
pub use connection::{ConnectionError, Dial, Incoming, Outgoing};
pub use deadman::{Deadman, SILENCE_MAX};
pub use generator::{EngineGenerator, Failure, FailureKind, Generator, Ledger, Made, SimulatedGenerator, Task};
pub use news::{AgentEnd, AgentError, AgentNews, Ending};
pub use outbox::{Membership, Outbox, OutboxError};
pub use settings::{AgentSettings, Credentials, PATIENCE};

#[cfg(test)]
mod tests;
