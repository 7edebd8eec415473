//! Places that the documents name.

use std::path::Path;

use super::pages;

/// Folders whose files the documents name by their place.
const NAMED: [&str; 12] = [
    "src/",
    "crates/",
    "tests/",
    "docs/",
    "benches/",
    "fuzz/",
    "container/",
    "profiles/",
    "workloads/",
    "targets/",
    "schema/",
    ".github/",
];
/// What a reader or a program makes: it isn't in the repository.
const MADE: [&str; 8] = [
    "targets/stack.yaml",
    "target/",
    "fuzz/corpus",
    "fuzz/artifacts",
    "workloads/my-api.yaml",
    "profiles/lunch.yaml",
    "targets/staging.yaml",
    "profiles/drill-database.yaml",
];

/// What stands between backticks in a text.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_place_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for (page, text) in pages() {
        // Blocks of code show what a reader types; their examples have a test of their own.
        let prose: String = text.split("```").step_by(2).collect();
        for place in quoted(&prose) {
            let is_place = NAMED.iter().any(|folder| place.starts_with(folder))
                && !place.contains([' ', '*', '{', '<', '…', '\n'])
                && place != "docs/decisions/SUBSYSTEM.md"
                && !place.contains("NAME");
            let made = MADE.iter().any(|made| place.starts_with(made));
            if is_place && !made && !root.join(place).exists() {
                missing.push(format!("{}: `{place}`", page.display()));
            }
        }
        for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let place = link.split('#').next().unwrap_or_default();
            let folder = page.parent().unwrap_or(Path::new(""));
            if !place.is_empty() && !place.contains("://") && !root.join(folder).join(place).exists() {
                missing.push(format!("{}: a link to {place}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "the documents name what isn't there:\n{}", missing.join("\n"));
}

#[test]
fn every_decision_says_its_status_and_what_it_rules() {
    let mut wrong = Vec::new();
    for (page, text) in pages().iter().filter(|(page, _)| page.starts_with("docs/decisions")) {
        for decision in text.split("\n## ").skip(1) {
            let mut lines = decision.lines();
            let heading = lines.next().unwrap_or_default();
            let status = lines.find(|line| !line.is_empty()).unwrap_or_default();
            if !(status.starts_with("Status: ") && status.contains("Rules: `")) {
                wrong.push(format!("{}: {heading}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "decisions without `Status: …. Rules: `place`.`:\n{}", wrong.join("\n"));
}

#[test]
fn the_pages_that_a_newcomer_reads_first_stay_short() {
    for (page, text) in pages() {
        match page.to_str() {
            Some("ARCHITECTURE.md") => assert!(text.len() <= 12_000, "ARCHITECTURE.md has {} bytes", text.len()),
            Some("README.md") => assert!(text.lines().count() <= 250, "README.md has {} lines", text.lines().count()),
            _ => {}
        }
    }
}
