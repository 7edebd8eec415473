//! What one drill needs: a working directory, the target, an observer, and the program.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use crate::deeds::{self, Deed};
use crate::known::{AS_TARGET, FOLDER, PID_FILE, SETTINGS_FILE, Settings};
use crate::observer::Observer;
use crate::scratch::{Scratch, printed, wait_for};
use crate::told::Told;

/// A socket of this address; who else binds one of the same kind may listen on it.
pub fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("an option");
    socket.bind(&address.into()).expect("the address is free");
    socket
}

/// A port that is held while nobody listens on it: nobody else takes it, and no client connects to itself through it.
pub fn hold() -> (SocketAddr, Socket) {
    let socket = bound(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("its address");
    (address, socket)
}

/// A target that is up, in a working directory with a workload that asks it.
pub struct Stage {
    /// The working directory.
    pub scratch: Scratch,
    /// Where the target serves.
    pub service: SocketAddr,
    /// Where it is told what to do.
    pub control: SocketAddr,
    /// Variables that the program has.
    pub variables: Vec<(&'static str, &'static str)>,
    _held: [Socket; 2],
}

/// Long enough for whatever a slow machine does, too long for anything to wait for it.
pub const PATIENCE: Duration = Duration::from_secs(2);

impl Stage {
    /// With the target up, which is in the folder `target`.
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let ((service, first), (control, second)) = (hold(), hold());
        let settings = Settings { service, control, owner: std::process::id() };
        let folder = format!("target/{SETTINGS_FILE}");
        scratch.write(&folder, &serde_json::to_string(&settings).expect("JSON"));
        let this = std::env::current_exe().expect("this program");
        // As a program that leaves a server behind and ends.
        scratch.write(
            "target/start.sh",
            &format!(
                "{FOLDER}='{}' '{}' {} </dev/null >>target.log 2>&1 &\n",
                scratch.path().join("target").display(),
                this.display(),
                AS_TARGET.join(" "),
            ),
        );
        scratch.write(
            "workloads/plain.yaml",
            "name: plain\ndriver: http\nendpoint: api\noperations:\n  \
             - { name: ask, timeout: 5s, request: { get: /serve } }\n",
        );
        let stage = Self { scratch, service, control, variables: Vec::new(), _held: [first, second] };
        stage.start_target();
        stage
    }

    /// Starts the target, and waits until it is up.
    pub fn start_target(&self) {
        let folder = self.scratch.path().join("target");
        // What is there is of the one before.
        let _ = std::fs::remove_file(folder.join(PID_FILE));
        let started = Command::new("sh").arg("start.sh").current_dir(&folder).process_group(0).status();
        assert!(started.expect("sh").success());
        wait_for("the target", || folder.join(PID_FILE).exists());
    }

    /// A URL that tells the target what to do.
    pub fn order(&self, order: &str) -> String {
        format!("http://{}/control?{order}", self.control)
    }

    /// Tells it.
    pub fn tell(&self, order: &str) {
        let url = self.order(order);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answer = runtime.block_on(async { one_request(self.control, &url).await });
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The process that it is.
    pub fn pid(&self) -> i32 {
        let text = std::fs::read_to_string(self.scratch.path().join("target").join(PID_FILE)).expect("the pid file");
        text.lines().next().and_then(|line| line.parse().ok()).expect("a process id")
    }

    /// What it did so far.
    pub fn deeds(&self) -> Vec<Deed> {
        deeds::read(&self.scratch.path().join("target"))
    }

    /// Writes the target file: where the endpoint `api` is, the faults, and what else there is.
    pub fn target(&self, environment: &str, drills: bool, faults: &str, more: &str) {
        self.target_at(self.service, environment, drills, faults, more);
    }

    /// The same, with the endpoint elsewhere.
    pub fn target_at(&self, at: SocketAddr, environment: &str, drills: bool, faults: &str, more: &str) {
        let text = format!(
            "name: t\nenvironment: {environment}\nallow: {{ hosts: ['127.0.0.1'], drills: {drills} }}\n\
             endpoints: {{ api: {{ http: 'http://{at}' }} }}\n{more}faults:\n{faults}\n"
        );
        self.scratch.write("targets/t.yaml", &text);
    }

    /// Where the observer writes.
    pub fn log(&self) -> PathBuf {
        self.scratch.path().join("observer.jsonl")
    }

    /// Runs the program with the observer beside it.
    pub fn observed(&self, at: SocketAddr, patience: Duration, arguments: &[&str]) -> Told {
        let mut child = self.begin(arguments);
        // Behind a proxy of the program's nobody is there before.
        wait_for("the run", || self.scratch.windows() > 0 || child.try_wait().is_ok_and(|end| end.is_some()));
        let observer = Observer::begin(at, "/serve", patience, &self.log());
        let output = child.wait_with_output().expect("it ended");
        let seen = observer.end();
        Told::of(&self.scratch, output, Some(seen))
    }

    /// Runs the profile `p` on the target `t` with its drills, observed at the target itself.
    pub fn drill(&self) -> Told {
        self.observed(self.service, PATIENCE, &RUN)
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = self.scratch.slatest(arguments);
        command.envs(self.variables.iter().copied());
        command
    }

    /// Starts the program.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        self.program(arguments).spawn().expect("the program starts")
    }

    /// Runs it without anybody beside it.
    pub fn run(&self, arguments: &[&str]) -> Output {
        // What is told of a drill is longer than a screen.
        let verbose: &[&str] = if arguments.first() == Some(&"run") { &["--verbose"] } else { &[] };
        self.program(&[arguments, verbose].concat()).output().expect("the program starts")
    }

    /// What `check` says of the files.
    pub fn check(&self) {
        let output = self.run(&["check", "--profile", "p", "--target", "t", "--drills", "--offline"]);
        assert_eq!(output.status.code(), Some(0), "{}", printed(&output));
        let text = printed(&output);
        assert!(!text.contains("TELL"), "the windows can tell: {text}");
    }
}

/// A run of the profile `p` on the target `t` with its drills.
pub const RUN: [&str; 7] = ["run", "--profile", "p", "--target", "t", "--drills", "--quiet"];

impl Drop for Stage {
    fn drop(&mut self) {
        // The target ends by itself when its settings are gone; it is not waited for.
        let _ = std::fs::remove_file(self.scratch.path().join("target").join(SETTINGS_FILE));
    }
}

/// The process of a child.
pub fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal).expect("it can be signalled");
}

/// One request without a body, and the answer as it came.
async fn one_request(address: SocketAddr, url: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the target is there");
    let path = url.split_once("/control").map_or("", |(_, rest)| rest);
    let request = format!("POST /control{path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it is asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}
