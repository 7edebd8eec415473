//! One fixed run in every format.

use super::*;
use crate::model::Verdict;
use crate::store::sample;

fn rendered(format: &dyn Render, run: &RunRecord) -> String {
    let mut out = Vec::new();
    format.render(run, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn sample_run() -> (tempfile::TempDir, RunRecord) {
    let base = tempfile::tempdir().unwrap();
    let run = sample::fixed(base.path());
    (base, run)
}

#[test]
fn text() {
    let (_base, run) = sample_run();
    let text = rendered(&Text { color: false }, &run);
    insta::assert_snapshot!(text);
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
}

#[test]
fn text_of_a_void_run_without_objectives_that_was_interrupted() {
    let (_base, mut run) = sample_run();
    run.plan.objectives.clear();
    run.result.objectives.clear();
    run.result.verdict = Verdict::Void;
    run.status = crate::store::Status::Interrupted;
    let check = run.result.validity.iter_mut().find(|c| c.name == "generator CPU").unwrap();
    check.holds = false;
    check.words = "the generator was short of CPU".into();
    insta::assert_snapshot!(rendered(&Text { color: false }, &run));
}

#[test]
fn color_changes_nothing_but_color() {
    let (_base, run) = sample_run();
    let colored = rendered(&Text { color: true }, &run);
    assert!(colored.contains("\u{1b}["));
    assert_eq!(console::strip_ansi_codes(&colored), rendered(&Text { color: false }, &run));
}

#[test]
fn a_target_can_not_speak_to_the_terminal() {
    let (_base, mut run) = sample_run();
    run.result.operations[0].errors[0].kind = "\u{1b}[2Jstatus\n503".into();
    run.result.objectives[0].name = "two\nlines".into();
    let text = rendered(&Text { color: false }, &run);
    assert!(!text.contains('\u{1b}'));
    assert!(text.contains("two lines"));
}

#[test]
fn json() {
    let (_base, run) = sample_run();
    let json = rendered(&Json, &run);
    insta::assert_snapshot!(json);
    let mut back: RunRecord = serde_json::from_str(&json).unwrap();
    back.folder.clone_from(&run.folder);
    assert_eq!(back, run);
}

#[test]
fn junit() {
    let (_base, run) = sample_run();
    insta::assert_snapshot!(rendered(&Junit, &run));
}

#[test]
fn markdown() {
    let (_base, run) = sample_run();
    insta::assert_snapshot!(rendered(&Markdown, &run));
}

#[test]
fn hlog_leaves_a_torn_line_out() {
    let (_base, run) = sample_run();
    let path = run.folder.join(crate::store::LOG_FILE);
    let whole = std::fs::read_to_string(&path).unwrap();
    assert_eq!(rendered(&Hlog, &run), whole);
    std::fs::write(&path, format!("{whole}Tag=api/list,12.0")).unwrap();
    assert_eq!(rendered(&Hlog, &run), whole);
    std::fs::remove_file(&path).unwrap();
    let error = Hlog.render(&run, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("timeline.hlog"), "{error}");
}
