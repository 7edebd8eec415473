//! The engine: paces arrivals, holds sessions, closes windows, and says what happened.

mod abort;
mod agents;
mod cancel;
mod clock;
mod conductor;
mod course;
mod desk;
mod event;
mod facts;
mod hiccup;
mod host;
mod judge;
mod lane;
mod meter;
mod order;
mod over_time;
mod reach;
mod spacing;
mod stage;
mod timer;
mod users;
mod wakes;
mod worker;

pub use abort::AbortWatch;
pub use agents::AgentFacts;
pub use clock::RunClock;
pub use conductor::{Engine, EngineError, shapes};
pub use course::Course;
pub use event::{Event, Phase};
pub use facts::{Abortion, Resources, RunFacts, ScenarioFinding};
pub use judge::{Judged, judge};
pub use order::{Order, TakeOver};
pub use reach::{HealthLine, reach};
pub use stage::Stop;
pub use timer::timer_lateness;
