//! What a run that is gone has left broken, mended by the verb.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use slatest_core::model::MonotonicClock;
use slatest_core::target::{Allow, Guard};
use slatest_faults::journal::{DrillKey, Entry, Journal, Phase, Remedy, Step};
use slatest_faults::{FaultContext, FaultSpec, Soundness, Stopwatch, Undo, compile};

use crate::desk::Desk;

fn key(drill: &str) -> DrillKey {
    DrillKey { drill: drill.into(), repeat: 1 }
}

/// The folder of a run that was killed.
fn results(desk: &Desk, id: &str) -> PathBuf {
    desk.write(&format!("results/{id}/run.json"), "{}").parent().expect("a folder").to_owned()
}

/// What a drill writes before it breaks something.
fn about_to(folder: &Path, drill: &str, fault: &FaultSpec, undo: &Undo, journal: &mut Journal) {
    let remedy =
        Remedy { fault: fault.clone(), undo: undo.clone(), folder: folder.to_owned(), hosts: vec!["127.0.0.1".into()] };
    let mut entry = Entry::new(&key(drill), Step::Inject, Phase::AboutTo, "breaks it");
    entry.remedy = Some(remedy);
    journal.append(&entry).expect("the journal can be written");
}

fn command(heal: &str) -> FaultSpec {
    let yaml = format!("command: {{ inject: {{ program: rm, args: [flag] }}, heal: {{ program: {heal} }} }}");
    serde_saphyr::from_str(&yaml).expect("a fault")
}

struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_process_that_a_killed_run_has_stopped_goes_on() {
    let desk = Desk::new();
    let sleeper = Sleeper(Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep"));
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", sleeper.0.id())).expect("its stat");
    let started = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).expect("field 22");
    desk.write("targets/sleeper.pid", &format!("{}\n{started}\n", sleeper.0.id()));
    let folder = desk.path().join("targets");
    let spec: FaultSpec = serde_saphyr::from_str("process: { pid_file: sleeper.pid, signal: stop }").expect("a fault");
    let allow = Allow { hosts: vec!["127.0.0.1".into()], max_rate: None, max_users: None, drills: true };
    let context = FaultContext {
        folder: folder.clone(),
        guard: Guard::new(&allow).expect("a guard"),
        stopwatch: Stopwatch::new(Arc::new(MonotonicClock::starting_at(Instant::now()))),
        proxies: None,
    };
    let fault = compile(&spec, &context).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let undo = fault.plan().await.expect("it can be stopped");
    let run = results(&desk, "20261121T020000Z-night-5a1e57");
    let mut journal = Journal::open(&run).expect("a journal");
    about_to(&folder, "freeze", &spec, &undo, &mut journal);
    fault.inject(&undo).await.expect("it is stopped");
    assert_eq!(fault.probe(&undo).await.expect("a look").state, Soundness::Broken);

    let still = desk.slatest(&["drill", "heal", "latest"]);
    assert!(still.code == Some(3) && still.err.contains("still under way"), "{}", still.whole());
    assert_eq!(fault.probe(&undo).await.expect("a look").state, Soundness::Broken);

    // As when the run was killed: the file is closed, and nothing was written any more.
    drop(journal);
    let said = desk.slatest(&["drill", "heal", "latest"]);
    assert_eq!(said.code, Some(0), "{}", said.whole());
    assert!(said.out.contains("healed the drill `freeze`: continued 1 process"), "{}", said.whole());
    assert_eq!(fault.probe(&undo).await.expect("a look").state, Soundness::Sound);
    let again = desk.slatest(&["drill", "heal", "latest"]);
    assert!(again.code == Some(0) && again.out.starts_with("Nothing to heal"), "{}", again.whole());
}

#[test]
fn what_stays_broken_is_said_loudly_and_by_the_exit_code_and_the_rest_is_healed() {
    let desk = Desk::new();
    let run = results(&desk, "20261121T020000Z-night-5a1e57");
    let folder = desk.path().join("targets");
    std::fs::remove_file(folder.join("flag")).expect("the flag is there");
    let mut journal = Journal::open(&run).expect("a journal");
    let undo = Undo::default();
    about_to(&folder, "flag", &command("touch, args: [flag]"), &undo, &mut journal);
    about_to(&folder, "stubborn", &command("'false'"), &undo, &mut journal);
    about_to(&folder, "endless", &command("sleep, args: ['600']"), &undo, &mut journal);
    drop(journal);
    let said = desk.slatest(&["drill", "heal", "latest", "--within", "200ms"]);
    assert_eq!(said.code, Some(99), "{}", said.whole());
    for message in
        ["STILL BROKEN: the drill `stubborn`", "STILL BROKEN: the drill `endless`", "HEALING FAILED: 2 faults"]
    {
        assert!(said.err.contains(message), "{message}: {}", said.whole());
    }
    assert!(folder.join("flag").exists() && said.out.contains("healed the drill `flag`"), "{}", said.whole());
    // Asked again, it tries what is left, and says that it was tried.
    let again = desk.slatest(&["drill", "heal", "latest", "--within", "200ms"]);
    assert!(again.code == Some(99) && again.out.contains("healing failed before"), "{}", again.whole());
    assert!(!again.out.contains("healing the drill `flag`"), "{}", again.whole());
}

#[test]
fn a_run_that_broke_nothing_needs_no_healing_and_an_unknown_one_is_a_slip() {
    let desk = Desk::new();
    results(&desk, "20261121T020000Z-night-5a1e57");
    let said = desk.slatest(&["drill", "heal", "latest"]);
    assert!(said.code == Some(0) && said.out.contains("broke nothing"), "{}", said.whole());
    let slip = desk.slatest(&["drill", "heal", "latset"]);
    assert!(slip.code == Some(2) && slip.err.contains("5a1e57"), "{}", slip.whole());
}
