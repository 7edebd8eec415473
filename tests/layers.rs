//! The order of the layers holds: each room imports only rooms to its right, and siblings never
//! import each other. The order is the one that ARCHITECTURE.md gives.

use std::collections::BTreeMap;
use std::path::Path;

/// Left imports right; rooms of one entry are siblings.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["selftest", "capacity", "cluster", "kubernetes"],
    &["report", "observe"],
    &["store"],
    &["engine"],
    &["profile"],
    &["objective", "schedule", "driver", "fault"],
    &["workload", "target"],
    &["source"],
    &["ledger"],
    &["measure"],
    &["model"],
];

/// The sandbox is a program of its own that happens to be in this crate.
const ISLAND: (&str, &[&str]) = ("sandbox", &["model"]);

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Rooms named after `crate::` in a text, comments left out; `use crate::{a, b::c}` too.
fn rooms_named(text: &str) -> Vec<String> {
    let code: String = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if at > 0 && code.as_bytes()[at - 1] == b'$' {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => rooms.push(std::mem::take(&mut name)),
                    c if depth == 0 => name.push(c),
                    _ => {}
                }
            }
            rooms.push(name);
        } else {
            rooms.push(rest.to_owned());
        }
    }
    rooms.into_iter().map(|r| r.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
}

#[test]
fn each_layer_imports_only_rightwards() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rank: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(i, rooms)| rooms.iter().map(move |r| (*r, i))).collect();
    let mut wrong = Vec::new();
    let mut all = Vec::new();
    files(&src, &mut all);
    for path in all {
        let inside = path.strip_prefix(&src).expect("a file of src");
        let room = inside.iter().next().and_then(|r| r.to_str()).unwrap_or_default();
        if ["lib.rs", "main.rs"].contains(&room) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a text file");
        for named in rooms_named(&text) {
            let allowed = match (rank.get(room), rank.get(named.as_str())) {
                _ if named == room => true,
                _ if room == ISLAND.0 => ISLAND.1.contains(&named.as_str()),
                (Some(_), None) if named == ISLAND.0 => room == "cli",
                (Some(from), Some(to)) => from < to,
                // A name that is no room is an item of the crate's root.
                (Some(_), None) => !src.join(&named).exists(),
                (None, _) => false,
            };
            if !allowed {
                wrong.push(format!("{} imports `{named}`", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the order of layers:\n{}", wrong.join("\n"));
}

#[test]
fn no_file_is_over_500_lines() {
    let mut all = Vec::new();
    for folder in ["src", "tests", "benches"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        if folder.is_dir() {
            files(&folder, &mut all);
        }
    }
    let long: Vec<String> = all
        .iter()
        .map(|p| (p, std::fs::read_to_string(p).expect("a text file").lines().count()))
        .filter(|(_, lines)| *lines > 500)
        .map(|(p, lines)| format!("{}: {lines} lines", p.display()))
        .collect();
    assert!(long.is_empty(), "split by idea:\n{}", long.join("\n"));
}
