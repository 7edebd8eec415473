//! One fixed run in every format.

use super::*;
use crate::model::{Nanos, Verdict};
use crate::store::{AgentFigures, sample};

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

/// The same run as two agents made it, one of which was lost.
fn distributed() -> (tempfile::TempDir, RunRecord) {
    let (base, mut run) = sample_run();
    let agent = |index: u64, fired: u64| AgentFigures {
        index,
        name: format!("agent-{index}"),
        host: format!("node-{index}"),
        share: fired as f64 / 4_000.0,
        scheduled: 2_400,
        fired,
        dispatch_lag: run.result.generator.dispatch_lag,
        cpu_share: Some(0.05),
        clock_bound: Nanos(310_000),
        intervals: 12,
        ..AgentFigures::default()
    };
    let lost = AgentFigures {
        cpu_share: None,
        intervals: 8,
        missing: vec![(Nanos::from_secs(8), Nanos::from_secs(12))],
        lost_at: Some(Nanos::from_secs(10)),
        ..agent(1, 1_600)
    };
    run.result.agents = vec![agent(0, 2_400), lost];
    (base, run)
}

#[test]
fn the_agents_of_a_run_stand_below_it_and_those_that_came_to_grief_first() {
    let (_base, run) = distributed();
    let text = rendered(&Text { color: false }, &run);
    insta::assert_snapshot!("agents", text[text.find("\nAgents").unwrap()..].trim_start());
    let markdown = rendered(&Markdown, &run);
    insta::assert_snapshot!("agents_markdown", markdown[markdown.find("### Agents").unwrap()..].to_owned());
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
