//! Whole runs whose agents are pods: real processes of slatest that read the mounted token, dial the
//! coordinator and make the load.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::cluster::{Cluster, Fate, SOON};

const PROFILE: &str = "\
name: p
graceful_stop: 5s
scenarios:
  api: { workload: emr-api, executor: constant-arrival-rate, rate: 40/s, duration: LENGTH }
objectives:
  - { name: errors, scope: \"api/*\", indicator: error_rate, below: 5% }
";

struct Run {
    desk: tempfile::TempDir,
    child: Child,
}

impl Run {
    /// A run on the sandbox whose agents are the cluster's pods.
    fn start(cluster: &Cluster, length: &str) -> Self {
        let desk = tempfile::tempdir().expect("a temporary folder");
        let profiles = desk.path().join("profiles");
        std::fs::create_dir_all(&profiles).expect("a folder");
        std::fs::write(profiles.join("p.yaml"), PROFILE.replace("LENGTH", length)).expect("a profile");
        let kubeconfig = cluster.kubeconfig(desk.path());
        let child = Command::new(env!("CARGO_BIN_EXE_slatest"))
            .args(["run", "--profile", "p", "--kubernetes", "--agents", "2", "--namespace", "load", "--image", "i"])
            .args(["--listen", "127.0.0.1:0"])
            .current_dir(desk.path())
            .env("KUBECONFIG", kubeconfig)
            .env_remove("SLATEST_TARGET")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(std::fs::File::create(desk.path().join("stderr")).expect("a file")))
            .spawn()
            .expect("the program starts");
        Self { desk, child }
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.desk.path().join("stderr")).unwrap_or_default()
    }

    /// Waits until the run has written a window.
    fn wait_for_load(&mut self) {
        let since = Instant::now();
        while !windows(self.desk.path()) {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none() && since.elapsed() < SOON, "{ended:?} {}", self.errors());
            #[expect(clippy::disallowed_methods, reason = "looked at again until it is there")]
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Its exit code, and what it said.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let mut stdout = self.child.stdout.take().expect("a pipe");
        stdout.read_to_string(&mut said).expect("text");
        let status = self.child.wait().expect("a child");
        (status.code(), format!("{said}\n{}", self.errors()))
    }

    fn record(&self) -> Value {
        let run = results(self.desk.path()).expect("a run");
        serde_json::from_str(&std::fs::read_to_string(run.join("run.json")).expect("a record")).expect("JSON")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn results(desk: &Path) -> Option<std::path::PathBuf> {
    std::fs::read_dir(desk.join("results")).ok()?.next()?.ok().map(|entry| entry.path())
}

fn windows(desk: &Path) -> bool {
    results(desk).is_some_and(|run| std::fs::metadata(run.join("windows.jsonl")).is_ok_and(|file| file.len() > 0))
}

#[test]
fn a_whole_run_is_made_by_pods_and_leaves_nothing() {
    let cluster = Cluster::start(&[Fate::Process]);
    let mut run = Run::start(&cluster, "5s");
    let (code, said) = run.end();
    // How this machine does meanwhile decides whether it is void.
    assert!(matches!(code, Some(0 | 97)), "{code:?} {said}");
    cluster.assert_clean();
    let record = run.record();
    assert_eq!(record["status"], "finished", "{said}");
    assert_eq!(record["result"]["agents"].as_array().map(Vec::len), Some(2), "{said}");
    // Nobody else was ever told the token.
    let state = cluster.state();
    let secret = state.asked.iter().find(|asked| asked.method == "POST" && asked.resource == "secrets").unwrap();
    let token = secret.body["data"]["token"].as_str().unwrap().to_owned();
    let others = state.asked.iter().filter(|asked| asked.resource != "secrets");
    assert!(others.map(|asked| format!("{asked:?}")).all(|text| !text.contains(&token)));
    use base64::Engine as _;
    let token = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(token).unwrap()).unwrap();
    assert!(!said.contains(token.trim()), "{said}");
}

#[test]
fn ctrl_c_in_the_middle_takes_everything_away() {
    let cluster = Cluster::start(&[Fate::Process]);
    let mut run = Run::start(&cluster, "120s");
    run.wait_for_load();
    kill(Pid::from_raw(i32::try_from(run.child.id()).unwrap()), Signal::SIGINT).unwrap();
    let (code, said) = run.end();
    assert_eq!(code, Some(105), "{said}");
    cluster.assert_clean();
}

#[test]
fn a_pod_that_never_comes_is_said_and_ctrl_c_takes_the_others_away() {
    let reason = "0/1 nodes are available: 1 Insufficient cpu.";
    let cluster = Cluster::start(&[Fate::Process, Fate::Unschedulable(reason)]);
    let mut run = Run::start(&cluster, "5s");
    let since = Instant::now();
    while !run.errors().contains(reason) {
        assert!(since.elapsed() < SOON, "{}", run.errors());
        #[expect(clippy::disallowed_methods, reason = "looked at again until it is said")]
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(run.child.id()).unwrap()), Signal::SIGINT).unwrap();
    let (code, said) = run.end();
    assert_eq!(code, Some(105), "{said}");
    cluster.assert_clean();
}

#[test]
fn an_evicted_pod_is_said_in_words_and_voids_the_run() {
    let cluster = Cluster::start(&[Fate::Process]);
    let mut run = Run::start(&cluster, "20s");
    run.wait_for_load();
    cluster.evict(&cluster.pod(1).unwrap(), "The node was low on resource: memory.");
    let (code, said) = run.end();
    assert!(said.contains("agent 1 was evicted by node-1: The node was low on resource: memory."), "{said}");
    assert_eq!(code, Some(97), "{said}");
    cluster.assert_clean();
}
