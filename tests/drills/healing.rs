//! What was broken is mended, and where it is not, nobody can miss it.

use crate::deeds::Deed;
use crate::outages::profile;
use crate::stage::Stage;

const DRILL: &str =
    "  - { name: away, at: 2s, inject: { fault: away }, hold: 1s, watch: 5s, restored_after: 5, scope: 'api/*' }";
const RTO: &str = "  - { name: comes-back, drill: away, rto: 3s }";

#[test]
fn a_heal_that_fails_is_said_as_loudly_as_can_be() {
    let stage = Stage::new();
    // It comes back by itself, so that the recovery objective holds: the heal alone fails the run.
    let faults = format!(
        "  away:\n    http: {{ inject: {{ post: '{}' }}, heal: {{ post: '{}' }} }}",
        stage.order("outage=1500"),
        stage.order("answer=500"),
    );
    stage.target("staging", true, &faults, "");
    profile(&stage, "200ms", 8, DRILL, RTO);
    let told = stage.drill();
    assert!(told.says("away", "heal", "failed") && !told.says("away", "heal", "done"), "{:?}", told.journal);
    told.judged("away", "fail");
    assert!(
        told.drill("away")["heal"]["failed"].as_str().is_some_and(|reason| reason.contains("500")),
        "{}",
        told.drill("away")
    );
    assert!(told.errors.contains("HEALING FAILED") && told.errors.contains("`away`"), "on stderr: {}", told.errors);
    assert_eq!(told.code, Some(99), "whatever else the run came to: {}", told.text);
}

#[test]
fn an_injection_that_fails_is_healed_and_says_nothing() {
    let stage = Stage::new();
    // It breaks, and answers that it could not.
    let faults = format!(
        "  away:\n    http: {{ inject: {{ post: '{}' }}, heal: {{ post: '{}' }} }}",
        stage.order("outage=60000&answer=500"),
        stage.order("mend=true"),
    );
    stage.target("staging", true, &faults, "");
    profile(&stage, "200ms", 8, DRILL, RTO);
    let told = stage.drill();
    assert!(told.says("away", "inject", "failed") && told.says("away", "heal", "done"), "{:?}", told.journal);
    assert!(stage.deeds().iter().any(|deed| matches!(deed, Deed::Mended { .. })), "{:?}", stage.deeds());
    told.judged("away", "inconclusive");
    let end = &told.drill("away")["end"];
    assert!(end["inject_failed"].as_str().is_some_and(|reason| reason.contains("500")), "{end}");
    assert_ne!(told.code, Some(0), "{}", told.text);
}
