//! The real-time class, in a process of its own: what it sets holds for the whole process.

use std::process::{Command, Stdio};

use slatest_core::model::Verdict;
use slatest_engine::load::{Scheduling, ask_for_realtime, take_realtime_back};

use crate::target::{Way, run};

/// This test's own program again, with one of its ignored tests.
fn again(name: &str) -> std::process::Output {
    Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", name, "--ignored", "--nocapture"])
        .stdin(Stdio::null())
        .output()
        .expect("it starts")
}

#[test]
fn workers_that_never_let_go_lose_the_class_and_the_machine_goes_on() {
    let output = again("realtime::spinning");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    if text.contains("SKIPPED") {
        eprintln!("{text}");
    }
}

#[test]
#[ignore = "run by the other one, in a process of its own"]
fn spinning() {
    if let Err(reason) = ask_for_realtime() {
        eprintln!("SKIPPED: {reason}");
        return;
    }
    // The kernel's own bound would end this process without a handler.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut heard = {
        let _inside = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(nix::libc::SIGXCPU)).expect("a handler")
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            while heard.recv().await.is_some() {
                take_realtime_back();
            }
        })
    });
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let ran = run(Way::HoldsAllUntilLetGo, None, workers);
    let resources = &ran.facts.as_ref().expect("it ends").resources;
    assert_eq!(resources.scheduling, Scheduling::TakenBack);
    assert_eq!(resources.workers_lost, workers as u64);
    assert_eq!(ran.verdict(), Some(Verdict::Void));
    assert_eq!(ran.check("scheduling").expect("it is said").measured, "real-time, taken back");
}
