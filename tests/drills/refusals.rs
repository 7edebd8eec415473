//! Nothing is broken by accident: who may be broken says so, and who breaks it says so too.

use crate::outages::profile;
use crate::scratch::printed;
use crate::stage::Stage;

/// A drill that is fine but for the word that is missing.
fn refused(environment: &str, drills: bool, arguments: &[&str]) -> String {
    let stage = Stage::new();
    let faults = format!("  away:\n    http: {{ inject: {{ post: '{}' }} }}", stage.order("outage=1000"));
    stage.target("staging", true, &faults, "");
    profile(
        &stage,
        "100ms",
        8,
        "  - { name: away, at: 2s, inject: { fault: away }, watch: 5s, restored_after: 10, scope: 'api/*' }",
        "  - { name: comes-back, drill: away, rto: 3s }",
    );
    stage.target(environment, drills, &faults, "");
    let output = stage.run(&[&["run", "--profile", "p", "--target", "t", "--quiet"], arguments].concat());
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(stage.scratch.result().is_none(), "nothing was run: {text}");
    assert!(stage.deeds().iter().all(|deed| matches!(deed, crate::deeds::Deed::Listens { .. })), "{:?}", stage.deeds());
    text
}

#[test]
fn a_target_that_is_no_sandbox_wants_the_second_word() {
    let text = refused("staging", true, &[]);
    assert!(text.contains("--drills") && text.contains("`away`"), "{text}");
}

#[test]
fn a_target_that_does_not_allow_drills_is_left_alone() {
    for environment in ["staging", "sandbox"] {
        let text = refused(environment, false, &["--drills"]);
        assert!(text.contains("allow: { drills: true }"), "{environment}: {text}");
    }
}
