//! What a run is told from outside when it is one of many that make up a whole.

use std::time::Instant;

use slatest_core::model::Nanos;
use slatest_core::schedule::Stripe;

/// A part of the schedule that is taken over from somebody who is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeOver {
    /// From this instant of the run on; what was due before stays owed.
    pub from: Nanos,
    /// Which arrivals and users.
    pub stripe: Stripe,
}

/// An order to a run under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The run's clock reads zero at this instant. The first order, given once everybody is ready.
    StartAt(Instant),
    /// Do more than was planned.
    TakeOver(TakeOver),
}
