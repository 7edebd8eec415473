//! One user.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use crate::Session;
use slatest_core::model::{Arrival, Clock, Completion, Outcome};

/// What one user says.
pub(super) struct ToySession {
    pub(super) requests: Arc<[String]>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Session for ToySession {
    /// The answer is what was said; an empty one is refused.
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        let now = self.clock.now();
        let completion = match self.requests.get(arrival.operation).map(String::as_str) {
            Some("") | None => Completion::failed(Outcome::Rejected, Some(now), now, "check: nothing said"),
            Some(_) => Completion::ok(now, now),
        };
        Box::pin(std::future::ready(completion))
    }
}
