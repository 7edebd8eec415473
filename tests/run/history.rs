//! Runs beside each other, from the program's door.

use super::scratch::{Scratch, printed};

#[test]
fn runs_are_listed_compared_and_looked_at_night_after_night() {
    let scratch = Scratch::new();
    scratch.profile("executor: constant-arrival-rate, rate: 200/s, duration: 3s", "");
    let none = scratch.run(&["history"]);
    assert!(none.status.success() && printed(&none).contains("no such run under results"), "{}", printed(&none));
    for sandbox in ["--sandbox=--latency=*=lognormal:5ms,0.1", "--sandbox=--latency=*=lognormal:150ms,0.1"] {
        let output = scratch.run(&["run", "--profile", "p", "--quiet", sandbox]);
        assert!(output.status.success(), "{}", printed(&output));
    }
    let listed = scratch.run(&["history", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let ids: Vec<&str> = listed["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    let [first, second] = ids[..] else { panic!("two runs: {listed}") };
    let text = scratch.run(&["history"]);
    let lines = printed(&text);
    assert!(lines.lines().all(|line| line.chars().count() <= 80), "{lines}");

    let worse = scratch.run(&["compare", first, second]);
    let text = printed(&worse);
    assert_eq!(worse.status.code(), Some(99), "{text}");
    assert!(text.contains("WORSE") && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let better = scratch.run(&["compare", second, "--json", first]);
    let found: serde_json::Value = serde_json::from_slice(&better.stdout).expect("JSON");
    let is = |what: &str| found["rows"].as_array().unwrap().iter().any(|row| row["compared"] == what);
    assert!(is("better") && !is("worse"), "{found}");

    let trend = scratch.run(&["trend", "--profile", "p"]);
    let text = printed(&trend);
    assert!(trend.status.success() && text.contains("2 of 17 nights"), "{text}");
    for (arguments, says) in [
        (&["compare", "nothing"][..], "no result `nothing`"),
        (&["trend", "--profile", "other"][..], "no run of the profile `other`"),
        (&["trend", "--profile", "p", "--again", "nothing"][..], "no result `nothing`"),
    ] {
        let output = scratch.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
        assert!(printed(&output).contains(says), "{}", printed(&output));
    }
}
