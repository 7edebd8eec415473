use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::wire;
use slatest_core::model::{Nanos, Problems, Rate, Span};
use slatest_core::source::Source;
use slatest_engine::profile::{Library, Overrides, Resolved, resolve};

const PROFILE: &str = "name: tiny
scenarios:
  api: { workload: wards, executor: constant-arrival-rate, rate: 5/s, duration: 4s }
";
const WORKLOAD: &str = "name: wards
driver: http
endpoint: api
data: { wards: { csv: ../feeds/wards.csv }, beds: { jsonl: beds.jsonl } }
operations:
  - name: look
    request: { get: \"/wards/{{ wards.ward }}/{{ beds.bed }}\" }
";
const TARGET: &str = "name: here
environment: staging
allow: { hosts: [\"127.0.0.1\"] }
endpoints:
  api: { http: \"https://127.0.0.1:1\", ca: ../tls/ca.pem, token: { file: secrets/token } }
  unused: { http: \"https://127.0.0.1:2\", ca: nowhere.pem }
";

/// A working directory with everything that the files above name.
fn working_directory() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let ca = rcgen::generate_simple_self_signed(vec!["ca".into()]).unwrap();
    write("profiles/tiny.yaml", PROFILE);
    write("workloads/wards.yaml", WORKLOAD);
    write("workloads/beds.jsonl", "{\"bed\": 1}\n{\"bed\": 2}\n");
    write("feeds/wards.csv", "ward\nnorth\nsouth\n");
    write("targets/here.yaml", TARGET);
    write("tls/ca.pem", &ca.cert.pem());
    write("targets/secrets/token", "s3cr3t-of-the-coordinator");
    folder
}

struct Coordinator {
    library: Library,
    profile: Source,
    target: Source,
    overrides: Overrides,
    resolved: Resolved,
}

fn coordinator(folder: &Path, overrides: Overrides) -> Result<Coordinator, Problems> {
    let library = Library::new(folder);
    let (profile, target) = (library.profile("tiny")?, library.target("here")?);
    let resolved = resolve(&library, &profile, &target, &overrides, "run")?;
    Ok(Coordinator { library, profile, target, overrides, resolved })
}

impl Coordinator {
    fn pack(&self, folder: &Path) -> Result<wire::Assignment, Problems> {
        pack(Packing {
            library: &self.library,
            working_directory: folder,
            profile: &self.profile,
            target: &self.target,
            overrides: &self.overrides,
            plan: &self.resolved.plan,
            name: "run",
        })
    }
}

fn packed(folder: &Path) -> wire::Assignment {
    coordinator(folder, Overrides::default()).unwrap().pack(folder).unwrap()
}

/// Another machine: a working directory with nothing in it but its own secret.
fn elsewhere(secret: bool) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    if secret {
        std::fs::create_dir_all(folder.path().join("targets/secrets")).unwrap();
        std::fs::write(folder.path().join("targets/secrets/token"), "its own").unwrap();
    }
    folder
}

fn reason(unpacked: Result<Unpacked, UnpackError>) -> String {
    unpacked.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn an_agent_comes_to_the_plan_of_the_coordinator() {
    let here = working_directory();
    let overrides = Overrides {
        rates: vec![(Some("api".into()), Rate(7.25))],
        duration: Some(Span(Nanos::from_secs(9))),
        scale: Some(1.0 / 3.0),
        seed: None,
    };
    let coordinator = coordinator(here.path(), overrides).unwrap();
    let assignment = coordinator.pack(here.path()).unwrap();
    let paths: Vec<&str> = assignment.workloads.iter().chain(&assignment.files).map(|f| f.path.as_str()).collect();
    assert_eq!(paths, ["workloads/wards.yaml", "feeds/wards.csv", "tls/ca.pem", "workloads/beds.jsonl"]);
    let agent = elsewhere(true);
    for index in [0, 7] {
        let unpacked = unpack(&assignment, index, agent.path()).unwrap();
        assert_eq!(unpacked.resolved.plan, coordinator.resolved.plan);
        assert_eq!(unpacked.resolved.plan.seed, coordinator.resolved.plan.seed);
        // Nothing of the coordinator's secret has travelled; the agent's own is found.
        let token = std::fs::read_to_string(unpacked.folder.path().join("targets/secrets/token")).unwrap();
        assert_eq!(token, "its own");
        let folder = unpacked.folder.path().to_owned();
        drop(unpacked);
        assert!(!folder.exists());
    }
    // The folder is gone, what it linked to is not.
    assert!(agent.path().join("targets/secrets/token").exists());
}

#[test]
fn neither_keys_nor_credentials_travel() {
    use prost::Message as _;
    let here = working_directory();
    let bytes = packed(here.path()).encode_to_vec();
    assert!(!bytes.windows(6).any(|part| part == b"s3cr3t"));
    // A CA file with a key in it is refused rather than sent.
    let ca = rcgen::generate_simple_self_signed(vec!["ca".into()]).unwrap();
    let both = format!("{}{}", ca.cert.pem(), ca.signing_key.serialize_pem());
    std::fs::write(here.path().join("tls/ca.pem"), both).unwrap();
    let problems = coordinator(here.path(), Overrides::default()).unwrap().pack(here.path()).unwrap_err();
    assert!(problems.to_string().contains("keys are never sent"), "{problems}");
}

#[test]
fn what_lies_outside_is_refused_with_its_place() {
    let here = working_directory();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("w.csv"), "ward\na\n").unwrap();
    let feed = outside.path().join("w.csv");
    let workload = WORKLOAD.replace("../feeds/wards.csv", feed.to_str().unwrap());
    std::fs::write(here.path().join("workloads/wards.yaml"), workload).unwrap();
    let problems = coordinator(here.path(), Overrides::default()).unwrap().pack(here.path()).unwrap_err();
    let words = problems.to_string();
    assert!(words.contains("workloads/wards.yaml:4:") && words.contains("outside of the working directory"), "{words}");
}

#[test]
fn a_certificate_at_a_place_of_the_machine_is_looked_for_there() {
    let here = working_directory();
    let outside = tempfile::tempdir().unwrap();
    let ca = outside.path().join("ca.pem");
    std::fs::rename(here.path().join("tls/ca.pem"), &ca).unwrap();
    for target in std::fs::read_dir(here.path().join("targets")).unwrap().map(|entry| entry.unwrap().path()) {
        if let Ok(text) = std::fs::read_to_string(&target) {
            std::fs::write(&target, text.replace("../tls/ca.pem", ca.to_str().unwrap())).unwrap();
        }
    }
    let assignment = coordinator(here.path(), Overrides::default()).unwrap().pack(here.path()).unwrap();
    assert!(assignment.files.iter().all(|file| !file.path.contains("ca.pem")), "{:?}", assignment.files);
}

#[test]
fn too_much_is_refused_before_it_is_sent() {
    let here = working_directory();
    // Wide in a column that no path takes: a path that long is refused before.
    let mut feed = String::from("ward,note\n");
    feed.push_str(&format!("north,{}\n", "x".repeat(1024 * 1024 - 1)).repeat(48));
    std::fs::write(here.path().join("feeds/wards.csv"), feed).unwrap();
    let problems = coordinator(here.path(), Overrides::default()).unwrap().pack(here.path()).unwrap_err();
    assert!(problems.to_string().contains("at most 48 MiB"), "{problems}");
}

#[test]
fn a_secret_that_the_agent_lacks_is_said_with_its_place() {
    let here = working_directory();
    let agent = elsewhere(false);
    let words = reason(unpack(&packed(here.path()), 0, agent.path()));
    assert!(words.contains("endpoints.api.token") && words.contains("each agent needs its own"), "{words}");
    assert!(words.contains("targets/secrets/token"), "{words}");
}

#[test]
fn another_plan_is_refused_and_the_difference_is_named() {
    let here = working_directory();
    let agent = elsewhere(true);
    let mut assignment = packed(here.path());
    assignment.workloads[0].content = WORKLOAD.replace("name: look", "name: glance").into();
    let words = reason(unpack(&assignment, 0, agent.path()));
    assert!(words.contains("the operation `api/glance` is only in the plan of this agent"), "{words}");
    let mut assignment = packed(here.path());
    assignment.plan_digest = vec![0; 32].into();
    assignment.plan_parts.clear();
    assert!(reason(unpack(&assignment, 0, agent.path())).contains("not the coordinator's"));
    let mut assignment = packed(here.path());
    if let Some(overrides) = &mut assignment.overrides {
        overrides.seed ^= 1;
    }
    let words = reason(unpack(&assignment, 0, agent.path()));
    assert!(words.contains("`seed` differs"), "{words}");
}

#[test]
fn hostile_assignments_write_nothing_elsewhere() {
    let here = working_directory();
    let agent = elsewhere(true);
    let good = packed(here.path());
    let file = |path: &str| wire::File { name: path.into(), path: path.into(), content: b"evil"[..].into() };
    for path in ["../evil", "/tmp/evil", "a/../../evil", "", "..", "a//b"] {
        for place in 0..3 {
            let mut bad = good.clone();
            match place {
                0 => bad.files.push(file(path)),
                1 => bad.workloads.push(file(path)),
                _ => bad.profile.as_mut().unwrap().path = path.into(),
            }
            let words = reason(unpack(&bad, 0, agent.path()));
            assert!(words.contains("refused"), "{path}: {words}");
        }
    }
    // Twice the same, a file where a folder is, a file where the agent's own secret belongs.
    for paths in [["a", "a"], ["a", "a/b"], ["a/b", "a"], ["targets/secrets/token", "x"]] {
        let mut bad = good.clone();
        bad.files.extend(paths.map(file));
        assert!(unpack(&bad, 0, agent.path()).is_err(), "{paths:?}");
    }
    // A target that names a secret above the working directory.
    let mut bad = good.clone();
    bad.target.as_mut().unwrap().content = TARGET.replace("secrets/token", "../../../etc/passwd").into();
    let words = reason(unpack(&bad, 0, agent.path()));
    assert!(words.contains("leads out of the working directory"), "{words}");
    for (change, says) in [
        (wire::Assignment { profile: None, ..good.clone() }, "no profile"),
        (wire::Assignment { overrides: None, ..good.clone() }, "no seed"),
    ] {
        assert!(reason(unpack(&change, 0, agent.path())).contains(says));
    }
    let mut bad = good;
    bad.overrides.as_mut().unwrap().rates.push(wire::RateOverride { scenario: None, per_sec: f64::NAN });
    assert!(reason(unpack(&bad, 0, agent.path())).contains("no rate"));
    assert_eq!(std::fs::read_to_string(agent.path().join("targets/secrets/token")).unwrap(), "its own");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is said of a path, nothing is written outside of the run's own folder.
    #[test]
    fn no_path_leads_outside(parts in prop::collection::vec("\\.{0,3}|[a-c]{1,2}|/|\\PC", 1..6), absolute: bool) {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let path = format!("{}{}", if absolute { "/" } else { "" }, parts.join("/"));
        if let Ok(inside) = InsidePath::received(&path) {
            std::fs::create_dir_all(inside.under(&root).parent().unwrap()).unwrap();
            std::fs::write(inside.under(&root), "x").unwrap();
        }
        let outside: Vec<_> = std::fs::read_dir(around.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        prop_assert_eq!(outside, ["root"]);
    }
}
