//! Small runs with known counts, judged.

use super::*;
use crate::engine::{Resources, ScenarioFinding, shapes};
use crate::measure::{Recorder, Threshold};
use crate::model::{Completion, Nanos};
use crate::profile::{ArrivalLaw, Mix, OperationPlan, ScenarioPlan, StagePlan};

const LIMIT: Nanos = Nanos::from_millis(100);

fn plan(objectives: Vec<ObjectivePlan>) -> Plan {
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
    };
    Plan {
        profile: "test".into(),
        description: None,
        seed: 1,
        window: Nanos::from_secs(1),
        graceful_stop: Nanos::from_secs(1),
        scenarios: vec![ScenarioPlan {
            name: "api".into(),
            workload: "api".into(),
            endpoint: "api".into(),
            driver: "http".into(),
            executor: ExecutorPlan::Arrivals {
                law: ArrivalLaw::Poisson,
                stages: vec![StagePlan { duration: Nanos::from_secs(12), from: 100.0, to: 100.0 }],
            },
            mix: Mix::Weighted,
            start: Nanos::ZERO,
            warm_up: Nanos::from_secs(2),
            cool_down: Nanos::ZERO,
            max_in_flight: 10,
            sessions: None,
            first_operation: OperationId(0),
            items: vec![],
        }],
        operations: vec![operation("list"), operation("create")],
        objectives,
        left_out: vec![],
    }
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
    let mut timeline = Timeline::new(&shapes(plan));
    timeline.add(&recorder.close_window());
    RunFacts {
        timeline,
        scheduled: fired,
        fired,
        length: Nanos::from_secs(12),
        interrupted: false,
        aborted: None,
        spacing: Vec::new(),
        resources: Resources { workers: 1, cores: 2.0, cpu_secs: 1.0, wall_secs: 12.0, ..Resources::default() },
        findings: vec![],
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
        assert!(judged.objectives.iter().all(|o| o.verdict == Verdict::Inconclusive && o.words.is_some()));
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
    assert_eq!(judged.objectives[1].words.as_deref(), Some("ended the run at 4.00 s: 9 of 50 by then"));
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
fn arrivals_of_another_law_void_the_run() {
    let plan = plan(vec![]);
    let mut facts = facts(&plan, &[(0, 1_000, 10, Outcome::Ok)]);
    facts.spacing = (0..1_000).map(|i| (f64::from(i) + 0.5) / 1_000.0).collect();
    assert_eq!(judge(&plan, &facts).verdict, Verdict::Pass);
    // Equal distances where exponential ones were planned.
    facts.spacing = vec![0.632; 1_000];
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
