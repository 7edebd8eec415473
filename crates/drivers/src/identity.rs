//! What all executions of a compiled workload have in common.

use std::sync::Arc;

use super::CompileContext;
use crate::workload::ExecutionId;
use slatest_core::model::Arrival;

/// The run and the scenario that a compiled workload belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Seed of the run.
    pub(crate) seed: u64,
    /// Name of the run.
    pub(crate) run: Arc<str>,
    /// Name of the scenario.
    pub(crate) scenario: Arc<str>,
}

impl Identity {
    /// Of the workload that is being compiled.
    pub(crate) fn of(context: &CompileContext<'_>) -> Self {
        Self { seed: context.seed, run: context.run.into(), scenario: context.scenario.into() }
    }

    /// The execution of an arrival by a user.
    pub(crate) fn execution(&self, arrival: &Arrival, user: u64) -> ExecutionId {
        ExecutionId {
            seed: self.seed,
            run: Arc::clone(&self.run),
            scenario: Arc::clone(&self.scenario),
            seq: arrival.seq,
            step: arrival.step,
            user,
        }
    }
}
