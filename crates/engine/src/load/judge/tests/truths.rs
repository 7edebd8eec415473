//! Targets and generators of which everything is known.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use slatest_core::measure::{Latencies, Window};

/// A window with its counts alone. Histograms are most of the work of adding it up, and many questions are of counts.
pub(super) fn without_times(mut window: Window) -> Window {
    for (_, tally) in window.judged.iter_mut().chain(&mut window.unjudged) {
        for times in [&mut tally.response, &mut tally.failed, &mut tally.service, &mut tally.send_lag] {
            *times = Latencies::default();
        }
    }
    window.dispatch_lag = Latencies::default();
    window
}

/// A constant target behind a generator that fires each arrival so late.
fn late_generator(plan: &Plan, service: Nanos, lateness: Nanos) -> RunFacts {
    let mut recorder = Recorder::new(shapes(plan), plan.window);
    let mut timeline = Timeline::new(&shapes(plan));
    for i in 0..1_000_u64 {
        let intended = Nanos::from_secs(2) + Nanos::from_millis(i * 9);
        let fired = intended + lateness;
        while recorder.window_end() <= fired {
            timeline.add(&recorder.close_window());
        }
        recorder.fired(OperationId(0), true, intended, fired);
        let done = fired + service;
        recorder.ended_of(OperationId(0), true, (intended, fired), &Completion::ok(fired, done));
    }
    timeline.add(&recorder.close_window());
    RunFacts { timeline, scheduled: 1_000, fired: 1_000, ..facts(plan, &[]) }
}

#[test]
fn lateness_voids_only_what_it_could_decide() {
    let plan = plan(vec![p95(false)]);
    let verdicts = |service| {
        [0, 5, 20, 50].map(|late| {
            let facts = late_generator(&plan, Nanos::from_millis(service), Nanos::from_millis(late));
            let judged = judge(&plan, &facts);
            assert!(!judged.validity.iter().any(Check::voids), "{:?}", judged.validity);
            judged.objectives[0].verdict
        })
    };
    assert_eq!(verdicts(90), [Verdict::Pass, Verdict::Pass, Verdict::Void, Verdict::Void]);
    assert_eq!(verdicts(110), [Verdict::Fail; 4]);
    let message = &judge(&plan, &late_generator(&plan, Nanos::from_millis(90), Nanos::from_millis(20))).objectives[0];
    assert_eq!(message.by_lateness.map(|late| late.samples), Some(1_000));
    assert!(
        message.message.as_deref().unwrap_or_default().contains("0 to 1000 of 1000 are bad"),
        "{:?}",
        message.message
    );
}

#[test]
fn a_generator_that_stands_still_fires_in_bursts_and_is_void() {
    // What is meant for each half second after another 1.5 s is fired at its end, in the next window.
    let plan = plan(vec![objective(false, Aim::ErrorRate { below: 0.1 })]);
    let verdict = |stands_still: bool| {
        let mut recorder = Recorder::new(shapes(&plan), plan.window);
        let mut timeline = Timeline::new(&shapes(&plan));
        let mut arrivals: Vec<(Nanos, Nanos)> = (0..1_200_u64)
            .map(|i| {
                let late = if stands_still && i % 200 >= 150 { (200 - i % 200) * 10 } else { 0 };
                (Nanos::from_millis(i * 10), Nanos::from_millis(i * 10 + late))
            })
            .collect();
        arrivals.sort_by_key(|(_, fired)| *fired);
        for (intended, fired) in arrivals {
            while recorder.window_end() <= fired {
                timeline.add(&recorder.close_window());
            }
            recorder.fired(OperationId(0), true, intended, fired);
            recorder.ended_of(OperationId(0), true, (intended, fired), &Completion::ok(fired, fired));
        }
        timeline.add(&recorder.close_window());
        let judged = judge(&plan, &RunFacts { timeline, scheduled: 1_200, fired: 1_200, ..facts(&plan, &[]) });
        let check = judged.validity.into_iter().find(|check| check.name == "arrivals by window").expect("a check");
        check.voids()
    };
    assert_eq!((verdict(false), verdict(true)), (false, true));
}

#[test]
fn a_load_that_came_much_too_late_passes_nothing() {
    // 10 + 50 ms are far below 100, but what was sent is not what was planned.
    let quick = plan(vec![p95(false)]);
    let facts = late_generator(&quick, Nanos::from_millis(10), Nanos::from_millis(50));
    assert_eq!(judge(&quick, &facts).objectives[0].verdict, Verdict::Void);
    // Without any objective on times, the timeout bounds it: 100 ms of 1 s.
    let errors = plan(vec![objective(false, Aim::ErrorRate { below: 0.05 })]);
    let of = |late| judge(&errors, &late_generator(&errors, Nanos::from_millis(10), Nanos::from_millis(late))).verdict;
    assert_eq!((of(90), of(200), of(7_600)), (Verdict::Pass, Verdict::Void, Verdict::Void));
}

/// Arrivals that are served one after another (`servers` at a time), first in, first out.
struct Queue {
    secs: u64,
    /// Arrivals per second at the start and at the end.
    offered: (f64, f64),
    servers: usize,
    /// Seconds of a service.
    service: f64,
    /// Whether services are exponential.
    random: bool,
}

/// Every arrival and every end of a queue, in order of time: (when, is an end, when it was meant to start).
fn events(queue: &Queue, seed: u64) -> Vec<(Nanos, bool, Nanos)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // When each server is free again.
    let mut free: BinaryHeap<Reverse<Nanos>> = (0..queue.servers).map(|_| Reverse(Nanos::ZERO)).collect();
    let mut now = 0.0_f64;
    let mut events = Vec::new();
    loop {
        let (first, last) = queue.offered;
        let rate = first + (last - first) * now / queue.secs as f64;
        now -= (1.0 - rng.random::<f64>()).ln() / rate;
        if now >= queue.secs as f64 {
            break;
        }
        let Reverse(next) = free.pop().expect("a server");
        let takes = if queue.random { -(1.0 - rng.random::<f64>()).ln() * queue.service } else { queue.service };
        let at = Nanos::from_secs_f64(now);
        let done = next.max(at) + Nanos::from_secs_f64(takes);
        free.push(Reverse(done));
        events.extend([(at, false, at), (done, true, at)]);
    }
    events.sort();
    events
}

/// What a run against the queue leaves. Without `times` there are counts only: a hundred runs are judged by them in
/// a second.
fn served(plan: &Plan, queue: &Queue, seed: u64, times: bool) -> RunFacts {
    let events = events(queue, seed);
    let mut recorder = Recorder::new(shapes(plan), plan.window);
    let mut timeline = Timeline::new(&shapes(plan));
    let mut add = |window| timeline.add(&if times { window } else { without_times(window) });
    let count = events.len() as u64 / 2;
    for (at, is_end, intended) in events {
        while recorder.window_end() <= at {
            add(recorder.close_window());
        }
        recorder.look(at);
        if is_end {
            recorder.ended(OperationId(0), true, intended, &Completion::ok(intended, at));
        } else {
            recorder.fired(OperationId(0), true, intended, intended);
        }
    }
    add(recorder.close_window());
    let length = Nanos::from_secs(queue.secs);
    RunFacts { timeline, scheduled: count, fired: count, length, ..facts(plan, &[]) }
}

fn queue_plan(queue: &Queue, objectives: Vec<ObjectivePlan>) -> Plan {
    let mut plan = plan(objectives);
    let scenario = &mut plan.scenarios[0];
    scenario.warm_up = Nanos::ZERO;
    let stage = StagePlan { duration: Nanos::from_secs(queue.secs), from: queue.offered.0, to: queue.offered.1 };
    scenario.executor = ExecutorPlan::Arrivals { law: ArrivalLaw::Poisson, stages: vec![stage] };
    plan.operations.iter_mut().for_each(|operation| operation.timeout = Nanos::from_secs(60));
    plan
}

#[test]
fn a_rate_is_what_completed_within_the_time_and_a_target_that_falls_behind_is_named() {
    let queue = Queue { secs: 15, offered: (500.0, 500.0), servers: 1, service: 1.0 / 300.0, random: false };
    let above = |above| objective(false, Aim::Throughput { above });
    let errors = objective(false, Aim::ErrorRate { below: 0.05 });
    let plan = queue_plan(&queue, vec![above(450.0), above(250.0), errors]);
    let judged = judge(&plan, &served(&plan, &queue, 7, true));
    let verdicts: Vec<Verdict> = judged.objectives.iter().map(|o| o.verdict).collect();
    assert_eq!(verdicts, [Verdict::Fail, Verdict::Fail, Verdict::Inconclusive]);
    let Some(Reading::Rate(rate)) = judged.objectives[0].measured else { panic!("a rate") };
    assert!((rate - 300.0).abs() < 3.0, "{rate}");
    let said = &judged.validity.iter().find(|check| check.name == "keeps up").expect("a check").message;
    assert!(said.starts_with("does not keep up: serves about 300/s of "), "{said}");
    // Nor is it a pass where nothing was asked.
    let nothing = queue_plan(&queue, vec![]);
    assert_eq!(judge(&nothing, &served(&nothing, &queue, 7, true)).verdict, Verdict::Inconclusive);
}

#[test]
fn a_target_that_keeps_up_is_not_accused() {
    let queue = |secs, offered, servers, service, random| Queue { secs, offered, servers, service, random };
    let all = [
        // Busy, idle, slow, very slow, and under ramps up and down.
        queue(15, (285.0, 285.0), 1, 1.0 / 300.0, true),
        queue(60, (19.0, 19.0), 1, 0.05, true),
        queue(15, (5.0, 5.0), 8, 0.2, true),
        queue(15, (100.0, 100.0), 10_000, 5.0, false),
        queue(15, (100.0, 100.0), 10_000, 10.0, true),
        queue(15, (100.0, 100.0), 10_000, 14.0, false),
        queue(30, (10.0, 300.0), 1_000, 1.0, true),
        queue(30, (10.0, 300.0), 1_000, 1.0, false),
        queue(30, (300.0, 10.0), 1_000, 1.0, true),
    ];
    for (i, queue) in all.iter().enumerate() {
        let plan = queue_plan(queue, vec![]);
        let accused = (0..100).filter(|seed| {
            let facts = served(&plan, queue, *seed, false);
            !keeping_up::falling_behind(&plan, &facts).is_empty()
        });
        // A queue that is busy for 95 % of the time may grow for a minute by chance.
        assert!(accused.count() <= usize::from(i == 1), "queue {i}");
    }
}

#[test]
fn a_recorder_that_loses_or_invents_time_is_found() {
    let queue = Queue { secs: 60, offered: (19.0, 19.0), servers: 1, service: 0.05, random: true };
    let plan = queue_plan(&queue, vec![]);
    // So many nanoseconds are recorded for each one.
    let voids = |factor: f64| {
        let mut facts = served(&plan, &queue, 3, true);
        for tally in &mut facts.timeline.judged {
            let mut changed = slatest_core::measure::Latencies::default();
            for rank in 1..=tally.response.count() {
                let time = tally.response.value_at_rank(rank).expect("a sample of this rank");
                changed.record(Nanos((time.0 as f64 * factor) as u64));
            }
            tally.response = changed;
        }
        let check = judge(&plan, &facts).validity.into_iter().find(|check| check.name == "mean under way");
        check.expect("a check").voids()
    };
    assert_eq!([1.0, 0.98, 0.8, 1.25].map(voids), [false, false, true, true]);
}

#[test]
fn what_a_drill_sets_aside_is_left_out_of_the_count_and_of_the_time() {
    let queue = Queue { secs: 30, offered: (120.0, 120.0), servers: 1_000, service: 0.001, random: false };
    let plan = queue_plan(&queue, vec![objective(false, Aim::Throughput { above: 100.0 })]);
    let secs = Nanos::from_secs;
    let mut facts = served(&plan, &queue, 5, true);
    facts.drills = vec![super::incidents::drill(Some((secs(5), secs(25))))];
    let judged = judge(&plan, &facts);
    let Some(Reading::Rate(rate)) = judged.objectives[0].measured else { panic!("a rate") };
    // Of 10 s: by the length of the run it would be 40/s.
    assert!((rate - 120.0).abs() < 18.0, "{rate}");
    assert_eq!(judged.objectives[0].verdict, Verdict::Pass);
}
