//! The fleet as it is shown while it runs.

use slatest_core::model::Nanos;

/// Where an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentState {
    /// It has joined and gets ready.
    Joined,
    /// It waits for the start.
    Ready,
    /// It sends load.
    Running,
    /// Its connection is gone; it may come back.
    Away,
    /// It was given up.
    Lost,
    /// It is done, and everything of it has arrived.
    Finished,
}

/// Every state, in the order in which an agent goes through them.
pub const AGENT_STATES: [AgentState; 6] = [
    AgentState::Joined,
    AgentState::Ready,
    AgentState::Running,
    AgentState::Away,
    AgentState::Lost,
    AgentState::Finished,
];

impl AgentState {
    /// The name used in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Away => "away",
            Self::Lost => "lost",
            Self::Finished => "finished",
        }
    }
}

/// One agent as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentView {
    /// Its number.
    pub index: u64,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub state: AgentState,
    /// Operations that came due in its latest interval, per second.
    pub rate: f64,
    /// Share of its processors that its process used in its latest interval, 0 to 1.
    pub cpu_share: f64,
    /// How far its latest interval is behind that of the first agent, in nanoseconds of the run.
    pub behind: Nanos,
    /// Sessions opened before the start, of how many.
    pub opened: (u64, u64),
}

/// The fleet as it is shown while it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetView {
    /// How many agents the run has.
    pub wanted: u64,
    /// Those that have joined, by number.
    pub agents: Vec<AgentView>,
}

impl FleetView {
    /// How many agents have joined.
    pub const fn joined(&self) -> usize {
        self.agents.len()
    }

    /// How many are in a state.
    pub fn count(&self, state: AgentState) -> usize {
        self.agents.iter().filter(|agent| agent.state == state).count()
    }

    /// How many agents are in each state, by the state's name.
    pub fn states(&self) -> Vec<(&'static str, u64)> {
        AGENT_STATES.map(|state| (state.name(), self.count(state) as u64)).to_vec()
    }

    /// The agent whose intervals come last, among those that send load; `None` where none is behind.
    pub fn slowest(&self) -> Option<&AgentView> {
        let running = self.agents.iter().filter(|agent| matches!(agent.state, AgentState::Running | AgentState::Away));
        running.filter(|agent| !agent.behind.is_zero()).max_by_key(|agent| agent.behind)
    }

    /// Sessions opened before the start, of how many, over all agents.
    pub fn opened(&self) -> (u64, u64) {
        self.agents.iter().fold((0, 0), |sum, a| (sum.0 + a.opened.0, sum.1 + a.opened.1))
    }
}
