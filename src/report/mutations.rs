//! Records that somebody changed: shown, or refused; never a panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Brief, Csv, Ctrf, Hlog, Html, Json, Junit, K6, Markdown, Render, Text};
use slatest_engine::record::read;

/// A run that ended, and one that was killed: a record, a mark, and its windows.
const RUNS: [&str; 2] = [include_str!("../../fuzz/seeds/record/whole"), include_str!("../../fuzz/seeds/record/killed")];
const MARK: &str = "\n=====\n";

thread_local! {
    /// The record of a run with a drill.
    static DRILLED: Value = serde_json::to_value(super::tests::drilled().1).unwrap();
}

/// What is put in the place of something.
fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(-1e-308),
        json!(0.5),
        json!(""),
        json!("\u{1b}[2J\u{0}<&>\"]]>|`\n"),
        json!("🦀".repeat(300)),
        json!([]),
        json!({}),
        json!([[[[0]]]]),
    ]
}

/// Puts `with` in the place of the `at`th value of a document, counted depth first.
fn replace(document: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *document = with.clone();
    }
    *at = at.wrapping_sub(1);
    match document {
        _ if *at == usize::MAX => {}
        Value::Array(items) => items.iter_mut().for_each(|item| {
            if *at != usize::MAX {
                replace(item, at, with);
            }
        }),
        Value::Object(fields) => fields.iter_mut().for_each(|(_, field)| {
            if *at != usize::MAX {
                replace(field, at, with);
            }
        }),
        _ => {}
    }
}

fn size(document: &Value) -> usize {
    1 + match document {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

fn show(record: &str, windows: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("run.json"), record).unwrap();
    std::fs::write(folder.path().join("windows.jsonl"), windows).unwrap();
    let Ok(record) = read(folder.path()) else { return };
    let brief = Brief::for_terminal(None);
    let formats: [&dyn Render; 10] =
        [&Text::for_terminal(), &brief, &Json, &Junit, &Markdown, &Hlog, &Html, &Csv, &Ctrf, &K6];
    for format in formats {
        // What can't be shown says so.
        let _ = format.render(&record, &mut std::io::sink());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_record_is_shown_or_refused(
        which in 0..RUNS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let (record, windows) = RUNS[which].split_once(MARK).unwrap();
        let mut document: Value = serde_json::from_str(record).unwrap();
        for (place, value) in changes {
            let mut at = place.index(size(&document));
            replace(&mut document, &mut at, value.get(&values()));
        }
        show(&document.to_string(), windows);
    }

    #[test]
    fn a_changed_drill_is_shown_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let mut document = DRILLED.with(Clone::clone);
        for (place, value) in changes {
            let drills = &mut document["result"]["drills"];
            let mut at = place.index(size(drills));
            replace(drills, &mut at, value.get(&values()));
        }
        show(&document.to_string(), "");
    }

    #[test]
    fn changed_windows_are_shown_or_left_out(
        line in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..3),
        torn in any::<prop::sample::Index>(),
    ) {
        let (record, windows) = RUNS[1].split_once(MARK).unwrap();
        let mut lines: Vec<String> = windows.lines().map(str::to_owned).collect();
        let line = line.index(lines.len());
        if let Ok(mut document) = serde_json::from_str::<Value>(&lines[line]) {
            for (place, value) in changes {
                let mut at = place.index(size(&document));
            replace(&mut document, &mut at, value.get(&values()));
            }
            lines[line] = document.to_string();
        }
        show(record, &lines.join("\n"));
        show(record, &windows[..torn.index(windows.len())]);
    }
}
