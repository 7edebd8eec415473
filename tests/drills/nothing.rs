//! Drills that break nothing: none of them is a recovery.

use crate::machine::measured;
use crate::outages::{plain, profile};
use crate::stage::Stage;

#[test]
fn a_target_that_does_not_break_is_inconclusive() {
    measured(|| {
        let stage = Stage::new();
        let faults = format!("  harmless:\n    http: {{ inject: {{ post: '{}' }} }}", stage.order(""));
        stage.target("staging", true, &faults, "");
        profile(
            &stage,
            "200ms",
            8,
            "  - { name: harmless, at: 2s, inject: { fault: harmless }, watch: 5s, restored_after: 5, scope: 'api/*' }",
            "  - { name: comes-back, drill: harmless, rto: 3s }",
        );
        let told = stage.drill();
        assert!(told.says("harmless", "inject", "done"), "{:?}", told.journal);
        told.judged("harmless", "inconclusive");
        assert_eq!(told.drill("harmless")["end"], "watched", "{}", told.drill("harmless"));
        assert!(told.text.contains("the fault did nothing"), "{}", told.text);
        assert!(told.recovery("harmless", "api/*").is_none(), "nothing was restored that was not broken");
        told.ended(98);
    });
}

#[test]
fn without_a_steady_state_nothing_is_injected() {
    let stage = Stage::new();
    let faults = format!("  away:\n    http: {{ inject: {{ post: '{}' }} }}", stage.order("outage=1000"));
    stage.target("staging", true, &faults, "");
    plain(
        &stage,
        "200ms",
        10,
        "[]",
        "  - { name: away, after_steady: 10, steady_within: 4s, inject: { fault: away }, watch: 5s, restored_after: 5, scope: 'api/*' }",
        "  - { name: comes-back, drill: away, rto: 3s }",
    );
    stage.tell("fails_every=3");
    let told = stage.drill();
    assert!(told.journal.is_empty(), "nothing was done: {:?}", told.journal);
    assert!(stage.deeds().iter().all(|deed| matches!(deed, crate::deeds::Deed::Listens { .. })), "{:?}", stage.deeds());
    told.judged("away", "inconclusive");
    let reason = told.drill("away")["end"]["not_started"].as_str().expect("why");
    assert!(reason.contains("steady"), "{reason}");
    assert!(told.text.contains("not injected"), "{}", told.text);
    told.ended(98);
}
