//! A verdict on one URL or DSN without any file, as docs/first-minute.md promises it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::scratch::Scratch;

/// The embedded platform as a process of its own, and where its parts are.
struct Platform {
    child: Child,
    ready: Value,
}

impl Platform {
    fn start(scratch: &Scratch) -> Self {
        let mut command = scratch.slatest(&["sandbox", "--ready-json", "--exit-with-parent"]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the sandbox starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says where it is");
        Self { child, ready: serde_json::from_str(&line).expect("JSON") }
    }

    fn part(&self, name: &str) -> &str {
        self.ready[name].as_str().expect("a part of the sandbox")
    }

    fn authority(&self) -> &str {
        self.part("http").strip_prefix("http://").expect("a URL")
    }

    /// A command of the page with the places of this sandbox.
    fn placed(&self, command: &str) -> String {
        let brokers: Vec<&str> =
            self.ready["kafka"].as_array().expect("brokers").iter().filter_map(Value::as_str).collect();
        command
            .replace("localhost:8080", self.authority())
            .replace("localhost:9092", &brokers.join(","))
            .replace("redis://localhost:6379", self.part("redis"))
            .replace("app.db", self.part("sqlite"))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The words of a command line, as a shell takes single quotes.
fn words(line: &str) -> Vec<String> {
    line.split('\'')
        .enumerate()
        .flat_map(|(i, part)| match i % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

fn runs(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.join("run.json").exists()).collect()
}

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    let page = include_str!("../../docs/first-minute.md");
    let commands: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .filter_map(|block| block.split("```").next())
        .flat_map(str::lines)
        .filter(|line| line.starts_with("slatest "))
        .collect();
    assert!(commands.len() >= 9, "{commands:?}");
    let scratch = Scratch::new();
    let platform = Platform::start(&scratch);
    for (i, command) in commands.into_iter().enumerate() {
        let mut arguments = words(&platform.placed(command));
        arguments.remove(0);
        // As little load as tells whether it works; a length that the page gives is shortened.
        if let Some(at) = arguments.iter().position(|word| word == "-d") {
            arguments.drain(at..at + 2);
        }
        let out = format!("results-{i}");
        let short = ["-d", "1s", "-q", "--out", out.as_str()].map(str::to_owned);
        arguments.splice(1..1, short);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = scratch.run(&arguments);
        let said = format!(
            "{command}\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if command.contains("--save") {
            assert_eq!(output.status.code(), Some(0), "{said}");
            assert!(scratch.path().join("load-test/profiles/http.yaml").exists(), "{said}");
            continue;
        }
        // Too short for a verdict, and long enough to show that every answer was right.
        assert!(matches!(output.status.code(), Some(0 | 98)), "{said}");
        let folder = runs(&scratch.path().join(&out)).pop().unwrap_or_else(|| panic!("no results: {said}"));
        let record: Value = serde_json::from_slice(&std::fs::read(folder.join("run.json")).unwrap()).unwrap();
        let total = &record["result"]["total"];
        assert!(total["planned"].as_u64().is_some_and(|planned| planned > 0), "{total}\n{said}");
        assert_eq!(total["outcomes"]["ok"], total["planned"], "{total}\n{said}");
    }
}

#[test]
fn saved_files_are_the_same_run_and_hold_no_credential() {
    let scratch = Scratch::new();
    let platform = Platform::start(&scratch);
    let url = format!("{}/health", platform.part("http"));
    let output = scratch.run(&["http", &url, "-d", "1s", "-H", "Authorization: Bearer geheim", "--save", "mine"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("AUTHORIZATION"), "{said}");
    for file in ["profiles/http.yaml", "workloads/http.yaml", "targets/http.yaml"] {
        let text = std::fs::read_to_string(scratch.path().join("mine").join(file)).unwrap();
        assert!(!text.contains("geheim"), "{text}");
    }
    let mut run = scratch.slatest(&["run", "--profile", "http", "--target", "http", "-q"]);
    let output = run.current_dir(scratch.path().join("mine")).env("AUTHORIZATION", "Bearer geheim").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    // A second time it would overwrite what may have been changed by then.
    let again = scratch.run(&["http", &url, "-r", "7/s", "--save", "mine"]);
    assert_eq!(again.status.code(), Some(2), "{}", String::from_utf8_lossy(&again.stderr));
}

#[test]
fn a_credential_reaches_no_result() {
    let scratch = Scratch::new();
    let platform = Platform::start(&scratch);
    let url = format!("{}/health", platform.part("http"));
    let output = scratch.run(&["http", &url, "-d", "1s", "-H", "Authorization: Bearer geheim", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = runs(&scratch.path().join("results")).pop().expect("a result");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            // The command line is part of the record, its credentials are not.
            let bytes = std::fs::read(&path).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("geheim"), "{}", path.display());
        }
    }
}

#[test]
fn what_is_refused_is_refused_before_any_load() {
    let scratch = Scratch::new();
    for (arguments, code, said) in [
        (&["http", "https://example.com/"][..], 3, "--allow example.com"),
        (&["http", "ftp://localhost/"], 2, "is not HTTP"),
        (&["http", "localhost:1/", "-r", "5/s", "-c", "3"], 2, "cannot be used with"),
        (&["run", "http://localhost:1/"], 2, "slatest http URL"),
        (&["http://localhost:1/"], 2, "slatest http URL"),
        (&["http", "localhost:1/", "-d", "1s"], 103, "localhost"),
        (&["sql", "env:SLATEST_NOT_SET", "select 1"], 2, "SLATEST_NOT_SET"),
    ] {
        let output = scratch.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    assert!(runs(&scratch.path().join("results")).is_empty());
}
