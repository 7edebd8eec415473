//! Drills repeated by the real program, on a sandbox that fails when it is told to and is mended when it is told to.

#[path = "run/scratch.rs"]
#[expect(dead_code, reason = "made for other tests too")]
mod scratch;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scratch::{Scratch, printed, wait_for};
use serde_json::Value;

/// How long a fault is held, at least: an outage is no shorter.
const HOLD_NANOS: u64 = 1_000_000_000;
const RUN: [&str; 8] = ["run", "--profile", "p", "--target", "t", "--seed", "5", "--quiet"];

/// A target that is up.
struct Stage {
    scratch: Scratch,
    sandbox: Child,
}

impl Stage {
    /// `heal` is the path of the hook that mends.
    fn new(heal: &str) -> Self {
        let scratch = Scratch::new();
        let arguments = ["sandbox", "--only", "api", "--ready-json", "--exit-with-parent", "--threads", "1"];
        let mut sandbox = scratch.slatest(&arguments).stdin(Stdio::piped()).spawn().expect("the sandbox starts");
        let mut ready = String::new();
        BufReader::new(sandbox.stdout.take().expect("piped")).read_line(&mut ready).expect("stdout is read");
        let ready: Value = serde_json::from_str(&ready).expect("JSON");
        let http = ready["http"].as_str().expect("an address");
        scratch.write(
            "workloads/probe.yaml",
            "name: probe\ndriver: http\nendpoint: api\noperations:\n  - { name: ask, timeout: 5s, request: { get: /probe/1 } }\n",
        );
        scratch.write(
            "targets/t.yaml",
            &format!(
                "name: t\nenvironment: sandbox\nallow: {{ hosts: ['127.0.0.1'], drills: true }}\n\
                 endpoints: {{ api: {{ http: '{http}' }} }}\nfaults:\n  failing:\n    http:\n      \
                 inject: {{ put: '{http}/control/behaviour', json: {{ operations: {{ probe-1: {{ error: '100%:503' }} }} }} }}\n      \
                 heal: {{ put: '{http}{heal}', json: {{}} }}\n"
            ),
        );
        let stage = Self { scratch, sandbox };
        stage.profile("p", "drills: [{ name: failing, at: 1500ms, inject: { fault: failing }, hold: 1s, watch: 4500ms, restored_after: 4, scope: 'api/*' }]\nrecovery: [{ name: comes-back, drill: failing, rto: 3s }]");
        stage
    }

    fn profile(&self, name: &str, drills: &str) {
        let text = format!(
            "name: {name}\nwindow: 250ms\ngraceful_stop: 2s\nscenarios:\n  api: {{ workload: probe, executor: constant-arrival-rate, rate: 200/s, duration: 8s }}\n{drills}\n"
        );
        self.scratch.write(&format!("profiles/{name}.yaml"), &text);
    }

    fn folders(&self, with: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.scratch.path().join("results")).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries.map(|e| e.path()).filter(|path| path.join(with).is_file()).collect();
        folders.sort();
        folders
    }

    /// The account of the only series; `None` before it is begun.
    fn account(&self) -> Option<(PathBuf, Value)> {
        let folder = self.folders("series.json").pop()?;
        let text = std::fs::read_to_string(folder.join("series.json")).expect("the account can be read at any time");
        Some((folder, serde_json::from_str(&text).expect("JSON at any time")))
    }

    /// The folder of the repeat of this number, once its fault is injected.
    fn injected(&self, number: u64) -> Option<PathBuf> {
        let (_, account) = self.account()?;
        let under_way = account.get("under_way").filter(|one| one["number"] == number)?;
        let folder = self.scratch.path().join("results").join(under_way["run"].as_str()?);
        step_done(&folder, "inject").then_some(folder)
    }

    fn report(&self, arguments: &[&str]) -> Output {
        let all: Vec<&str> = ["report"].iter().chain(arguments).copied().collect();
        self.scratch.run(&all)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.sandbox.stdin.take());
        let _ = self.sandbox.wait();
    }
}

/// Whether the journal of a run says that this was done.
fn step_done(folder: &Path, step: &str) -> bool {
    let text = std::fs::read_to_string(folder.join("drills.jsonl")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.into_iter().any(|line| line["step"] == step && line["phase"] == "done")
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal).expect("it can be signalled");
}

#[test]
fn three_repeats_are_told_together() {
    let stage = Stage::new("/control/behaviour");
    let output = stage.scratch.run(&[&RUN[..], &["--repeat", "3"]].concat());
    let said = printed(&output);
    let (folder, account) = stage.account().unwrap_or_else(|| panic!("no account: {said}"));
    assert!(account["ended"].is_string() && account["ended_early"].is_null(), "{said}");
    let repeats = account["repeats"].as_array().expect("repeats");
    assert_eq!(repeats.len(), 3, "{said}");
    let mut seeds: Vec<u64> = repeats.iter().map(|repeat| repeat["seed"].as_u64().expect("a seed")).collect();
    assert_eq!(seeds[0], 5, "the first repeat is the run that its seed says");
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 3, "{seeds:?}");
    for repeat in repeats {
        let run = stage.scratch.path().join("results").join(repeat["run"].as_str().expect("a run"));
        assert!(run.join("run.json").is_file() && run.join("junit.xml").is_file(), "{}", run.display());
        assert!(step_done(&run, "inject") && step_done(&run, "heal"), "{}", run.display());
    }
    // Whatever a busy machine makes of it, each repeat is counted once, and its bounds hold the truth.
    let objective = &account["drills"][0]["objectives"][0];
    let goes = &objective["goes"];
    let count = |what: &str| goes[what].as_u64().expect("a count");
    let all: u64 = ["passes", "fails", "untold", "nothing_failed", "void"].into_iter().map(count).sum();
    assert_eq!(all, 3, "{goes}");
    for outage in goes["outages"].as_array().expect("outages") {
        assert!(outage["upper"].as_u64().is_none_or(|upper| upper >= HOLD_NANOS), "{outage}");
    }
    if count("passes") == 3 {
        assert_eq!(objective["missing"][0]["passes"], 11, "{objective}");
        assert!((objective["shown_share"].as_f64().expect("a share") - 0.05_f64.powf(1.0 / 3.0)).abs() < 1e-6);
    }
    let code = match account["verdict"].as_str() {
        Some("pass") => 0,
        Some("fail") => 99,
        Some("inconclusive") => 98,
        Some("void") => 97,
        other => panic!("{other:?}"),
    };
    assert_eq!(output.status.code(), Some(code), "{said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("api/* from repeat to repeat") && text.contains("3 of 3 repeats"), "{text}");

    let id = account["id"].as_str().expect("an id");
    for wanted in [id, folder.to_str().expect("a path")] {
        let again = stage.report(&[wanted]);
        assert_eq!((again.status.code(), String::from_utf8_lossy(&again.stdout).as_ref()), (Some(0), text.as_str()));
    }
    let json = stage.report(&[id, "--format", "json"]);
    // The file has a checksum beside; what is told of it has none.
    let mut said = account.clone();
    assert!(said.as_object_mut().is_some_and(|fields| fields.shift_remove("crc32").is_some()), "{account}");
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).expect("JSON"), said);
    let junit = stage.report(&[id, "--format", "junit"]);
    let kept = std::fs::read(folder.join("junit.xml")).expect("junit.xml");
    assert_eq!(String::from_utf8_lossy(&junit.stdout), String::from_utf8_lossy(&kept));
    assert!(String::from_utf8_lossy(&stage.report(&[id, "--format", "markdown"]).stdout).contains("### Drill failing"));
    assert_eq!(stage.report(&[id, "--format", "hlog"]).status.code(), Some(2));
    // The latest is a run.
    assert!(String::from_utf8_lossy(&stage.report(&["latest"]).stdout).contains("operations judged"));
}

#[test]
fn an_interrupted_series_heals_the_present_repeat_and_tells() {
    let stage = Stage::new("/control/behaviour");
    let child = stage.scratch.slatest(&[&RUN[..], &["--repeat", "5"]].concat()).spawn().expect("it starts");
    wait_for("the fault of the second repeat", || stage.injected(2).is_some());
    let run = stage.injected(2).expect("it is under way");
    signal(&child, Signal::SIGINT);
    let output = child.wait_with_output().expect("it ended");
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(105), "{said}");
    assert!(step_done(&run, "heal"), "{said}");
    let (_, account) = stage.account().expect("an account");
    assert_eq!(
        (account["ended_early"].as_str(), account["planned"].as_u64()),
        (Some("interrupted"), Some(5)),
        "{said}"
    );
    assert_eq!(account["repeats"].as_array().map(Vec::len), Some(2), "{said}");
    assert!(account["under_way"].is_null() && account["verdict"] != "pass", "{said}");
    // Lines are wrapped where they get too long.
    let message = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(message.contains("3 of 5 were not made, so it can't pass"), "{said}");
}

#[test]
fn a_killed_series_still_tells_what_it_had() {
    let stage = Stage::new("/control/behaviour");
    let mut child = stage.scratch.slatest(&[&RUN[..], &["--repeat", "5"]].concat()).spawn().expect("it starts");
    wait_for("the fault of the second repeat", || stage.injected(2).is_some());
    child.kill().expect("it can be killed");
    child.wait().expect("it ended");
    let (_, account) = stage.account().expect("an account");
    assert_eq!(account["repeats"].as_array().map(Vec::len), Some(1));
    let told = printed(&stage.report(&[account["id"].as_str().expect("an id")]));
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("did not come to its end") && told.contains("1 of 5 repeats"), "{told}");
    assert!(told.contains(account["under_way"]["run"].as_str().expect("a run")), "{told}");
}

#[test]
fn nothing_comes_after_a_repeat_that_left_something_broken() {
    let stage = Stage::new("/no-such-hook");
    let output = stage.scratch.run(&[&RUN[..], &["--repeat", "3"]].concat());
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(99), "{said}");
    let (_, account) = stage.account().expect("an account");
    assert_eq!((account["verdict"].as_str(), account["repeats"].as_array().map(Vec::len)), (Some("fail"), Some(1)));
    assert!(account["ended_early"]["left_broken"].is_string(), "{account}");
    assert!(said.contains("THE TARGET IS NOT SOUND, nothing more was done to it"), "{said}");
}

#[test]
fn what_can_t_be_repeated_is_refused_before_anything_is_sent() {
    let stage = Stage::new("/control/behaviour");
    stage.profile("plain", "");
    stage.profile("by-hand", "drills: [{ name: failing, at: 1s, inject: { fault: failing }, watch: 2s, restored_after: 4, heal: manual, scope: 'api/*' }]");
    for (profile, more, says) in [
        ("p", &["--local-agents", "2"][..], "leave the agents out"),
        ("plain", &[][..], "the profile `plain` has none"),
        ("by-hand", &[][..], "left to people to heal"),
        ("p", &["--repeat", "0"][..], "cannot be used multiple times"),
    ] {
        let run = ["run", "--profile", profile, "--target", "t", "--repeat", "3"];
        let output = stage.scratch.run(&[&run[..], more].concat());
        assert_eq!(output.status.code(), Some(2), "{}", printed(&output));
        assert!(printed(&output).contains(says), "{}", printed(&output));
    }
    assert!(stage.folders("series.json").is_empty() && stage.folders("run.json").is_empty());
}
