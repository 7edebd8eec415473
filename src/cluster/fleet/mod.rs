//! The coordinator's mind: who takes part, when the run starts, what has arrived, who is lost, when all is
//! over. A pure state machine: no I/O, no clock, no randomness of its own, so that every order of events can
//! be tried in a test.
//!
//! ```text
//! service (connections) ──Hello, Message, Gone──┐                ┌── Send, Refuse ──► service
//! user (Ctrl-C)         ──Stop──────────────────┤► Fleet::handle ├── Persist, PersistEnd, Note ──► journal
//! journal               ──Stored────────────────┤                ├── Window, News ──► the run's files, progress
//! a clock               ──Tick, 20 a second─────┘                └── Ended
//! ```
//!
//! An interval is handed to the journal, and only once that says [`Input::Stored`] is it acknowledged and
//! merged: what an agent may forget is on disk here. An interval that is known already is dropped; one that
//! leaves a gap ends the conversation ([`Refusal::OutOfStep`]), the agent comes again and sends everything
//! from the last acknowledged one on. When an agent comes again it hears Welcome, then what it may have
//! missed: Start, every Takeover (they are numbered, and known ones are dropped), Stop.

mod end;
mod news;
mod settings;
mod view;

pub use end::{AgentFacts, FleetEnd};
pub use news::{FleetNews, Refusal};
pub use settings::{FleetSettings, LOSS_AFTER};
pub use view::{AgentState, AgentView, FleetView};

use super::journal::Note;
use super::wire;
use crate::measure::Window;

/// The number of a connection, given by who holds them; never used twice.
pub type Peer = u64;

/// What a fleet is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection's first message.
    Hello {
        /// The connection.
        peer: Peer,
        /// The message.
        hello: wire::Hello,
        /// The name in the certificate of the connection.
        certified: String,
    },
    /// Every other message.
    Message {
        /// The connection.
        peer: Peer,
        /// The message.
        message: wire::from_agent::Body,
    },
    /// A connection has ended, by whichever side.
    Gone {
        /// The connection.
        peer: Peer,
        /// Why.
        why: String,
    },
    /// Everything of an agent up to this number is on disk. Its [`Output::PersistEnd`] counts as the one
    /// after its last interval.
    Stored {
        /// The agent's number.
        agent: u64,
        /// The number of the interval.
        through: u64,
    },
    /// The run is to end before its time.
    Stop {
        /// Whether to let go of what is under way at once.
        urgent: bool,
        /// Why, for the agents' logs.
        why: String,
    },
    /// Time has passed.
    Tick,
}

/// What a fleet wants done, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// A message for a connection. Where it can't be taken at once the connection is to be closed: the agent
    /// comes again, and is told then what it has missed.
    Send {
        /// The connection.
        peer: Peer,
        /// The message.
        message: wire::to_agent::Body,
    },
    /// A connection is to be closed with these words.
    Refuse {
        /// The connection.
        peer: Peer,
        /// Why.
        refusal: Refusal,
    },
    /// To be written to the journal, then told as [`Input::Stored`].
    Persist {
        /// The agent's number.
        agent: u64,
        /// What it measured.
        interval: wire::Interval,
    },
    /// What an agent said at its end: to be written to the journal, then told as [`Input::Stored`] with the
    /// number after its last interval.
    PersistEnd {
        /// The agent's number.
        agent: u64,
        /// What it said.
        finished: wire::Finished,
    },
    /// To be on disk before any later output is carried out. There are few of them.
    Note(Note),
    /// A window that all agents have delivered, or a late part of one.
    Window {
        /// The window.
        window: Window,
    },
    /// Something for the user.
    News(FleetNews),
    /// It is over; nothing comes after it.
    Ended(FleetEnd),
}
