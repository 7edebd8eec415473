//! What a session says of one operation that it executed.

use super::{Nanos, Outcome};

/// What a kind of error starts with when it was no fault of the target: the generator's own machine
/// ran out of something. Whoever judges the run counts these.
pub const GENERATOR_FAULT: &str = "generator: ";

/// What a session reports of one execution. The engine adds the planned instant and counts it.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// How it ended.
    pub outcome: Outcome,
    /// When the request was handed to the wire (the start of service time). `None`: never sent.
    pub sent: Option<Nanos>,
    /// When it was over (the answer whole and checked, or the failure known).
    pub done: Nanos,
    /// Why it was not ok: a short **kind** without variable parts (`status 503`, `connect:
    /// connection refused`, `check: $.items missing`), because kinds are counted. Never a secret.
    pub error: Option<String>,
    /// Parts of the whole, as (index into [`crate::driver::Operation::timings`], length).
    pub timings: Vec<(u8, Nanos)>,
    /// Ratios observed, as (index into [`crate::driver::Operation::ratios`], good, total).
    pub ratios: Vec<(u8, u32, u32)>,
}

impl Completion {
    /// An execution that was answered as it should.
    pub const fn ok(sent: Nanos, done: Nanos) -> Self {
        Self { outcome: Outcome::Ok, sent: Some(sent), done, error: None, timings: Vec::new(), ratios: Vec::new() }
    }

    /// An execution that was not; `kind` as for [`Completion::error`].
    pub fn failed(outcome: Outcome, sent: Option<Nanos>, done: Nanos, kind: impl Into<String>) -> Self {
        Self { outcome, sent, done, error: Some(kind.into()), timings: Vec::new(), ratios: Vec::new() }
    }

    /// Adds one part of the whole.
    #[must_use]
    pub fn with_timing(mut self, index: u8, length: Nanos) -> Self {
        self.timings.push((index, length));
        self
    }

    /// Adds one observed ratio.
    #[must_use]
    pub fn with_ratio(mut self, index: u8, good: u32, total: u32) -> Self {
        self.ratios.push((index, good, total));
        self
    }
}
