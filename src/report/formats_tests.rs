//! Each format by what its readers ask of it.

use super::tests::{drilled, rendered, sample_run, text_of};
use super::*;
use slatest_core::model::{Nanos, Verdict};

/// A screen of 80 × 24, whatever came of the run, and the last line says where it lies.
#[test]
fn the_brief_text_is_a_screen() {
    let (_base, mut run) = sample_run();
    let brief = Brief { color: false, page: None };
    insta::assert_snapshot!("brief", text_of(&brief, &run));
    let page = Brief { color: false, page: Some("report.html".into()) };
    assert!(text_of(&page, &run).ends_with("report report.html · run results/20261120T010000Z-peak-5a1e57\n"));
    run.result.verdict = Verdict::Fail;
    run.plan.profile = "a profile with a name that is much longer than anybody would ever want it to be".into();
    for (i, objective) in run.result.objectives.iter_mut().enumerate() {
        objective.verdict = if i < 4 { Verdict::Fail } else { Verdict::Pass };
        objective.scope = "a-scenario-with-a-long-name/an-operation-with-a-name-that-is-even-longer".into();
    }
    run.result.objectives = run.result.objectives.iter().cycle().take(60).cloned().collect();
    let moment = |i: u64| slatest_engine::record::Moment {
        start: Nanos::from_secs(i),
        length: Nanos::from_secs(1),
        ended: 10,
        failed: i % 2,
        p99_max: Nanos::from_millis(5),
    };
    run.result.over_time = (0..48).map(moment).collect();
    let (_base, drilled) = drilled();
    for run in [&run, &drilled] {
        let text = text_of(&brief, run);
        assert!(text.lines().count() <= 23, "{text}");
        assert!(text.lines().all(|line| console::measure_text_width(line) <= 80), "{text}");
        assert!(
            text.trim_end().ends_with(&format!("run results/{} · slatest report {} --format html", run.id, run.id))
                || text.trim_end().ends_with(&format!("results/{}", run.id)),
            "{text}"
        );
    }
    let colored = text_of(&Brief { color: true, page: None }, &run);
    assert_eq!(console::strip_ansi_codes(&colored), text_of(&brief, &run));
}

/// What Jenkins' xUnit plugin takes (junit-10): which attributes an element may have, and which it must.
const ELEMENTS: [(&str, &[&str], &[&str]); 8] = [
    ("testsuites", &[], &["name", "time", "tests", "failures", "errors"]),
    (
        "testsuite",
        &["name", "tests", "failures", "errors"],
        &["time", "skipped", "timestamp", "hostname", "id", "package"],
    ),
    ("testcase", &["name"], &["time", "classname", "group"]),
    ("properties", &[], &[]),
    ("property", &["name", "value"], &[]),
    ("failure", &[], &["type", "message"]),
    ("error", &[], &["type", "message"]),
    ("skipped", &[], &["type", "message"]),
];

fn is_by_the_schema(xml: &str) {
    let mut open: Vec<String> = Vec::new();
    for tag in xml.split('<').skip(1).map(|rest| rest.split_once('>').unwrap().0) {
        if tag.starts_with('?') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap();
        let parent = match name {
            "testsuites" => None,
            "testsuite" => Some("testsuites"),
            "testcase" | "properties" => Some("testsuite"),
            "property" => Some("properties"),
            _ => Some("testcase"),
        };
        assert_eq!(open.last().map(String::as_str), parent, "{tag}");
        let attributes: Vec<&str> = tag.split("=\"").filter_map(|part| part.rsplit(['"', ' ']).next()).collect();
        let attributes = &attributes[..attributes.len() - 1];
        match ELEMENTS.iter().find(|(element, ..)| *element == name) {
            Some((_, must, may)) => {
                assert!(must.iter().all(|one| attributes.contains(one)), "{tag}");
                assert!(attributes.iter().all(|one| must.contains(one) || may.contains(one)), "{tag}: {attributes:?}");
            }
            None => assert!(matches!(name, "system-out" | "system-err") && attributes.is_empty(), "{tag}"),
        }
        if !tag.ends_with('/') {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty());
}

#[test]
fn junit_is_what_the_strictest_reader_takes() {
    let (_base, run) = sample_run();
    is_by_the_schema(&rendered(&Junit, &run));
    let (_base, run) = drilled();
    is_by_the_schema(&rendered(&Junit, &run));
}

/// A run that says nothing of the target has no green case for anything that was asked of it.
#[test]
fn a_void_run_is_not_green() {
    let (_base, mut run) = drilled();
    run.result.verdict = Verdict::Void;
    run.result.objectives.iter_mut().for_each(|one| one.verdict = Verdict::Pass);
    let check = run.result.validity.iter_mut().find(|check| check.name == "generator CPU").unwrap();
    check.holds = false;
    let xml = rendered(&Junit, &run);
    let asked = run.result.objectives.len();
    let first = xml.split("</testsuite>").next().unwrap();
    assert!(first.contains(&format!("tests=\"{asked}\" skipped=\"0\" errors=\"{asked}\"")), "{first}");
    assert!(first.contains("the run says nothing about the target: generator CPU out of bounds"));
    let ctrf: serde_json::Value = serde_json::from_str(&rendered(&Ctrf, &run)).unwrap();
    for test in ctrf["results"]["tests"].as_array().unwrap().iter().filter(|test| test["suite"][1] != "run") {
        assert_eq!(test["status"], "failed", "{test}");
    }
    let k6: serde_json::Value = serde_json::from_str(&rendered(&K6, &run)).unwrap();
    let thresholds = k6["metrics"].as_object().unwrap().values().filter_map(|metric| metric["thresholds"].as_object());
    assert!(thresholds.flat_map(|all| all.values()).all(|broken| broken == true));
}

/// CTRF by what its specification asks: required members, their types, and no member that it doesn't know.
#[test]
fn ctrf_is_by_its_specification() {
    let text = serde_json::json!({ "type": "string" });
    let whole = serde_json::json!({ "type": "integer", "minimum": 0 });
    let schema = serde_json::json!({
        "type": "object",
        "required": ["results", "reportFormat", "specVersion"],
        "properties": {
            "reportFormat": { "const": "CTRF" },
            "specVersion": { "type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+$" },
            "timestamp": { "type": "string", "format": "date-time" },
            "generatedBy": text,
            "results": {
                "type": "object",
                "required": ["tool", "summary", "tests"],
                "additionalProperties": false,
                "properties": {
                    "tool": { "type": "object", "required": ["name"], "properties": { "name": text, "version": text }, "additionalProperties": false },
                    "summary": {
                        "type": "object",
                        "required": ["tests", "passed", "failed", "skipped", "pending", "other", "start", "stop"],
                        "additionalProperties": whole,
                    },
                    "tests": { "type": "array", "items": {
                        "type": "object",
                        "required": ["name", "status", "duration"],
                        "additionalProperties": false,
                        "properties": {
                            "name": { "type": "string", "minLength": 1 },
                            "status": { "enum": ["passed", "failed", "skipped", "pending", "other"] },
                            "duration": whole,
                            "suite": { "type": "array", "minItems": 1, "items": text },
                            "message": text,
                            "rawStatus": text,
                        },
                    } },
                    "environment": { "type": "object", "additionalProperties": text },
                    "extra": { "type": "object" },
                },
            },
        },
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    for (_base, run) in [sample_run(), drilled()] {
        let report: serde_json::Value = serde_json::from_str(&rendered(&Ctrf, &run)).unwrap();
        let wrong: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        let summary = &report["results"]["summary"];
        let sum: u64 =
            ["passed", "failed", "skipped", "pending", "other"].iter().map(|one| summary[one].as_u64().unwrap()).sum();
        assert_eq!(summary["tests"], sum);
    }
}

#[test]
fn csv_has_a_row_an_operation_and_no_formulas() {
    let (_base, mut run) = sample_run();
    run.result.operations[0].address = "=cmd|' /C calc'!A0, \"x\"".into();
    let text = rendered(&Csv, &run);
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines.len(), run.result.operations.len() + 3, "a head, the total, and the end");
    assert!(lines[1].contains("\"'=cmd|' /C calc'!A0, \"\"x\"\"\""), "{}", lines[1]);
    insta::assert_snapshot!("csv", lines[2..].join("\n"));
}

#[test]
fn k6_summary() {
    let (_base, run) = sample_run();
    let summary: serde_json::Value = serde_json::from_str(&rendered(&K6, &run)).unwrap();
    let metrics = &summary["metrics"];
    assert_eq!(metrics["http_reqs"]["count"], run.result.total.count);
    let failed = &metrics["http_req_failed"];
    assert_eq!(failed["passes"].as_u64().unwrap() + failed["fails"].as_u64().unwrap(), run.result.total.count);
    for key in ["avg", "med", "max", "p(90)", "p(95)", "p(99)"] {
        assert!(metrics["http_req_duration"][key].as_f64().unwrap() > 0.0, "{key}");
    }
    insta::assert_snapshot!("k6", serde_json::to_string_pretty(&metrics["http_req_duration"]).unwrap());
}
