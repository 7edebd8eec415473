//! A chain of profiles to one verdict, from the program's door.

use std::path::PathBuf;

use serde_json::Value;

use super::scratch::{Scratch, printed};

const QUICK: &str = "executor: constant-arrival-rate, rate: 200/s, duration: 3s";

/// With profiles `p` and `q` of one workload.
fn chain(objective: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.profile(QUICK, objective);
    let text = std::fs::read_to_string(scratch.path().join("profiles/p.yaml")).expect("the profile");
    scratch.write("profiles/q.yaml", &text.replace("name: p\n", "name: q\n"));
    scratch
}

fn gate(scratch: &Scratch) -> Value {
    let results = std::fs::read_dir(scratch.path().join("results")).expect("results").flatten();
    let mut files: Vec<PathBuf> = results.map(|e| e.path().join("gate.json")).filter(|path| path.is_file()).collect();
    files.sort();
    serde_json::from_str(&std::fs::read_to_string(files.last().expect("a gate")).expect("a record")).expect("JSON")
}

#[test]
fn a_chain_opens_stops_at_what_fails_and_shuts_where_something_got_slower() {
    let scratch = chain("{ name: p50, scope: 'api/*', indicator: response_time, quantile: 0.5, below: 2s }");
    let fast = "--sandbox=--latency=*=lognormal:5ms,0.1";
    let output = scratch.run(&["gate", "p", "q", "--quiet", fast]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("OPEN"), "{text}");
    let record = gate(&scratch);
    assert_eq!(record["steps"].as_array().map(Vec::len), Some(2), "{record}");
    let baseline = record["steps"][0]["run"].as_str().expect("a run").to_owned();

    // A baseline that nothing would be held against is a mistake, not a pass.
    let output = scratch.run(&["gate", "q", "--quiet", "--baseline", &baseline, fast]);
    assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
    assert!(printed(&output).contains("which is no step of this gate"), "{}", printed(&output));

    // All objectives hold, and it is thirty times slower than it was.
    let slow = "--sandbox=--latency=*=lognormal:150ms,0.1";
    let output = scratch.run(&["gate", "p", "q", "--quiet", "--baseline", &baseline, slow]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(99), "{text}");
    assert!(text.contains("SHUT") && text.contains(&format!("against {baseline}: WORSE")), "{text}");
    let record = gate(&scratch);
    assert_eq!(record["left_out"], serde_json::json!(["q"]), "{record}");
    assert_eq!(record["steps"][0]["says"], "pass", "its own objectives hold: {record}");
}

#[test]
fn a_step_that_could_only_pass_and_a_baseline_that_is_none_are_refused_before_anything_is_sent() {
    let scratch = chain("");
    let objective = "{ name: p50, scope: 'api/*', indicator: response_time, quantile: 0.5, below: 2s }";
    let judged = chain(objective);
    for (scratch, arguments, says) in [
        (&scratch, &["gate", "p", "--quiet"][..], "the profile `p` has no objectives"),
        (&judged, &["gate", "p", "--quiet", "--baseline", "nothing"][..], "no result `nothing`"),
    ] {
        let output = scratch.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
        assert!(printed(&output).contains(says), "{}", printed(&output));
        assert!(scratch.result().is_none(), "nothing was sent");
    }
}
