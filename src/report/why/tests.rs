//! Why a run with a known fault did not pass.

use super::*;
use crate::report::course::read;
use slatest_core::measure::Recorder;
use slatest_core::model::{Completion, Outcome};
use slatest_engine::load::{judge, shapes};
use slatest_engine::profile::Plan;
use slatest_engine::record::{RunWriter, sample};

/// Sixty seconds in which `broken` seconds of one operation fail with a status, and take long in the target.
fn broken(base: &std::path::Path, broken: std::ops::Range<u64>) -> RunRecord {
    let mut plan: Plan = sample::plan();
    for scenario in &mut plan.scenarios {
        scenario.warm_up = Nanos::ZERO;
        scenario.cool_down = Nanos::ZERO;
        if let slatest_engine::profile::ExecutorPlan::Arrivals { stages, .. } = &mut scenario.executor {
            stages.truncate(1);
            stages[0].duration = Nanos::from_secs(60);
            stages[0].from = stages[0].to;
        }
    }
    let mut recorder = Recorder::new(shapes(&plan), plan.window);
    let windows: Vec<_> = (0..60)
        .map(|second| {
            for i in 0..200_u64 {
                let intended = Nanos::from_secs(second) + Nanos::from_millis(i * 4);
                let operation = OperationId((i % 3) as u16);
                let sent = intended + Nanos(40_000);
                recorder.fired(operation, true, intended, intended + Nanos(20_000));
                let is_broken = operation == OperationId(0) && broken.contains(&second);
                let done = sent + if is_broken { Nanos::from_millis(150) } else { Nanos::from_millis(2) };
                let completion = match is_broken && i % 2 == 0 {
                    true => Completion::failed(Outcome::Rejected, Some(sent), done, "status 503"),
                    false => Completion::ok(sent, done),
                };
                recorder.ended(operation, true, intended, &completion);
            }
            recorder.close_window()
        })
        .collect();
    let mut facts = sample::facts(&plan, &windows);
    facts.length = Nanos::from_secs(60);
    let mut writer = RunWriter::create(base, sample::opening(plan.clone())).unwrap();
    windows.iter().for_each(|window| writer.window(window).unwrap());
    let judged = judge(&plan, &facts);
    writer.finish(&facts, judged, "2026-11-20T01:01:00Z".parse().unwrap()).unwrap()
}

#[test]
fn it_names_the_time_the_operation_the_error_and_the_part() {
    let base = tempfile::tempdir().unwrap();
    let run = broken(base.path(), 30..40);
    let course = read(&run);
    let failed: Vec<usize> = (0..run.result.objectives.len())
        .filter(|&i| {
            run.result.objectives[i].verdict == Verdict::Fail && run.result.objectives[i].indicator == "error_rate"
        })
        .collect();
    assert!(!failed.is_empty(), "{:#?}", run.result.objectives);
    let address = &run.plan.operations[0].address;
    for place in failed {
        let why = why(&run, &course, place).unwrap();
        let (from, to) = why.span.unwrap();
        // An operation ends within a window of when it began.
        assert_eq!(from, Nanos::from_secs(30), "{why:?}");
        assert!(to == Nanos::from_secs(40) || to == Nanos::from_secs(41), "{why:?}");
        let said = |question: &str| why.answer(question).unwrap_or_else(|| panic!("{question}: {why:?}")).to_owned();
        assert!(said("Since when").starts_with("from 30.0 s to 4"), "{why:?}");
        assert!(said("Which errors").contains("× status 503"), "{why:?}");
        assert!(said("Which part of the time").contains("the target's own time"), "{why:?}");
        assert!(said("Which part of the time").contains(address.as_str()), "{why:?}");
        assert!(said("What else changed").contains("the generator was on time"), "{why:?}");
    }
}

#[test]
fn a_record_of_an_older_version_is_explained_from_its_windows() {
    let base = tempfile::tempdir().unwrap();
    let mut run = broken(base.path(), 30..60);
    let place = run.result.objectives.iter().position(|one| one.indicator == "error_rate" && one.bad > 0).unwrap();
    assert!(run.result.objectives[place].stretch.is_some());
    run.result.objectives[place].stretch = None;
    let course = read(&run);
    let why = why(&run, &course, place).unwrap();
    assert_eq!(why.span, Some((Nanos::from_secs(30), run.result.length)), "{why:?}");
    assert!(why.answer("Since when").unwrap().starts_with("since 30.0 s, to the end"), "{why:?}");
}

#[test]
fn what_passed_needs_no_why() {
    let base = tempfile::tempdir().unwrap();
    let run = broken(base.path(), 0..0);
    let course = read(&run);
    for place in 0..run.result.objectives.len() {
        let passed = run.result.objectives[place].verdict == Verdict::Pass;
        assert_eq!(why(&run, &course, place).is_none(), passed);
    }
    assert!(why(&run, &course, usize::MAX).is_none());
}
