//! Starting the process, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use slatest_sandbox::Ready;

/// A running sandbox; it ends with the test.
pub struct Started {
    pub child: Child,
    pub ready: Ready,
    pub client: Client,
}

impl Started {
    pub fn new(arguments: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut child = Command::new(env!("CARGO_BIN_EXE_slatest"))
            .args(["sandbox", "--ready-json", "--exit-with-parent"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("stdout is read");
        let ready = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: `{line}`"));
        Self { child, ready, client: Client::new() }
    }

    /// Sends one request; the answer's status and JSON (null where it has none).
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.ready.http));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn behave(&self, behaviour: Value) {
        let (status, answer) = self.ask(Method::PUT, "/control/behaviour", Some(behaviour)).await;
        assert_eq!(status, 200, "{answer}");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn scratch(started: &Started) -> &Path {
    Path::new(started.ready.sqlite.as_deref().expect("a database")).parent().expect("a folder")
}

#[test]
fn it_ends_when_stdin_closes_and_leaves_nothing() {
    let mut started = Started::new(&[]);
    let folder = scratch(&started).to_owned();
    assert!(folder.exists());
    drop(started.child.stdin.take());
    assert!(started.child.wait().expect("it ends").success());
    assert!(!folder.exists());
}

#[test]
fn it_ends_on_a_signal_and_leaves_nothing() {
    for signal in [nix::sys::signal::Signal::SIGTERM, nix::sys::signal::Signal::SIGINT] {
        let mut started = Started::new(&["--only", "sql"]);
        let folder = scratch(&started).to_owned();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(started.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("sent");
        assert!(started.child.wait().expect("it ends").success(), "{signal}");
        assert!(!folder.exists(), "{signal}");
    }
}

#[tokio::test]
async fn only_the_parts_that_are_asked_for_start() {
    let started = Started::new(&["--only", "sync"]);
    let Ready { websocket, kafka, sqlite, redis, .. } = &started.ready;
    assert!(websocket.is_some() && kafka.is_empty() && sqlite.is_none() && redis.is_none());
    assert_eq!(started.get("/health").await.0, 200);
    assert_eq!(started.get("/api/v1/tasks").await.0, 404);
}

#[test]
fn what_is_wrong_is_said_and_no_credential_is() {
    let cases: [(&[&str], &str, i32, &str); 5] = [
        (&["--stall", "2"], "", 2, "--stall"),
        (&["--postgres"], "", 2, "SLATEST_SANDBOX_POSTGRES"),
        (&[], "SLATEST_SANDBOX_POSTGRES=hunter2", 103, "DSN"),
        (&[], "SLATEST_SANDBOX_REDIS=hunter2", 103, "Redis"),
        (&[], "SLATEST_SANDBOX_AMQP=amqp://u:hunter2@127.0.0.1:1/", 103, "AMQP"),
    ];
    for (arguments, variable, code, says) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slatest"));
        command.arg("sandbox").args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
        let mut child = command.spawn().expect("it starts");
        let mut text = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut text).expect("stderr is read");
        assert_eq!(child.wait().expect("it ends").code(), Some(code), "{text}");
        assert!(text.contains(says) && !text.contains("hunter2"), "{text}");
    }
}
