//! Drills and recovery objectives: what is planned, and every mistake said where it stands.

use slatest_core::model::Nanos;
use slatest_engine::profile::{DrillStart, RecoverySpec};
use slatest_faults::steps::HealBy;
use slatest_stats::Asked;

use crate::desk::{Desk, PROFILE, TARGET};

const DRILLS: &str = "\
drills:
  - name: primary-loss
    at: 3s
    inject: { fault: primary-kill }
    watch: 6s
    restored_after: 3
    scope: \"events/*\"
recovery:
  - { name: db-rto, drill: primary-loss, rto: 2s, rpo: 5m, lost_writes: 0 }
  - { name: task-rto, drill: primary-loss, scope: events/task, rto: 2s }
";

const FAULTS: &str = "\
faults:
  primary-kill: { process: { pid_file: run/primary.pid, signal: kill } }
  bus-cut: { network: { proxy: bus, mode: blackhole } }
proxies:
  bus: { listen: '127.0.0.1:19092', upstream: '127.0.0.1:9092' }
";

fn desk() -> Desk {
    let mut desk = Desk::with_profile(&format!("{PROFILE}{DRILLS}"));
    desk.target = format!("{TARGET}{FAULTS}");
    desk
}

#[test]
fn a_drill_is_planned_with_its_objectives() {
    let plan = desk().plan();
    let [drill] = plan.drills.as_slice() else { panic!("one drill") };
    assert_eq!(drill.start, DrillStart::At(Nanos::from_secs(3)));
    assert_eq!((drill.watch, drill.restored_after, drill.heal), (Nanos::from_secs(6), 3, HealBy::Auto));
    assert_eq!((drill.fault.as_deref(), drill.operations.len()), (Some("primary-kill"), 2));
    assert_eq!(serde_json::to_value(&drill.injector).unwrap()["process"]["signal"], "kill");
    let asks = vec![Asked::Rto(Nanos::from_secs(2)), Asked::Rpo(Nanos::from_secs(300)), Asked::LostWrites(0)];
    assert_eq!((drill.objectives[0].scope.as_str(), &drill.objectives[0].asks), ("events/*", &asks));
    assert_eq!((drill.objectives[1].scope.as_str(), drill.objectives[1].operations.len()), ("events/task", 1));
    let names: Vec<String> = drill.components(&plan).into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["events/*", "events/task", "events/handover", "*"]);
    // What the profile promises of the whole is promised of each part.
    assert!(drill.components(&plan).iter().all(|one| one.promises.len() == 1));
    let [(limit, places)] = &plan.steady_limits()[..] else { panic!("one limit") };
    assert_eq!((limit.message.as_str(), places.len()), ("o: p95 response_time < 500 ms", 2));
    // A record of it reads the same.
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<slatest_engine::profile::Plan>(&text).unwrap(), plan);
}

#[test]
fn a_drill_may_wait_for_the_steady_state_and_bring_its_injector() {
    let mut desk = desk();
    desk.profile = desk.profile.replace("duration: 10s", "duration: 90s");
    desk.profile = desk.profile.replace("at: 3s", "after_steady: 5\n    hold: 2s");
    desk.profile = desk.profile.replace("{ fault: primary-kill }", "{ command: { inject: { program: ./break.sh } } }");
    let plan = desk.plan();
    let within = Nanos::from_secs(30);
    assert_eq!(plan.drills[0].start, DrillStart::AfterSteady { windows: 5, within });
    assert_eq!((plan.drills[0].fault.as_deref(), plan.drills[0].fault_words().as_str()), (None, "command"));
    assert_eq!(plan.drills[0].hold, Some(Nanos::from_secs(2)));
}

/// (title, what is replaced, by what)
const CASES: &[(&str, &str, &str)] = &[
    ("unknown key", "watch: 6s", "wach: 6s"),
    ("no start", "    at: 3s\n", ""),
    ("two starts", "at: 3s", "at: 3s\n    after_steady: 5"),
    ("a wait without a steady state", "at: 3s", "at: 3s\n    steady_within: 5s"),
    ("no window of steady state", "at: 3s", "after_steady: 0"),
    ("a steady state that takes longer than it may", "at: 3s", "after_steady: 5\n    steady_within: 2s"),
    ("a steady state that may come too late", "at: 3s", "after_steady: 5"),
    ("unknown fault", "fault: primary-kill", "fault: primary-kil"),
    ("fault that is no name", "fault: primary-kill", "fault: 7"),
    ("two injectors", "fault: primary-kill", "fault: primary-kill, command: {}"),
    ("no injector", "{ fault: primary-kill }", "{}"),
    ("a scope that matches nothing", "scope: \"events/*\"\nrecovery", "scope: \"event/*\"\nrecovery"),
    ("a watch too short for a recovery", "watch: 6s", "watch: 3s"),
    ("a watch that nobody could keep", "watch: 6s", "watch: 90h"),
    ("a watch longer than the load", "watch: 6s", "watch: 8s"),
    ("no good window", "restored_after: 3", "restored_after: 0"),
    ("held for longer than watched", "watch: 6s", "watch: 6s\n    hold: 6s"),
    ("held and left to people", "watch: 6s", "watch: 6s\n    hold: 2s\n    heal: manual"),
    ("injected before there is load", "rate: 10/s", "rate: 10/s\n    start_after: 4s"),
    ("unknown drill", "name: db-rto, drill: primary-loss", "name: db-rto, drill: primary-los"),
    ("an objective that asks nothing", ", rto: 2s, rpo: 5m, lost_writes: 0", ""),
    (
        "a target that the watch can't show",
        "rpo: 5m, lost_writes: 0 }",
        "rpo: 5m, lost_writes: 0 }\n  - { name: slow, drill: primary-loss, rto: 3s }",
    ),
    ("an objective twice", "name: task-rto", "name: db-rto"),
    ("a recovery named like an objective", "name: task-rto", "name: o"),
    ("a scope of an objective that matches nothing", "scope: events/task", "scope: events/tsk"),
    ("a target time without unit", "rto: 2s, rpo", "rto: 2, rpo"),
    (
        "drills that overlap",
        "recovery:",
        "  - { name: again, at: 4s, inject: { fault: bus-cut }, watch: 5s, restored_after: 3, scope: \"*\" }\nrecovery:",
    ),
    (
        "a drill twice",
        "recovery:",
        "  - { name: primary-loss, at: 4s, inject: { fault: bus-cut }, watch: 5s, restored_after: 3, scope: \"*\" }\nrecovery:",
    ),
];

#[test]
fn every_mistake_of_a_drill_is_said_where_it_stands() {
    let mut said = String::new();
    for &(title, from, to) in CASES {
        let mut desk = desk();
        assert!(desk.profile.contains(from), "{title}: nothing to replace");
        desk.profile = desk.profile.replacen(from, to, 1);
        said.push_str(&format!("# {title}\n{}\n\n", desk.complaint()));
    }
    let mut bare = desk();
    bare.target = TARGET.into();
    said.push_str(&format!("# a target without faults\n{}\n", bare.complaint()));
    assert!(!said.contains("taken without a word"), "{said}");
    insta::assert_snapshot!(said);
}

#[test]
fn a_recovery_objective_is_written_as_it_is_read() {
    let text = "{ name: db-rto, drill: d, scope: database/*, rto: 1m, rpo: 5m, lost_writes: 0 }";
    let read = |text: &str| slatest_core::source::Source::new("p.yaml", text, "").parse::<RecoverySpec>().unwrap();
    let spec = read(text);
    let again = read(&serde_json::to_string(&spec).unwrap());
    assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&spec).unwrap());
}
