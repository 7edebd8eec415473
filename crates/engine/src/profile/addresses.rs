//! How many source addresses a plan needs where something in front of an endpoint counts what each sends.

use std::collections::BTreeMap;

use super::file::Mix;
use super::plan::{ExecutorPlan, Plan, PlanStep, ScenarioPlan};
use crate::profile::Target;
use slatest_core::model::Nanos;
use slatest_core::schedule::{Curve, Planned, StagePlan};
use slatest_core::target::{Counted, SourceLimit};

/// What a plan asks of an endpoint that limits what one address may send.
#[derive(Clone, Debug, PartialEq)]
pub struct AddressNeed {
    /// Name of the endpoint.
    pub endpoint: String,
    /// What one address may send to it.
    pub limit: SourceLimit,
    /// What is counted: `requests`, or `connections` of a WebSocket.
    pub counted: &'static str,
    /// The most that is planned within any time of the limit's length: expected arrivals with the steps
    /// of their flows; of virtual users that pause, what they send were every answer to come at once.
    pub most: f64,
    /// Where the first such time starts, from the run's zero.
    pub busiest_from: Nanos,
    /// Addresses that this takes, 1 at least: `most` through the limit, rounded up.
    pub addresses: u64,
    /// Scenarios whose users never pause: how much these send is the target's to say, and not in `most`.
    pub unknown: Vec<String>,
}

/// What a plan asks of each endpoint of its target that declares a `source_limit` and is used, by name.
pub fn addresses_needed(plan: &Plan, target: &Target) -> Vec<AddressNeed> {
    let needs = target.endpoints.iter().filter_map(|(name, endpoint)| {
        let (limit, counted) = endpoint.source_limit()?;
        let scenarios: Vec<&ScenarioPlan> = plan.scenarios.iter().filter(|s| s.endpoint == *name).collect();
        if scenarios.is_empty() {
            return None;
        }
        let mut planned = Planned::default();
        let mut unknown = Vec::new();
        for scenario in scenarios {
            match counted {
                Counted::Connections => plan_connections(scenario, &mut planned),
                Counted::Requests => {
                    if !plan_requests(scenario, &mut planned) {
                        unknown.push(scenario.name.clone());
                    }
                }
            }
        }
        let (most, from) = planned.most_within(limit.per.0.as_secs_f64());
        // The integrals are sums of roundings: what is whole but for these is whole.
        let addresses = (most / limit.requests.get() as f64 * (1.0 - 1e-9)).ceil().max(1.0) as u64;
        Some(AddressNeed {
            endpoint: name.clone(),
            limit,
            counted: counted.as_str(),
            most,
            busiest_from: Nanos::from_secs_f64(from.max(0.0)),
            addresses,
            unknown,
        })
    });
    needs.collect()
}

/// Lays the stages out from a start on, every value times `factor`.
fn lay(planned: &mut Planned, start: Nanos, stages: &[StagePlan], factor: f64) {
    let mut at = start;
    for stage in stages {
        let end = at + stage.duration;
        planned.line(at.as_secs_f64(), end.as_secs_f64(), stage.from * factor, stage.to * factor);
        at = end;
    }
}

/// Executions per arrival, by how long after it they begin at the earliest, and how long all the pauses
/// of an arrival's flow take on average.
fn executions(scenario: &ScenarioPlan) -> (BTreeMap<Nanos, f64>, f64) {
    let weight = |weight: f64| if scenario.mix == Mix::Weighted { weight } else { 1.0 };
    let whole: f64 = scenario.items.iter().map(|item| weight(item.weight)).sum();
    let mut after: BTreeMap<Nanos, f64> = BTreeMap::new();
    let mut pauses = 0.0;
    for item in &scenario.items {
        let share = weight(item.weight) / whole;
        let mut paused = Nanos::ZERO;
        for step in &item.steps {
            match step {
                PlanStep::Operation(_) => *after.entry(paused).or_default() += share,
                PlanStep::Think(length) => paused += *length,
            }
        }
        pauses += share * paused.as_secs_f64();
    }
    (after, pauses)
}

/// Plans a scenario's requests; false when nobody can know how many there will be.
fn plan_requests(scenario: &ScenarioPlan, planned: &mut Planned) -> bool {
    let (after, pauses) = executions(scenario);
    plan_once(scenario, planned);
    match &scenario.executor {
        ExecutorPlan::Arrivals { stages, .. } => {
            for (paused, per_arrival) in after {
                lay(planned, scenario.start + paused, stages, per_arrival);
            }
            true
        }
        ExecutorPlan::Users { stages, think } => {
            let cycle = think.as_secs_f64() + pauses;
            if cycle > 0.0 {
                lay(planned, scenario.start, stages, after.values().sum::<f64>() / cycle);
            }
            cycle > 0.0
        }
    }
}

/// Plans what each user does once: over the warm-up, or all at the start.
fn plan_once(scenario: &ScenarioPlan, planned: &mut Planned) {
    let steps = scenario.once.iter().filter(|step| matches!(step, PlanStep::Operation(_))).count();
    let all = scenario.users.unwrap_or_default() as f64 * steps as f64;
    let (start, length) = (scenario.start.as_secs_f64(), scenario.warm_up.as_secs_f64());
    if all > 0.0 && length > 0.0 {
        planned.line(start, start + length, all / length, all / length);
    } else if all > 0.0 {
        planned.lot(start, all);
    }
}

/// Plans a scenario's connections: of sessions all at the start, of users as they come, of arrivals one
/// each until as many are open as may be.
fn plan_connections(scenario: &ScenarioPlan, planned: &mut Planned) {
    match (&scenario.executor, scenario.users) {
        (ExecutorPlan::Arrivals { .. }, Some(users)) => planned.lot(0.0, users as f64),
        (ExecutorPlan::Arrivals { stages, .. }, None) => {
            let full = Curve::new(stages).instant_of(scenario.max_in_flight as f64);
            let mut left = full.unwrap_or(Nanos::MAX);
            let mut at = scenario.start;
            for stage in stages {
                let length = stage.duration.min(left);
                let share = length.as_secs_f64() / stage.duration.as_secs_f64().max(f64::MIN_POSITIVE);
                let to = (stage.to - stage.from).mul_add(share, stage.from);
                lay(planned, at, &[StagePlan { duration: length, from: stage.from, to }], 1.0);
                at += length;
                left = left - length;
            }
        }
        (ExecutorPlan::Users { stages, .. }, _) => {
            let mut at = scenario.start;
            let mut users = 0.0;
            for stage in stages {
                planned.lot(at.as_secs_f64(), stage.from - users);
                let secs = stage.duration.as_secs_f64();
                let end = at + stage.duration;
                if stage.to > stage.from && secs > 0.0 {
                    let rate = (stage.to - stage.from) / secs;
                    planned.line(at.as_secs_f64(), end.as_secs_f64(), rate, rate);
                }
                (at, users) = (end, stage.to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::MixItem;

    use slatest_core::schedule::ArrivalLaw;
    use slatest_core::source::Source;

    fn target(limit: &str) -> Target {
        let text = format!(
            "name: t\nenvironment: staging\nallow: {{ hosts: [h] }}\nendpoints:\n  api: {{ http: \"http://h\", source_limit: {limit} }}\n  sync: {{ websocket: \"ws://h\", source_limit: {limit} }}\n  free: {{ http: \"http://h\" }}\n"
        );
        Source::new("targets/t.yaml", text, "targets").parse().unwrap()
    }

    fn stage(secs: u64, from: f64, to: f64) -> StagePlan {
        StagePlan { duration: Nanos::from_secs(secs), from, to }
    }

    fn arrivals(stages: Vec<StagePlan>) -> ExecutorPlan {
        ExecutorPlan::Arrivals { law: ArrivalLaw::Poisson, stages }
    }

    fn users(stages: Vec<StagePlan>, think: u64) -> ExecutorPlan {
        ExecutorPlan::Users { stages, think: Nanos::from_secs(think) }
    }

    fn item(weight: f64, steps: &[PlanStep]) -> MixItem {
        MixItem { weight, steps: steps.to_vec(), flow: None }
    }

    fn scenario(endpoint: &str, executor: ExecutorPlan) -> ScenarioPlan {
        ScenarioPlan {
            name: format!("on-{endpoint}"),
            max_in_flight: 1000,
            items: vec![item(1.0, &[PlanStep::Operation(0)])],
            ..ScenarioPlan::sample(endpoint, executor)
        }
    }

    fn plan(scenarios: Vec<ScenarioPlan>) -> Plan {
        Plan { graceful_stop: Nanos::from_secs(30), ..Plan::sample(scenarios, vec![]) }
    }

    fn one(scenarios: Vec<ScenarioPlan>, limit: &str) -> AddressNeed {
        let needs = addresses_needed(&plan(scenarios), &target(limit));
        assert_eq!(needs.len(), 1, "{needs:?}");
        needs.into_iter().next().unwrap()
    }

    #[test]
    fn the_busiest_five_minutes_of_the_peak_take_twenty_addresses() {
        let peak = arrivals(vec![stage(20, 0.0, 300.0), stage(120, 300.0, 300.0)]);
        let need = one(vec![scenario("api", peak)], "{ requests: 2000, per: 5m }");
        // A ramp of 3,000 and a plateau of 36,000, all within five minutes.
        assert!((need.most - 39_000.0).abs() < 1e-6, "{need:?}");
        assert_eq!((need.addresses, need.counted), (20, "requests"));
        // Whole but for roundings: 300/s for 5 minutes are 90,000, 45 times 2,000.
        let steady = scenario("api", arrivals(vec![stage(3_000, 300.0, 300.0)]));
        assert_eq!(one(vec![steady], "{ requests: 2000, per: 5m }").addresses, 45);
    }

    #[test]
    fn scenarios_on_one_endpoint_and_the_steps_of_flows_add_up() {
        let think = PlanStep::Think(Nanos::from_secs(1000));
        let mut flows = scenario("api", arrivals(vec![stage(100, 10.0, 10.0)]));
        flows.items = vec![
            item(3.0, &[PlanStep::Operation(0)]),
            item(1.0, &[PlanStep::Operation(0), PlanStep::Operation(1), think, PlanStep::Operation(2)]),
        ];
        let plain = scenario("api", arrivals(vec![stage(100, 1.0, 1.0)]));
        let free = scenario("free", arrivals(vec![stage(100, 999.0, 999.0)]));
        // 10/s · (¾ · 1 + ¼ · 2) + 1/s in the same 100 s; the flow's last step comes 1,000 s later.
        let need = one(vec![flows, plain, free], "{ requests: 100, per: 100s }");
        assert!((need.most - 1_350.0).abs() < 1e-6, "{need:?}");
        assert_eq!(need.addresses, 14);
    }

    #[test]
    fn users_that_pause_send_so_many_at_most_and_others_nobody_knows() {
        let pausing = scenario("api", users(vec![stage(60, 50.0, 50.0)], 2));
        let restless = scenario("api", users(vec![stage(60, 50.0, 50.0)], 0));
        let need = one(vec![pausing, restless], "{ requests: 100, per: 10s }");
        assert!((need.most - 250.0).abs() < 1e-6, "{need:?}");
        assert_eq!((need.addresses, need.unknown), (3, vec!["on-api".to_owned()]));
    }

    #[test]
    fn a_websocket_counts_connections() {
        let limit = "{ requests: 100, per: 10s }";
        let mut sessions = scenario("sync", arrivals(vec![stage(60, 50.0, 50.0)]));
        sessions.users = Some(1_000);
        assert_eq!(one(vec![sessions], limit).addresses, 10);
        // One for each arrival until 300 are open.
        let mut open = scenario("sync", arrivals(vec![stage(60, 50.0, 50.0)]));
        open.max_in_flight = 300;
        let need = one(vec![open], limit);
        assert!((need.most - 300.0).abs() < 1e-6 && need.counted == "connections", "{need:?}");
        // 40 at once, 600 over a minute, and after the pause those that come again.
        let coming = users(vec![stage(60, 40.0, 640.0), stage(60, 0.0, 0.0), stage(10, 500.0, 500.0)], 1);
        let need = one(vec![scenario("sync", coming)], limit);
        assert!((need.most - 500.0).abs() < 1e-6, "{need:?}");
        let need = one(vec![scenario("sync", users(vec![stage(60, 40.0, 640.0)], 1))], limit);
        assert!((need.most - 140.0).abs() < 1e-6 && need.addresses == 2, "{need:?}");
    }

    #[test]
    fn where_nothing_is_limited_nothing_is_asked() {
        let free = scenario("free", arrivals(vec![stage(100, 999.0, 999.0)]));
        assert_eq!(addresses_needed(&plan(vec![free]), &target("{ requests: 1, per: 1s }")), []);
    }
}
