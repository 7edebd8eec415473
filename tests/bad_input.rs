//! Bad input, as its author meets it: the real program says file, line and key, ends with the exit
//! code that is documented, and nobody was contacted.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// Exit codes of the documentation.
const USAGE: i32 = 2;
const REFUSED: i32 = 3;
const UNREACHABLE: i32 = 103;
const INVALID: i32 = 104;

const PROFILE: &str = "\
name: p
scenarios:
  api:
    workload: w
    executor: constant-arrival-rate
    rate: 10/s
    duration: 10s
objectives:
  - { name: o, scope: \"api/*\", indicator: response_time, quantile: 0.95, below: 500ms }
";

const WORKLOAD: &str = "\
name: w
driver: http
endpoint: api
operations:
  - name: read
    request: { get: \"/tasks/{{ seq }}\" }
";

const TARGET: &str = "\
name: t
environment: staging
allow: { hosts: [127.0.0.1] }
endpoints:
  api: { http: \"http://127.0.0.1:PORT\" }
";

/// Stands in for the target: a connection to it waits in its queue, where it is seen.
struct Listener(TcpListener);

impl Listener {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket that doesn't block");
        Self(listener)
    }

    fn port(&self) -> String {
        self.0.local_addr().expect("an address").port().to_string()
    }

    fn was_contacted(&self) -> bool {
        match self.0.accept() {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                false
            }
        }
    }
}

/// A working directory with a profile, a workload and a target that fit each other.
struct Desk {
    folder: tempfile::TempDir,
    listener: Listener,
}

struct Said {
    code: Option<i32>,
    text: String,
    contacted: bool,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a temporary folder"), listener: Listener::new() };
        for (file, text) in [("profiles/p.yaml", PROFILE), ("workloads/w.yaml", WORKLOAD), ("targets/t.yaml", TARGET)] {
            desk.write(file, &text.replace("PORT", &desk.listener.port()));
        }
        desk
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap_or_else(|| Path::new("."))).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }

    fn replace(&self, file: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(file)).expect("the file can be read");
        assert!(text.contains(from), "{file} has no `{from}`");
        self.write(file, &text.replace(from, to));
    }

    fn slatest(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_slatest"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("SLATEST_TARGET")
            .env_remove("SLATEST_LOG")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let text = String::from_utf8(output.stderr).expect("text on stderr");
        let text = text.replace(&self.listener.port(), "PORT");
        let text = text.replace(&self.folder.path().display().to_string(), "FOLDER");
        assert!(!self.path("results").exists(), "a run that never began left results: {text}");
        Said { code: output.status.code(), text, contacted: self.listener.was_contacted() }
    }

    fn run(&self) -> Said {
        self.slatest(&["run", "--profile", "p", "--target", "t"], &[])
    }
}

const P: &str = "profiles/p.yaml";
const W: &str = "workloads/w.yaml";
const T: &str = "targets/t.yaml";

/// (title, file, what is replaced, by what, where it is said, key that is named)
const CASES: &[(&str, &str, &str, &str, &str, &str)] = &[
    ("unknown key", P, "duration: 10s", "duraton: 10s", "p.yaml:7:", "duraton"),
    ("unknown key of a workload", W, "request:", "reqest:", "w.yaml:6:", "reqest"),
    ("unknown key of a target", T, "environment:", "enviroment:", "t.yaml:2:", "enviroment"),
    ("unknown unit of a duration", P, "10s", "10 parsecs", "p.yaml:7:", "duration"),
    ("unknown unit of a rate", P, "10/s", "10/fortnight", "p.yaml:6:", "rate"),
    ("rate of zero", P, "10/s", "0/s", "p.yaml:6:", "scenarios.api.rate"),
    ("rate below zero", P, "10/s", "-5/s", "p.yaml:6:", "rate"),
    ("duration of zero", P, "10s", "0s", "p.yaml:7:", "duration"),
    ("duration below zero", P, "10s", "-10s", "p.yaml:7:", "duration"),
    ("quantile of one", P, "0.95", "1", "p.yaml:9:", "objectives[0].quantile"),
    ("quantile of zero", P, "0.95", "0", "p.yaml:9:", "objectives[0].quantile"),
    ("scope that matches nothing", P, "api/*", "apy/*", "p.yaml:9:", "objectives[0].scope"),
    ("workload without its endpoint", W, "endpoint: api", "endpoint: emr", "w.yaml:3:", "endpoint"),
    ("template that fails", W, "{{ seq }}", "{{ seq / 0 }}", "w.yaml:6:", "operations[0].request"),
    ("missing feed", W, "operations:", "data:\n  wards: { csv: wards.csv }\noperations:", "w.yaml:5:", "data.wards"),
    (
        "missing environment variable",
        T,
        "PORT\"",
        "PORT\", token: { env: SLATEST_TEST_NOT_SET }",
        "t.yaml:5:",
        "endpoints.api.token",
    ),
    (
        "contradictory stages",
        P,
        "rate: 10/s",
        "rate: 10/s\n    stages: [{ duration: 5s, target: 20/s }]",
        "p.yaml:7:",
        "scenarios.api.stages",
    ),
    (
        "cyclic flow",
        W,
        "operations:",
        "flows:\n  - { name: day, steps: [read, night] }\n  - { name: night, steps: [day] }\noperations:",
        "w.yaml:6:",
        "flows[",
    ),
    (
        "limit of a source of nothing",
        T,
        "PORT\"",
        "PORT\", source_limit: { requests: 0, per: 5m }",
        "t.yaml:5:",
        "endpoints.api.source_limit.requests",
    ),
    ("limit of a source without its time", T, "PORT\"", "PORT\", source_limit: { requests: 2000 }", "t.yaml:5:", "per"),
    (
        "limit of a source where nothing counts",
        T,
        "endpoints:",
        "endpoints:\n  rows: { sqlite: rows.db, source_limit: { requests: 2000, per: 5m } }",
        "t.yaml:5:",
        "source_limit",
    ),
    ("host outside the allow list", T, "[127.0.0.1]", "[\"*.staging.example\"]", "t.yaml:5:", "endpoints.api.http"),
];

#[test]
fn each_mistake_is_said_where_it_stands_and_nobody_is_contacted() {
    let mut all = String::new();
    let mut wrong = Vec::new();
    for &(title, file, from, to, at, key) in CASES {
        let desk = Desk::new();
        let port = desk.listener.port();
        desk.replace(file, &from.replace("PORT", &port), &to.replace("PORT", &port));
        let said = desk.run();
        all.push_str(&format!("== {title} (exit {:?})\n{}\n", said.code, said.text));
        let holds = said.code == Some(INVALID) && said.text.contains(at) && said.text.contains(key) && !said.contacted;
        if !holds {
            wrong.push(title);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}\n{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn every_endpoint_that_is_not_there_is_named() {
    let desk = Desk::new();
    // Ports that were free a moment ago: taken by nobody in the meantime, they refuse.
    let ports = [Listener::new().port(), Listener::new().port()];
    desk.write(
        T,
        &format!(
            "name: t\nenvironment: staging\nallow: {{ hosts: [127.0.0.1] }}\nendpoints:\n  api: {{ http: \"http://127.0.0.1:{}\" }}\n  emr: {{ http: \"http://127.0.0.1:{}\" }}\n",
            ports[0], ports[1]
        ),
    );
    desk.write("workloads/v.yaml", &WORKLOAD.replace("name: w", "name: v").replace("endpoint: api", "endpoint: emr"));
    desk.replace(
        P,
        "objectives:",
        "  emr: { workload: v, executor: constant-arrival-rate, rate: 1/s, duration: 10s }\nobjectives:",
    );
    for verb in ["run", "check"] {
        let said = desk.slatest(&[verb, "--profile", "p", "--target", "t"], &[]);
        assert_eq!(said.code, Some(UNREACHABLE), "{verb}: {}", said.text);
        for (endpoint, port) in ["api", "emr"].iter().zip(&ports) {
            assert!(said.text.contains(&format!("`{endpoint}`")) && said.text.contains(port), "{verb}: {}", said.text);
        }
    }
    let offline = desk.slatest(&["check", "--profile", "p", "--target", "t", "--offline"], &[]);
    assert_eq!(offline.code, Some(0), "{}", offline.text);
}

#[test]
fn production_is_met_only_on_purpose() {
    let desk = Desk::new();
    desk.replace(T, "environment: staging", "environment: production");
    let unnamed = desk.slatest(&["run", "--profile", "p"], &[("SLATEST_TARGET", "t")]);
    assert_eq!((unnamed.code, unnamed.contacted), (Some(REFUSED), false), "{}", unnamed.text);
    let not_allowed = desk.run();
    assert_eq!((not_allowed.code, not_allowed.contacted), (Some(REFUSED), false), "{}", not_allowed.text);
    insta::assert_snapshot!(format!("{}{}", unnamed.text, not_allowed.text));

    // Allowed by the profile and still not named.
    desk.replace(P, "name: p\n", "name: p\nproduction: true\n");
    let unnamed = desk.slatest(&["run", "--profile", "p"], &[("SLATEST_TARGET", "t")]);
    assert_eq!((unnamed.code, unnamed.contacted), (Some(REFUSED), false), "{}", unnamed.text);
    // Both: it goes on, to an endpoint that isn't there.
    desk.replace(T, &desk.listener.port(), &Listener::new().port());
    let meant = desk.run();
    assert_eq!(meant.code, Some(UNREACHABLE), "{}", meant.text);
}

#[test]
fn what_a_firewall_would_block_is_not_sent() {
    let desk = Desk::new();
    desk.replace(
        T,
        "PORT\"".replace("PORT", &desk.listener.port()).as_str(),
        &format!("{}\", source_limit: {{ requests: 40, per: 5m }}", desk.listener.port()),
    );
    let refused = desk.run();
    // 100 arrivals of 10 s, 40 by one address.
    assert_eq!((refused.code, refused.contacted), (Some(REFUSED), false), "{}", refused.text);
    let capacity = ["capacity", "--profile", "p", "--target", "t", "--scenario", "api", "--max", "20/s"];
    let climbing = desk.slatest(&capacity, &[]);
    assert_eq!((climbing.code, climbing.contacted), (Some(REFUSED), false), "{}", climbing.text);
    insta::assert_snapshot!(format!("{}{}", refused.text, climbing.text));
    // It is only said where nothing is sent.
    let checked = desk.slatest(&["check", "--profile", "p", "--target", "t", "--offline"], &[]);
    assert_eq!(checked.code, Some(0), "{}", checked.text);

    // Meant, and goes on to an endpoint that isn't there; and so does what one address may send.
    desk.replace(T, &desk.listener.port(), &Listener::new().port());
    let target = ["run", "--profile", "p", "--target", "t"];
    for flags in [["--allow-listed"].as_slice(), &["--rate", "4/s"]] {
        let meant = desk.slatest(&[&target[..], flags].concat(), &[]);
        assert_eq!(meant.code, Some(UNREACHABLE), "{flags:?}: {}", meant.text);
    }
}

#[test]
fn figures_on_the_command_line_are_checked_too() {
    let desk = Desk::new();
    for flags in [["--rate", "0/s"], ["--rate", "5/fortnight"], ["--duration", "0s"], ["--scale", "0"]] {
        let said = desk.slatest(&[&["run", "--profile", "p", "--target", "t"][..], &flags].concat(), &[]);
        assert_eq!((said.code, said.contacted), (Some(USAGE), false), "{flags:?}: {}", said.text);
        assert!(said.text.contains(flags[0]), "{flags:?}: {}", said.text);
    }
    let said = desk.slatest(&["run", "--profile", "paek", "--target", "t"], &[]);
    assert_eq!(said.code, Some(INVALID), "{}", said.text);
    assert!(said.text.contains("peak"), "{}", said.text);
}
