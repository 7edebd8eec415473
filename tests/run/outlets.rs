//! Where words go: nobody listens, the disk is full, the folder is gone. A verb ends with its own code.

use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::scratch::{Scratch, printed, wait_for};

const SHORT: &str = "executor: constant-arrival-rate, rate: 50/s, duration: 2s";
const FINE: &str = "{ name: o, scope: 'api/*', indicator: error_rate, below: 50% }";

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("/dev/full").into()
}

/// A pipe whose reader is gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn every_verb_ends_with_its_own_code_whoever_listens() {
    let scratch = Scratch::new();
    scratch.profile(SHORT, FINE);
    scratch.write("profiles/bad.yaml", "name: bad\nscenarios: {}\n");
    let run = scratch.run(&["run", "--profile", "p", "--quiet"]);
    assert_ne!(run.status.code(), Some(101), "{}", printed(&run));
    let verbs: &[&[&str]] = &[
        &["--help"],
        &["run", "--help"],
        &["nonsense"],
        &["check", "--profile", "p"],
        &["check", "--profile", "bad"],
        &["check", "--profile", "nowhere"],
        &["run", "--profile", "bad"],
        &["run", "--profile", "p", "--quiet", "--repeat", "2"],
        &["report", "nowhere"],
        &["drill", "list", "--target", "nowhere"],
        &["drill", "check", "--profile", "p"],
        &["drill", "heal", "latest"],
        &["drill", "heal", "nowhere"],
        &["agent", "--coordinator", "127.0.0.1:1"],
        &["coordinator"],
        &["capacity", "--profile", "p", "--scenario", "nowhere"],
        &["completions", "bash"],
        &["init", "--force"],
        &["sandbox", "--latency", "nonsense"],
    ];
    for verb in verbs {
        let own = scratch.run(verb).status.code();
        assert_ne!(own, Some(101), "{verb:?}");
        type Outlet = fn() -> Stdio;
        let outlets: [(&str, Outlet, Outlet); 5] = [
            ("2>/dev/full", Stdio::null, full),
            ("1>/dev/full", full, Stdio::null),
            ("both full", full, full),
            ("2>&1 | head", Stdio::null, closed),
            ("| head", closed, closed),
        ];
        for (message, out, err) in outlets {
            let status = scratch.slatest(verb).stdout(out()).stderr(err()).status().expect("the program starts");
            assert_eq!(status.code(), own, "{verb:?} {message}");
        }
    }
}

#[test]
fn a_run_whose_folder_is_gone_tells_its_verdict_and_is_no_pass() {
    for (below, code) in [("50%", [96, 97]), ("0.0001%", [99, 97])] {
        let scratch = Scratch::new();
        let objective = format!("{{ name: o, scope: 'api/*', indicator: error_rate, below: {below} }}");
        scratch.profile(SHORT, &objective);
        let mut arguments = vec!["run", "--profile", "p", "--quiet"];
        if code[0] == 99 {
            arguments.push("--sandbox=--error-rate=*=50%");
        }
        let child = scratch.slatest(&arguments).spawn().expect("the program starts");
        wait_for("two windows", || scratch.windows() >= 2);
        std::fs::remove_dir_all(scratch.path().join("results")).expect("it can be removed");
        let output = child.wait_with_output().expect("it ended");
        let text = printed(&output);
        assert!(code.iter().any(|code| output.status.code() == Some(*code)), "{:?}: {text}", output.status);
        assert!(text.contains("THE RESULTS ARE NOT SAVED") && text.contains("operations judged"), "{text}");
    }
}

/// A file system of its own for the results, unmounted with it.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn new(scratch: &Scratch, size: &str) -> Option<Self> {
        let at = scratch.path().join("results");
        std::fs::create_dir(&at).expect("a folder");
        let mounted = Self::mount(&at, &format!("size={size}"));
        if !mounted {
            eprintln!("SKIPPED: no file system can be mounted here");
        }
        mounted.then_some(Self(at))
    }

    fn mount(at: &std::path::Path, options: &str) -> bool {
        let status = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn unsaved(scratch: &Scratch, child: std::process::Child) {
    let output = child.wait_with_output().expect("it ended");
    let text = printed(&output);
    // 97: a busy machine may have made it void.
    assert!([Some(96), Some(97)].contains(&output.status.code()), "{:?}: {text}", output.status);
    assert!(text.contains("THE RESULTS ARE NOT SAVED") && text.contains("operations judged"), "{text}");
    drop(scratch.result());
}

#[test]
fn a_run_whose_disk_is_full_tells_its_verdict_and_is_no_pass() {
    let scratch = Scratch::new();
    let Some(mounted) = Mounted::new(&scratch, "256k") else { return };
    scratch.profile(SHORT, "{ name: o, scope: 'api/*', indicator: error_rate, below: 50% }");
    let child = scratch.slatest(&["run", "--profile", "p", "--quiet"]).spawn().expect("the program starts");
    wait_for("two windows", || scratch.windows() >= 2);
    // What is left of it.
    let mut file = std::fs::File::create(mounted.0.join("others")).expect("a file");
    while std::io::Write::write_all(&mut file, &[0; 4_096]).is_ok() {}
    unsaved(&scratch, child);
}

#[test]
fn a_run_whose_folder_is_covered_by_a_read_only_one_tells_its_verdict_and_is_no_pass() {
    let scratch = Scratch::new();
    let Some(mounted) = Mounted::new(&scratch, "16m") else { return };
    scratch.profile(SHORT, "{ name: o, scope: 'api/*', indicator: error_rate, below: 50% }");
    let child = scratch.slatest(&["run", "--profile", "p", "--quiet"]).spawn().expect("the program starts");
    wait_for("two windows", || scratch.windows() >= 2);
    // Files are open for writing, so the kernel refuses to change the mount itself: a read-only one is laid over it.
    let remounted = Mounted::mount(&mounted.0, "ro,size=16k");
    assert!(remounted, "it can be laid over");
    unsaved(&scratch, child);
    let _ = std::process::Command::new("umount").arg("-l").arg(&mounted.0).status();
}

#[test]
fn escape_sequences_of_names_never_come_out() {
    let scratch = Scratch::new();
    scratch.profile(SHORT, FINE);
    let text = std::fs::read_to_string(scratch.path().join("profiles/p.yaml")).expect("a profile");
    for bad in ["\\e[2J", "\\u009b31m", "\\u202e", "\\r\\n", "\\u2028"] {
        scratch.write("profiles/q.yaml", &text.replace("name: p", &format!("name: \"q{bad}\"")));
        for verb in ["run", "check"] {
            let output = scratch.run(&[verb, "--profile", "q", "--color", "always"]);
            assert_eq!(output.status.code(), Some(104), "{bad}: {}", printed(&output));
        }
        scratch.write("profiles/q.yaml", &text.replace("scope: 'api/*'", &format!("scope: \"{bad}/*\"")));
        let output = scratch.run(&["check", "--profile", "q"]);
        let said = printed(&output);
        assert_eq!(output.status.code(), Some(104), "{bad}: {said}");
        assert!(!said.chars().any(|c| slatest_core::text::is_harmful(c) && c != '\n'), "{said:?}");
    }
}

#[test]
fn a_hangup_and_a_quit_end_a_run_as_a_termination_does() {
    // Whoever starts these tests by `nohup` has every child ignore it.
    let ignored =
        procfs::process::Process::myself().and_then(|me| me.status()).is_ok_and(|status| status.sigign & 1 != 0);
    let hang_up = (!ignored).then_some(Signal::SIGHUP);
    for signal in hang_up.into_iter().chain([Signal::SIGQUIT, Signal::SIGTERM]) {
        let scratch = Scratch::new();
        scratch.profile("executor: constant-arrival-rate, rate: 50/s, duration: 120s", "");
        let child = scratch.slatest(&["run", "--profile", "p", "--quiet"]).spawn().expect("the program starts");
        wait_for("three windows", || scratch.windows() >= 3);
        kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal).expect("it can be signalled");
        let output = child.wait_with_output().expect("it ended");
        assert_eq!(output.status.code(), Some(105), "{signal}: {}", printed(&output));
        assert_eq!(scratch.record()["status"], "interrupted", "{signal}");
    }
}

#[test]
fn a_signal_before_the_load_ends_it_at_once() {
    // A target that takes connections and never answers keeps the look at it waiting.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let scratch = Scratch::new();
    scratch.profile(SHORT, "");
    scratch.write(
        "targets/mute.yaml",
        &format!("name: mute\nenvironment: staging\nallow: {{ hosts: ['127.0.0.1'] }}\nendpoints: {{ api: {{ http: 'http://127.0.0.1:{port}' }} }}\n"),
    );
    let child = scratch.slatest(&["run", "--profile", "p", "--target", "mute"]).spawn().expect("the program starts");
    let (mut connection, _) = listener.accept().expect("it looks");
    let mut some = [0; 1];
    connection.read_exact(&mut some).expect("it asks");
    let since = std::time::Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGINT).expect("it can be signalled");
    let output = child.wait_with_output().expect("it ended");
    assert_eq!(output.status.code(), Some(105), "{}", printed(&output));
    assert!(since.elapsed() < std::time::Duration::from_secs(5), "{:?}", since.elapsed());
    assert!(scratch.result().is_none(), "nothing was run");
}
