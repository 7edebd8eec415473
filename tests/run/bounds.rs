//! Files that ask for more than any machine has are refused by name, and soon. (Cases B1, B2 and B3.)

use super::scratch::{Scratch, printed};

/// `check` refuses it as an invalid file, and says all of this.
fn refused(scratch: &Scratch, target: &[&str], says: &[&str]) {
    let output = scratch.run(&[&["check", "--profile", "p"], target].concat());
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(104), "{text}");
    says.iter().for_each(|word| assert!(text.contains(word), "`{word}` in {text}"));
}

#[test]
fn rates_and_users_without_measure() {
    let scratch = Scratch::new();
    let stages = "stages: [{ duration: 5s, target: 10 }]";
    scratch
        .profile(&format!("executor: ramping-arrival-rate, start_rate: 1e300/s, {}", stages.replace("10", "10/s")), "");
    refused(&scratch, &[], &["start_rate"]);
    scratch.profile(&format!("executor: ramping-vus, start_vus: 1000000000, {stages}"), "");
    refused(&scratch, &[], &["start_vus"]);
}

#[test]
fn a_share_that_no_run_can_show_is_refused_or_said_to_need_more() {
    let scratch = Scratch::new();
    let objective = "{ name: o, scope: 'api/*', indicator: error_rate, below: 1e-15% }";
    scratch.profile("executor: constant-arrival-rate, rate: 50/s, duration: 2s", objective);
    let output = scratch.run(&["check", "--profile", "p"]);
    let text = printed(&output);
    assert!([Some(98), Some(104)].contains(&output.status.code()), "{:?} {text}", output.status);
}

#[test]
fn pipes_and_devices_as_files() {
    let scratch = Scratch::new();
    scratch.profile("executor: constant-arrival-rate, rate: 50/s, duration: 2s", "");
    nix::unistd::mkfifo(&scratch.path().join("pipe.csv"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let plain = std::fs::read_to_string(scratch.path().join("workloads/plain.yaml")).expect("a workload");
    let keys = "tasks: { keys: zipfian, count: 10000, prefix: task- }";
    assert!(plain.contains(keys));
    scratch.write("workloads/plain.yaml", &plain.replace(keys, "tasks: { csv: ../pipe.csv }"));
    refused(&scratch, &[], &["pipe.csv", "named pipe"]);

    scratch.write("workloads/plain.yaml", &plain);
    scratch.write(
        "targets/t.yaml",
        "name: t\nenvironment: staging\nallow: { hosts: [127.0.0.1] }\nendpoints:\n  api:\n    http: 'http://127.0.0.1:1'\n    \
         token: { file: /dev/zero }\n",
    );
    refused(&scratch, &["--target", "t"], &["/dev/zero", "a device"]);
}

#[test]
fn templates_that_allocate_or_recurse() {
    let scratch = Scratch::new();
    scratch.profile("executor: constant-arrival-rate, rate: 50/s, duration: 2s", "");
    let plain = std::fs::read_to_string(scratch.path().join("workloads/plain.yaml")).expect("a workload");
    for template in ["{{ '%99999999999d' | format(1) }}".to_owned(), format!("{{{{ {}1 }}}}", "not ".repeat(100_000))] {
        let path = "/api/v1/tasks/{{ tasks.id }}";
        assert!(plain.contains(path));
        scratch.write("workloads/plain.yaml", &plain.replace(path, &format!("/{}", template.replace('"', "'"))));
        refused(&scratch, &[], &["plain.yaml"]);
    }
}
