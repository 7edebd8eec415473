//! What the page says of known runs, and that nothing in it can act.

use std::io::Read as _;

use serde_json::Value;

use super::*;
use crate::report::tests::{drilled, rendered};
use slatest_core::model::{Nanos, Verdict};
use slatest_engine::record::{RunRecord, Status, read as read_run, sample};
use slatest_stats::BadStretch;

fn run() -> (tempfile::TempDir, RunRecord) {
    let base = tempfile::tempdir().unwrap();
    let run = sample::fixed(base.path());
    (base, run)
}

fn data(page: &str) -> Value {
    let at = page.find("data-encoding=\"gzip+base64\"").unwrap();
    let block = page[at..].split_once('>').unwrap().1.split_once('<').unwrap().0;
    let mut text = String::new();
    flate2::read::GzDecoder::new(STANDARD.decode(block).unwrap().as_slice()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// What a reader without scripts sees: the page without its script, style and data.
fn words(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1.split_once("<script").unwrap().0;
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_data_hold_what_was_counted() {
    let (_base, run) = run();
    let data = data(&rendered(&Html, &run));
    assert_eq!(data["version"], 1);
    assert_eq!(data["slots"], 12);
    let sum = |list: &Value| list.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
    // Judged and not, as the windows hold them.
    assert_eq!(sum(&data["total"]["ended"]), 4_800);
    assert_eq!(sum(&data["total"]["failed"]), 2);
    let kinds: Vec<&str> = data["errors"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["no answer in time", "status 503"]);
    assert_eq!(data["errors"][1]["counts"][5], 1);
    // The plan's 400 a second are fired in the seconds for which they were planned.
    assert!(data["achieved"].as_array().unwrap().iter().all(|rate| rate == 400), "{}", data["achieved"]);
    // The last point of the distribution is not beyond what was measured.
    let points = data["total"]["distribution"].as_array().unwrap();
    assert!(points.len() > 20);
    let most = run.result.total.response.unwrap().max.0 as f64 / 1e6;
    assert!(points.last().unwrap()[1].as_f64().unwrap() <= most * 1.001);
}

#[test]
fn each_objective_has_its_limit_in_its_chart_and_its_inference_beside_it() {
    let (_base, run) = run();
    let page = rendered(&Html, &run);
    let data = data(&page);
    assert_eq!(data["objectives"].as_array().unwrap().len(), run.result.objectives.len());
    for (one, judged) in data["objectives"].as_array().unwrap().iter().zip(&run.result.objectives) {
        assert_eq!(one["name"], judged.name);
        assert!(one["limit"].as_f64().unwrap() > 0.0);
        let sum = |key: &str| one[key].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>();
        assert_eq!((sum("bad"), sum("samples")), (judged.bad, judged.samples), "{}", judged.name);
    }
    let words = words(&page);
    for said in ["exact binomial", "Design effect", "count against it", "p = "] {
        assert!(words.contains(said), "{said}");
    }
}

#[test]
fn whoever_has_half_a_minute_reads_what_broke_since_when_and_why() {
    let (_base, mut run) = run();
    let one = &mut run.result.objectives[0];
    one.verdict = Verdict::Fail;
    one.stretch = Some(BadStretch {
        from: Nanos::from_secs(5),
        to: Some(Nanos::from_secs(8)),
        window: Nanos::from_secs(1),
        bad: 40,
        samples: 100,
        bad_elsewhere: 0,
        samples_elsewhere: 900,
    });
    run.result.verdict = Verdict::Fail;
    let words = words(&rendered(&Html, &run));
    let top = words.split_once("The run at a glance").unwrap().0;
    assert!(top.contains("What broke, since when, and why"), "{top}");
    assert!(top.contains("from 5.0 s to 8.0 s: 40% bad, 0% otherwise (± 1.00 s; 01:00:05 UTC)"), "{top}");
    assert!(top.contains("the load did not change"), "{top}");
    assert!(top.contains("status 503"), "{top}");
}

#[test]
fn drills_stand_in_the_page_with_their_pictures() {
    let (_base, run) = drilled();
    let page = rendered(&Html, &run);
    let words = words(&page);
    let name = &run.result.drills[0].name;
    assert!(words.contains(&format!("{name} ")), "{words}");
    assert!(words.contains("Since the fault"));
    let marks = data(&page)["marks"].as_array().unwrap().clone();
    assert!(marks.iter().any(|mark| mark["kind"] == "drill" && mark["label"] == name.as_str()), "{marks:?}");
}

#[test]
fn hostile_names_stay_text() {
    let (_base, mut run) = run();
    let evil = "</script><img src=x onerror=alert(1)>\"'`{{7*7}}<!--style-->\u{202e}<!--script-->";
    run.plan.profile = evil.into();
    run.target.name = evil.into();
    run.id = evil.into();
    run.command = vec![evil.into()];
    run.notices = vec![evil.into()];
    run.plan.left_out = vec![(evil.into(), evil.into())];
    for operation in &mut run.plan.operations {
        operation.address = evil.into();
    }
    for operation in &mut run.result.operations {
        operation.address = evil.into();
        operation.errors.iter_mut().for_each(|error| error.kind = evil.into());
    }
    for objective in &mut run.result.objectives {
        objective.name = evil.into();
        objective.scope = evil.into();
        objective.message = Some(evil.into());
        objective.verdict = Verdict::Fail;
    }
    for check in &mut run.result.validity {
        check.measured = evil.into();
    }
    let page = rendered(&Html, &run);
    assert!(!page.contains("<img"), "a tag of a hostile name");
    assert!(!page.contains('\u{202e}'));
    assert!(words(&page).contains("{{7*7}}"), "a template in a name was executed");
    // Two scripts and one style, and nothing else that acts.
    assert_eq!(page.matches("<script").count() - UPLOT.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert_eq!(page.matches("<style").count(), 1);
    let text = page.split_once("<body>").unwrap().1.split_once("<script").unwrap().0;
    assert!(!text.contains(" onerror=alert(1)>"), "not escaped");
    assert!(text.contains("&lt;img src=x onerror=alert(1)&gt;"));
}

/// The policy names exactly the script and the style that the page has, and lets nothing else in.
#[test]
fn the_policy_holds_for_what_the_page_has() {
    let (_base, run) = run();
    let page = rendered(&Html, &run);
    let policy = page.split_once("Content-Security-Policy\" content=\"").unwrap().1.split_once("\">").unwrap().0;
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let script = page.rsplit_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
    assert!(policy.contains(&format!("script-src '{}'", hash(script))), "{policy}");
    assert!(policy.contains(&format!("style-src '{}'", hash(style))), "{policy}");
    assert!(!page.contains(" style=\""), "the policy forbids styles in attributes");
    assert!(!page.contains("http://") || page.matches("http://").count() == script.matches("http://").count());
}

#[test]
fn a_run_that_was_killed_has_a_page_and_so_has_one_without_windows() {
    let (_base, run) = run();
    let path = run.folder.join("run.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    // A killed one has a checksum of its own; one without is believed.
    record.as_object_mut().unwrap().remove("crc32");
    record["status"] = "running".into();
    record["result"] = serde_json::to_value(slatest_engine::record::RunResult::default()).unwrap();
    std::fs::write(&path, record.to_string()).unwrap();
    let windows = run.folder.join("windows.jsonl");
    let text = std::fs::read_to_string(&windows).unwrap();
    // The last line is torn.
    std::fs::write(&windows, &text[..text.len() - 40]).unwrap();
    let killed = read_run(&run.folder).unwrap();
    assert_eq!(killed.status, Status::Interrupted);
    let page = rendered(&Html, &killed);
    assert!(words(&page).contains("did not come to its end"));
    assert_eq!(data(&page)["slots"], 11);

    // In the middle, a line that is none.
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&windows, format!("{}\n{{}}\n{}\n", lines[0], lines[1])).unwrap();
    let page = rendered(&Html, &run);
    assert!(words(&page).contains("the charts end where the windows could not be read any more"));
    assert_eq!(data(&page)["slots"], 1);

    std::fs::remove_file(&windows).unwrap();
    let page = rendered(&Html, &run);
    assert!(words(&page).contains("there are no windows beside the record"));
    assert!(words(&page).contains("api-p95") || words(&page).contains(&run.result.objectives[0].name));
}

/// Thousands of operations: the page has rows for the worst, its data for all, and its size stays within reason.
#[test]
fn thousands_of_operations_do_not_break_the_page() {
    let (_base, mut run) = run();
    let (plan, figures) = (run.plan.operations[0].clone(), run.result.operations[0].clone());
    for i in 0..5_000 {
        let address = format!("api/operation-{i}");
        run.plan.operations.push(slatest_engine::profile::OperationPlan { address: address.clone(), ..plan.clone() });
        run.result.operations.push(slatest_engine::record::OperationFigures { address, ..figures.clone() });
    }
    let page = rendered(&Html, &run);
    assert_eq!(page.matches("class=\"part operation\"").count(), 200);
    assert_eq!(data(&page)["rows"].as_array().unwrap().len(), 5_000 + run_operations() - 200);
    assert!(page.len() < 2 << 20, "{}", page.len());
}

fn run_operations() -> usize {
    sample::plan().operations.len()
}
