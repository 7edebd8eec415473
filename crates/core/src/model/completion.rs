//! What a session says of one operation that it executed.

use super::{Nanos, Outcome, WriteOutcome, Written};

/// What a kind of error starts with when it was no fault of the target: the generator's own machine
/// ran out of something. Whoever judges the run counts these.
pub const GENERATOR_FAULT: &str = "generator: ";

/// What a kind of error starts with when it was no fault of the target: the workload asked for something that
/// could not be built (a capture that is not there, a template that fails, a path that is none), so it was never sent.
pub const WORKLOAD_FAULT: &str = "workload: ";

/// What went over the wire for one execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The status of the last answer, where the protocol has numbers for it (HTTP: 100 to 599).
    pub status: Option<u16>,
    /// Bytes that were sent, as the protocol writes them: heads included, TLS and what lies below it not.
    pub sent: u64,
    /// Bytes that were received, likewise.
    pub received: u64,
}

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
    /// Parts of the whole, as (index into `Operation::timings`, length).
    pub timings: Vec<(u8, Nanos)>,
    /// Ratios observed, as (index into `Operation::ratios`, good, total).
    pub ratios: Vec<(u8, u32, u32)>,
    /// How often the request was sent again, because the kept connection that it was sent on had been closed or the
    /// server said that it did nothing for it.
    pub retries: u32,
    /// What is known of the write that it was, where it is one for the ledger.
    pub written: Option<Box<Written>>,
    /// What went over the wire, where the driver counts it.
    pub traffic: Option<Traffic>,
}

impl Completion {
    /// An execution that was answered as it should.
    pub const fn ok(sent: Nanos, done: Nanos) -> Self {
        Self {
            outcome: Outcome::Ok,
            sent: Some(sent),
            done,
            error: None,
            timings: Vec::new(),
            ratios: Vec::new(),
            retries: 0,
            written: None,
            traffic: None,
        }
    }

    /// An execution that was not; `kind` as for [`Completion::error`].
    pub fn failed(outcome: Outcome, sent: Option<Nanos>, done: Nanos, kind: impl Into<String>) -> Self {
        let (timings, ratios) = (Vec::new(), Vec::new());
        let error = Some(kind.into());
        Self { outcome, sent, done, error, timings, ratios, retries: 0, written: None, traffic: None }
    }

    /// Whether the workload could not build it: it was never sent, and is nobody's failure.
    pub fn is_unsent(&self) -> bool {
        self.outcome != Outcome::Ok && self.error.as_deref().is_some_and(|kind| kind.starts_with(WORKLOAD_FAULT))
    }

    /// Adds one part of the whole.
    #[must_use]
    pub fn with_timing(mut self, index: u8, length: Nanos) -> Self {
        self.timings.push((index, length));
        self
    }

    /// Says more of the write that it was.
    #[must_use]
    pub fn with_written(mut self, written: Written) -> Self {
        self.written = Some(Box::new(written));
        self
    }

    /// What is known of the write that it was; `None` when it was never tried.
    ///
    /// An answer that a check refused, or that was cut short, says nothing sure of the write unless the session
    /// knows better: what was sent is unknown then, and only what was never sent is rejected.
    pub fn write_outcome(&self) -> Option<WriteOutcome> {
        let said = self.written.as_ref().and_then(|w| w.outcome);
        match self.outcome {
            Outcome::Dropped => None,
            _ if said.is_some() => said,
            Outcome::Ok => Some(WriteOutcome::Acknowledged),
            Outcome::Rejected | Outcome::Blocked | Outcome::Disconnected if self.sent.is_none() => {
                Some(WriteOutcome::Rejected)
            }
            Outcome::Blocked => Some(WriteOutcome::Rejected),
            Outcome::Rejected | Outcome::TimedOut | Outcome::Disconnected | Outcome::Unknown => {
                Some(WriteOutcome::Unknown)
            }
        }
    }

    /// Adds one observed ratio.
    #[must_use]
    pub fn with_ratio(mut self, index: u8, good: u32, total: u32) -> Self {
        self.ratios.push((index, good, total));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_acknowledged_rejected_or_unknown_and_never_guessed() {
        let at = |outcome, sent| Completion::failed(outcome, sent, Nanos(9), "kind").write_outcome();
        let sent = Some(Nanos(5));
        assert_eq!(Completion::ok(Nanos(5), Nanos(9)).write_outcome(), Some(WriteOutcome::Acknowledged));
        assert_eq!(at(Outcome::Disconnected, None), Some(WriteOutcome::Rejected), "it was never sent");
        for outcome in [Outcome::Disconnected, Outcome::TimedOut, Outcome::Unknown, Outcome::Rejected] {
            assert_eq!(at(outcome, sent), Some(WriteOutcome::Unknown), "{outcome}");
        }
        assert_eq!(at(Outcome::TimedOut, None), Some(WriteOutcome::Unknown), "a session that hangs may have sent it");
        assert_eq!(at(Outcome::Blocked, sent), Some(WriteOutcome::Rejected));
        assert_eq!(at(Outcome::Dropped, None), None);
        let refused = Written { outcome: Some(WriteOutcome::Rejected), ..Written::default() };
        let said = Completion::failed(Outcome::Rejected, sent, Nanos(9), "status 409").with_written(refused);
        assert_eq!(said.write_outcome(), Some(WriteOutcome::Rejected));
    }
}
