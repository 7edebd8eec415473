//! Outages of which begin and end are known.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::truths::without_times;
use super::*;
use crate::load::drills::DrillFacts;
use slatest_core::measure::Window;

/// 50/s for 60 s of one operation; each fails with a chance that the time decides, and answers after `took`.
fn run(plan: &Plan, seed: u64, chance: impl Fn(Nanos) -> f64, took: Nanos) -> RunFacts {
    run_with(plan, seed, chance, took, |window| window)
}

/// The same, its windows changed before they are added up.
fn run_with(
    plan: &Plan,
    seed: u64,
    chance: impl Fn(Nanos) -> f64,
    took: Nanos,
    change: impl Fn(Window) -> Window,
) -> RunFacts {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let ends: Vec<(Nanos, Nanos, bool)> = (0..3_000_u64)
        .map(|i| {
            let at = Nanos::from_millis(i * 20);
            let fails = rng.random::<f64>() < chance(at);
            // Who fails waits for long: by the ends, an outage would be later.
            (at, at + if fails { Nanos::from_millis(2_500) } else { took }, fails)
        })
        .collect();
    let mut recorder = Recorder::new(shapes(plan), plan.window);
    let mut timeline = Timeline::new(&shapes(plan));
    let mut events: Vec<(Nanos, Option<usize>)> = ends.iter().map(|(at, ..)| (*at, None)).collect();
    events.extend(ends.iter().enumerate().map(|(i, (_, done, _))| (*done, Some(i))));
    events.sort();
    for (now, end) in events {
        while recorder.window_end() <= now {
            timeline.add(&change(recorder.close_window()));
        }
        recorder.look(now);
        match end {
            None => recorder.fired(OperationId(0), true, now, now),
            Some(i) => {
                let (at, done, fails) = ends[i];
                let failed = || Completion::failed(Outcome::Disconnected, Some(at), done, "connection refused");
                let completion = if fails { failed() } else { Completion::ok(at, done) };
                recorder.ended(OperationId(0), true, at, &completion);
            }
        }
    }
    timeline.add(&change(recorder.close_window()));
    RunFacts { timeline, scheduled: 3_000, fired: 3_000, length: Nanos::from_secs(60), ..facts(plan, &[]) }
}

fn a_minute(objectives: Vec<ObjectivePlan>) -> Plan {
    let mut plan = plan(objectives);
    let stage = StagePlan { duration: Nanos::from_secs(60), from: 50.0, to: 50.0 };
    plan.scenarios[0].executor = ExecutorPlan::Arrivals { law: ArrivalLaw::Uniform, stages: vec![stage] };
    plan.operations.iter_mut().for_each(|operation| operation.timeout = Nanos::from_secs(5));
    plan
}

fn errors_below(below: f64) -> ObjectivePlan {
    objective(false, Aim::ErrorRate { below })
}

const QUICK: Nanos = Nanos::from_millis(5);

fn outage(from_ms: u64, until_ms: u64) -> impl Fn(Nanos) -> f64 {
    move |at| if at >= Nanos::from_millis(from_ms) && at < Nanos::from_millis(until_ms) { 1.0 } else { 0.0 }
}

#[test]
fn an_outage_that_no_drill_declared_is_found_to_a_window() {
    for (from, until) in [(16_000, 21_300), (16_900, 22_040), (30_500, 31_000), (50_020, 60_000)] {
        for objectives in [vec![], vec![errors_below(0.01)], vec![errors_below(0.2)], vec![p95(false)]] {
            let plan = a_minute(objectives);
            let judged = judge(&plan, &run(&plan, 1, outage(from, until), QUICK));
            let [incident] = judged.incidents.as_slice() else { panic!("{from} {:?}", judged.incidents) };
            let near = |a: Nanos, b: u64| a.0.abs_diff(b * 1_000_000) <= 1_000_000_000;
            assert!(near(incident.began, from), "{incident:?}");
            assert!(until == 60_000 || near(incident.ended.expect("an end"), until), "{incident:?}");
            assert_eq!(incident.ended.is_none(), until == 60_000, "{incident:?}");
            let failed = (until - from) / 20;
            // Windows that the outage met in part may be within what is promised.
            assert!(incident.failed.abs_diff(failed) <= 20, "{incident:?}");
            assert_eq!(incident.errors[0].kind, "connection refused");
            assert_eq!(incident.operations[0].address, "api/list");
        }
    }
    let plan = a_minute(vec![]);
    let judged = judge(&plan, &run(&plan, 1, outage(16_000, 21_300), QUICK));
    let message = "16.0 s – 22.0 s (± 1.00 s) api: 265 of 300 failed; connection refused 265; api/list 265 of 300";
    assert_eq!(judged.incidents[0].message(), message);
}

#[test]
fn two_outages_are_two_incidents() {
    let plan = a_minute(vec![]);
    let chance = |at| outage(10_000, 12_000)(at) + outage(40_000, 42_000)(at);
    assert_eq!(judge(&plan, &run(&plan, 1, chance, QUICK)).incidents.len(), 2);
}

#[test]
fn a_steady_run_at_its_limit_has_none() {
    let limits = [vec![errors_below(0.05)], vec![]];
    for plan in limits.map(a_minute) {
        let found = (0..100).filter(|seed| {
            let facts = run_with(&plan, *seed, |_| 0.05, QUICK, without_times);
            !super::super::incidents::incidents(&plan, &facts).is_empty()
        });
        assert!(found.count() <= 1);
    }
}

/// A drill that broke something at 16 s.
pub(super) fn drill(exclusion: Option<(Nanos, Nanos)>) -> DrillFacts {
    let secs = Nanos::from_secs;
    DrillFacts {
        drill: 0,
        end: slatest_stats::DrillEnd::Watched,
        issued: Some(secs(16)),
        acknowledged: Some(secs(16)),
        reported: None,
        detected: None,
        heal: slatest_stats::Heal::Nothing,
        watched_until: secs(40),
        clock_bound: Nanos::ZERO,
        cells: Vec::new(),
        ledgers: Vec::new(),
        exclusion,
    }
}

#[test]
fn what_a_drill_judges_is_no_incident() {
    let plan = a_minute(vec![]);
    let secs = Nanos::from_secs;
    let mut facts = run(&plan, 1, outage(16_000, 21_300), QUICK);
    facts.drills = vec![drill(Some((secs(15), secs(40))))];
    assert_eq!(judge(&plan, &facts).incidents, []);
}

#[test]
fn one_event_gives_no_advice_of_a_longer_run() {
    let plan = a_minute(vec![errors_below(0.012)]);
    let judged = judge(&plan, &run(&plan, 1, outage(16_000, 17_000), QUICK));
    let one = &judged.objectives[0];
    let message = one.message.as_deref().unwrap_or_default();
    assert_eq!(one.verdict, Verdict::Inconclusive);
    assert!(message.contains("come together (an incident, 16.0 s – 17.0 s)"), "{message}");
    assert!(!message.contains("a run of"), "{message}");
}

#[test]
fn four_samples_are_not_told_to_come_again() {
    let plan = plan(vec![errors_below(0.05)]);
    for runs in [vec![(0, 4, 10, Outcome::Ok)], vec![(0, 3, 10, Outcome::Ok), (0, 1, 1, Outcome::Rejected)]] {
        let judged = judge(&plan, &facts(&plan, &runs));
        let message = judged.objectives[0].message.as_deref().unwrap_or_default();
        assert!(message.starts_with("too few samples for a verdict: "), "{message}");
        assert!(message.ends_with("with none bad, a pass takes 59"), "{message}");
    }
}
