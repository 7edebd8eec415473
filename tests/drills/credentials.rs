//! Credentials of faults: they are planted, quoted back by everything that is called, and everything that a run leaves
//! behind is searched for them.

use std::path::Path;

use crate::outages::profile;
use crate::stage::{RUN, Stage};
use crate::told::Told;

const TOKEN: &str = "planted-token-9d3e71";
const PASSWORD: &str = "planted-password-44ac0f";
const FILE: &str = "planted-file-58b1d2";
const SECRETS: [&str; 3] = [TOKEN, PASSWORD, FILE];

fn search(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            search(&path, found);
            continue;
        }
        let bytes = std::fs::read(&path).expect("a readable file");
        let text = String::from_utf8_lossy(&bytes);
        found.extend(SECRETS.iter().filter(|s| text.contains(**s)).map(|s| format!("{s} in {}", path.display())));
    }
}

/// Runs it with the credentials in its environment.
fn run(stage: &Stage) -> Told {
    let told = Told::of(&stage.scratch, stage.run(&RUN), None);
    for secret in SECRETS {
        assert!(!told.text.contains(secret), "{secret} was printed:\n{}", told.text);
    }
    let mut found = Vec::new();
    search(&stage.scratch.result().unwrap_or_else(|| panic!("no run: {}", told.text)), &mut found);
    assert!(found.is_empty(), "{found:?}");
    told
}

fn drill(mut stage: Stage, faults: &str) -> Told {
    stage.variables = vec![("PLANTED_TOKEN", TOKEN), ("PLANTED_PASSWORD", PASSWORD), ("SLATEST_LOG", "trace")];
    stage.scratch.write("targets/password", FILE);
    stage.target("staging", true, faults, "");
    profile(
        &stage,
        "200ms",
        7,
        "  - { name: away, at: 2s, inject: { fault: away }, hold: 1s, watch: 4s, restored_after: 5, scope: 'api/*' }",
        "  - { name: comes-back, drill: away, rto: 2s }",
    );
    run(&stage)
}

#[test]
fn of_hooks_that_quote_them() {
    for (inject, heal) in [("outage=800", "mend=true"), ("outage=800&answer=500", "answer=500")] {
        let stage = Stage::new();
        let headers = "headers: { Authorization: { env: PLANTED_TOKEN }, X-Password: { file: password } }";
        let faults = format!(
            "  away:\n    http:\n      inject: {{ post: '{}', {headers} }}\n      heal: {{ post: '{}', {headers} }}",
            stage.order(inject),
            stage.order(heal),
        );
        let told = drill(stage, &faults);
        assert!(!told.journal.is_empty(), "{}", told.text);
    }
}

#[test]
fn of_programs_that_print_them() {
    for code in [0, 1] {
        let stage = Stage::new();
        stage.scratch.write(
            "targets/say.sh",
            &format!("env | grep planted; env | grep planted >&2; echo postgres://u:$PGPASSWORD@h/d; exit {code}\n"),
        );
        let program =
            "{ program: sh, args: [say.sh], env: { PGPASSWORD: { env: PLANTED_PASSWORD }, KEY: { file: password } } }";
        // What never succeeds would be looked at for as long as a look may take.
        let probe = if code == 0 { format!("\n      probe: {program}") } else { String::new() };
        let faults = format!("  away:\n    command:\n      inject: {program}\n      heal: {program}{probe}");
        let told = drill(stage, &faults);
        assert!(told.says("away", "inject", if code == 0 { "done" } else { "failed" }), "{:?}", told.journal);
    }
}
