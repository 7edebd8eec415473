mod agent;
mod doors;
mod orders;
mod world;

use std::sync::Arc;

use super::*;
use slatest_core::measure::{Series, Threshold};
use slatest_core::schedule::ArrivalLaw;
use slatest_engine::profile::{ExecutorPlan, OnAgentLoss, OnCoordinatorLoss, OperationPlan, Plan, ScenarioPlan};

const RUN: &str = "20261121T080000Z-test-abc123";

/// One open scenario of two operations.
pub(super) fn plan(secs: u64, rate: f64, on_agent_loss: OnAgentLoss) -> Plan {
    let operation = |name: &str| OperationPlan {
        scenario: 0,
        address: format!("api/{name}"),
        timeout: Nanos::from_secs(1),
        timings: vec![],
        ratios: vec!["hit_rate".into()],
        thresholds: vec![Threshold { series: Series::ResponseTime, limit: Nanos::from_millis(100) }],
        share: 0.5,
        ledger: false,
        once: false,
    };
    let steady = ExecutorPlan::steady(ArrivalLaw::Poisson, Nanos::from_secs(secs), rate);
    let scenarios = vec![ScenarioPlan::sample("api", steady)];
    Plan { on_agent_loss, ..Plan::sample(scenarios, vec![operation("list"), operation("create")]) }
}

fn settings(plan: &Arc<Plan>, agents: u64) -> FleetSettings {
    FleetSettings {
        run: RUN.into(),
        agents,
        wait: Nanos::from_secs(30),
        loss_after: LOSS_AFTER,
        plan: Arc::clone(plan),
        assignment: wire::Assignment::default(),
        wall_at_zero: 0,
    }
}

fn hello(agent: &str) -> wire::Hello {
    wire::Hello {
        protocol: crate::PROTOCOL,
        slatest: "0.1.0".into(),
        agent: agent.into(),
        incarnation: vec![7; 16].into(),
        machine: Some(wire::Machine { host: format!("host-of-{agent}"), ..wire::Machine::default() }),
        workers: 1,
        ..wire::Hello::default()
    }
}
