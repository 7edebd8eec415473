//! What the image would hold is enough, and is run as it would be: nothing else in sight, nothing to write to
//! but /tmp and the state, a user without rights. The image itself is not built here: that takes a container
//! engine and a network.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The image's user.
const USER: &str = "65532";

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tree = Self(folder);
        let made = Command::new(script("tree")).arg(env!("CARGO_BIN_EXE_slatest")).arg(tree.path()).status();
        assert!(made.expect("bash").success(), "the tree could not be made");
        tree
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("image")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(script("within"));
        command.arg(self.path()).args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("bash")
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("container").join(name)
}

/// Whether this machine lets anybody have a mount namespace; where it doesn't, nothing can be shown.
fn can_try() -> bool {
    let root = rustix::process::geteuid().is_root();
    let mut unshare = Command::new("unshare");
    unshare.args(if root {
        &["--mount", "--pid", "--fork"][..]
    } else {
        &["--map-root-user", "--mount", "--pid", "--fork"]
    });
    let can = unshare.arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !can {
        eprintln!("this machine allows no mount namespace: how the image runs was NOT tried");
    }
    can
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_image_holds_what_a_run_needs_and_nothing_can_be_written_to_it() {
    if !can_try() {
        return;
    }
    let tree = Tree::new();
    let version = tree.run(&["--version"]);
    assert!(text(&version).contains(env!("CARGO_PKG_VERSION")), "{}", text(&version));
    // Every driver, the sandbox beside it, and results on what may be written to. How the machine does
    // meanwhile decides whether the run is void.
    let run =
        tree.run(&["run", "--profile", "smoke", "--duration", "3s", "--out", "/tmp/results", "--quiet", "--verbose"]);
    let said = text(&run);
    assert!(matches!(run.status.code(), Some(0 | 97 | 98)), "{:?} {said}", run.status);
    assert!(said.contains("convergence") && said.contains("consumption") && said.contains("0 dropped"), "{said}");
    let init = tree.run(&["init"]);
    assert!(text(&init).contains("Read-only file system"), "{}", text(&init));
    assert_eq!(init.status.code(), Some(1), "{}", text(&init));
}

#[test]
fn whoever_runs_it_has_no_rights() {
    if !can_try() || !rustix::process::geteuid().is_root() {
        eprintln!("only root can become another user: not tried");
        return;
    }
    let tree = Tree::new();
    let mut child = tree.command(&["sandbox"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("bash");
    let (inner, status) = status_within(&child);
    // The first process of a namespace: what it doesn't handle it doesn't get.
    let inner = nix::unistd::Pid::from_raw(inner.parse().expect("a process id"));
    nix::sys::signal::kill(inner, nix::sys::signal::Signal::SIGKILL).expect("it runs");
    child.wait().expect("it ends");
    let line = |name: &str| {
        let found =
            status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} {status}"));
        found.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("Uid:"), [USER; 4]);
    assert_eq!(line("Gid:"), [USER; 4]);
    assert_eq!(line("Groups:"), [] as [&str; 0]);
    assert_eq!(line("NoNewPrivs:"), ["1"]);
    for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(line(capabilities), ["0000000000000000"], "{capabilities}");
    }
}

/// Number and /proc/PID/status of slatest once it runs below a process.
fn status_within(child: &Child) -> (String, String) {
    let since = Instant::now();
    loop {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap_or_default();
        for inner in children.split_whitespace() {
            let status = std::fs::read_to_string(format!("/proc/{inner}/status")).unwrap_or_default();
            if status.starts_with("Name:\tslatest\n") {
                return (inner.to_owned(), status);
            }
        }
        assert!(since.elapsed() < Duration::from_secs(60), "slatest did not start");
        #[expect(clippy::disallowed_methods, reason = "looked at again until it has started")]
        std::thread::sleep(Duration::from_millis(10));
    }
}
