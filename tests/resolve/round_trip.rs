//! A profile that is written and read again is the same profile.

use std::collections::BTreeMap;

use proptest::prelude::*;
use slatest_core::model::{Nanos, Percent, Rate, Span};
use slatest_core::source::{Located, Source};
use slatest_engine::profile::{
    AbortOnFail, ArrivalLaw, BoundValue, DrillSpec, Each, ExecutorKind, IndicatorKind, Mix, ObjectiveSpec, ProfileFile,
    RateCounts, RecoverySpec, ScenarioSpec, StageSpec, StageTarget,
};
use slatest_faults::InjectSpec;
use slatest_faults::steps::HealBy;

fn spans() -> impl Strategy<Value = Span> {
    (1..100_000_000_u64).prop_map(|millis| Span(Nanos::from_millis(millis)))
}

fn rates() -> impl Strategy<Value = Rate> {
    (1..1_000_000_u32).prop_map(|n| Rate(f64::from(n) / 8.0))
}

fn maybe<T: std::fmt::Debug + Clone + 'static>(
    some: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Option<Located<T>>> {
    proptest::option::of(some.prop_map(Located::from))
}

fn stages() -> impl Strategy<Value = Vec<StageSpec>> {
    let target = prop_oneof![rates().prop_map(StageTarget::Rate), (0..1000_u64).prop_map(StageTarget::Users)];
    let stage =
        (spans(), target).prop_map(|(duration, target)| StageSpec { duration: duration.into(), target: target.into() });
    proptest::collection::vec(stage, 0..4)
}

fn scenarios() -> impl Strategy<Value = ScenarioSpec> {
    let executor = prop_oneof![
        Just(ExecutorKind::ConstantArrivalRate),
        Just(ExecutorKind::RampingArrivalRate),
        Just(ExecutorKind::ConstantVus),
        Just(ExecutorKind::RampingVus),
    ];
    let law = prop_oneof![Just(ArrivalLaw::Poisson), Just(ArrivalLaw::Uniform)];
    let counts = prop_oneof![Just(RateCounts::Arrivals), Just(RateCounts::Requests)];
    let mix = prop_oneof![Just(Mix::Weighted), Just(Mix::InTurn)];
    (
        ("[a-z][a-z0-9-]{0,8}", executor, maybe(law), mix, maybe(rates()), maybe(rates())),
        (maybe(1..99_u64), maybe(0..99_u64), proptest::option::of(spans()), maybe(spans()), maybe(stages())),
        (
            proptest::option::of(spans()),
            maybe(spans()),
            maybe(spans()),
            maybe(1..99_u64),
            maybe(1..99_u64),
            maybe(counts),
        ),
    )
        .prop_map(
            |(
                (workload, executor, arrivals, mix, rate, start_rate),
                (vus, start_vus, think, duration, stages),
                (start_after, warm_up, cool_down, max_in_flight, users, rate_counts),
            )| ScenarioSpec {
                workload: workload.into(),
                endpoint: None,
                executor: executor.into(),
                arrivals,
                mix,
                rate,
                start_rate,
                vus,
                start_vus,
                think,
                duration,
                stages,
                start_after,
                warm_up,
                cool_down,
                max_in_flight,
                users,
                rate_counts,
            },
        )
}

fn objectives() -> impl Strategy<Value = ObjectiveSpec> {
    let bound = prop_oneof![
        spans().prop_map(BoundValue::Duration),
        (1..9999_u32).prop_map(|n| BoundValue::Share(Percent(f64::from(n) / 10_000.0))),
        rates().prop_map(BoundValue::Rate),
    ];
    let kind = prop_oneof![
        Just(IndicatorKind::ResponseTime),
        Just(IndicatorKind::Timing),
        Just(IndicatorKind::ErrorRate),
        Just(IndicatorKind::Ratio),
        Just(IndicatorKind::Throughput),
    ];
    (
        "[ -~]{0,12}",
        "[ -~]{1,12}",
        proptest::option::of(Just(Each::Operation)),
        kind,
        maybe(0.001..0.999_f64),
        maybe(bound.clone()),
        maybe(bound),
        maybe(prop_oneof![any::<bool>().prop_map(AbortOnFail::Asked), spans().prop_map(AbortOnFail::After)]),
    )
        .prop_map(|(name, scope, each, indicator, quantile, below, above, abort_on_fail)| ObjectiveSpec {
            name: name.into(),
            scope: scope.into(),
            each,
            indicator: indicator.into(),
            timing: None,
            ratio: None,
            quantile,
            below,
            above,
            abort_on_fail,
        })
}

fn drills() -> impl Strategy<Value = DrillSpec> {
    let start = prop_oneof![
        spans().prop_map(|at| (Some(Located::from(at)), None, None)),
        (1..100_u64, proptest::option::of(spans()))
            .prop_map(|(windows, within)| { (None, Some(Located::from(windows)), within.map(Located::from)) }),
    ];
    let inject = prop_oneof![
        "[a-z-]{1,8}".prop_map(InjectSpec::Fault),
        "[a-z]{1,8}".prop_map(|pid_file| {
            let written = serde_json::json!({ "process": { "pid_file": pid_file, "signal": "stop" } });
            serde_json::from_value(written).expect("an injector")
        }),
    ];
    let heal = prop_oneof![Just(HealBy::Auto), Just(HealBy::Manual)];
    let hold = proptest::option::of(spans());
    let row = proptest::option::of(1..100_u64);
    ("[a-z]{1,6}", start, inject, hold, heal, spans(), row, "[a-z/*]{1,8}").prop_map(
        |(name, (at, after_steady, steady_within), inject, hold, heal, watch, row, scope)| DrillSpec {
            name: name.into(),
            at,
            after_steady,
            steady_within,
            inject: Located::from(inject),
            hold: hold.map(Located::from),
            heal,
            watch: watch.into(),
            restored_after: row.map(Located::from),
            scope: scope.into(),
        },
    )
}

fn recoveries() -> impl Strategy<Value = RecoverySpec> {
    let time = || proptest::option::of(spans().prop_map(Located::from));
    let scope = proptest::option::of("[a-z/*]{1,8}".prop_map(Located::from));
    ("[a-z]{1,6}", "[a-z]{1,6}", scope, time(), time(), proptest::option::of(0..9_u64)).prop_map(
        |(name, drill, scope, rto, rpo, lost)| RecoverySpec {
            name: name.into(),
            drill: drill.into(),
            scope,
            rto,
            rpo,
            lost_writes: lost.map(Located::from),
        },
    )
}

fn profiles() -> impl Strategy<Value = ProfileFile> {
    let scenarios = proptest::collection::btree_map("[a-z]{1,6}", scenarios().prop_map(Located::from), 0..4);
    let objectives = proptest::collection::vec(objectives().prop_map(Located::from), 0..4);
    let seed = proptest::option::of(any::<u64>());
    let drills = proptest::collection::vec(drills().prop_map(Located::from), 0..3);
    let recovery = proptest::collection::vec(recoveries().prop_map(Located::from), 0..3);
    let broken = (drills, recovery);
    (
        "[ -~]{1,20}",
        proptest::option::of("\\PC{0,40}"),
        seed,
        maybe(spans()),
        scenarios,
        objectives,
        any::<bool>(),
        broken,
    )
        .prop_map(|(name, description, seed, window, scenarios, objectives, production, (drills, recovery))| {
            ProfileFile {
                name: name.into(),
                description,
                seed,
                window,
                graceful_stop: None,
                on_agent_loss: None,
                on_coordinator_loss: None,
                production,
                scenarios: scenarios as BTreeMap<_, _>,
                objectives,
                drills,
                recovery,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_profile_survives_its_round_trip(profile in profiles()) {
        let text = serde_saphyr::to_string(&profile).expect("a profile can be written");
        let again: ProfileFile = Source::new("p.yaml", text.as_str(), "")
            .parse()
            .map_err(|problems| TestCaseError::fail(format!("{problems}\n{text}")))?;
        prop_assert_eq!(serde_json::to_value(&again).ok(), serde_json::to_value(&profile).ok(), "{}", text);
    }
}
