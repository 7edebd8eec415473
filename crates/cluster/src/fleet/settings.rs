//! What a fleet is told before its first agent comes.

use std::sync::Arc;

use crate::wire;
use slatest_core::model::Nanos;
use slatest_engine::profile::Plan;

/// Silence after which an agent is given up.
pub const LOSS_AFTER: Nanos = Nanos::from_secs(10);

/// What a fleet is told before its first agent comes.
#[derive(Clone, Debug)]
pub struct FleetSettings {
    /// The run's id. An agent that takes part in another run is refused.
    pub run: String,
    /// How many agents the run has. At least 1.
    pub agents: u64,
    /// How long to wait until all have joined; how long, after that, until all are ready; and how long a
    /// resumed run waits for agents to come back. Nanoseconds.
    pub wait: Nanos,
    /// Silence after which an agent is given up; [`LOSS_AFTER`] but in tests.
    pub loss_after: Nanos,
    /// The plan as the coordinator resolved it: its end, its windows, its policies of loss.
    pub plan: Arc<Plan>,
    /// What every agent that joins is told to do.
    pub assignment: wire::Assignment,
    /// What this machine's wall clock reads when the clock of the inputs reads zero, in nanoseconds since
    /// 1970: to tell by how much the wall clocks of agents are apart from ours. Nothing hangs on it.
    pub wall_at_zero: i64,
}
