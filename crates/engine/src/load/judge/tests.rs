//! Small runs with known counts, judged.

use super::advice::quantile_name;
use super::*;
use crate::load::{Abortion, Resources, ScenarioFinding, shapes};
use crate::profile::{Aim, ArrivalLaw, ObjectivePlan, OperationPlan, ScenarioPlan, StagePlan};
use slatest_core::measure::{Recorder, Series, Threshold};
use slatest_core::model::{Completion, Nanos, OperationId};
use slatest_stats::Reading;

mod incidents;
mod truths;

const LIMIT: Nanos = Nanos::from_millis(100);

pub(super) fn plan(objectives: Vec<ObjectivePlan>) -> Plan {
    let operation = |name: &str| OperationPlan {
        scenario: 0,
        address: format!("api/{name}"),
        timeout: Nanos::from_secs(1),
        timings: vec!["connect".into()],
        ratios: vec!["hit_rate".into()],
        thresholds: vec![
            Threshold { series: Series::ResponseTime, limit: LIMIT },
            Threshold { series: Series::ServiceTime, limit: LIMIT },
        ],
        share: 0.5,
        ledger: false,
        once: false,
    };
    let steady = ExecutorPlan::steady(ArrivalLaw::Poisson, Nanos::from_secs(12), 100.0);
    let scenario = ScenarioPlan { warm_up: Nanos::from_secs(2), ..ScenarioPlan::sample("api", steady) };
    Plan { objectives, ..Plan::sample(vec![scenario], vec![operation("list"), operation("create")]) }
}

fn objective(each: bool, aim: Aim) -> ObjectivePlan {
    ObjectivePlan {
        name: "o".into(),
        scope: "api/*".into(),
        operations: vec![OperationId(0), OperationId(1)],
        each,
        aim,
        abort_after: None,
    }
}

fn p95(each: bool) -> ObjectivePlan {
    let aim = Aim::Quantile { of: "response_time".into(), thresholds: vec![0, 0], quantile: 0.95, below: LIMIT };
    objective(each, aim)
}

/// Facts of `runs` of (operation, times, response time, outcome).
fn facts(plan: &Plan, runs: &[(u16, u64, u64, Outcome)]) -> RunFacts {
    let mut recorder = Recorder::new(shapes(plan), plan.window);
    let mut timeline = Timeline::new(&shapes(plan));
    // The warm-up.
    (0..2).for_each(|_| timeline.add(&recorder.close_window()));
    let mut fired = 0;
    for &(operation, times, millis, outcome) in runs {
        for _ in 0..times {
            fired += 1;
            let operation = OperationId(operation);
            recorder.fired(operation, true, Nanos::ZERO, Nanos::ZERO);
            let done = Nanos::from_millis(millis);
            let completion = match outcome {
                Outcome::Ok => Completion::ok(Nanos::ZERO, done).with_ratio(0, 9, 10),
                outcome => Completion::failed(outcome, Some(Nanos::ZERO), done, "x"),
            };
            recorder.ended(operation, true, Nanos::ZERO, &completion);
        }
    }
    timeline.add(&recorder.close_window());
    // The rest of the run.
    (0..9).for_each(|_| timeline.add(&recorder.close_window()));
    RunFacts {
        timeline,
        scheduled: fired,
        fired,
        length: Nanos::from_secs(12),
        interrupted: false,
        aborted: None,
        arrival_law: Vec::new(),
        resources: Resources { workers: 1, cores: 2.0, cpu_secs: 1.0, wall_secs: 12.0, ..Resources::default() },
        findings: vec![],
        agents: vec![],
        drills: vec![],
    }
}

fn near(reading: Option<Reading>, millis: f64) -> bool {
    matches!(reading, Some(Reading::Time(t)) if (t.as_millis_f64() - millis).abs() < millis * 0.002)
}

#[test]
fn each_operation_is_judged_by_itself() {
    let plan = plan(vec![p95(true)]);
    let facts = facts(&plan, &[(0, 1_000, 10, Outcome::Ok), (1, 930, 10, Outcome::Ok), (1, 70, 200, Outcome::Ok)]);
    let judged = judge(&plan, &facts);
    let lines: Vec<(&str, Verdict, u64)> =
        judged.objectives.iter().map(|o| (o.scope.as_str(), o.verdict, o.bad)).collect();
    assert_eq!(lines, [("api/list", Verdict::Pass, 0), ("api/create", Verdict::Fail, 70)]);
    assert_eq!(judged.objectives[0].indicator, "p95 response_time");
    assert_eq!(judged.verdict, Verdict::Fail);
    assert!(judged.validity.iter().all(|c| c.holds), "{:?}", judged.validity);
}

#[test]
fn together_the_counts_are_summed() {
    let plan = plan(vec![p95(false)]);
    let facts = facts(&plan, &[(0, 1_000, 10, Outcome::Ok), (1, 930, 10, Outcome::Ok), (1, 70, 200, Outcome::Ok)]);
    let judged = judge(&plan, &facts);
    assert_eq!(judged.objectives.len(), 1);
    assert_eq!((judged.objectives[0].bad, judged.objectives[0].samples), (70, 2_000));
    assert!(near(judged.objectives[0].measured, 10.0));
    assert_eq!(judged.verdict, Verdict::Pass);
}

#[test]
fn failures_are_times_without_end() {
    let plan = plan(vec![p95(false)]);
    // 6 % failed at once: the p95 lies among them although every answer was fast.
    let facts = facts(&plan, &[(0, 9_400, 10, Outcome::Ok), (0, 600, 1, Outcome::Rejected)]);
    let judged = &judge(&plan, &facts).objectives[0];
    assert_eq!((judged.verdict, judged.measured), (Verdict::Fail, Some(Reading::Failed)));
    assert_eq!((judged.bad, judged.samples), (600, 10_000));
}

#[test]
fn quick_failures_do_not_make_the_service_time_look_better() {
    let aim = Aim::Quantile { of: "service_time".into(), thresholds: vec![1, 1], quantile: 0.95, below: LIMIT };
    let plan = plan(vec![objective(false, aim)]);
    // 4 % failed at once, 2 % were slow: the p95 is one of the slow ones.
    let runs = [(0, 9_400, 10, Outcome::Ok), (0, 200, 300, Outcome::Ok), (0, 400, 1, Outcome::Rejected)];
    let judged = &judge(&plan, &facts(&plan, &runs)).objectives[0];
    assert!(near(judged.measured, 300.0), "{:?}", judged.measured);
    assert_eq!(judged.verdict, Verdict::Fail);
}

#[test]
fn nothing_measured_is_never_a_pass() {
    for objectives in [vec![], vec![p95(true), objective(false, Aim::ErrorRate { below: 0.01 })]] {
        let plan = plan(objectives);
        let mut facts = facts(&plan, &[]);
        facts.scheduled = 0;
        let judged = judge(&plan, &facts);
        assert_eq!(judged.verdict, Verdict::Inconclusive);
        assert!(judged.objectives.iter().all(|o| o.verdict == Verdict::Inconclusive && o.message.is_some()));
    }
}

#[test]
fn without_objectives_a_sound_run_passes() {
    let plan = plan(vec![]);
    assert_eq!(judge(&plan, &facts(&plan, &[(0, 10, 10, Outcome::Rejected)])).verdict, Verdict::Pass);
}

#[test]
fn an_unsound_run_is_void_whatever_its_objectives_say() {
    let plan = plan(vec![p95(false)]);
    let mut facts = facts(&plan, &[(0, 1_000, 200, Outcome::Ok)]);
    assert_eq!(judge(&plan, &facts).verdict, Verdict::Fail);
    facts.scheduled += 100;
    assert_eq!(judge(&plan, &facts).verdict, Verdict::Void);
}

#[test]
fn an_interrupted_run_never_passes() {
    let plan = plan(vec![p95(false)]);
    let mut facts = facts(&plan, &[(0, 1_000, 10, Outcome::Ok)]);
    facts.interrupted = true;
    let judged = judge(&plan, &facts);
    assert_eq!((judged.objectives[0].verdict, judged.verdict), (Verdict::Pass, Verdict::Inconclusive));
}

#[test]
fn the_objective_that_ended_the_run_has_failed() {
    let plan = plan(vec![p95(true)]);
    let mut facts = facts(&plan, &[(0, 1_000, 10, Outcome::Ok), (1, 1_000, 10, Outcome::Ok)]);
    let operation = Some(OperationId(1));
    facts.aborted = Some(Abortion { objective: 0, operation, bad: 9, samples: 50, at: Nanos::from_secs(4) });
    let judged = judge(&plan, &facts);
    let verdicts: Vec<Verdict> = judged.objectives.iter().map(|o| o.verdict).collect();
    assert_eq!((verdicts.as_slice(), judged.verdict), (&[Verdict::Pass, Verdict::Fail][..], Verdict::Fail));
    assert_eq!(judged.objectives[1].message.as_deref(), Some("ended the run at 4.00 s: 9 of 50 by then"));
}

#[test]
fn what_this_machine_lacked_voids_the_run_and_is_named() {
    let plan = plan(vec![]);
    let mut facts = facts(&plan, &[(0, 1_000, 10, Outcome::Ok)]);
    facts.timeline.judged[0].errors.add("generator: out of local ports", 3);
    let judged = judge(&plan, &facts);
    let check = judged.validity.iter().find(|c| c.voids()).expect("a check that does not hold");
    assert_eq!(judged.verdict, Verdict::Void);
    assert!(check.measured.ends_with("3 operations failed: out of local ports"), "{}", check.measured);
}

#[test]
fn what_could_not_be_built_voids_the_run_and_is_named_with_its_operation() {
    let plan = plan(vec![]);
    let mut facts = facts(&plan, &[(0, 1_000, 10, Outcome::Ok)]);
    facts.timeline.unjudged[0].errors.add("workload: the path is empty", 1);
    facts.timeline.judged[1].errors.add("workload: no `order` was captured", 3);
    let judged = judge(&plan, &facts);
    let check = judged.validity.iter().find(|c| c.voids()).expect("a check that does not hold");
    assert_eq!(judged.verdict, Verdict::Void);
    let named = format!("4 never sent; most often {}: no `order` was captured", plan.operations[1].address);
    assert_eq!(check.measured, named);
}

#[test]
fn arrivals_of_another_law_void_the_run() {
    let plan = plan(vec![]);
    let mut facts = facts(&plan, &[(0, 1_000, 10, Outcome::Ok)]);
    facts.arrival_law = (0..1_000).map(|i| (f64::from(i) + 0.5) / 1_000.0).collect();
    assert_eq!(judge(&plan, &facts).verdict, Verdict::Pass);
    // Equal distances where exponential ones were planned.
    facts.arrival_law = vec![0.632; 1_000];
    assert_eq!(judge(&plan, &facts).verdict, Verdict::Void);
}

#[test]
fn a_finding_that_does_not_hold_is_a_fail() {
    let plan = plan(vec![p95(false)]);
    let mut facts = facts(&plan, &[(0, 1_000, 10, Outcome::Ok)]);
    facts.findings.push(ScenarioFinding {
        scenario: "api".into(),
        check: "convergence".into(),
        holds: false,
        detail: "1 of 250 documents differ".into(),
    });
    assert_eq!(judge(&plan, &facts).verdict, Verdict::Fail);
}

#[test]
fn a_firewall_voids_what_it_answered() {
    let plan = plan(vec![objective(true, Aim::ErrorRate { below: 0.01 })]);
    let runs = [(0, 1_000, 10, Outcome::Ok), (1, 1_000, 10, Outcome::Ok), (1, 20, 1, Outcome::Blocked)];
    let judged = judge(&plan, &facts(&plan, &runs));
    let verdicts: Vec<Verdict> = judged.objectives.iter().map(|o| o.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Void]);
    assert_eq!((judged.objectives[1].samples, judged.objectives[1].bad), (1_000, 0));
    assert_eq!(judged.verdict, Verdict::Void);
}

#[test]
fn ratios_and_throughput() {
    let ratio = |above| Aim::Ratio { of: "hit_rate".into(), ratios: vec![0, 0], above };
    let plan = plan(vec![
        objective(false, ratio(0.85)),
        objective(false, ratio(0.95)),
        objective(false, Aim::Throughput { above: 99.0 }),
        objective(false, Aim::Throughput { above: 100.0 }),
    ]);
    // 1,000 in the 10 s after the warm-up; each finds 9 of 10.
    let judged = judge(&plan, &facts(&plan, &[(0, 600, 10, Outcome::Ok), (1, 400, 10, Outcome::Ok)]));
    let verdicts: Vec<Verdict> = judged.objectives.iter().map(|o| o.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail, Verdict::Pass, Verdict::Fail]);
    assert_eq!(judged.objectives[0].measured, Some(Reading::Share(0.9)));
    assert_eq!(judged.objectives[2].measured, Some(Reading::Rate(100.0)));
}

#[test]
fn quantiles_have_the_names_that_people_use() {
    assert_eq!([0.5, 0.95, 0.999, 0.9999].map(quantile_name), ["p50", "p95", "p99.9", "p99.99"]);
}

/// Facts of seconds of (operation, good, bad) each, from the end of the warm-up on: a good one takes
/// 10 ms, a bad one 200.
fn over_time(plan: &Plan, seconds: &[Vec<(u16, u64, u64)>]) -> RunFacts {
    let mut recorder = Recorder::new(shapes(plan), plan.window);
    let mut timeline = Timeline::new(&shapes(plan));
    let start = plan.scenarios[0].start + plan.scenarios[0].warm_up;
    while recorder.window_end() <= start {
        timeline.add(&recorder.close_window());
    }
    let mut fired = 0;
    for second in seconds {
        let intended = Nanos::from_secs(recorder.index());
        for &(operation, good, bad) in second {
            for i in 0..good + bad {
                fired += 1;
                let operation = OperationId(operation);
                recorder.fired(operation, true, intended, intended);
                let done = intended + Nanos::from_millis(if i < good { 10 } else { 200 });
                let completion = Completion::ok(intended, done).with_ratio(0, u32::from(i < good), 1);
                recorder.ended(operation, true, intended, &completion);
            }
        }
        timeline.add(&recorder.close_window());
    }
    let resources = Resources { cores: 2.0, cpu_secs: 1.0, wall_secs: 12.0, ..Resources::default() };
    RunFacts {
        length: timeline.end,
        timeline,
        scheduled: fired,
        fired,
        interrupted: false,
        aborted: None,
        arrival_law: vec![],
        resources,
        findings: vec![],
        agents: vec![],
        drills: vec![],
    }
}

/// A plan of 2 s of warm-up and so many measured.
fn plan_of(secs: u64, objectives: Vec<ObjectivePlan>) -> Plan {
    let mut plan = plan(objectives);
    let ExecutorPlan::Arrivals { stages, .. } = &mut plan.scenarios[0].executor else { unreachable!() };
    stages[0].duration = Nanos::from_secs(secs + 2);
    plan
}

#[test]
fn samples_that_come_together_are_worth_less() {
    let plan = plan_of(30, vec![p95(false)]);
    // 4 % of 6,000 are bad, which independent samples would pass; all of them in three seconds.
    let clustered = |s: u64| if s % 10 == 4 { (0, 120, 80) } else { (0, 200, 0) };
    let seconds: Vec<_> = (0..30).map(|s| vec![clustered(s)]).collect();
    let judged = judge(&plan, &over_time(&plan, &seconds));
    let one = &judged.objectives[0];
    assert_eq!((one.bad, one.samples, one.verdict), (240, 6_000, Verdict::Inconclusive));
    assert!(one.deff.unwrap() > 50.0 && one.effective.unwrap() < 120, "{one:?}");
    // The interval agrees: the p95 may be one of the slow ones.
    assert!(near(one.measured, 10.0) && near(one.upper, 200.0), "{one:?}");
    assert!(one.notes()[1].contains("design effect"), "{:?}", one.notes());
    // No length of a run is reckoned from what comes together.
    let message = one.message.as_ref().unwrap();
    assert!(message.contains("come together") && !message.contains("a run of"), "{message}");
    // Spread evenly, they pass.
    let even: Vec<_> = (0..30).map(|_| vec![(0, 192, 8)]).collect();
    let one = &judge(&plan, &over_time(&plan, &even)).objectives[0];
    assert_eq!((one.bad, one.verdict, one.deff), (240, Verdict::Pass, Some(1.0)));
    assert_eq!(one.notes(), [""; 0]);
}

#[test]
fn an_average_over_a_trend_is_no_pass_unless_its_worst_part_is() {
    // Bad ones of 200 a second: none at first, and more and more.
    let rising = |most: u64| -> Vec<_> { (0..30).map(|s| vec![(0, 200 - s * most / 29, s * most / 29)]).collect() };
    let falling = |most: u64| -> Vec<_> { rising(most).into_iter().rev().collect() };
    let plan = plan_of(30, vec![p95(false)]);
    let judged =
        |plan: &Plan, seconds: &[Vec<(u16, u64, u64)>]| judge(plan, &over_time(plan, seconds)).objectives.remove(0);

    // 3.4 % on the average, but 6 % in the last third.
    let one = judged(&plan, &rising(14));
    assert_eq!(one.verdict, Verdict::Inconclusive, "{one:?}");
    assert!(one.trend.unwrap() > 6.0);
    let message = one.message.unwrap();
    assert!(
        message.contains("response_time ≥ 100 ms") && message.contains("in the last (Mann–Kendall |Z|"),
        "{message}"
    );
    let one = judged(&plan, &falling(14));
    assert_eq!(one.verdict, Verdict::Inconclusive);
    assert!(one.message.unwrap().contains("a longer warm-up"));
    // 4.5 %: too near to the bound to pass, and it is the trend that is told, not a longer run.
    let one = judged(&plan, &rising(19));
    assert_eq!(one.verdict, Verdict::Inconclusive);
    assert!(one.message.unwrap().contains("find out what builds up"));
    // 2 % in the last third: it holds, and the trend is told.
    let one = judged(&plan, &rising(5));
    assert_eq!(one.verdict, Verdict::Pass, "{one:?}");
    assert!(one.message.unwrap().contains("its worse third passes by itself"));
    // No trend, nothing to tell.
    let one = judged(&plan, &(0..30).map(|s| vec![(0, 200 - s % 3 * 4, s % 3 * 4)]).collect::<Vec<_>>());
    assert_eq!((one.verdict, one.message), (Verdict::Pass, None), "{:?}", one.trend);

    // Under a ramp a trend is what one expects; even when it is another scenario's.
    let mut ramp = plan.clone();
    let mut other = plan.scenarios[0].clone();
    let ExecutorPlan::Arrivals { stages, .. } = &mut other.executor else { unreachable!() };
    stages[0].from = 50.0;
    ramp.scenarios.push(other);
    let one = judged(&ramp, &rising(14));
    assert_eq!((one.verdict, one.trend), (Verdict::Pass, None));
}

#[test]
fn one_trend_among_many_objectives_may_be_chance() {
    // A Z of 2.83: by itself a trend, among twenty objectives none.
    let counts = [3, 7, 2, 8, 4, 6, 9, 3, 7, 4, 8, 6, 3, 9, 5, 8, 7, 4, 9, 8, 5, 9, 6, 8, 9, 7, 8, 9, 8, 9];
    let seconds: Vec<_> = counts.iter().map(|&bad| vec![(0, 170 - bad, bad)]).collect();
    let one = plan_of(30, vec![p95(false)]);
    let judged = judge(&one, &over_time(&one, &seconds));
    let z = judged.objectives[0].trend.unwrap();
    assert!((2.58..3.2).contains(&z), "{z}");
    assert_eq!(judged.objectives[0].verdict, Verdict::Inconclusive, "{:?}", judged.objectives[0]);
    let mut many = plan_of(30, vec![p95(false); 20]);
    // The others are of another operation, which is steady.
    for other in &mut many.objectives[1..] {
        other.operations = vec![OperationId(1)];
    }
    let steady: Vec<_> = seconds.iter().enumerate().map(|(s, one)| vec![one[0], (1, 165, 4 + s as u64 % 2)]).collect();
    let judged = judge(&many, &over_time(&many, &steady));
    assert_eq!(judged.verdict, Verdict::Pass, "{:?}", judged.objectives[0]);
    assert!(judged.objectives[0].trend.unwrap() > 2.58);
}

#[test]
fn culprits_are_named_together() {
    let mut plan = plan_of(30, vec![p95(true)]);
    // Twenty operations, one clearly beyond the bound, one just so.
    let operation = plan.operations[0].clone();
    plan.operations = vec![operation; 20];
    plan.objectives[0].operations = (0..20).map(OperationId).collect();
    let Aim::Quantile { thresholds, .. } = &mut plan.objectives[0].aim else { unreachable!() };
    *thresholds = vec![0; 20];
    let bad = |operation: u16, second: u64| match operation {
        3 => 10,
        7 => 7 - second % 2,
        _ => second % 2,
    };
    let seconds: Vec<_> =
        (0..30).map(|s| (0..20).map(|o| (o, 100 - bad(o, s), bad(o, s))).collect::<Vec<_>>()).collect();
    let judged = judge(&plan, &over_time(&plan, &seconds));
    let culprits: Vec<Option<bool>> = judged.objectives.iter().map(|o| o.culprit).collect();
    assert_eq!((judged.objectives[3].verdict, culprits[3]), (Verdict::Fail, Some(true)));
    assert_eq!(judged.objectives[7].verdict, Verdict::Fail);
    assert_eq!(culprits.iter().filter(|c| c.is_some()).count(), 2);
    let message = judged.objectives[3].message.as_ref().unwrap();
    assert!(message.contains("at fault among 20 operations"), "{message}");
}

#[test]
fn what_it_would_take_is_said_in_time() {
    let message = |plan: &Plan, seconds: &[Vec<(u16, u64, u64)>], objective: usize| {
        judge(plan, &over_time(plan, seconds)).objectives[objective].message.clone().unwrap()
    };
    // 0 of 40 in 10 s at 5 %: a pass takes 59, so 15 s and the 2 of the warm-up; 596 are planned for.
    let plan = plan_of(10, vec![p95(false), objective(false, Aim::ErrorRate { below: 1e-7 })]);
    let few = vec![vec![(0, 4, 0)]; 10];
    let said = message(&plan, &few, 0);
    assert!(said.contains("0 of 40 are bad; with no more, a pass takes 59: a run of 17s, better 2m 31s"), "{said}");
    assert!(message(&plan, &few, 1).contains("no run of a day has enough"), "{}", message(&plan, &few, 1));
    // One bad: 93 that are worth .85 each.
    let mut one = few;
    one[3] = vec![(0, 3, 1)];
    assert!(
        message(&plan, &one, 0).contains("1 of 40 is bad; with no more, a pass takes 110"),
        "{}",
        message(&plan, &one, 0)
    );
    // As many as were planned for, but at 4.5 % of 5.
    let many: Vec<_> = (0..10).map(|s| vec![(0, 200 - 8 - s % 3, 8 + s % 3)]).collect();
    assert!(message(&plan, &many, 0).contains("at that share about"), "{}", message(&plan, &many, 0));
    // More than the limit: it is a fail that takes more.
    let many: Vec<_> = (0..10).map(|s| vec![(0, 100 - 5 - s % 2, 5 + s % 2)]).collect();
    assert!(message(&plan, &many, 0).contains("would fail: a run of"), "{}", message(&plan, &many, 0));
    // At the limit nothing tells.
    let even = vec![vec![(0, 95, 5)]; 10];
    assert!(message(&plan, &even, 0).contains("at its limit"), "{}", message(&plan, &even, 0));
}

#[test]
fn older_records_are_read() {
    let plan = plan_of(30, vec![p95(false)]);
    let judged = judge(&plan, &over_time(&plan, &vec![vec![(0, 100, 1)]; 30]));
    let mut value = serde_json::to_value(&judged).unwrap();
    let one = value["objectives"][0].as_object_mut().unwrap();
    for key in ["deff", "effective", "trend"] {
        one.remove(key).unwrap();
    }
    let old: Judged = serde_json::from_value(value).unwrap();
    assert_eq!((old.objectives[0].deff, old.objectives[0].culprit), (None, None));
    assert_eq!(serde_json::from_value::<Judged>(serde_json::to_value(&judged).unwrap()).unwrap(), judged);
}
