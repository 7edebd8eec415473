//! What is right becomes what was meant.

use slatest_core::model::{Nanos, Span};
use slatest_engine::profile::{Aim, ExecutorPlan, Overrides, peak_rate};

use crate::desk::{Desk, rate, span};

const THREE: &str = "\
name: p
scenarios:
  ramp:
    workload: w
    executor: ramping-arrival-rate
    stages: [{ duration: 20s, target: 300/s }, { duration: 120s, target: 300/s }]
    warm_up: 20s
  steady: { workload: w, executor: constant-arrival-rate, rate: 100/s, start_after: 40s, sessions: 10 }
  users: { workload: w, executor: constant-vus, vus: 7, think: 1s, duration: 1m }
objectives:
  - { name: p95, scope: \"ramp/*\", each: operation, indicator: response_time, quantile: 0.95, below: 500ms }
  - { name: p99, scope: \"ramp/*\", indicator: response_time, quantile: 0.99, below: 500ms }
  - { name: slow, scope: \"*/task\", indicator: service_time, quantile: 0.99, below: 1s }
";

fn stages(executor: &ExecutorPlan) -> Vec<(f64, f64, f64)> {
    executor.stages().iter().map(|s| (s.duration.as_secs_f64(), s.from, s.to)).collect()
}

#[test]
fn stages_follow_one_another_and_open_lengths_end_with_the_longest() {
    let plan = Desk::with_profile(THREE).plan();
    let [ramp, steady, users] = plan.scenarios.as_slice() else { panic!("three scenarios") };
    assert_eq!(stages(&ramp.executor), [(20.0, 0.0, 300.0), (120.0, 300.0, 300.0)]);
    assert_eq!(stages(&steady.executor), [(100.0, 100.0, 100.0)]);
    assert_eq!(steady.end(), Nanos::from_secs(140));
    assert_eq!(stages(&users.executor), [(60.0, 7.0, 7.0)]);
    assert_eq!((ramp.max_in_flight, users.max_in_flight), (1000, 7));
    assert_eq!(peak_rate(&plan.scenarios), 400.0);
    let addresses: Vec<&str> = plan.operations.iter().map(|o| o.address.as_str()).collect();
    let expected = ["ramp/task", "ramp/handover", "steady/task", "steady/handover", "users/task", "users/handover"];
    assert_eq!(addresses, expected);
    assert_eq!(plan.scenarios[1].first_operation.index(), 2);
    assert_eq!((plan.operations[0].share, plan.operations[1].share), (0.75, 0.25));
}

#[test]
fn thresholds_that_two_objectives_share_are_counted_once() {
    let plan = Desk::with_profile(THREE).plan();
    assert_eq!(plan.operations[0].thresholds.len(), 2, "500 ms once, 1 s of service time");
    assert_eq!(plan.operations[1].thresholds.len(), 1);
    assert_eq!(plan.operations[2].thresholds.len(), 1);
    let Aim::Quantile { thresholds, .. } = &plan.objectives[2].aim else { panic!("a quantile") };
    assert_eq!(thresholds, &[1, 0, 0]);
    assert!(plan.objectives[0].each && !plan.objectives[1].each);
}

#[test]
fn a_rate_replaces_the_peak_and_stages_keep_their_shape() {
    let mut desk = Desk::with_profile(THREE);
    desk.overrides.rates = vec![(None, rate("60/s")), (Some("steady".into()), rate("5/s"))];
    let plan = desk.plan();
    assert_eq!(stages(&plan.scenarios[0].executor), [(20.0, 0.0, 60.0), (120.0, 60.0, 60.0)]);
    assert_eq!(stages(&plan.scenarios[1].executor), [(100.0, 5.0, 5.0)]);
    assert_eq!(stages(&plan.scenarios[2].executor), [(60.0, 7.0, 7.0)]);
}

#[test]
fn a_duration_stretches_all_together() {
    let mut desk = Desk::with_profile(THREE);
    desk.overrides.duration = Some(span("70s"));
    let plan = desk.plan();
    assert_eq!(stages(&plan.scenarios[0].executor), [(10.0, 0.0, 300.0), (60.0, 300.0, 300.0)]);
    assert_eq!(plan.scenarios[0].warm_up, Nanos::from_secs(10), "it ends with its ramp");
    assert_eq!((plan.scenarios[1].start, plan.scenarios[1].end()), (Nanos::from_secs(20), Nanos::from_secs(70)));
    // Longer is never less of it.
    let judged = |desk: &mut Desk, secs: u64| {
        desk.overrides.duration = Some(Span(Nanos::from_secs(secs)));
        let scenario = &desk.plan().scenarios[0];
        scenario.end().since(scenario.start + scenario.warm_up + scenario.cool_down)
    };
    let lengths = [1, 7, 14, 15, 30, 70, 139, 140, 141, 280, 1400].map(|secs| judged(&mut desk, secs));
    assert!(lengths.is_sorted() && lengths[0] > Nanos::ZERO, "{lengths:?}");
}

#[test]
fn overrides_have_the_limits_of_a_file() {
    let set = |set: &dyn Fn(&mut slatest_engine::profile::Overrides)| {
        let mut desk = Desk::with_profile(THREE);
        set(&mut desk.overrides);
        desk.resolve().map(drop).map_err(|problems| problems.to_string())
    };
    for scale in [1e300, 1e-300, 1e9, 1e6, f64::MIN_POSITIVE, f64::MAX] {
        let said = set(&|overrides| overrides.scale = Some(scale)).expect_err("a scale beyond reason");
        assert!(said.contains("--scale"), "{scale}: {said}");
    }
    for figure in ["20000000/s", "1e300/s"] {
        let said = set(&|overrides| overrides.rates = vec![(None, rate(figure))]).expect_err(figure);
        assert!(said.contains("--rate") && said.contains("10000000/s"), "{figure}: {said}");
    }
    for length in ["9999999h", "1ns", "10000days"] {
        let said = set(&|overrides| overrides.duration = Some(span(length))).expect_err(length);
        assert!(said.contains("--duration"), "{length}: {said}");
    }
    // Each by itself is fine, and what comes of both is not.
    let said = set(&|overrides| {
        overrides.rates = vec![(None, rate("9000000/s"))];
        overrides.scale = Some(2.0);
    });
    assert!(said.expect_err("18 million").contains("--rate --scale"));
    set(&|overrides| overrides.scale = Some(0.001)).expect("little is fine");
}

#[test]
fn a_scale_multiplies_rates_users_and_sessions() {
    let mut desk = Desk::with_profile(THREE);
    desk.overrides.scale = Some(0.5);
    let plan = desk.plan();
    assert_eq!(stages(&plan.scenarios[0].executor), [(20.0, 0.0, 150.0), (120.0, 150.0, 150.0)]);
    assert_eq!(plan.scenarios[1].users, Some(5));
    assert_eq!(stages(&plan.scenarios[2].executor), [(60.0, 4.0, 4.0)]);
    desk.overrides.scale = Some(0.001);
    let plan = desk.plan();
    assert_eq!(plan.scenarios[1].users, Some(1), "somebody stays");
    assert_eq!(stages(&plan.scenarios[2].executor), [(60.0, 1.0, 1.0)]);
}

#[test]
fn scaled_sessions_come_in_whole_groups() {
    let mut desk = Desk::with_profile(
        "name: p\nscenarios:\n  sync: { workload: w, executor: constant-arrival-rate, rate: 10/s, duration: 10s, sessions: 8 }\n",
    );
    desk.workload =
        "name: w\ndriver: websocket\nendpoint: bus\noperations:\n  - { name: edit, request: { edit: hello } }\n".into();
    desk.target = desk.target.replace("{ kafka: [\"127.0.0.1:9\"] }", "{ websocket: \"ws://127.0.0.1:9\" }");
    desk.overrides.scale = Some(1.15);
    assert_eq!(desk.plan().scenarios[0].users, Some(12), "9 replicas are 3 documents of 4");
}

#[test]
fn overrides_that_mean_nothing_are_refused() {
    let complaint = |overrides: Overrides| {
        let mut desk = Desk::with_profile(THREE);
        desk.overrides = overrides;
        desk.complaint()
    };
    let of =
        |name: &str, figure: &str| Overrides { rates: vec![(Some(name.into()), rate(figure))], ..Overrides::default() };
    assert_eq!(complaint(of("stedy", "5/s")), "`--rate`: there is no scenario `stedy` (did you mean `steady`?)");
    assert_eq!(complaint(of("users", "5/s")), "`--rate`: the scenario `users` has users, not a rate");
    assert_eq!(complaint(of("ramp", "0/s")), "`--rate`: a rate must be above zero");
    let scale = Overrides { scale: Some(-1.0), ..Overrides::default() };
    assert_eq!(complaint(scale), "`--scale`: a scale must lie above 0, not -1");
}

#[test]
fn the_seed_is_the_command_lines_then_the_profiles_then_drawn() {
    let mut desk = Desk::with_profile(&format!("seed: 5\n{THREE}"));
    assert_eq!(desk.plan().seed, 1);
    desk.overrides.seed = None;
    assert_eq!(desk.plan().seed, 5);
    desk.profile = THREE.into();
    let drawn = desk.plan().seed;
    assert!(drawn < 1 << 53 && drawn != desk.plan().seed);
}

#[test]
fn flows_count_their_steps() {
    let mut desk = Desk::new();
    desk.workload = desk.workload.replace(
        "operations:",
        "flows: [{ name: day, weight: 4, steps: [task, { think: 2s }, task, handover] }]\noperations:",
    );
    let plan = desk.plan();
    let share = |i: usize| plan.operations[i].share;
    assert_eq!((share(0), share(1)), (11.0 / 8.0, 5.0 / 8.0), "weights 3, 1 and 4 of 8");
    assert_eq!(plan.scenarios[0].items[2].flow.as_deref(), Some("day"));
    assert_eq!(plan.scenarios[0].items[2].steps.len(), 4);
}

#[test]
fn a_rate_may_count_requests() {
    let mut desk = Desk::new();
    // Of 8 arrivals 4 are flows of two steps: 12 requests.
    desk.workload.push_str("flows: [{ name: day, weight: 4, steps: [task, { think: 1s }, handover] }]\n");
    let plan = desk.plan();
    assert_eq!(plan.scenarios[0].requests_per_arrival(), 1.5);
    assert_eq!((plan.scenarios[0].executor.stages()[0].to, peak_rate(&plan.scenarios)), (10.0, 15.0));
    desk.profile = desk.profile.replace("rate: 10/s", "rate: 10/s\n    rate_counts: requests");
    let plan = desk.plan();
    let arrivals = plan.scenarios[0].executor.stages()[0].to;
    assert!((arrivals - 10.0 / 1.5).abs() < 1e-9, "{arrivals}");
    assert!((peak_rate(&plan.scenarios) - 10.0).abs() < 1e-9);
    // The command line's rate counts the same.
    desk.overrides.rates = vec![(None, rate("30/s"))];
    assert!((desk.plan().scenarios[0].executor.stages()[0].to - 20.0).abs() < 1e-9);
    desk.profile = desk.profile.replace("    rate_counts: requests\n", "    rate_counts: requests\n    mix: in_turn\n");
    assert!((desk.plan().scenarios[0].requests_per_arrival() - 4.0 / 3.0).abs() < 1e-9, "each in turn");
}

#[test]
fn a_target_may_allow_so_many_users() {
    let mut desk = Desk::new();
    desk.target = desk.target.replace("hosts: [127.0.0.1]", "hosts: [127.0.0.1], max_users: 40");
    assert_eq!(desk.plan().scenarios[0].users, None, "nothing is said of users");
    desk.profile = desk.profile.replace("rate: 10/s", "rate: 10/s\n    users: 40");
    assert_eq!(desk.plan().scenarios[0].max_in_flight, 40, "all may be busy");
    desk.profile = desk.profile.replace("users: 40", "users: 41");
    let said = desk.complaint();
    assert!(said.contains("allow.max_users") && said.contains("41 users"), "{said}");
    desk.profile = desk.profile.replace("constant-arrival-rate\n    rate: 10/s", "constant-vus");
    assert!(desk.complaint().contains("41 users"), "of a closed model, too");
}
