//! What a test of many machines needs: a target that counts, a coordinator, agents.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::scratch::{Scratch, wait_for};

/// A target that answers everything at once and counts.
pub struct Target {
    pub address: SocketAddr,
    requests: Arc<AtomicU64>,
    last: Arc<Mutex<Instant>>,
}

impl Target {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener that doesn't block");
        let address = listener.local_addr().expect("its address");
        let requests = Arc::new(AtomicU64::new(0));
        let last = Arc::new(Mutex::new(Instant::now()));
        let (count, at) = (Arc::clone(&requests), Arc::clone(&last));
        // What a health check asks is no load.
        let answer = move |uri: axum::http::Uri| {
            if uri.path().starts_with("/api/") {
                count.fetch_add(1, Ordering::SeqCst);
                *at.lock().expect("nobody panicked with it") = Instant::now();
            }
            std::future::ready("ok")
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener of this runtime");
                axum::serve(listener, axum::Router::new().fallback(answer)).await
            })
        });
        Self { address, requests, last }
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// When the last one came.
    pub fn last(&self) -> Instant {
        *self.last.lock().expect("nobody panicked with it")
    }
}

/// A working directory with a plain profile and the target that counts.
pub struct Field {
    pub scratch: Scratch,
    pub target: Target,
}

impl Field {
    /// At `rate` a second for so many seconds. `more` are further lines of the profile.
    pub fn new(rate: u32, secs: u32, more: &str) -> Self {
        let (scratch, target) = (Scratch::new(), Target::start());
        // No limit on a time: this machine may have other work.
        let objective = "{ name: works, scope: '*/*', indicator: error_rate, below: 50% }";
        scratch.profile(
            &format!("executor: constant-arrival-rate, arrivals: uniform, rate: {rate}/s, duration: {secs}s"),
            objective,
        );
        let profile = scratch.path().join("profiles/p.yaml");
        let text = std::fs::read_to_string(&profile).expect("the profile");
        scratch.write("profiles/p.yaml", &format!("seed: 11\n{more}{text}"));
        scratch.write(
            "targets/counted.yaml",
            &format!(
                "name: counted\nenvironment: staging\nallow: {{ hosts: ['127.0.0.1'] }}\nendpoints: {{ api: {{ http: 'http://{}' }} }}\n",
                target.address
            ),
        );
        Self { scratch, target }
    }

    /// Puts a limit on response times, which lateness of the generator is held against.
    pub fn limit(&self, below: &str) {
        let profile = self.scratch.path().join("profiles/p.yaml");
        let text = std::fs::read_to_string(&profile).expect("the profile");
        let objective = format!(
            "{{ name: fast, scope: '*/*', indicator: response_time, quantile: 0.5, below: {below} }}, {{ name: works"
        );
        self.scratch.write("profiles/p.yaml", &text.replace("{ name: works", &objective));
    }

    /// Starts a coordinator and waits until it listens.
    pub fn coordinator(&self, agents: u32, more: &[&str]) -> Coordinator {
        let agents = agents.to_string();
        let arguments = ["coordinator", "--profile", "p", "--target", "counted", "--agents", &agents];
        let arguments = [&arguments[..], &["--listen", "127.0.0.1:0", "--token-file", "token"], more].concat();
        Coordinator::listening(self.scratch.slatest(&arguments).spawn().expect("the coordinator starts"))
    }

    /// Starts a coordinator that goes on with the only run, and waits until it listens again.
    pub fn resumed(&self) -> Coordinator {
        let arguments = ["coordinator", "--resume", "latest"];
        Coordinator::listening(self.scratch.slatest(&arguments).spawn().expect("the coordinator starts"))
    }

    /// Starts an agent of that name that dials `coordinator`.
    pub fn agent(&self, name: &str, coordinator: SocketAddr, more: &[&str]) -> Agent {
        let mut command = self.scratch.slatest(&["agent", "--name", name, "--workers", "1"]);
        command.args(["--coordinator", &coordinator.to_string()]).args(more);
        command.arg("--token-file").arg(self.scratch.path().join("token"));
        Agent::start(command)
    }

    /// The record of the only run.
    pub fn record(&self) -> Value {
        self.scratch.record()
    }
}

/// What a process prints, read as it comes, so that no pipe ever fills.
#[derive(Clone, Default)]
pub struct Said(Arc<Mutex<String>>);

impl Said {
    fn of(stream: impl std::io::Read + Send + 'static) -> Self {
        let said = Self::default();
        let kept = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let mut text = kept.0.lock().expect("nobody panicked with it");
                text.push_str(&line);
                text.push('\n');
            }
        });
        said
    }

    pub fn text(&self) -> String {
        self.0.lock().expect("nobody panicked with it").clone()
    }
}

/// A process of slatest that is ended with this value.
pub struct Process {
    child: Child,
    pub said: Said,
    printed: Said,
}

impl Process {
    pub fn new(mut child: Child) -> Self {
        let said = Said::of(child.stderr.take().expect("its standard error"));
        let printed = Said::of(child.stdout.take().expect("its standard output"));
        Self { child, said, printed }
    }

    /// Waits until it has said so; in vain when it ends before.
    pub fn wait_for(&mut self, message: &str) {
        wait_for(message, || {
            let ended = self.child.try_wait().expect("its end can be seen");
            let said = self.said.text();
            assert!(
                ended.is_none() || said.contains(message),
                "it ended ({ended:?}) and never said `{message}`: {said}"
            );
            said.contains(message)
        });
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), signal).expect("it is there");
    }

    /// Waits for its end: its exit code, and all that it said.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_for("the end of a process", || {
            status = self.child.try_wait().expect("its end can be seen");
            status.is_some()
        });
        (status.and_then(|s| s.code()), format!("{}{}", self.printed.text(), self.said.text()))
    }

    /// Kills it at once.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("it ended");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended needs no more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An agent.
pub struct Agent(pub Process);

impl Agent {
    pub fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self(Process::new(child.expect("the agent starts")))
    }
}

/// A coordinator that listens.
pub struct Coordinator {
    pub process: Process,
    pub address: SocketAddr,
}

impl Coordinator {
    fn listening(child: Child) -> Self {
        let mut process = Process::new(child);
        let message = "listening on ";
        process.wait_for(message);
        let text = process.said.text();
        let after = text.split(message).nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
        let address = after.trim_end_matches([',', ';', '.']).parse().expect("an address");
        Self { process, address }
    }
}

/// Whether a text stands in any file below a folder.
pub fn is_written(text: &str, folder: &Path) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            is_written(text, &path)
        } else {
            std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
        }
    })
}

/// A check of the run itself, by name.
pub fn check<'r>(record: &'r Value, name: &str) -> &'r Value {
    let checks = record["result"]["validity"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check `{name}` in {checks:?}"))
}

/// How an output ended, with all that it said.
pub fn ended(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), crate::scratch::printed(output))
}
