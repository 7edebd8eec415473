//! Outages whose length is known: a process that is killed and started again, and a service that doesn't serve for
//! exactly as long as it was told.

use jiff::SignedDuration;

use crate::agreement::{agrees, agrees_until};
use crate::deeds::Deed;
use crate::machine::measured;
use crate::stage::Stage;
use crate::told::Recovery;

/// A profile over one scenario that lasts for so long.
pub fn profile(stage: &Stage, window: &str, secs: u32, drills: &str, recovery: &str) {
    let objectives = "[{ name: works, scope: '*/*', indicator: error_rate, below: 1% }, \
                      { name: fast, scope: '*/*', indicator: response_time, quantile: 0.99, below: 10s }]";
    plain(stage, window, secs, objectives, drills, recovery);
}

/// The same with objectives of one's own.
pub fn plain(stage: &Stage, window: &str, secs: u32, objectives: &str, drills: &str, recovery: &str) {
    // Enough for a window to tell, and no more: this machine has other work.
    let rate = match window {
        "100ms" => 400,
        "200ms" => 200,
        _ => 150,
    };
    let text = format!(
        "name: p\nseed: 5\nwindow: {window}\ngraceful_stop: 10s\nscenarios:\n  \
         api: {{ workload: plain, executor: constant-arrival-rate, arrivals: uniform, rate: {rate}/s, duration: {secs}s, max_in_flight: 4000 }}\n\
         objectives: {objectives}\ndrills:\n{drills}\nrecovery:\n{recovery}\n"
    );
    stage.scratch.write("profiles/p.yaml", &text);
    stage.check();
}

/// The fault that kills the target's process and starts it again.
pub fn kill(stage: &Stage) -> String {
    let folder = stage.scratch.path().join("target");
    let folder = folder.display();
    format!(
        "  gone:\n    process:\n      pid_file: {folder}/target.pid\n      signal: kill\n      \
         restart: {{ program: sh, args: [start.sh], folder: '{folder}' }}\n"
    )
}

#[test]
fn a_process_that_is_killed_and_started_again_takes_as_long_as_the_observer_says() {
    measured(|| {
        let stage = Stage::new();
        stage.target("staging", true, &kill(&stage), "");
        profile(
            &stage,
            "100ms",
            20,
            "  - { name: crash, after_steady: 20, steady_within: 10s, inject: { fault: gone }, hold: 2s, watch: 9s, restored_after: 20, scope: 'api/*' }",
            "  - { name: comes-back, drill: crash, rto: 6s }",
        );
        let before = stage.pid();
        let told = stage.drill();
        assert_ne!(stage.pid(), before, "another process serves now: {}", told.text);
        for (step, phase) in [("inject", "about_to"), ("inject", "done"), ("heal", "about_to"), ("heal", "done")] {
            assert!(told.says("crash", step, phase), "{step} {phase}: {:?}", told.journal);
        }
        let recovery = agrees(&told, "crash", "api/*");
        assert!(recovery.restored.duration_since(recovery.issued) >= SignedDuration::from_secs(1), "{recovery:?}");
        told.judged("crash", "pass");
        told.ended(0);
    });
}

fn known_length(window: &str, watch: &str, secs: u32) {
    let stage = Stage::new();
    let faults = format!(
        "  away:\n    http: {{ inject: {{ post: '{}' }}, heal: {{ post: '{}' }} }}",
        stage.order("outage=2500"),
        stage.order("mend=true"),
    );
    stage.target("staging", true, &faults, "");
    profile(
        &stage,
        window,
        secs,
        &format!(
            "  - {{ name: away, at: 3s, inject: {{ fault: away }}, watch: {watch}, restored_after: 5, scope: 'api/*' }}"
        ),
        "  - { name: comes-back, drill: away, rto: 5s }",
    );
    let told = stage.drill();
    let recovery = agrees(&told, "away", "api/*");
    // The target knows it to the nanosecond.
    let outage = stage.deeds().into_iter().find_map(|deed| match deed {
        Deed::Outage { from, until } => Some((from, until)),
        _ => None,
    });
    let (from, until) = outage.expect("an outage");
    assert!(from >= recovery.issued && recovery.first_error >= from - recovery.window, "{from} {recovery:?}");
    assert!(recovery.lower <= until && until <= recovery.upper, "{until}: {recovery:?}");
    told.judged("away", "pass");
    told.ended(0);
}

#[test]
fn an_outage_of_known_length_is_measured_in_windows_of_100_ms() {
    measured(|| known_length("100ms", "6s", 10));
}

#[test]
fn an_outage_of_known_length_is_measured_in_windows_of_1_s() {
    measured(|| known_length("1s", "11s", 18));
}

#[test]
fn two_drills_of_one_run_have_figures_of_their_own() {
    measured(|| {
        let stage = Stage::new();
        let away = |name: &str, ms: u32| {
            let (inject, heal) = (stage.order(&format!("outage={ms}")), stage.order("mend=true"));
            format!("  {name}:\n    http: {{ inject: {{ post: '{inject}' }}, heal: {{ post: '{heal}' }} }}\n")
        };
        stage.target("staging", true, &(away("short", 1000) + &away("long", 3000)), "");
        profile(
            &stage,
            "100ms",
            16,
            "  - { name: first, at: 3s, inject: { fault: short }, watch: 5s, restored_after: 10, scope: 'api/*' }\n  \
         - { name: second, at: 9s, inject: { fault: long }, watch: 6s, restored_after: 10, scope: 'api/*' }",
            "  - { name: first-comes-back, drill: first, rto: 2s }\n  - { name: second-comes-back, drill: second, rto: 2s }",
        );
        let told = stage.drill();
        let first = agrees_until(&told, "first", "api/*", told.issued("second") - SignedDuration::from_secs(2));
        let second = agrees(&told, "second", "api/*");
        let length = |recovery: &Recovery| recovery.restored.duration_since(recovery.issued);
        assert!(length(&second) > length(&first), "{first:?} {second:?}");
        // One verdict is not the other's.
        if !first.gaps {
            told.judged("first", "pass");
        }
        told.judged("second", "fail");
        told.ended(99);
    });
}
