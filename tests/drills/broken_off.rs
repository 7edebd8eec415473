//! Runs that are broken off while something is broken.

use std::process::Child;

use nix::sys::signal::Signal;

use crate::deeds::Deed;
use crate::outages::profile;
use crate::scratch::{printed, wait_for};
use crate::stage::{RUN, Stage, signal};
use crate::told::{Told, journal, says};

/// The target with a fault that stays until it is mended.
fn can_be_away(stage: &Stage) {
    let faults = format!(
        "  away:\n    http: {{ inject: {{ post: '{}' }}, heal: {{ post: '{}' }} }}",
        stage.order("outage=600000"),
        stage.order("mend=true"),
    );
    stage.target("staging", true, &faults, "");
}

/// A drill that would go on for a minute.
fn held(stage: &Stage) -> Child {
    can_be_away(stage);
    profile(
        stage,
        "200ms",
        70,
        "  - { name: away, at: 1s, inject: { fault: away }, hold: 55s, watch: 60s, restored_after: 5, scope: 'api/*' }",
        "  - { name: comes-back, drill: away, rto: 30s }",
    );
    let child = stage.begin(&RUN);
    wait_for("the fault", || says(&journal(&stage.scratch), "away", "inject", "done"));
    child
}

fn is_mended(stage: &Stage) -> bool {
    stage.deeds().iter().any(|deed| matches!(deed, Deed::Mended { .. }))
}

#[test]
fn ctrl_c_while_it_is_broken_heals_it() {
    let stage = Stage::new();
    let child = held(&stage);
    signal(&child, Signal::SIGINT);
    let told = Told::of(&stage.scratch, child.wait_with_output().expect("it ended"), None);
    assert_eq!(told.code, Some(105), "{}", told.text);
    assert!(is_mended(&stage), "{:?}\n{}", stage.deeds(), told.text);
    assert!(told.says("away", "heal", "done"), "{:?}", told.journal);
    assert_eq!(told.record["status"], "interrupted");
    let drill = told.drill("away");
    assert_eq!((&drill["end"], &drill["verdict"]), (&"interrupted".into(), &"inconclusive".into()), "{drill}");
    assert!(drill["heal"]["done"].is_u64(), "{drill}");
}

#[test]
fn a_line_that_drops_while_it_is_broken_heals_it() {
    // Whoever starts these tests by `nohup` has every child ignore it.
    let ignored =
        procfs::process::Process::myself().and_then(|me| me.status()).is_ok_and(|status| status.sigign & 1 != 0);
    let hang_up = (!ignored).then_some(Signal::SIGHUP);
    for hangs_up in hang_up.into_iter().chain([Signal::SIGQUIT, Signal::SIGTERM]) {
        let stage = Stage::new();
        let child = held(&stage);
        signal(&child, hangs_up);
        let told = Told::of(&stage.scratch, child.wait_with_output().expect("it ended"), None);
        assert_eq!(told.code, Some(105), "{hangs_up}: {}", told.text);
        assert!(is_mended(&stage), "{hangs_up}: {:?}\n{}", stage.deeds(), told.text);
        assert!(told.says("away", "heal", "done"), "{hangs_up}: {:?}", told.journal);
        assert_eq!(told.record["status"], "interrupted", "{hangs_up}");
    }
}

#[test]
fn ctrl_c_while_it_waits_for_the_steady_state_breaks_nothing() {
    let stage = Stage::new();
    can_be_away(&stage);
    // So many steady windows in a row take half a minute.
    profile(
        &stage,
        "200ms",
        120,
        "  - { name: away, after_steady: 150, steady_within: 60s, inject: { fault: away }, watch: 35s, restored_after: 5, scope: 'api/*' }",
        "  - { name: comes-back, drill: away, rto: 30s }",
    );
    let child = stage.begin(&RUN);
    wait_for("three windows", || stage.scratch.windows() >= 3);
    signal(&child, Signal::SIGINT);
    let told = Told::of(&stage.scratch, child.wait_with_output().expect("it ended"), None);
    assert_eq!(told.code, Some(105), "{}", told.text);
    assert!(!told.says("away", "inject", "done") && !is_mended(&stage), "{:?}", told.journal);
    // It drains for 5 s at most, and did not wait for the state that it was looking for.
    assert!(stage.scratch.windows() < 150, "{}", stage.scratch.windows());
}

#[test]
fn a_second_ctrl_c_does_not_leave_it_broken() {
    let stage = Stage::new();
    let child = held(&stage);
    signal(&child, Signal::SIGINT);
    signal(&child, Signal::SIGINT);
    let output = child.wait_with_output().expect("it ended");
    assert_eq!(output.status.code(), Some(105), "{}", printed(&output));
    assert!(is_mended(&stage), "{:?}\n{}", stage.deeds(), printed(&output));
    assert!(says(&journal(&stage.scratch), "away", "heal", "done"), "{}", printed(&output));
}

#[test]
fn a_run_that_is_killed_leaves_word_of_what_is_broken() {
    let stage = Stage::new();
    let mut child = held(&stage);
    signal(&child, Signal::SIGKILL);
    child.wait().expect("it ended");
    assert!(!is_mended(&stage), "nobody could");
    let lines = journal(&stage.scratch);
    assert!(says(&lines, "away", "inject", "done") && !says(&lines, "away", "heal", "done"), "{lines:?}");
    let remedy = lines.iter().find(|line| line["phase"] == "about_to").map(|line| &line["remedy"]);
    let hook = remedy.map(|remedy| remedy["fault"]["http"]["heal"]["post"].clone());
    assert_eq!(hook, Some(stage.order("mend=true").into()), "what heals it is in there: {lines:?}");
}

#[test]
fn what_a_killed_run_left_broken_is_healed_later() {
    let stage = Stage::new();
    let mut child = held(&stage);
    let heal = ["drill", "heal", "latest"];
    let output = stage.run(&heal);
    assert_eq!(output.status.code(), Some(3), "while it is under way it heals by itself: {}", printed(&output));
    assert!(!is_mended(&stage), "{}", printed(&output));
    signal(&child, Signal::SIGKILL);
    child.wait().expect("it ended");
    for _ in 0..2 {
        // Asked for again, nothing is left to heal.
        let output = stage.run(&heal);
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
        assert!(is_mended(&stage), "{}", printed(&output));
        assert!(says(&journal(&stage.scratch), "away", "heal", "done"), "{}", printed(&output));
    }
    let mended = stage.deeds().iter().filter(|deed| matches!(deed, Deed::Mended { .. })).count();
    assert_eq!(mended, 1, "{:?}", stage.deeds());
}
