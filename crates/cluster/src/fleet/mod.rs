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

mod agent_slot;
mod arriving;
mod end;
mod ending;
mod joining;
mod loss;
mod merge;
mod news;
mod offset;
mod replay;
mod settings;
mod shortfall;
mod starting;
mod view;

pub use end::{AgentEnd, FleetEnd};
pub use news::{FleetNews, Refusal};
pub use settings::{FleetSettings, LOSS_AFTER};
pub use view::{AgentState, AgentView, FleetView};

use std::collections::{BTreeMap, BTreeSet};

use self::agent_slot::AgentSlot;
use self::merge::Merger;
use super::codec::Codec;
use super::journal::{Note, NoteBody};
use super::wire;
use super::wire::from_agent::Body as FromAgent;
use super::wire::to_agent::Body as ToAgent;
use slatest_core::measure::Window;
use slatest_core::model::Nanos;
use slatest_engine::load::shapes;

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
        reason: String,
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
        reason: String,
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

/// A silence between two inputs beyond this is the coordinator's own: it was suspended, or starved, and
/// nobody can be blamed for not having been heard.
const OWN_SILENCE: Nanos = Nanos::from_secs(1);

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Agents join and get ready.
    Gathering,
    /// The start is agreed; the coordinator's clock at the run's zero, which lies before the zero of that
    /// clock when the coordinator was started again.
    Running { zero: i64 },
    /// Nothing is waited for any more.
    Over,
}

/// An end that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    /// When, on the run's clock.
    at: Nanos,
    reason: String,
    /// When it was asked for again, to end at once; on the coordinator's clock.
    urgent: Option<Nanos>,
}

/// The coordinator's mind. Its memory does not grow with the run's length.
#[derive(Debug)]
pub struct Fleet {
    settings: FleetSettings,
    codec: Codec,
    stage: Stage,
    /// By number; `None` is a free place.
    slots: Vec<Option<AgentSlot>>,
    /// Places whose agents were silent before the start, by number: who had one may come back for it.
    given_away: BTreeSet<usize>,
    /// The connections of those who have a place.
    peers: BTreeMap<Peer, usize>,
    merger: Merger,
    asked: Option<Asked>,
    /// Takeovers so far.
    orders: u64,
    /// When it began; when it began to wait for agents, anew each time that one leaves; when all were there.
    opened: Nanos,
    gathering: Nanos,
    full: Option<Nanos>,
    /// When the run began, or went on with a coordinator that was started again.
    led_from: Nanos,
    /// When something new arrived.
    progress: Nanos,
    last: Nanos,
}

impl Fleet {
    /// A fleet that waits for its agents. `now` is a reading of the clock of all inputs.
    pub fn new(settings: FleetSettings, now: Nanos) -> Self {
        let agents = usize::try_from(settings.agents.max(1)).unwrap_or(usize::MAX).min(AGENTS_MAX);
        Self {
            codec: Codec::new(shapes(&settings.plan), settings.plan.window),
            stage: Stage::Gathering,
            slots: (0..agents).map(|_| None).collect(),
            given_away: BTreeSet::new(),
            peers: BTreeMap::new(),
            merger: Merger::default(),
            asked: None,
            orders: 0,
            opened: now,
            gathering: now,
            full: None,
            led_from: now,
            progress: now,
            last: now,
            settings,
        }
    }

    /// Takes in what happened, and says what is to be done about it. `now` never goes back.
    pub fn handle(&mut self, now: Nanos, input: Input, out: &mut Vec<Output>) {
        let now = now.max(self.last);
        self.forgive(now);
        match input {
            Input::Hello { peer, hello, certified } => self.hello(now, peer, hello, &certified, out),
            Input::Gone { peer, reason } => self.gone(peer, reason, out),
            // Nothing is waited for any more.
            _ if self.stage == Stage::Over => {}
            Input::Message { peer, message } => self.message(now, peer, message, out),
            Input::Stored { agent, through } => self.stored(now, agent, through, out),
            Input::Stop { urgent, reason } => self.stop(now, urgent, reason, out),
            Input::Tick => self.tick(now, out),
        }
    }

    /// What goes over all agents is done when time passes, not with each message: a thousand agents say
    /// thousands of things a second.
    fn tick(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.ping(now, out);
        self.find_silent(now, out);
        match self.stage {
            Stage::Gathering => self.try_start(now, out),
            Stage::Running { .. } => {
                self.hand_on(out);
                self.try_end(now, out);
            }
            Stage::Over => {}
        }
    }

    /// The fleet as it is now.
    pub fn view(&self) -> FleetView {
        let started = self.stage != Stage::Gathering;
        let front = self.taken().map(|slot| slot.arrived.end).max().unwrap_or(Nanos::ZERO);
        FleetView {
            wanted: self.slots.len() as u64,
            agents: self.taken().map(|slot| slot.view(started, front)).collect(),
        }
    }

    /// The coordinator's clock at the run's zero, in nanoseconds, once it is agreed.
    pub const fn zero(&self) -> Option<i64> {
        match self.stage {
            Stage::Running { zero } => Some(zero),
            Stage::Gathering | Stage::Over => None,
        }
    }

    fn taken(&self) -> impl Iterator<Item = &AgentSlot> {
        self.slots.iter().flatten()
    }

    /// The run's clock; zero before the start.
    fn run_time(&self, now: Nanos) -> Nanos {
        match self.stage {
            Stage::Running { zero } => Nanos(u64::try_from(i128::from(now.0) - i128::from(zero)).unwrap_or(0)),
            Stage::Gathering | Stage::Over => Nanos::ZERO,
        }
    }

    /// After a silence of its own, nobody's silence counts.
    fn forgive(&mut self, now: Nanos) {
        let silence = now - self.last;
        self.last = now;
        if silence > OWN_SILENCE {
            let forgiven = silence - OWN_SILENCE;
            for slot in self.slots.iter_mut().flatten() {
                slot.heard += forgiven;
            }
        }
    }

    fn message(&mut self, now: Nanos, peer: Peer, message: FromAgent, out: &mut Vec<Output>) {
        // A connection that was sent away, or taken the place of, may have had something on its way.
        let Some(&index) = self.peers.get(&peer) else { return };
        let wall_at_zero = self.settings.wall_at_zero;
        let Some(slot) = self.slots[index].as_mut() else { return };
        slot.heard = now;
        match message {
            FromAgent::Hello(_) => self.refuse(peer, Refusal::Unannounced, out),
            FromAgent::Pong(pong) => {
                slot.clock.pong(now, &pong, wall_at_zero);
                self.compare_wall_clocks(now, index, out);
            }
            FromAgent::Opened(opened) => slot.opened = (opened.opened.min(opened.wanted), opened.wanted),
            FromAgent::Ready(_) => self.ready(index, out),
            FromAgent::NotReady(not) => self.not_ready(now, index, &not.reason, out),
            FromAgent::Interval(interval) => self.interval(now, index, interval, out),
            FromAgent::Finished(finished) => self.finished(now, index, finished, out),
            FromAgent::Notice(text) => {
                if let Some(text) = slot.notice(&text) {
                    let name = slot.name().to_owned();
                    out.push(Output::News(FleetNews::Notice { name, text }));
                }
            }
        }
    }

    /// A sign of life each second, by which clocks are compared too.
    fn ping(&mut self, now: Nanos, out: &mut Vec<Output>) {
        for slot in self.slots.iter_mut().flatten().filter(|slot| !slot.ended) {
            if let Some(peer) = slot.peer
                && let Some(ping) = slot.clock.ping(now)
            {
                out.push(Output::Send { peer, message: ToAgent::Ping(ping) });
            }
        }
    }

    fn compare_wall_clocks(&mut self, now: Nanos, index: usize, out: &mut Vec<Output>) {
        let Some(slot) = self.slots[index].as_mut() else { return };
        let Some(offset) = slot.clock.offset(now) else { return };
        let by = Nanos(offset.wall_difference.unsigned_abs());
        if !slot.clocks_told && by > WALL_CLOCKS_APART + offset.bound {
            slot.clocks_told = true;
            let news = FleetNews::ClocksApart { name: slot.name().to_owned(), by, ahead: offset.wall_difference > 0 };
            out.push(Output::News(news));
        }
    }
}

/// Most agents of a run.
pub const AGENTS_MAX: usize = 10_000;

/// Wall clocks that are apart by more are told of.
const WALL_CLOCKS_APART: Nanos = Nanos::from_secs(1);

fn note(body: NoteBody) -> Output {
    Output::Note(Note { body: Some(body) })
}

#[cfg(test)]
mod tests;
