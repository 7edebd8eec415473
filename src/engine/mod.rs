//! The engine: paces arrivals, holds sessions, closes windows, and says what happened.

mod event;
mod facts;

pub use event::{Event, Phase};
pub use facts::{Resources, RunFacts, ScenarioFinding};
