//! Executors as pure, seeded functions: when arrivals are due, what each executes, and which worker
//! owns it. No clock and no I/O: a schedule is the same wherever and whenever it is read.

mod arrivals;
mod busiest;
mod curve;
mod mix;
mod share;
mod stripe;
mod turns;

pub use arrivals::{ArrivalLaw, ArrivalSchedule};
pub use busiest::Planned;
pub use curve::{Curve, StagePlan};
pub use mix::Chooser;
pub use share::{Places, Share, Shared};
pub use stripe::Stripe;
pub use turns::Turns;
