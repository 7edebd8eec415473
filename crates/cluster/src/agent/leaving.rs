//! When an agent goes, with which end, and what it leaves behind.

use std::path::PathBuf;

use super::agent_loop::AgentLoop;
use super::news::{AgentEnd, AgentError, AgentNews, Ending};
use super::outbox::Outbox;
use slatest_core::model::Nanos;

/// How long an agent that has said everything waits for the coordinator to say goodbye.
const FAREWELL: Nanos = Nanos::from_secs(5);

impl AgentLoop<'_> {
    /// Whether it is time to go, and with which end.
    pub(super) fn leave(&mut self) -> Option<Result<AgentEnd, AgentError>> {
        let now = self.clock.now();
        let empty = self.outbox.as_ref().is_none_or(Outbox::is_empty);
        let said = empty && (self.part.said_last() || self.handing_over);
        self.last_said = if said { self.last_said.or(Some(now)) } else { None };
        // Long enough for whoever is to say goodbye; nobody does on a connection that is gone.
        let waited = self.line.is_none() || self.last_said.is_some_and(|at| now - at >= FAREWELL);
        if self.stop.is_asked() && (!self.part.started || self.stop.is_urgent() || said && waited) {
            return Some(Ok(self.end(Ending::Interrupted)));
        }
        if let Some(failure) = self.part.failed.clone() {
            if self.part.called_off && waited {
                return Some(Ok(self.end(self.ending())));
            }
            // First the coordinator is to know why.
            if said && waited {
                return Some(Err(AgentError::NotReady(failure)));
            }
        }
        if self.handing_over && said && waited {
            return Some(Ok(self.end(Ending::HandedOver)));
        }
        let gone = now - self.heard.last();
        let patience = self.settings.patience;
        if self.line.is_none() && gone >= Nanos::from(patience) && !self.part.is_under_way() {
            let reason = self.last_trouble.clone();
            return Some(Err(match &self.outbox {
                Some(_) => AgentError::Lost { patience, reason, kept: self.kept() },
                None => AgentError::Unreachable { address: self.settings.coordinator.clone(), patience, reason },
            }));
        }
        None
    }

    pub(super) fn ending(&self) -> Ending {
        if self.handing_over {
            Ending::HandedOver
        } else {
            self.part.early.clone().map_or(Ending::Finished, Ending::Early)
        }
    }

    pub(super) fn end(&self, ending: Ending) -> AgentEnd {
        let run = self.outbox.as_ref().map(|outbox| outbox.membership().run.clone());
        AgentEnd { run, intervals: self.outbox.as_ref().map(Outbox::made).unwrap_or_default(), ending }
    }

    /// Where intervals are that the coordinator has not got, and how many.
    pub(super) fn kept(&self) -> Option<(PathBuf, usize)> {
        let waiting = self.outbox.as_ref().map(Outbox::waiting).filter(|waiting| *waiting > 0)?;
        Some((self.state.as_given().to_owned(), waiting))
    }

    /// Leaves nothing behind that isn't needed, and everything that is.
    pub(super) fn close(mut self, end: Result<AgentEnd, AgentError>) -> Result<AgentEnd, AgentError> {
        self.part.halt(true, "the agent ended");
        self.line = None;
        let Some(mut outbox) = self.outbox.take() else { return end };
        let farewell = matches!(&end, Ok(end) if end.ending != Ending::Interrupted);
        if farewell || outbox.is_empty() {
            outbox.discard()?;
            return end;
        }
        outbox.disconnected()?;
        if let Some(temporary) = self.state.temporary.take() {
            // From now on it is for whoever hands over what is in it.
            let folder = temporary.keep();
            let words =
                format!("{} intervals that the coordinator has not got are in {}", outbox.waiting(), folder.display());
            (self.on_news)(AgentNews::Notice(words));
        }
        end
    }
}
