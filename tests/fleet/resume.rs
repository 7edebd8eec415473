//! Coordinators that are lost.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::field::{Agent, Coordinator, Field, check};
use crate::scratch::wait_for;

fn started(more: &str, secs: u32) -> (Field, Coordinator, [Agent; 2]) {
    let field = Field::new(100, secs, more);
    let coordinator = field.coordinator(2, &[]);
    let agents = ["one", "two"].map(|name| field.agent(name, coordinator.address, &[]));
    wait_for("five windows", || field.scratch.windows() >= 5);
    (field, coordinator, agents)
}

fn sent(record: &Value) -> u64 {
    record["result"]["generator"]["sent"].as_u64().expect("sent")
}

#[test]
fn without_a_coordinator_agents_stop_and_one_that_is_resumed_collects_what_they_measured() {
    let (field, coordinator, mut agents) = started("", 60);
    let killed = Instant::now();
    coordinator.process.kill();
    for agent in &mut agents {
        agent.0.wait_for("no more load is sent");
    }
    // Requests that were under way may still come; then there are no more.
    wait_for("silence at the target", || field.target.last().elapsed() > Duration::from_secs(1));
    let went_on = field.target.last().duration_since(killed);
    assert!(went_on > Duration::from_secs(2), "they would have bridged a short gap");

    let coordinator = field.resumed();
    let (code, said) = coordinator.process.end();
    assert_eq!(code, Some(97), "{said}");
    for agent in agents {
        agent.0.end();
    }
    let record = field.record();
    assert_eq!(sent(&record), field.target.requests(), "every request that the target got was told: {said}");
    assert_eq!(check(&record, "intervals")["holds"], true, "{said}");
    assert_eq!(check(&record, "accounting")["holds"], true, "{said}");
    assert_eq!(check(&record, "agents")["effect"], "void", "{said}");
}

#[test]
fn agents_that_were_told_to_finish_do_and_the_report_is_whole() {
    let (field, coordinator, agents) = started("on_coordinator_loss: finish\n", 12);
    coordinator.process.kill();
    wait_for("all of the load", || field.target.requests() >= 1_190);
    let coordinator = field.resumed();
    let (code, said) = coordinator.process.end();
    assert_eq!(agents.map(|agent| agent.0.end().0), [Some(0), Some(0)]);
    let record = field.record();
    assert_eq!(record["status"], "finished", "{said}");
    for name in ["agents", "intervals", "accounting", "arrivals achieved"] {
        assert_eq!(check(&record, name)["holds"], true, "{name}: {code:?} {said}");
    }
    assert_eq!(sent(&record), field.target.requests());
}

#[test]
fn a_coordinator_that_is_back_soon_is_hardly_missed() {
    let (field, coordinator, agents) = started("", 12);
    coordinator.process.kill();
    let coordinator = field.resumed();
    let (code, said) = coordinator.process.end();
    assert_eq!(agents.map(|agent| agent.0.end().0), [Some(0), Some(0)]);
    let record = field.record();
    for name in ["agents", "intervals", "accounting", "arrivals achieved"] {
        assert_eq!(check(&record, name)["holds"], true, "{name}: {code:?} {said}");
    }
    assert_eq!(sent(&record), field.target.requests());
}
