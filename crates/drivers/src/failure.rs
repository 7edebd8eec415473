//! Why something did not work: outcome, kind, what was said, and whether the connection can still be used. What an error
//! of a protocol's library stands for is in the `failure.rs` of its driver.

use std::error::Error;

use super::ConnectError;
use slatest_core::model::Outcome;

/// Why an operation or a connection did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// How the operation ends.
    pub(crate) outcome: Outcome,
    /// What it is counted as.
    pub(crate) kind: String,
    /// For people: what the server or the network said; no credential. Only health checks and read-backs show it.
    pub(crate) detail: String,
    /// Whether the connection must not be used again.
    pub(crate) broken: bool,
}

impl Failure {
    /// One without more words than its kind; the connection stays good.
    pub(crate) fn new(outcome: Outcome, kind: impl Into<String>) -> Self {
        let kind = kind.into();
        Self { outcome, detail: kind.clone(), kind, broken: false }
    }

    /// The same, and the connection is not used again: it is lost, or still owes an answer.
    pub(crate) fn broken(mut self) -> Self {
        self.broken = true;
        self
    }

    /// The same, with what was said.
    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The same, while connecting.
    pub(crate) fn connecting(mut self) -> Self {
        if let Some(rest) = self.kind.strip_prefix("connection: ") {
            self.kind = format!("connect: {rest}");
        }
        self.broken()
    }
}

impl From<Failure> for ConnectError {
    fn from(failure: Failure) -> Self {
        Self { outcome: failure.outcome, kind: failure.kind }
    }
}

/// What is said of a server that gave fewer connections than were asked for.
pub(crate) fn shortage(given: usize, wanted: usize, refused: u64, addresses: &str) -> String {
    format!("the server gave {given} of {wanted} connections, and refused {refused} more: {addresses}")
}

/// The first error of a type in the chain of causes.
pub(crate) fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
