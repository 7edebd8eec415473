//! Plans for tests, with everything filled in that most of them don't care for.

use super::{
    ArrivalLaw, ExecutorPlan, Mix, MixItem, OperationPlan, Plan, PlanStep, RateCounts, ScenarioPlan, StagePlan,
};
use slatest_core::model::{Nanos, OperationId};
use slatest_core::schedule::Places;

impl Plan {
    /// Of these scenarios and operations, in windows of a second.
    pub fn sample(scenarios: Vec<ScenarioPlan>, operations: Vec<OperationPlan>) -> Self {
        Self {
            profile: "test".into(),
            description: None,
            seed: 1,
            window: Nanos::from_secs(1),
            graceful_stop: Nanos::from_secs(1),
            on_agent_loss: Default::default(),
            on_coordinator_loss: Default::default(),
            scenarios,
            operations,
            objectives: vec![],
            drills: vec![],
            left_out: vec![],
        }
    }
}

impl ScenarioPlan {
    /// One that is judged from its first arrival on; ten operations under way at most.
    pub fn sample(name: &str, executor: ExecutorPlan) -> Self {
        Self {
            name: name.into(),
            workload: name.into(),
            endpoint: name.into(),
            driver: "http".into(),
            executor,
            mix: Mix::Weighted,
            start: Nanos::ZERO,
            warm_up: Nanos::ZERO,
            cool_down: Nanos::ZERO,
            max_in_flight: 10,
            users: None,
            once: vec![],
            rate_counts: RateCounts::Arrivals,
            places: Places::UNBOUNDED,
            first_operation: OperationId(0),
            items: vec![],
        }
    }
}

impl MixItem {
    /// One operation of the workload.
    pub fn sample(operation: usize) -> Self {
        Self { weight: 1.0, steps: vec![PlanStep::Operation(operation)], flow: None }
    }
}

impl OperationPlan {
    /// Of the first scenario, with a timeout of a second and nothing that limits it.
    pub fn sample(address: &str) -> Self {
        Self {
            scenario: 0,
            address: address.into(),
            timeout: Nanos::from_secs(1),
            timings: vec![],
            ratios: vec![],
            thresholds: vec![],
            share: 1.0,
            ledger: false,
            once: false,
        }
    }
}

impl ExecutorPlan {
    /// Arrivals at one rate, per second, for so long.
    pub fn steady(law: ArrivalLaw, duration: Nanos, rate: f64) -> Self {
        Self::Arrivals { law, stages: vec![StagePlan { duration, from: rate, to: rate }] }
    }
}
