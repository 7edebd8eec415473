//! What an agent tells: as it goes, and at its end.

use std::path::PathBuf;
use std::time::Duration;

use super::OutboxError;
use super::generator::Failure;
use slatest_core::model::Nanos;

/// Something that happened to an agent; its words are one line for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentNews {
    /// The coordinator can't be reached; it is tried again.
    #[error("the coordinator {address} can't be reached: {reason}; trying again")]
    Unreached {
        /// Its address.
        address: String,
        /// Why.
        reason: String,
    },
    /// It takes part.
    #[error("joined run {run} as agent {index} of {of} (counted from 0)")]
    Joined {
        /// The run.
        run: String,
        /// Its number.
        index: u64,
        /// Of how many.
        of: u64,
    },
    /// Sessions are being opened.
    #[error("{opened} of {wanted} sessions are open")]
    Opened {
        /// So many are.
        opened: u64,
        /// Of so many.
        wanted: u64,
    },
    /// It waits for the start.
    #[error("ready; waiting for the coordinator's word to start")]
    Ready,
    /// The run's zero is known.
    #[error("the run starts in {in_}")]
    Starting {
        /// How long until then.
        in_: Nanos,
    },
    /// It does more than was planned.
    #[error("takes over a part of agent {from} from {at} of the run on")]
    TakingOver {
        /// The number of the lost agent's stripe.
        from: u64,
        /// From when on.
        at: Nanos,
    },
    /// The connection is gone.
    #[error("the connection to the coordinator is gone: {reason}; trying again")]
    Disconnected {
        /// Why.
        reason: String,
    },
    /// It is there again.
    #[error("the coordinator is back; {waiting} intervals are sent to it")]
    Back {
        /// Intervals that it has not got yet.
        waiting: usize,
    },
    /// It sends no more load, because nobody watches.
    #[error("nothing was heard of the coordinator for {silence}: no more load is sent")]
    Unwatched {
        /// For how long.
        silence: Nanos,
    },
    /// The coordinator ends the run.
    #[error("the coordinator ends the run: {0}")]
    Stopping(String),
    /// The load is over.
    #[error("the load is over; {waiting} intervals are still to be acknowledged")]
    Done {
        /// How many.
        waiting: usize,
    },
    /// An earlier process left intervals behind, which are handed over now.
    #[error("found {intervals} intervals of run {run} that its coordinator has not got; handing them over")]
    LeftBehind {
        /// The run.
        run: String,
        /// How many.
        intervals: usize,
    },
    /// Something else that the user should know; one line.
    #[error("{0}")]
    Notice(String),
}

/// How an agent's part of a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything was sent and handed over.
    Finished,
    /// It sent less than was planned, and handed over what it measured; why.
    Early(String),
    /// Its own user ended it.
    Interrupted,
    /// It handed over what an earlier process had left behind.
    HandedOver,
}

/// What came of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentEnd {
    /// The run, if it joined one.
    pub run: Option<String>,
    /// Intervals that it made.
    pub intervals: u64,
    /// How it ended.
    pub ending: Ending,
}

/// Why an agent could not do its part, or could not hand it over.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The coordinator doesn't want it.
    #[error("the coordinator refused this agent: {reason}{}", words_of_kept(.kept.as_ref()))]
    Refused {
        /// In its words.
        reason: String,
        /// Where intervals are that it has not got.
        kept: Option<(PathBuf, usize)>,
    },
    /// It was never reached.
    #[error("the coordinator {address} could not be reached for {patience:?}: {reason}")]
    Unreachable {
        /// Its address.
        address: String,
        /// How long it was tried.
        patience: Duration,
        /// Why, the last time.
        reason: String,
    },
    /// It did not come back.
    #[error("the coordinator was gone for {patience:?} ({reason}){}", words_of_kept(.kept.as_ref()))]
    Lost {
        /// How long it was waited for.
        patience: Duration,
        /// Why, the last time.
        reason: String,
        /// Where the intervals are that it has not got.
        kept: Option<(PathBuf, usize)>,
    },
    /// The agent could not get ready.
    #[error("{0}")]
    NotReady(Failure),
    /// What it must keep can't be kept.
    #[error(transparent)]
    State(#[from] OutboxError),
    /// Wrong settings; in words.
    #[error("{0}")]
    Settings(String),
    /// The machine refuses what an agent needs; in words.
    #[error("{0}")]
    Machine(String),
}

fn words_of_kept(kept: Option<&(PathBuf, usize)>) -> String {
    kept.map_or_else(String::new, |(path, intervals)| {
        format!(
            "; {intervals} intervals that it has not got are kept in {}: start this agent again with that as its --state \
             when the coordinator is back with --resume",
            path.display()
        )
    })
}
