//! What is written down besides intervals: what a coordinator that is started again must know.

use crate::wire;

/// Something that a coordinator that is started again must know.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Note {
    /// What it says.
    #[prost(oneof = "NoteBody", tags = "1, 2, 3, 4")]
    pub body: Option<NoteBody>,
}

/// What a note says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum NoteBody {
    /// The start is agreed.
    #[prost(message, tag = "1")]
    Started(Started),
    /// An agent was given up.
    #[prost(message, tag = "2")]
    Lost(Lost),
    /// The end was asked for.
    #[prost(message, tag = "3")]
    Stopped(Stopped),
    /// What an agent owned was given to others.
    #[prost(message, tag = "4")]
    TakenOver(TakenOver),
}

/// The start of the run, and who takes part.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Started {
    /// The coordinator's wall clock at the run's zero, nanoseconds since 1970.
    #[prost(int64, tag = "1")]
    pub wall_ns: i64,
    /// Every agent, by number.
    #[prost(message, repeated, tag = "2")]
    pub slots: Vec<AgentSlotNote>,
}

/// One agent as it took part in the start.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AgentSlotNote {
    /// What it said of itself.
    #[prost(message, optional, tag = "1")]
    pub hello: Option<wire::Hello>,
    /// Its monotonic clock − the coordinator's, in nanoseconds.
    #[prost(int64, tag = "2")]
    pub clock_offset_ns: i64,
    /// How far off that can be.
    #[prost(uint64, tag = "3")]
    pub clock_bound_ns: u64,
    /// Its wall clock − the coordinator's, in nanoseconds.
    #[prost(int64, tag = "4")]
    pub wall_difference_ns: i64,
    /// When it joined, after the coordinator's start, in nanoseconds.
    #[prost(uint64, tag = "5")]
    pub joined_ns: u64,
    /// The reading of the agent's monotonic clock at the run's zero.
    #[prost(uint64, tag = "6")]
    pub start_agent_clock_ns: u64,
}

/// An agent was given up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Lost {
    /// Its number.
    #[prost(uint64, tag = "1")]
    pub agent: u64,
    /// When, in nanoseconds of the run.
    #[prost(uint64, tag = "2")]
    pub at_run_ns: u64,
    /// Why.
    #[prost(string, tag = "3")]
    pub reason: String,
    /// Whether it is not let in again.
    #[prost(bool, tag = "4")]
    pub barred: bool,
}

/// What an agent owned was given to others.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TakenOver {
    /// The number of the agent that owned it.
    #[prost(uint64, tag = "1")]
    pub agent: u64,
    /// From when on, in nanoseconds of the run.
    #[prost(uint64, tag = "2")]
    pub from_run_ns: u64,
    /// Who was asked to take over what.
    #[prost(message, repeated, tag = "3")]
    pub orders: Vec<OrderNote>,
}

/// An order to take over.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OrderNote {
    /// The agent that takes over.
    #[prost(uint64, tag = "1")]
    pub agent: u64,
    /// What.
    #[prost(message, optional, tag = "2")]
    pub takeover: Option<wire::Takeover>,
}

/// The end was asked for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Stopped {
    /// When, in nanoseconds of the run.
    #[prost(uint64, tag = "1")]
    pub at_run_ns: u64,
    /// Why.
    #[prost(string, tag = "2")]
    pub reason: String,
}
