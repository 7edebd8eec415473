//! One fixed run in every format.

use super::*;
use slatest_core::model::{Nanos, OperationId, Verdict, WritePlace, WriteScope};
use slatest_core::writes::{LedgerCheck, LogFindings, Loss, Losses, UnknownWrites};
use slatest_engine::record::{AgentFigures, sample};
use slatest_stats::{
    Asked, ComponentRecovery, DrillEnd, Heal, JudgedDrill, JudgedLedger, JudgedPart, JudgedRecovery, LedgerOf,
    Restored, judge_ledger,
};

pub(super) fn rendered(format: &dyn Render, run: &RunRecord) -> String {
    let mut out = Vec::new();
    format.render(run, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub(super) fn sample_run() -> (tempfile::TempDir, RunRecord) {
    let base = tempfile::tempdir().unwrap();
    let run = sample::fixed(base.path());
    (base, run)
}

/// The text of a run that lies where it lies on every machine.
pub(super) fn text_of(format: &dyn Render, run: &RunRecord) -> String {
    rendered(format, &RunRecord { folder: format!("results/{}", run.id).into(), ..run.clone() })
}

#[test]
fn text() {
    let (_base, run) = sample_run();
    let text = text_of(&Text { color: false }, &run);
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
    run.status = slatest_engine::record::Status::Interrupted;
    let check = run.result.validity.iter_mut().find(|c| c.name == "generator CPU").unwrap();
    check.holds = false;
    check.message = "the generator was short of CPU".into();
    insta::assert_snapshot!(text_of(&Text { color: false }, &run));
}

#[test]
fn incidents_stand_before_the_figures() {
    use slatest_engine::load::{Incident, IncidentError, IncidentOperation};
    let (_base, mut run) = sample_run();
    run.result.incidents = vec![Incident {
        scenario: "sql".into(),
        began: Nanos::from_secs(16),
        ended: Some(Nanos::from_millis(21_300)),
        window: Nanos::from_millis(100),
        bad_windows: 53,
        due: 900,
        failed: 812,
        late: 3,
        operations: vec![IncidentOperation { address: "sql/read".into(), failed: 812, late: 3, due: 900 }],
        errors: vec![IncidentError { kind: "connection refused".into(), count: 812 }],
    }];
    let message = "16.0 s – 21.3 s (± 100 ms) sql: 812 of 900 failed, 3 were late; connection refused 812; sql/read 815 of \
                 900";
    let text = text_of(&Text { color: false }, &run);
    let at = text.find("\nIncidents").expect("a section");
    assert!(at < text.find("\nOperations").expect("a section"), "{text}");
    let said: Vec<&str> = text[at..].lines().skip(2).take_while(|line| !line.is_empty()).map(str::trim).collect();
    assert_eq!(said.join(" "), message);
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!(rendered(&Markdown, &run).contains(&format!("- {message}\n")));
    let again: slatest_engine::record::RunResult =
        serde_json::from_str(&serde_json::to_string(&run.result).unwrap()).unwrap();
    assert_eq!(again, run.result);
}

#[test]
fn nothing_asked_is_no_pass_in_the_first_line() {
    let (_base, mut run) = sample_run();
    run.result.objectives.clear();
    run.result.findings.clear();
    run.result.verdict = Verdict::Pass;
    assert!(text_of(&Text { color: false }, &run).starts_with("NO OBJECTIVES  no objectives: "));
    assert!(rendered(&Markdown, &run).starts_with("## ✅ peak: no objectives\n"));
    // What is no pass is said as ever.
    run.result.verdict = Verdict::Void;
    assert!(text_of(&Text { color: false }, &run).starts_with("VOID  "));
}

/// The lines over time fit a narrow terminal, however long the run was.
#[test]
fn lines_over_time_fit_80_columns() {
    let (_base, mut run) = sample_run();
    let moment = |i: u64| slatest_engine::record::Moment {
        start: Nanos::from_secs(i * 600),
        length: Nanos::from_secs(600),
        ended: 1_000_000 * (i % 7),
        failed: 100_000 * (i % 3),
        p99_max: Nanos::from_millis(i * 13),
    };
    run.result.over_time = (0..48).map(moment).collect();
    let text = text_of(&Text { color: false }, &run);
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("Over time")).take(4).collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    insta::assert_snapshot!("over_time", lines.join("\n"));
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
    let text = text_of(&Text { color: false }, &run);
    insta::assert_snapshot!("agents", text[text.find("\nAgents").unwrap()..].trim_start());
    let markdown = rendered(&Markdown, &run);
    insta::assert_snapshot!("agents_markdown", markdown[markdown.find("### Agents").unwrap()..].to_owned());
}

/// A store that lost nothing, a log that did all that a log can do, and one that could not be read back.
fn ledgers() -> Vec<JudgedLedger> {
    let secs = Nanos::from_secs;
    let loss = |seq, operation, at| Loss {
        id: WriteScope::of("run", "events").id(seq, 0),
        operation: OperationId(operation),
        intended: at,
        sent: Some(at),
        acknowledged: at + Nanos::from_millis(4),
        place: Some(WritePlace::Offset { log: 0, partition: 3, offset: 7_000 + i64::try_from(seq).unwrap() }),
    };
    let sound = LedgerCheck {
        acknowledged: 12_000,
        unknown: 31,
        unknown_writes: UnknownWrites { found: 12, not_found: 19, unresolved: 0 },
        ..LedgerCheck::default()
    };
    let broken = LedgerCheck {
        acknowledged: 4_800,
        rejected: 20,
        unknown: 3,
        lost: Losses {
            count: 12,
            named: (0..12).map(|seq| loss(seq, 1, secs(25) + Nanos::from_millis(seq * 20))).collect(),
        },
        lost_after_fault: Losses { count: 1, named: vec![loss(90, 1, secs(31))] },
        recovery_point: Nanos::from_millis(5_296),
        unreadable: 2,
        wrong_value: 1,
        duplicates: 4,
        never_written: 1,
        never_written_named: vec![WriteScope::of("run", "events").id(999_999, 0)],
        rejected_found: 2,
        unknown_writes: UnknownWrites { found: 1, not_found: 1, unresolved: 1 },
        stale: vec![0, 17],
        unasked: vec![0, 40],
        log: Some(LogFindings {
            conflicts: 1,
            conflicts_named: vec![WritePlace::Offset { log: 0, partition: 3, offset: 7_090 }],
            moved: 1,
            out_of_order: 6,
            out_of_order_named: vec![WritePlace::Offset { log: 0, partition: 1, offset: 12 }],
            lost_behind_end: 5,
        }),
        operations: Vec::new(),
        torn_bytes: 0,
    };
    let of = |scenario: &str, check| {
        let ledger = LedgerOf { scenario: scenario.into(), check };
        judge_ledger(&ledger, Nanos::from_millis(30_300), |operation| format!("{scenario}/produce-{}", operation.0))
    };
    let unread = Err("the store can't be read back: 127.0.0.1:5672: connection refused".to_owned());
    vec![of("database", Ok(sound)), of("events", Ok(broken)), of("queue", unread)]
}

/// The same run with a drill: 24 s down, seen by an alert, restored, healed.
pub(super) fn drilled() -> (tempfile::TempDir, RunRecord) {
    let (base, mut run) = sample_run();
    let secs = Nanos::from_secs;
    let component = |name: &str, failed: u64, timeline: &str| ComponentRecovery {
        name: name.into(),
        first_error: Some(Nanos::from_millis(12)),
        first_success: Some(Nanos::from_millis(24_310)),
        restored: Some(Restored {
            after: Nanos::from_millis(24_700),
            lower: Nanos::from_millis(23_700),
            upper: Nanos::from_millis(25_712),
        }),
        down_until: Nanos::from_millis(23_700),
        bad: secs(25),
        bad_again: Nanos::ZERO,
        unknown: secs(1),
        bad_before: Nanos::ZERO,
        known_before: secs(30),
        spells: 1,
        failed,
        operations: 24_000,
        watched: secs(120),
        fewest: Some(11),
        good: vec!["db-errors: error_rate < 0.1%".into(), "db-p95: p95 response_time < 100 ms".into()],
        window: secs(1),
        timeline: timeline.into(),
        timeline_from: secs(25),
    };
    let whole = format!("ggggg{}u{}", "b".repeat(25), "g".repeat(94));
    let nothing = ComponentRecovery {
        first_error: None,
        first_success: None,
        restored: None,
        down_until: Nanos::ZERO,
        bad: Nanos::ZERO,
        spells: 0,
        ..component("api/list", 0, &"g".repeat(125))
    };
    let part = |asked, measured: &str, verdict, message: Option<&str>| JudgedPart {
        asked,
        measured: measured.into(),
        verdict,
        message: message.map(Into::into),
    };
    run.result.drills = vec![JudgedDrill {
        name: "primary-loss".into(),
        fault: "postgres-primary-kill".into(),
        end: DrillEnd::Watched,
        issued: Some(Nanos::from_millis(30_300)),
        acknowledged: Some(Nanos::from_millis(30_380)),
        reported: None,
        detected: Some((Nanos::from_millis(7_200), "DatabaseDown".into())),
        heal: Heal::Done(Nanos::from_millis(150_600)),
        components: vec![component("database/*", 4_900, &whole), component("database/write", 1_470, &whole), nothing],
        ledger: ledgers(),
        objectives: vec![
            JudgedRecovery {
                name: "db-rto".into(),
                scope: "database/*".into(),
                parts: vec![
                    part(Asked::Rto(secs(60)), "24.7 s (23.7 s – 25.7 s)", Verdict::Pass, None),
                    part(Asked::LostWrites(0), "0 of 12000 acknowledged writes lost", Verdict::Pass, None),
                ],
                verdict: Verdict::Pass,
            },
            JudgedRecovery {
                name: "api-rto".into(),
                scope: "api/list".into(),
                parts: vec![part(
                    Asked::Rto(secs(120)),
                    "nothing happened",
                    Verdict::Inconclusive,
                    Some("the fault did nothing to `api/list` that its users felt"),
                )],
                verdict: Verdict::Inconclusive,
            },
        ],
        verdict: Verdict::Inconclusive,
    }];
    run.result.verdict = Verdict::Inconclusive;
    (base, run)
}

#[test]
fn a_drill_is_shown_with_its_timeline() {
    let (_base, run) = drilled();
    let text = text_of(&Text { color: false }, &run);
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
    let from = text.find("\nDrill").unwrap();
    insta::assert_snapshot!(
        "drill",
        format!("{}\n{}", text.lines().next().unwrap(), &text[from..text.find("\nChecked at").unwrap()])
    );
    let markdown = rendered(&Markdown, &run);
    let from = markdown.find("### Drill").unwrap();
    insta::assert_snapshot!("drill_markdown", markdown[from..markdown.find("### Operations").unwrap()].to_owned());
    let junit = rendered(&Junit, &run);
    let from = junit.find("<testsuite name=\"peak drills").unwrap();
    insta::assert_snapshot!("drill_junit", junit[from..junit.find("<testsuite name=\"peak run").unwrap()].to_owned());
    let json = rendered(&Json, &run);
    let mut back: RunRecord = serde_json::from_str(&json).unwrap();
    back.folder.clone_from(&run.folder);
    assert_eq!(back, run);
}

#[test]
fn a_target_that_is_left_broken_is_said_first_whatever_the_verdict() {
    let (_base, mut run) = drilled();
    run.result.drills[0].heal = Heal::Failed("pg_rewind: exit status 1".into());
    run.result.drills[0].verdict = Verdict::Fail;
    run.result.verdict = Verdict::Fail;
    let first = |run: &RunRecord| text_of(&Text { color: false }, run).lines().next().unwrap().to_owned();
    assert!(first(&run).contains("THE TARGET IS LEFT BROKEN by primary-loss"), "{}", first(&run));
    run.result.verdict = Verdict::Void;
    let check = run.result.validity.iter_mut().find(|c| c.name == "generator CPU").unwrap();
    check.holds = false;
    assert!(first(&run).contains("THE TARGET IS LEFT BROKEN by primary-loss"), "{}", first(&run));
    assert!(rendered(&Junit, &run).contains("was healed"));
}

#[test]
fn color_changes_nothing_but_color() {
    let (_base, run) = sample_run();
    let colored = text_of(&Text { color: true }, &run);
    assert!(colored.contains("\u{1b}["));
    assert_eq!(console::strip_ansi_codes(&colored), text_of(&Text { color: false }, &run));
}

#[test]
fn a_target_can_not_speak_to_the_terminal() {
    let (_base, mut run) = sample_run();
    run.result.operations[0].errors[0].kind = "\u{1b}[2Jstatus\n503".into();
    run.result.objectives[0].name = "two\nlines".into();
    let text = text_of(&Text { color: false }, &run);
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
    let path = run.folder.join(slatest_engine::record::LOG_FILE);
    let whole = std::fs::read_to_string(&path).unwrap();
    assert_eq!(rendered(&Hlog, &run), whole);
    std::fs::write(&path, format!("{whole}Tag=api/list,12.0")).unwrap();
    assert_eq!(rendered(&Hlog, &run), whole);
    std::fs::remove_file(&path).unwrap();
    let error = Hlog.render(&run, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("timeline.hlog"), "{error}");
}
