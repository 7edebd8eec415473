//! Drills on the embedded sandbox, which misbehaves as it is told.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::Value;

use crate::agreement::agrees;
use crate::machine::measured;
use crate::observer::Observer;
use crate::outages::profile;
use crate::stage::{PATIENCE, Stage};
use crate::told::Told;

#[test]
fn a_sandbox_that_is_told_to_fail_is_timed_without_a_second_word() {
    measured(|| {
        let stage = Stage::new();
        let arguments = ["sandbox", "--only", "api", "--ready-json", "--exit-with-parent", "--threads", "1"];
        let mut sandbox = stage.scratch.slatest(&arguments).stdin(Stdio::piped()).spawn().expect("the sandbox starts");
        let mut ready = String::new();
        BufReader::new(sandbox.stdout.take().expect("piped")).read_line(&mut ready).expect("stdout is read");
        let ready: Value = serde_json::from_str(&ready).expect("JSON");
        let http = ready["http"].as_str().expect("an address");
        let address: SocketAddr = http.trim_start_matches("http://").parse().expect("an address");
        stage.scratch.write(
            "workloads/plain.yaml",
            "name: plain\ndriver: http\nendpoint: api\noperations:\n  \
         - { name: ask, timeout: 5s, request: { get: /probe/1 } }\n",
        );
        let faults = format!(
            "  failing:\n    http:\n      \
         inject: {{ put: '{http}/control/behaviour', json: {{ operations: {{ probe-1: {{ error: '100%:503' }} }} }} }}\n      \
         heal: {{ put: '{http}/control/behaviour', json: {{}} }}"
        );
        stage.target_at(address, "sandbox", true, &faults, "");
        profile(
            &stage,
            "200ms",
            12,
            "  - { name: failing, at: 2s, inject: { fault: failing }, hold: 1500ms, watch: 6s, restored_after: 5, scope: 'api/*' }",
            "  - { name: comes-back, drill: failing, rto: 4s }",
        );
        let observer = Observer::begin(address, "/probe/1", PATIENCE, &stage.log());
        let output = stage.run(&["run", "--profile", "p", "--target", "t", "--quiet"]);
        let told = Told::of(&stage.scratch, output, Some(observer.end()));
        drop(sandbox.stdin.take());
        sandbox.wait().expect("it ended");
        agrees(&told, "failing", "api/*");
        told.judged("failing", "pass");
        told.ended(0);
    });
}
