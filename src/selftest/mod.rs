//! The instrument proves itself: truths that are known beforehand, measured through the same engine
//! as any run, against probes of the sandbox that do nothing but what they are told.

mod act;
mod cases;
mod interval;
mod law;
mod merging;
mod table;
mod throttle;
mod verdicts;

pub use act::{Act, ActError, Played};
pub use cases::{Size, behaviour_flags, freezes, laws};
pub use merging::merging;
pub use table::{Account, Finding, Row};
pub use throttle::throttled;
pub use verdicts::{freeze_rows, law_rows};
