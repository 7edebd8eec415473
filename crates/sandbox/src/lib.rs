//! The reference platform in a process of its own: gateway, task, EMR, handover and sync services,
//! the Yjs sync endpoint, SQL, Kafka and Redis, embedded or real, well-behaved or not.
//!
//! It knows nothing of the harness but [`slatest_core::model`]: it is a target like any other.

// A print that fails panics: `slatest_core::terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod api;
mod behaviour;
mod cache;
mod events;
mod ready;
mod resp;
mod scratch;
mod serve;
mod store;
mod sync;

pub use behaviour::{Behaviour, EVERY, ErrorRate, Latency, OPERATIONS, OperationBehaviour, Stall};
pub use cache::CacheSettings;
pub use events::KafkaSettings;
pub use ready::Ready;
pub use serve::{Part, Sandbox, Settings, StartError};
