//! What can be broken, and whether it can be now.

use crate::desk::{Desk, TARGET};

#[test]
fn every_fault_is_listed_with_what_it_takes_and_who_uses_it() {
    let said = Desk::new().slatest(&["drill", "list", "--target", "desk"]);
    insta::assert_snapshot!(said.whole());
}

#[test]
fn programs_are_told_the_same() {
    let said = Desk::new().slatest(&["drill", "list", "--target", "desk", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (told["drills_allowed"].as_bool(), told["alertmanager"].as_str()),
        (Some(true), Some("http://127.0.0.1:9093/am"))
    );
    let flag = told["faults"].as_array().unwrap().iter().find(|fault| fault["name"] == "flag").unwrap();
    assert_eq!((&flag["profiles"][0], &flag["injector"]), (&"night".into(), &"command".into()));
    assert!(flag["wrong"].as_array().unwrap().is_empty() && flag["healed"].is_string(), "{flag}");
}

#[test]
fn a_look_says_what_is_missing_and_changes_nothing() {
    let desk = Desk::new();
    let said = desk.slatest(&["drill", "check", "--target", "desk"]);
    assert!(desk.path().join("targets/flag").exists(), "nothing is broken by a look");
    insta::assert_snapshot!(said.whole());
}

#[test]
fn a_profile_s_faults_are_looked_at_alone() {
    let desk = Desk::new();
    // What is wrong elsewhere in the target keeps its profiles from running at all.
    desk.write("targets/desk.yaml", &TARGET.replace("{ env: SLATEST_NOT_SET_9 }", "{ env: PATH }"));
    let said = desk.slatest(&["drill", "check", "--profile", "night", "--target", "desk", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.whole()));
    let names: Vec<&str> =
        told["faults"].as_array().unwrap().iter().filter_map(|fault| fault["name"].as_str()).collect();
    assert_eq!((said.code, names), (Some(0), vec!["flag"]));
}

#[test]
fn where_drills_are_not_allowed_nothing_is_looked_at() {
    let desk = Desk::new();
    let target = TARGET.replace("drills: true", "drills: false").replace("SLATEST_NOT_SET_9", "PATH");
    desk.write("targets/desk.yaml", &target);
    for profile in [&["--profile", "night"][..], &[]] {
        let said = desk.slatest(&[&["drill", "check", "--target", "desk"], profile].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{}", said.whole());
    }
    let sandbox = desk.slatest(&["drill", "list"]);
    assert!(sandbox.code == Some(2) && sandbox.err.contains("--target"), "{}", sandbox.whole());
}
