//! A primary of the stack is lost while its standby is seconds behind: what the run's ledger finds to be lost is
//! row by row what the lost node holds and the new primary doesn't. The stack starts the lost node aside to tell
//! (`tests/stack/stack fault database-forced-loss lost`), so the two know nothing of each other.

#![cfg(feature = "sql")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use slatest_core::model::WriteOutcome;
use slatest_core::writes::{LEDGER_FOLDER, Ledger, Record};

fn done(command: &mut Command) -> Output {
    let output = command.output().expect("it can be started");
    let said = || String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}", said());
    output
}

/// The only run in a folder of results.
fn run_in(results: &Path) -> PathBuf {
    let runs: Vec<_> = std::fs::read_dir(results).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [run] = runs.as_slice() else { panic!("one run, not {runs:?}") };
    run.clone()
}

/// The writes that a result names as lost, before a fault or after it, wherever it does: (identifiers, count).
fn named_lost(value: &Value, ids: &mut BTreeSet<String>, count: &mut u64) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == "lost" || key == "lost_after_fault" {
                    if let Some(named) = value["named"].as_array() {
                        *count += value["count"].as_u64().unwrap();
                        ids.extend(named.iter().map(|loss| loss["id"].as_str().unwrap().to_owned()));
                    }
                } else {
                    named_lost(value, ids, count);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| named_lost(value, ids, count)),
        _ => {}
    }
}

#[test]
#[ignore = "loses a primary of the stack, and needs two quiet minutes: tests/stack/stack up postgres api"]
fn the_ledger_finds_row_by_row_what_the_lost_primary_alone_had() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var("SLATEST_STACK_TARGET").unwrap_or_else(|_| "stack".into());
    let results = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_slatest"))
        .current_dir(root)
        .args(["run", "--profile", "drill-database-forced-loss", "--target", &target, "--drills", "--quiet", "--out"])
        .arg(results.path())
        .output()
        .expect("slatest can be started");
    let folder = run_in(results.path());
    let record: Value = serde_json::from_slice(&std::fs::read(folder.join("run.json")).unwrap()).unwrap();
    let drill = &record["result"]["drills"][0];
    assert!(!drill.is_null(), "{}", String::from_utf8_lossy(&run.stdout));

    // What the lost node alone had.
    let lost = done(Command::new(root.join("tests/stack/stack")).args(["fault", "database-forced-loss", "lost"]));
    let rows: BTreeSet<String> =
        String::from_utf8(lost.stdout).unwrap().lines().map(|row| row.split_once('\t').unwrap().1.to_owned()).collect();

    // What was acknowledged, straight from the ledger's records.
    let mut acknowledged = BTreeSet::new();
    let mut written = BTreeSet::new();
    for record in Ledger::open(&folder.join(LEDGER_FOLDER)).unwrap().records() {
        let Record::Write(entry) = record.unwrap() else { continue };
        written.insert(entry.id.to_string());
        if entry.outcome == WriteOutcome::Acknowledged {
            acknowledged.insert(entry.id.to_string());
        }
    }

    let truth: BTreeSet<String> = rows.intersection(&acknowledged).cloned().collect();
    let (mut named, mut count) = (BTreeSet::new(), 0);
    named_lost(drill, &mut named, &mut count);
    println!("{} rows only on the lost node, {} of them acknowledged; the run found {count}", rows.len(), truth.len());
    assert!(!truth.is_empty(), "the drill must lose something, or it shows nothing");
    assert!(rows.is_subset(&written), "only this run wrote to the stack");
    assert_eq!(named, truth);
    assert_eq!(count, truth.len() as u64, "each is counted once");
}
