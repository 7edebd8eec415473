//! Reports that are written in the same call.

use super::scratch::{Scratch, printed};

const ONE_SECOND: &str = "executor: constant-arrival-rate, rate: 50/s, duration: 1s";

#[test]
fn everything_that_a_pipeline_wants_comes_in_one_call() {
    let scratch = Scratch::new();
    scratch.profile(ONE_SECOND, "");
    let formats = ["html", "junit", "markdown", "json", "csv", "ctrf", "text", "hlog"];
    let reports: Vec<String> = formats.iter().map(|format| format!("{format}=out.{format}")).collect();
    scratch.write("summary.md", "# The step\n");
    let mut command = scratch.slatest(&["run", "--profile", "p", "--quiet", "--report", &reports.join(",")]);
    command.args(["--summary-export", "k6.json"]).env("GITHUB_STEP_SUMMARY", "summary.md");
    let output = command.output().expect("the program starts");
    let text = printed(&output);
    let verdict = scratch.record()["result"]["verdict"].as_str().expect("a verdict").to_owned();
    let read = |name: &str| {
        std::fs::read_to_string(scratch.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}: {text}"))
    };
    assert!(read("out.html").starts_with("<!doctype html>"));
    assert!(read("out.junit").contains("<testsuites "));
    assert!(read("out.csv").starts_with("run,profile,target,"));
    for json in ["out.json", "out.ctrf", "k6.json"] {
        serde_json::from_str::<serde_json::Value>(&read(json)).unwrap_or_else(|e| panic!("{json}: {e}"));
    }
    assert!(read("out.text").trim_end().lines().count() > 10 && read("out.hlog").starts_with('#'));
    // What stood in the step's summary still does.
    let summary = read("summary.md");
    assert!(summary.starts_with("# The step\n") && summary[11..] == read("out.markdown"), "{summary}");
    // The last lines: the verdict, and where the report lies.
    let last: Vec<&str> = text.lines().rev().take(2).collect();
    assert!(last[0].starts_with("report out.html · run results/"), "{text}");
    assert!(text.contains(&verdict.to_uppercase()) || text.contains("NO OBJECTIVES"), "{text}");

    // The same later, from the folder.
    let again = scratch.run(&["report", "latest", "--report", "html=again.html"]);
    assert!(again.status.success() && again.stdout.is_empty(), "{}", printed(&again));
    assert_eq!(read("again.html"), read("out.html"));
}

#[test]
fn a_report_that_could_not_be_written_is_refused_before_anything_is_sent() {
    let scratch = Scratch::new();
    scratch.profile(ONE_SECOND, "");
    for (report, says) in [
        ("html=nowhere/out.html", "there is no folder nowhere"),
        ("pdf=out.pdf", "no format `pdf`"),
        ("html=results,junit=results", "two reports go to results"),
    ] {
        let output = scratch.run(&["run", "--profile", "p", "--quiet", "--report", report]);
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(says), "{says}: {text}");
        assert!(scratch.result().is_none(), "nothing was sent");
    }
}
