//! A drill of a run that was killed, as Chaos Toolkit's journal.

use serde_json::Value;
use slatest_engine::profile::{Library, Overrides, resolve};
use slatest_engine::record::{Opening, RunWriter, TargetRecord};
use slatest_faults::journal::{DrillKey, Entry, Journal, Phase, Step};

use crate::desk::{Desk, TARGET};

#[test]
fn a_killed_run_s_drill_is_told_from_its_journal() {
    let desk = Desk::new();
    desk.write("targets/desk.yaml", &TARGET.replace("{ env: SLATEST_NOT_SET_9 }", "{ env: PATH }"));
    let library = Library::new(desk.path());
    let (profile, target) = (library.profile("night").unwrap(), library.target("desk").unwrap());
    let resolved = match resolve(&library, &profile, &target, &Overrides::default(), "r") {
        Ok(resolved) => resolved,
        Err(problems) => panic!("{problems}"),
    };
    let opening = Opening {
        plan: resolved.plan,
        target: TargetRecord::new(&resolved.target),
        command: vec!["slatest".into(), "run".into()],
        health: Vec::new(),
        started: jiff::Timestamp::now(),
    };
    // Dropped without an end, as of a process that was killed.
    drop(RunWriter::create(&desk.path().join("results"), opening).unwrap());
    let run = std::fs::read_dir(desk.path().join("results")).unwrap().next().unwrap().unwrap().path();
    let key = DrillKey { drill: "flag-loss".into(), repeat: 1 };
    let mut journal = Journal::open(&run).unwrap();
    for (step, phase) in [
        (Step::Inject, Phase::AboutTo),
        (Step::Inject, Phase::Done),
        (Step::Heal, Phase::AboutTo),
        (Step::Heal, Phase::Done),
    ] {
        journal.append(&Entry::new(&key, step, phase, "by a test")).unwrap();
    }
    drop(journal);
    let said = desk.slatest(&["drill", "journal", "latest"]);
    let told: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.whole()));
    assert_eq!((&told["status"], &told["deviated"]), (&"interrupted".into(), &true.into()));
    assert_eq!(
        (&told["run"][0]["status"], &told["rollbacks"][0]["status"]),
        (&"succeeded".into(), &"succeeded".into())
    );
    assert_eq!(told["run"][0]["activity"]["provider"]["fault"]["command"]["inject"]["program"], "rm");
    let slip = desk.slatest(&["drill", "journal", "latest", "--drill", "nothing"]);
    assert!(slip.code == Some(2) && slip.err.contains("flag-loss"), "{}", slip.whole());
}
