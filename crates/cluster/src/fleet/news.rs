//! What a fleet tells: to people, and to those it sends away.

use crate::PROTOCOL;
use crate::identity::AGENT_NAME_RULE;
use slatest_core::model::Nanos;

/// Why a connection is sent away. The words are for who reads the agent's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It speaks another version of the protocol.
    #[error(
        "the agent speaks version {theirs} of the protocol (slatest {slatest}), the coordinator version {PROTOCOL} (slatest \
         {}); use the same slatest on both sides",
        env!("CARGO_PKG_VERSION")
    )]
    Protocol {
        /// The agent's version of the protocol.
        theirs: u32,
        /// The agent's version of the program.
        slatest: String,
    },
    /// Its certificate is another one's.
    #[error(
        "the agent calls itself `{said}`, but its certificate is that of `{certified}`; join with the agent's own certificate"
    )]
    Certificate {
        /// The name that it gave.
        said: String,
        /// The name in its certificate.
        certified: String,
    },
    /// It sent something before it said who it is, or said so twice.
    #[error("a conversation begins with one Hello, and has no other")]
    Unannounced,
    /// A name that can't be one.
    #[error("{AGENT_NAME_RULE}")]
    Name,
    /// All places are taken.
    #[error("the run has its {agents} agents already; start the coordinator with --agents {} to have one more", agents + 1)]
    Full {
        /// How many it has.
        agents: u64,
    },
    /// Another process joined by that name.
    #[error("an agent called `{name}` takes part already, from host `{host}`; give this one another --name")]
    Twice {
        /// The name.
        name: String,
        /// Where the first one runs.
        host: String,
    },
    /// The run has started without it.
    #[error("the run is under way since {}; an agent can only join before the start", since)]
    UnderWay {
        /// For how long.
        since: Nanos,
    },
    /// It takes part in another run.
    #[error("the agent takes part in run `{theirs}`, this coordinator leads `{ours}`; restart the agent")]
    OtherRun {
        /// The agent's run.
        theirs: String,
        /// The coordinator's.
        ours: String,
    },
    /// It says that it takes part, and the coordinator knows nothing of it.
    #[error("run `{run}` has no agent `{name}` that was started like this one; restart the agent")]
    Unknown {
        /// The name.
        name: String,
        /// The run.
        run: String,
    },
    /// The run is over.
    #[error("the run is over")]
    Over,
    /// The same agent has come by another connection.
    #[error("the agent has come again by another connection")]
    Superseded,
    /// It was silent for so long that its place was given away.
    #[error("nothing was heard of the agent; its place was given away")]
    Silent,
    /// It sent what can't be understood.
    #[error("what the agent sent can't be understood: {0}")]
    Malformed(String),
    /// An interval that is not the next one: something in between is missing.
    #[error("the agent sent interval {got} where {wanted} comes next; what is missing has to be sent again")]
    OutOfStep {
        /// The number that would have been next.
        wanted: u64,
        /// The number that came.
        got: u64,
    },
}

impl Refusal {
    /// Whether the same agent may come again at once, by a new connection: it is not the agent that is
    /// refused, but this conversation.
    pub const fn may_come_again(&self) -> bool {
        matches!(self, Self::Superseded | Self::OutOfStep { .. } | Self::Silent)
    }
}

impl FleetNews {
    /// Whether the reader of the run's record should know it: not what is as it should be, nor what says
    /// nothing of the figures.
    pub const fn is_notable(&self) -> bool {
        match self {
            Self::Joined { .. } | Self::Left { .. } | Self::Ready { .. } | Self::Starting { .. } => false,
            Self::Finished { early, .. } => !early.is_empty(),
            Self::Refused { .. }
            | Self::Disconnected { .. }
            | Self::Back { .. }
            | Self::Lost { .. }
            | Self::TakenOver { .. }
            | Self::NotTakenOver { .. }
            | Self::Gap { .. }
            | Self::ClocksApart { .. }
            | Self::Notice { .. } => true,
        }
    }
}

/// Something that happened to a fleet; its words are one line for the user.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FleetNews {
    /// An agent joined.
    #[error("agent {name} joined from {host} ({joined} of {agents})")]
    Joined {
        /// Its name.
        name: String,
        /// Its host.
        host: String,
        /// How many there are now.
        joined: u64,
        /// Of how many.
        agents: u64,
    },
    /// An agent left before the start; its place is free again.
    #[error("agent {name} left before the start: {reason}")]
    Left {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// An agent is ready.
    #[error("agent {name} is ready ({ready} of {agents})")]
    Ready {
        /// Its name.
        name: String,
        /// How many are.
        ready: u64,
        /// Of how many.
        agents: u64,
    },
    /// All are ready; the run's zero is agreed.
    #[error("all {agents} agents are ready, clocks known to {bound}; starting in {lead}")]
    Starting {
        /// How many.
        agents: u64,
        /// The worst bound of a clock's offset.
        bound: Nanos,
        /// How long until the run's zero.
        lead: Nanos,
        /// The coordinator's clock at the run's zero.
        zero: Nanos,
    },
    /// A connection was sent away.
    #[error("agent {name} was refused: {reason}")]
    Refused {
        /// The name that it gave.
        name: String,
        /// Why.
        reason: Refusal,
    },
    /// An agent's connection ended.
    #[error("the connection to agent {name} ended: {reason}")]
    Disconnected {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// An agent has come back.
    #[error("agent {name} is back; {missing} intervals of it are to come")]
    Back {
        /// Its name.
        name: String,
        /// How many intervals it has made that have not arrived.
        missing: u64,
    },
    /// An agent is given up.
    #[error("agent {name} is lost at {at} of the run: {reason}; its intervals up to then count")]
    Lost {
        /// Its name.
        name: String,
        /// When.
        at: Nanos,
        /// Why.
        reason: String,
    },
    /// Others take over what a lost agent owed.
    #[error("{by} agents take over the share of agent {name} from {from} of the run on")]
    TakenOver {
        /// The lost one.
        name: String,
        /// How many take part.
        by: u64,
        /// From when on.
        from: Nanos,
    },
    /// Nobody takes it over.
    #[error("the share of agent {name} is not taken over: {reason}")]
    NotTakenOver {
        /// The lost one.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// Intervals are missing between those that came.
    #[error("intervals {from} to {to} of agent {name} are missing; it is asked to send them again")]
    Gap {
        /// Its name.
        name: String,
        /// The first that is missing.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The wall clocks are apart. Nothing is measured by them, but tokens and certificates are held against them.
    #[error("the wall clock of agent {name} is {by} {} that of the coordinator", if *ahead { "ahead of" } else { "behind" })]
    ClocksApart {
        /// Its name.
        name: String,
        /// By how much.
        by: Nanos,
        /// Whether it is later than ours.
        ahead: bool,
    },
    /// What an agent tells.
    #[error("agent {name}: {text}")]
    Notice {
        /// Its name.
        name: String,
        /// One line.
        text: String,
    },
    /// An agent is done, and everything of it has arrived.
    #[error("agent {name} is done{}", if early.is_empty() { String::new() } else { format!(" before its time: {early}") })]
    Finished {
        /// Its name.
        name: String,
        /// Why it ended before its time; empty when it did not.
        early: String,
    },
}
