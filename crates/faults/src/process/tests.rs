//! Against real processes: shells with children of their own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::super::registry::tests::context;
use super::super::{Soundness, compile};
use super::*;

/// A process with two children, one of which has one, and a pid file as a service manager would write it.
struct Service {
    folder: tempfile::TempDir,
    root: ProcessId,
    parent: Child,
}

fn started(pid: i32) -> u64 {
    procfs::process::Process::new(pid).unwrap().stat().unwrap().starttime
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

impl Service {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = "sleep 601 & sh -c 'sleep 602 & sleep 603; :' & wait; :";
        let parent = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(parent.id()).unwrap();
        let root = ProcessId { pid, started: started(pid) };
        std::fs::write(folder.path().join("api.pid"), format!("{pid}\n{}\n", root.started)).unwrap();
        until("four children", || descendants(root).unwrap().len() == 4).await;
        let sleeping =
            || descendants(root).unwrap().iter().filter(|c| c.command_line().starts_with("sleep")).count() == 3;
        until("three of them asleep", sleeping).await;
        Self { folder, root, parent }
    }

    fn fault(&self, settings: &str) -> Arc<dyn Fault> {
        fault(self.folder.path(), settings)
    }

    /// Whether everything is stopped, or everything goes on.
    fn all(&self, life: Life) -> bool {
        descendants(self.root).unwrap().iter().chain([&self.root]).all(|process| process.life() == life)
    }
}

fn fault(folder: &Path, settings: &str) -> Arc<dyn Fault> {
    let yaml = format!("process: {{ pid_file: api.pid, {settings} }}");
    compile(&serde_saphyr::from_str(&yaml).unwrap(), &context(folder)).ok().unwrap()
}

impl Drop for Service {
    fn drop(&mut self) {
        let all = descendants(self.root).unwrap_or_default();
        for process in all.into_iter().chain([self.root]) {
            let _ = process.signal(Signal::KILL);
        }
        let _ = self.parent.wait();
    }
}

#[tokio::test]
async fn killing_takes_every_child_along_and_healing_starts_it_again() {
    let service = Service::start().await;
    let all = descendants(service.root).unwrap();
    let restart = "restart: { program: sh, args: [-c, 'sleep 604 & pid=$!; echo $pid > api.pid; cut -d\" \" -f22 /proc/$pid/stat >> api.pid'] }";
    let fault = service.fault(&format!("signal: kill, {restart}"));
    let undo = fault.plan().await.unwrap();
    assert!(service.all(Life::Alive), "planning changes nothing");
    let injected = fault.inject(&undo).await.unwrap();
    assert_eq!(injected.detail, "killed 5 processes");
    assert!(all.iter().all(|child| child.life() == Life::Gone), "no orphan goes on");
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken);
    fault.heal(&undo).await.unwrap();
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
    let again = ProcessId::read(&service.folder.path().join("api.pid")).unwrap();
    let words = fault.heal(&undo).await.unwrap();
    assert!(words.contains("not started again"), "{words}");
    assert_eq!(ProcessId::read(&service.folder.path().join("api.pid")).unwrap(), again);
    again.signal(Signal::KILL).unwrap();
}

#[tokio::test]
async fn stopping_holds_every_child_and_healing_lets_all_go_on() {
    let service = Service::start().await;
    let fault = service.fault("signal: stop");
    let undo = fault.plan().await.unwrap();
    fault.inject(&undo).await.unwrap();
    until("all stopped", || service.all(Life::Stopped)).await;
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken);
    fault.heal(&undo).await.unwrap();
    until("all going on", || service.all(Life::Alive)).await;
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
}

#[tokio::test]
async fn a_process_that_is_back_is_sound_when_its_probe_says_so() {
    let service = Service::start().await;
    let fault = service.fault("signal: stop, probe: { program: test, args: [-e, joined] }");
    let undo = fault.plan().await.unwrap();
    let alone = fault.probe(&undo).await.unwrap();
    assert!(alone.state == Soundness::Broken && alone.detail.contains("test -e joined"), "{alone:?}");
    std::fs::write(service.folder.path().join("joined"), "").unwrap();
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
    fault.inject(&undo).await.unwrap();
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken, "a stopped one never is");
    fault.heal(&undo).await.unwrap();
}

#[tokio::test]
async fn only_the_children_that_are_meant_are_touched() {
    let service = Service::start().await;
    let fault = service.fault("signal: stop, only: 'sleep 601'");
    let undo = fault.plan().await.unwrap();
    assert_eq!(fault.inject(&undo).await.unwrap().detail, "stopped 1 process");
    let meant = |process: &ProcessId| process.command_line() == "sleep 601";
    let all = descendants(service.root).unwrap();
    until("the one is stopped", || all.iter().filter(|p| meant(p)).all(|p| p.life() == Life::Stopped)).await;
    assert!(all.iter().filter(|p| !meant(p)).chain([&service.root]).all(|p| p.life() == Life::Alive));
    assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken);
    let nobody = service.fault("signal: stop, only: walreceiver").plan().await.unwrap_err();
    assert!(matches!(nobody, FaultError::Refused(_)), "{nobody}");
    // Healing finds it also when it has lost its parent.
    service.root.signal(Signal::KILL).unwrap();
    until("its parent is gone", || service.root.life() == Life::Gone).await;
    fault.heal(&undo).await.unwrap();
    until("it goes on", || all.iter().filter(|p| meant(p)).all(|p| p.life() == Life::Alive)).await;
    for process in all {
        process.signal(Signal::KILL).unwrap();
    }
}

#[tokio::test]
async fn a_number_that_was_given_out_again_is_never_signalled() {
    let service = Service::start().await;
    let file = service.folder.path().join("api.pid");
    let pid = service.root.pid;
    for text in [format!("{pid}\n{}\n", service.root.started + 1), format!("{pid}\n"), "1\n1\n".into(), "x".into()] {
        std::fs::write(&file, &text).unwrap();
        let refused = service.fault("signal: kill").plan().await.unwrap_err();
        assert!(matches!(refused, FaultError::Refused(_)), "{text}: {refused}");
    }
    let other =
        Undo::of(&Known { root: ProcessId { pid, started: service.root.started + 1 }, children: vec![] }).unwrap();
    let fault = service.fault("signal: kill");
    assert!(fault.inject(&other).await.is_err(), "nor when it changed after the plan");
    assert!(service.all(Life::Alive));
}
