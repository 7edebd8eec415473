//! Plain values that every other room speaks in. No I/O, no tokio.
//!
//! The words are the field's: an [`Arrival`] is a planned start, a [`Completion`] is what a
//! session says of one operation, a [`Verdict`] is what the judge says of one objective.

mod arrival;
mod causes;
mod clock;
mod completion;
mod nearest;
mod outcome;
mod problem;
mod quantity;
mod redact;
mod time;
mod verdict;
mod write;

pub use arrival::{Arrival, OperationId};
pub use causes::{error_chain, with_causes};
pub use clock::{Clock, MonotonicClock, SimulatedClock};
pub use completion::{Completion, GENERATOR_FAULT, Traffic, WORKLOAD_FAULT};
pub use nearest::{nearest, suggest};
pub use outcome::{OUTCOMES, Outcome};
pub use problem::{Place, Problem, Problems};
pub use quantity::{Percent, Rate, Span};
pub use redact::{hide, redact, redact_value};
pub use time::Nanos;
pub use verdict::Verdict;
pub use write::{LedgerEntry, NoWriteId, WriteId, WriteOutcome, WritePlace, WriteScope, Written, value_digest};
