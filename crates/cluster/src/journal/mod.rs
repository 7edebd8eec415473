//! The run's journal: what the coordinator must not forget, on disk before anybody is told that it arrived.
//!
//! A file that only grows, `cluster/intervals.bin` in the run's folder: batches one after another, each
//! `length: u32 LE · CRC-32 of what follows: u32 LE · DEFLATE of protobuf records, each after its length`.
//! Histograms of one moment look alike, so that a batch takes a fraction of its records. The first record is
//! the [`Head`]. A coordinator that was killed leaves at most one torn batch at the end: nothing of it was
//! acknowledged, so it is cut off, and whoever sent it sends it again. Anything else that can't be read is damage: it was
//! acknowledged, nobody sends it again, and the file is left as it is.

mod note;
mod read;
mod write;

pub use note::{AgentSlotNote, Lost, Note, NoteBody, OrderNote, Started, Stopped, TakenOver};
pub use read::{JournalReader, Torn, check};
pub use write::{Journal, Stored};

use std::io;
use std::path::{Path, PathBuf};

use super::wire;

/// Where it lies in a run's folder.
pub const JOURNAL_FILE: &str = "cluster/intervals.bin";
/// Version of its format.
const VERSION: u32 = 1;
/// Largest record: an agent's message is at most 16 MiB.
const RECORD_BYTES_MAX: usize = 32 << 20;
/// A batch is closed once its records have so many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// Most bytes of a batch's records: the last one may be as large as a record can be.
const BATCH_BYTES_MAX: usize = BATCH_BYTES + RECORD_BYTES_MAX + 16;

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system said no.
    #[error("{}: can't be {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: `read`, `written`, `created`.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No journal of this version.
    #[error("{}: no journal that this slatest can read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Bytes have turned since they were written.
    #[error(
        "{}: damaged at byte {at} of {length}: what agents delivered from there on is missing (intervals before it: {kept}); \
         the file was left as it is",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Bytes before the damage.
        at: u64,
        /// Bytes in all.
        length: u64,
        /// The last interval of each agent that stands before it.
        kept: String,
    },
    /// Something was to be written after the end.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}

/// What the journal begins with.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Head {
    /// Version of the format.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// The run's id.
    #[prost(string, tag = "2")]
    pub run: String,
    /// How many agents it has.
    #[prost(uint64, tag = "3")]
    pub agents: u64,
    /// The address and port where agents find the coordinator.
    #[prost(string, tag = "4")]
    pub listen: String,
}

impl Head {
    /// Of a new run.
    pub fn new(run: String, agents: u64, listen: String) -> Self {
        Self { version: VERSION, run, agents, listen }
    }
}

/// One record as it lies on disk.
#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    /// Whose, where it is an agent's.
    #[prost(uint64, tag = "1")]
    agent: u64,
    #[prost(oneof = "RecordBody", tags = "2, 3, 4, 5")]
    body: Option<RecordBody>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum RecordBody {
    #[prost(message, tag = "2")]
    Head(Head),
    #[prost(message, tag = "3")]
    Note(Note),
    #[prost(message, tag = "4")]
    Interval(wire::Interval),
    #[prost(message, tag = "5")]
    End(wire::Finished),
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Something to know.
    Note(Note),
    /// What an agent measured.
    Interval {
        /// The agent's number.
        agent: u64,
        /// What it measured.
        interval: wire::Interval,
    },
    /// What an agent said at its end.
    End {
        /// The agent's number.
        agent: u64,
        /// What it said.
        finished: wire::Finished,
    },
}

impl From<Entry> for Record {
    fn from(entry: Entry) -> Self {
        let (agent, body) = match entry {
            Entry::Note(note) => (0, RecordBody::Note(note)),
            Entry::Interval { agent, interval } => (agent, RecordBody::Interval(interval)),
            Entry::End { agent, finished } => (agent, RecordBody::End(finished)),
        };
        Self { agent, body: Some(body) }
    }
}

#[cfg(test)]
mod tests;
