//! Every phase of a run hears who asks for an end, and no worker that stands still holds a run for ever.

mod realtime;
mod target;

use std::sync::atomic::Ordering;
use std::time::Duration;

use slatest_core::model::{Nanos, OperationId, Verdict};
use slatest_engine::load::EngineError;

use crate::target::{Way, run};

#[test]
fn while_sessions_are_opened() {
    let ran = run(Way::Mute, Some(10), 2);
    let Err(EngineError::NotReady(reason)) = &ran.facts else { panic!("it began") };
    assert!(reason.contains("interrupted before the load started"), "{reason}");
    // A connect that timed out would have been tried again.
    assert!(ran.target.connects.load(Ordering::SeqCst) <= 10);
}

#[test]
fn while_it_comes_to_rest() {
    let ran = run(Way::Restless, None, 2);
    let facts = ran.facts.as_ref().expect("it ran");
    assert!(facts.interrupted && facts.findings.is_empty(), "{:?}", facts.findings);
    assert_eq!((facts.scheduled, facts.fired), (50, 50), "the load was sent to its end");
    assert!(ran.notices.iter().any(|message| message.contains("what can only be checked at the end was not")));
    assert_ne!(ran.verdict(), Some(Verdict::Pass));
}

#[test]
fn a_worker_that_is_held_for_ever_is_given_up_and_named_as_the_generators() {
    let ran = run(Way::HoldsUntilLetGo, None, 2);
    let facts = ran.facts.as_ref().expect("it ends");
    assert_eq!(facts.resources.workers_lost, 1);
    assert_eq!(ran.verdict(), Some(Verdict::Void));
    assert!(ran.voids("worker threads"), "{:?}", ran.judged);
    assert!(ran.notices.iter().any(|message| message.contains("the generator's own fault")), "{:?}", ran.notices);
    // The other worker did its half.
    let ok: u64 = (0..1).map(|i| facts.timeline.whole(OperationId(i)).completed()).sum();
    assert!(ok >= 25, "{ok}");
}

#[test]
fn a_worker_that_is_held_for_a_while_is_said_and_spoils_what_it_met() {
    let ran = run(Way::Holds(Duration::from_millis(1_500)), None, 2);
    let facts = ran.facts.as_ref().expect("it ends");
    assert_eq!(facts.resources.workers_lost, 0);
    assert!(facts.resources.silent_max >= Nanos::from_millis(500), "{}", facts.resources.silent_max);
    assert!(ran.voids("worker threads"), "{:?}", ran.judged);
    assert_eq!(ran.verdict(), Some(Verdict::Void));
    assert!(facts.timeline.spoiled_windows >= 1, "{:?}", facts.timeline.spoiled_windows);
    let whole = facts.timeline.whole(OperationId(0));
    // What was due while it was held and is not fired by the end is owed, and said to be.
    assert_eq!(whole.planned, whole.completed());
    assert_eq!((facts.scheduled, facts.fired), (50, whole.planned));
}

#[test]
fn a_run_whose_workers_go_on_says_nothing_of_them() {
    let ran = run(Way::Quick, None, 2);
    assert_eq!(ran.facts.as_ref().expect("it ran").resources.workers_lost, 0);
    assert!(!ran.voids("worker threads"), "{:?}", ran.judged);
}
