//! What is printed for those who apply by hand is what a cluster takes.

use std::process::Command;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use serde_json::Value;

use super::admission;

const TARGET: &str = "\
name: t
environment: staging
allow: { hosts: [api.example] }
endpoints:
  api: { http: \"http://api.example\" }
agents: { kubernetes: { image: \"registry.example/slatest:1\", resources: { requests: { cpu: 500m, memory: 1Gi } } } }
";

const PROFILE: &str = "\
name: night run
scenarios: { api: { workload: w, executor: constant-arrival-rate, rate: 10/s, duration: 10s } }
";

const WORKLOAD: &str = "\
name: w
driver: http
endpoint: api
operations: [{ name: read, request: { get: /tasks } }]
";

fn desk() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (file, text) in [("profiles/p.yaml", PROFILE), ("workloads/w.yaml", WORKLOAD), ("targets/t.yaml", TARGET)] {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        std::fs::write(path, text).expect("it can be written");
    }
    folder
}

fn manifest(desk: &tempfile::TempDir, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slatest"));
    command.args(["kubernetes", "manifest", "--profile", "p", "--agents", "3"]).args(flags);
    let output = command.current_dir(desk.path()).env_remove("SLATEST_TARGET").output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn documents(text: &str) -> Vec<Value> {
    let all = text.split("\n---\n").skip(1);
    all.map(|document| serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{error}\n{document}"))).collect()
}

#[test]
fn every_object_is_one_that_a_cluster_takes() {
    let (code, text, errors) = manifest(&desk(), &["--target", "t", "--namespace", "load", "--seed", "7"]);
    assert_eq!(code, Some(0), "{errors}");
    let objects = documents(&text);
    let [files, service, coordinator, agents] = objects.as_slice() else { panic!("{text}") };
    admission::whole::<ConfigMap>(files).unwrap();
    admission::whole::<Service>(service).unwrap();
    let coordinator: Job = admission::whole(coordinator).unwrap();
    let spec = coordinator.spec.and_then(|spec| spec.template.spec).unwrap();
    admission::pod(&spec).unwrap();
    let arguments = spec.containers[0].args.clone().unwrap();
    assert!(arguments.join(" ").starts_with("coordinator --profile profiles/p.yaml --target targets/t.yaml --seed 7"));
    let agents: Job = admission::whole(agents).unwrap();
    admission::job(&agents).unwrap();
    for object in &objects {
        assert_eq!(object["metadata"]["namespace"], "load");
    }
    // What is mounted is what was written.
    let mounted: Vec<&str> = files["data"].as_object().unwrap().values().filter_map(Value::as_str).collect();
    for text in [PROFILE, WORKLOAD, TARGET] {
        assert!(mounted.contains(&text), "{mounted:?}");
    }
    insta::assert_snapshot!(text.split("\n---\n").next().unwrap());
}

#[test]
fn kubectl_reads_it() {
    let found = Command::new("kubectl").args(["version", "--client"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("no kubectl here: what it says of the manifest was NOT asked");
        return;
    }
    let desk = desk();
    let (_, text, _) = manifest(&desk, &["--target", "t", "--namespace", "load", "--claim", "results"]);
    let file = desk.path().join("manifest.yaml");
    std::fs::write(&file, text).unwrap();
    // No server is needed to change labels of a file.
    let output = Command::new("kubectl")
        .args(["label", "--local", "--output", "name", "checked=yes", "--filename"])
        .arg(&file)
        .env("KUBECONFIG", desk.path().join("none"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for name in
        ["configmap/", "service/", "job.batch/slatest-night-run-coordinator", "job.batch/slatest-night-run-agents"]
    {
        assert!(said.contains(name), "{said}");
    }
}

#[test]
fn what_makes_no_manifest_is_said() {
    let desk = desk();
    for (flags, code, message) in [
        (&["--target", "t"][..], 2, "nothing says which namespace"),
        (&["--namespace", "load"], 2, "the sandbox is a process of one machine"),
        (&["--target", "t", "--namespace", "Load"], 104, "can't name an object of a cluster"),
        (&["--target", "t", "--namespace", "load", "--image", "a b"], 104, "is no image"),
        (&["--target", "u", "--namespace", "load"], 104, "u"),
    ] {
        let (ended, text, errors) = manifest(&desk, flags);
        assert_eq!((ended, text.as_str()), (Some(code), ""), "{flags:?}: {errors}");
        assert!(errors.contains(message), "{flags:?}: {errors}");
    }
}
