//! What the machine allows: quotas of control groups, the real-time class. Where no control group can be made, the
//! tests say so and end.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::scratch::{Scratch, printed, wait_for};

/// A control group of this test, removed with it.
struct Group(PathBuf);

impl Group {
    /// Of the first version, where quotas are files of the controller `cpu`.
    fn new(name: &str) -> Result<Self, String> {
        let at = Path::new("/sys/fs/cgroup/cpu").join(format!("slatest-{name}-{}", std::process::id()));
        std::fs::create_dir(&at).map_err(|error| format!("{}: {error}", at.display()))?;
        let group = Self(at);
        group.write("cpu.cfs_period_us", "100000")?;
        Ok(group)
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.0.join(file), text).map_err(|error| format!("{file}: {error}"))
    }

    fn throttled(&self) -> u64 {
        let text = std::fs::read_to_string(self.0.join("cpu.stat")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }

    /// The program, begun in the group.
    fn slatest(&self, scratch: &Scratch, arguments: &str) -> std::process::Command {
        let program = env!("CARGO_BIN_EXE_slatest");
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &format!("echo $$ > {}/cgroup.procs && exec {program} {arguments}", self.0.display())])
            .current_dir(scratch.path())
            .env("NO_COLOR", "1")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Whoever was in it has ended.
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn group(name: &str) -> Option<Group> {
    match Group::new(name) {
        Ok(group) => Some(group),
        Err(reason) => {
            eprintln!("SKIPPED: no control group with a quota can be made here: {reason}");
            None
        }
    }
}

#[test]
fn a_generator_under_a_quota_is_void_and_says_how_often_it_was_held_back() {
    let Some(group) = group("quota") else { return };
    let scratch = Scratch::new();
    scratch.profile("executor: constant-arrival-rate, rate: 2400/s, duration: 6s", "");
    // It starts with more, so that the test does not wait for its start.
    group.write("cpu.cfs_quota_us", "150000").expect("a quota");
    let child = group.slatest(&scratch, "run --profile p --quiet").spawn().expect("the program starts");
    wait_for("a window", || scratch.windows() >= 1);
    let before = group.throttled();
    group.write("cpu.cfs_quota_us", "2500").expect("a quota");
    wait_for("twenty periods", || group.throttled() >= before + 20);
    group.write("cpu.cfs_quota_us", "150000").expect("a quota");
    let output = child.wait_with_output().expect("it ended");
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(97), "{text}");
    let record = scratch.record();
    let resources = &record["result"]["generator"]["resources"];
    assert_eq!(resources["quota_cores"], 1.5, "{resources}");
    assert!(resources["throttled_periods"].as_u64().is_some_and(|periods| periods >= 20), "{resources}");
    let checks = record["result"]["validity"].as_array().expect("checks");
    let quota = checks.iter().find(|check| check["name"] == "CPU quota").expect("a check");
    assert_eq!((&quota["holds"], &quota["effect"]), (&Value::Bool(false), &Value::String("void".into())), "{quota}");
}

#[test]
fn the_real_time_class_is_refused_where_the_group_has_none() {
    let Some(group) = group("real-time") else { return };
    match std::fs::read_to_string(group.0.join("cpu.rt_runtime_us")) {
        Ok(text) if text.trim() == "0" => {}
        other => {
            eprintln!("SKIPPED: control groups here don't share out real-time runtime: {other:?}");
            return;
        }
    }
    let scratch = Scratch::new();
    scratch.profile("executor: constant-arrival-rate, rate: 50/s, duration: 1s", "");
    let output = group.slatest(&scratch, "run --profile p --quiet --realtime").output().expect("the program starts");
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("the real-time class is not allowed here") && text.contains("CAP_SYS_NICE"), "{text}");
    assert!(scratch.result().is_none(), "nothing was sent");
}

#[test]
fn the_real_time_class_is_said_in_the_report() {
    let scratch = Scratch::new();
    scratch.profile("executor: constant-arrival-rate, rate: 50/s, duration: 1s", "");
    let output = scratch.run(&["run", "--profile", "p", "--quiet", "--verbose", "--realtime"]);
    let text = printed(&output);
    if output.status.code() == Some(3) {
        assert!(text.contains("the real-time class is not allowed here"), "{text}");
        eprintln!("SKIPPED: {text}");
        return;
    }
    assert!(text.contains("scheduling: real-time"), "{text}");
    assert_eq!(scratch.record()["result"]["generator"]["resources"]["scheduling"], "realtime", "{text}");
}
