//! The self-test in its short form, as the real program.

use std::process::Command;

use serde_json::Value;

#[test]
fn the_short_selftest_measures_nothing_wrong() {
    let output = Command::new(env!("CARGO_BIN_EXE_slatest"))
        .args(["selftest", "--short", "--json"])
        .output()
        .expect("the program starts");
    let account: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let truths = account["truths"].as_array().expect("truths");
    // Other tests compete for the machine, so some may be void. None may be wrong, and those that hang
    // on no clock hold.
    let of = |finding: &str| truths.iter().filter(|row| row["finding"] == finding).collect::<Vec<_>>();
    assert!(of("wrong").is_empty(), "{:#?}", of("wrong"));
    let expected = if of("void").is_empty() { ("pass", 0) } else { ("void", 97) };
    assert_eq!((account["verdict"].as_str(), output.status.code()), (Some(expected.0), Some(expected.1)));
    for timeless in ["a generator without processor", "7 recorders merged"] {
        let row = truths.iter().find(|row| row["truth"].as_str().is_some_and(|truth| truth.starts_with(timeless)));
        assert_eq!(row.map(|row| &row["finding"]), Some(&Value::from("holds")), "{timeless}");
    }
    for family in ["constant", "uniform", "log-normal", "bimodal", "frozen 1s", "frozen 200ms", "planted", "ledger"] {
        let named = |row: &&Value| row["truth"].as_str().is_some_and(|truth| truth.starts_with(family));
        assert!(truths.iter().any(|row| named(&row)), "{family}");
    }
}
