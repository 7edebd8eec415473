//! What the coordinator knows of one agent.

use std::collections::VecDeque;

use super::offset::{AgentClock, Offset};
use super::shortfall::Piece;
use super::{AgentEnd, AgentState, AgentView, Peer};
use crate::journal::AgentSlotNote;
use crate::{codec, wire};
use slatest_core::measure::Latencies;
use slatest_core::model::Nanos;
use slatest_core::schedule::Stripe;
use slatest_engine::load::AgentFacts;

/// Most holes in an agent's timeline that are told apart.
const MISSING_MAX: usize = 64;
/// Most notices of one agent that are shown.
const NOTICES_MAX: u32 = 50;
/// Longest notice, in bytes.
const NOTICE_BYTES_MAX: usize = 400;

/// Clocks agree to far better than this.
const CLOCK_SLACK: Nanos = Nanos::from_secs(1);

/// An agent that was given up.
#[derive(Clone, Debug)]
pub struct Loss {
    /// When, on the run's clock.
    pub at: Nanos,
    /// Why.
    pub reason: String,
    /// It sent what can't be understood, and is not let in again.
    pub barred: bool,
}

/// What is known of the intervals that arrived.
#[derive(Debug, Default)]
pub struct Arrived {
    /// How many.
    pub intervals: u64,
    /// Arrivals that were fired.
    pub fired: u64,
    /// How late.
    pub lag: Latencies,
    /// The window after the latest one.
    pub next_window: u64,
    /// The end of the latest one.
    pub end: Nanos,
    /// What is between them and came in none.
    pub missing: Vec<(Nanos, Nanos)>,
    /// In how many of them something was judged.
    pub judged_windows: u64,
    /// How many of these a stall of the agent's machine spoiled.
    pub spoiled_windows: u64,
    /// Operations under way at the end of the latest one.
    pub in_flight: u64,
    /// Operations that came due in the latest one, per second.
    pub rate: f64,
    /// The processors' share that was used in the latest one.
    pub cpu_share: f64,
}

impl Arrived {
    /// Counts an interval; its window has been checked.
    pub fn count(&mut self, interval: &wire::Interval, window: &wire::Window) {
        self.intervals += 1;
        self.fired += Latencies::count_v2(&window.dispatch_lag).unwrap_or(0);
        // It was checked when it came.
        let _ = self.lag.add_v2(&window.dispatch_lag);
        let planned: u64 = window.judged.iter().chain(&window.unjudged).map(|tally| tally.planned).sum();
        self.rate = planned as f64 / Nanos(window.length_ns.max(1)).as_secs_f64();
        self.cpu_share = if interval.cpu_share.is_finite() { interval.cpu_share.clamp(0.0, 1.0) } else { 0.0 };
        self.judged_windows += u64::from(!window.judged.is_empty());
        self.spoiled_windows += u64::from(!window.judged.is_empty() && window.spoiled);
        self.in_flight = window.in_flight;
        let start = Nanos(window.index.saturating_mul(window.length_ns));
        if window.index > self.next_window && self.missing.len() < MISSING_MAX {
            self.missing.push((self.end, start));
        }
        self.next_window = self.next_window.max(window.index.saturating_add(1));
        self.end = self.end.max(start + Nanos(window.length_ns));
    }
}

/// What the coordinator knows of one agent.
#[derive(Debug)]
pub struct AgentSlot {
    /// Its number.
    pub index: u64,
    /// What it said of itself.
    pub hello: wire::Hello,
    /// Its connection.
    pub peer: Option<Peer>,
    /// When it was last heard.
    pub heard: Nanos,
    /// How long its silence is borne.
    pub patience: Nanos,
    /// When it joined, on the coordinator's clock.
    pub joined: Nanos,
    /// Its clock.
    pub clock: AgentClock,
    /// The reading of its clock at the run's zero, once that is agreed.
    pub start_clock: u64,
    /// Sessions opened before the start, of how many.
    pub opened: (u64, u64),
    /// Whether it waits for the start.
    pub ready: bool,
    /// The last interval that came; all before it came too.
    pub received: u64,
    /// The last one that is on disk.
    pub stored: u64,
    /// What came and is not known to be on disk: as it came, which is small.
    pub unstored: VecDeque<wire::Interval>,
    /// What is known of what came.
    pub arrived: Arrived,
    /// What it said at its end.
    pub finished: Option<wire::Finished>,
    /// Whether that is on disk.
    pub ended: bool,
    /// Whether it was given up.
    pub lost: Option<Loss>,
    /// What it was told to take over.
    pub orders: Vec<wire::Takeover>,
    /// What it owns of the schedule.
    pub pieces: Vec<Piece>,
    /// Whether others were told to take over what it owns.
    pub passed_on: bool,
    /// Whether it was told of that the wall clocks are apart.
    pub clocks_told: bool,
    notices: u32,
}

impl AgentSlot {
    pub fn new(index: u64, hello: wire::Hello, peer: Option<Peer>, now: Nanos, patience: Nanos) -> Self {
        Self {
            index,
            hello,
            peer,
            heard: now,
            patience,
            joined: now,
            clock: AgentClock::default(),
            start_clock: 0,
            opened: (0, 0),
            ready: false,
            received: 0,
            stored: 0,
            unstored: VecDeque::new(),
            arrived: Arrived::default(),
            finished: None,
            ended: false,
            lost: None,
            orders: Vec::new(),
            pieces: Vec::new(),
            passed_on: false,
            clocks_told: false,
            notices: 0,
        }
    }

    pub fn name(&self) -> &str {
        &self.hello.agent
    }

    pub fn host(&self) -> &str {
        self.hello.machine.as_ref().map_or("", |machine| machine.host.as_str())
    }

    /// Whether what it sends is still waited for.
    pub const fn is_owing(&self) -> bool {
        !self.ended && self.lost.is_none()
    }

    /// Its share of the schedule from the start on.
    pub fn takes_share(&mut self, agents: u64) {
        let stripe = Stripe { index: self.index, of: agents };
        self.pieces = vec![Piece { stripe, from: Nanos::ZERO, until: Nanos::MAX }];
    }

    /// As it is written down when the run starts.
    pub fn note(&self, now: Nanos) -> AgentSlotNote {
        let offset = self.clock.offset(now).unwrap_or_default();
        AgentSlotNote {
            hello: Some(self.hello.clone()),
            clock_offset_ns: offset.offset,
            clock_bound_ns: offset.bound.0,
            wall_difference_ns: offset.wall_difference,
            joined_ns: self.joined.0,
            start_agent_clock_ns: self.start_clock,
        }
    }

    /// What was written down; `None` where it is no agent.
    pub fn from_note(index: u64, note: &AgentSlotNote, now: Nanos, patience: Nanos) -> Option<Self> {
        let mut slot = Self::new(index, note.hello.clone()?, None, now, patience);
        slot.joined = Nanos(note.joined_ns);
        slot.start_clock = note.start_agent_clock_ns;
        slot.ready = true;
        slot.clock = AgentClock::known(Offset {
            offset: note.clock_offset_ns,
            bound: Nanos(note.clock_bound_ns),
            wall_difference: note.wall_difference_ns,
        });
        Some(slot)
    }

    /// One line of what it tells; `None` once it has told too much.
    pub fn notice(&mut self, text: &str) -> Option<String> {
        self.notices = self.notices.saturating_add(1);
        let line = text.lines().next().unwrap_or_default();
        let line: String =
            line[..line.floor_char_boundary(NOTICE_BYTES_MAX)].chars().filter(|c| !c.is_control()).collect();
        (self.notices <= NOTICES_MAX && !line.is_empty()).then_some(line)
    }

    pub fn state(&self, started: bool) -> AgentState {
        match self {
            Self { ended: true, .. } => AgentState::Finished,
            Self { lost: Some(_), .. } => AgentState::Lost,
            Self { peer: None, .. } => AgentState::Away,
            _ if started => AgentState::Running,
            Self { ready: true, .. } => AgentState::Ready,
            _ => AgentState::Joined,
        }
    }

    /// As it is shown, when the first agent's intervals came up to `front`.
    pub fn view(&self, started: bool, front: Nanos) -> AgentView {
        AgentView {
            index: self.index,
            name: self.name().to_owned(),
            state: self.state(started),
            rate: if self.is_owing() { self.arrived.rate } else { 0.0 },
            cpu_share: self.arrived.cpu_share,
            behind: front - self.arrived.end,
            opened: self.opened,
        }
    }

    /// All that is known of it at the end of a run that was to last until `horizon`, and was stopped for
    /// all at an instant if it was, when it owned so many arrivals as far as anybody but itself can say.
    /// What is large is taken out of it.
    pub fn leave(&mut self, now: Nanos, (horizon, stopped): (Nanos, Option<Nanos>), owned: u64) -> AgentEnd {
        let offset = self.clock.offset(now).unwrap_or_default();
        let mut finished = self.finished.take().filter(|_| self.ended).unwrap_or_default();
        // To end when all are told to is not to end before one's time.
        if stopped.is_some_and(|at| Nanos(finished.length_run_ns) + CLOCK_SLACK >= at) {
            finished.early.clear();
        }
        let arrived = std::mem::take(&mut self.arrived);
        let mut missing = arrived.missing;
        let short = !self.ended || !finished.early.is_empty();
        if short && arrived.end < horizon && missing.len() < MISSING_MAX {
            missing.push((arrived.end, horizon));
        }
        // One that broke down says nothing of what it fired.
        let fired = finished.fired.max(arrived.fired);
        let length = if finished.length_run_ns == 0 { arrived.end } else { Nanos(finished.length_run_ns) };
        let early = match &self.lost {
            Some(loss) if finished.early.is_empty() => loss.reason.clone(),
            _ => finished.early,
        };
        let facts = AgentFacts {
            index: self.index,
            name: self.name().to_owned(),
            host: self.host().to_owned(),
            scheduled: owned.max(finished.scheduled).max(fired),
            fired,
            dispatch_lag: arrived.lag,
            // What can't be read was refused when it came.
            resources: finished.resources.as_ref().and_then(|used| codec::resources(used).ok()),
            clock_offset_ns: offset.offset,
            clock_bound: offset.bound,
            wall_difference_ns: offset.wall_difference,
            intervals: arrived.intervals,
            missing,
            judged_windows: arrived.judged_windows,
            spoiled_windows: arrived.spoiled_windows,
            in_flight: if self.ended { 0 } else { arrived.in_flight },
            lost_at: self.lost.as_ref().map(|loss| loss.at),
            taken_over: self.passed_on,
            early,
        };
        AgentEnd {
            facts,
            machine: self.hello.machine.clone().unwrap_or_default(),
            joined: self.joined,
            arrival_law: codec::arrival_law(&finished.arrival_law).unwrap_or_default(),
            findings: codec::findings(&finished.findings).unwrap_or_default(),
            length,
            last_interval_end: arrived.end,
        }
    }
}
