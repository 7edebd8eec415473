//! Experiments of Chaos Toolkit as faults and drills.

use slatest_core::source::Source;

use crate::desk::Desk;

const EXPERIMENT: &str = r#"{
  "title": "What if the primary dies?",
  "steady-state-hypothesis": { "title": "It answers", "probes": [
    { "type": "probe", "name": "port", "tolerance": 0, "provider": { "type": "process", "path": "nc", "arguments": "-z 127.0.0.1 5432" } } ] },
  "method": [
    { "type": "action", "name": "Kill the primary!", "pauses": { "before": 5, "after": 20 },
      "provider": { "type": "process", "path": "pg_ctl", "timeout": 10, "arguments": ["stop", "-m", "immediate"], "env": { "PGPASSWORD": "hunter2" } } },
    { "type": "probe", "name": "still there", "provider": { "type": "python", "module": "m", "func": "f" } } ],
  "rollbacks": [
    { "type": "action", "name": "start it", "provider": { "type": "process", "path": "pg_ctl", "arguments": ["start"] } } ]
}"#;

#[test]
fn an_experiment_is_written_as_sections_of_ours_and_no_credential_with_it() {
    let desk = Desk::new();
    desk.write("experiment.json", EXPERIMENT);
    let said = desk.slatest(&["drill", "import", "experiment.json"]);
    assert!(!said.whole().contains("hunter2"), "{}", said.whole());
    insta::assert_snapshot!(said.whole());

    let out = desk.slatest(&["drill", "import", "experiment.json", "--out", "imported.yaml"]);
    assert_eq!(out.code, Some(0), "{}", out.whole());
    let written = std::fs::read_to_string(desk.path().join("imported.yaml")).unwrap();
    assert_eq!(written, said.out);
    let again = desk.slatest(&["drill", "import", "experiment.json", "--out", "imported.yaml"]);
    assert_eq!(again.code, Some(2), "what is there is not overwritten: {}", again.whole());
}

#[test]
fn what_was_imported_is_what_targets_and_profiles_say() {
    #[derive(serde::Deserialize)]
    struct Fragment {
        faults: std::collections::BTreeMap<String, slatest_faults::FaultSpec>,
        drills: Vec<slatest_engine::profile::DrillSpec>,
        recovery: Vec<slatest_engine::profile::RecoverySpec>,
    }
    let desk = Desk::new();
    desk.write("experiment.json", EXPERIMENT);
    let said = desk.slatest(&["drill", "import", "experiment.json"]);
    let fragment: Fragment = Source::new("fragment.yaml", said.out, "").parse().unwrap();
    assert_eq!(fragment.faults["kill-the-primary"].injector(), "command");
    assert_eq!((fragment.drills[0].name.as_str(), fragment.drills[0].hold.is_some()), ("kill-the-primary", true));
    assert_eq!(fragment.recovery[0].drill.as_str(), "kill-the-primary");
}

#[test]
fn what_can_t_be_taken_over_is_said_by_the_exit_code_too() {
    let desk = Desk::new();
    desk.write("python.yaml", "title: t\nmethod: [{ type: action, name: a, provider: { type: python } }]\n");
    let said = desk.slatest(&["drill", "import", "python.yaml"]);
    assert_eq!(said.code, Some(98), "{}", said.whole());
    assert!(said.err.contains("its provider is `python`") && said.out.contains("# - the action"), "{}", said.whole());
    desk.write("no.yaml", "method: {}\n");
    assert_eq!(desk.slatest(&["drill", "import", "no.yaml"]).code, Some(104));
    assert_eq!(desk.slatest(&["drill", "import", "nowhere.yaml"]).code, Some(2));
}
