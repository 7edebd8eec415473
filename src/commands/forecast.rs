//! What a plan will yield, before anything is sent: arrivals, samples per objective, and whether
//! these can conclude.

use slatest_core::model::{Nanos, OperationId};
use slatest_core::schedule::Curve;
use slatest_engine::profile::{Aim, ExecutorPlan, ObjectivePlan, Plan, ScenarioPlan};
use slatest_stats::{POWER, Reading, chance_of_pass, samples_for_power, samples_without_bad, worth_of_one};

/// Expected arrivals of a scenario: all, and those judged. None in the closed model, whose number of
/// arrivals is the target's to say.
pub fn arrivals(scenario: &ScenarioPlan) -> Option<(f64, f64)> {
    let ExecutorPlan::Arrivals { stages, .. } = &scenario.executor else { return None };
    let curve = Curve::new(stages);
    let judged = curve.integral_to(curve.duration() - scenario.cool_down) - curve.integral_to(scenario.warm_up);
    Some((curve.total(), judged.max(0.0)))
}

/// Whether an objective can be told from the samples that it will get.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outlook {
    /// A target that is twice as good as asked passes at least nine times in ten.
    Good,
    /// It passes with this chance.
    Chance(f64),
    /// Too few samples for a pass, even with no bad one.
    Never,
    /// More per second is asked than is sent.
    Slower,
    /// The number of samples is not known: users start again when they are done.
    Unknown,
}

/// What to expect of one objective, or of one operation of it where each is judged by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Name of the objective.
    pub name: String,
    /// The scope, or the operation's address.
    pub scope: String,
    /// What is compared with what: `p95 response_time < 500 ms`.
    pub must_hold: String,
    /// Samples to expect.
    pub samples: Option<u64>,
    /// Fewest samples for a pass, with no bad one; none where samples are not what decides.
    pub fewest: Option<u64>,
    /// Fewest samples that pass a target at half the limit nine times in ten, if they are independent.
    pub enough: Option<u64>,
    /// Whether they will do.
    pub outlook: Outlook,
    /// How long the whole run would have to last for `fewest` and for `enough` at these rates, when
    /// it is too short.
    pub lengths: Option<(Nanos, Nanos)>,
}

/// What to expect of every objective of a plan, in its order.
pub fn forecasts(plan: &Plan) -> Vec<Forecast> {
    let each = |objective: &ObjectivePlan| -> Vec<Forecast> {
        if !objective.each {
            return vec![forecast(plan, objective, objective.scope.clone(), &objective.operations)];
        }
        let address = |id: &OperationId| plan.operations.get(id.index()).map_or("", |o| &o.address).to_owned();
        objective.operations.iter().map(|id| forecast(plan, objective, address(id), &[*id])).collect()
    };
    plan.objectives.iter().flat_map(each).collect()
}

fn forecast(plan: &Plan, objective: &ObjectivePlan, scope: String, operations: &[OperationId]) -> Forecast {
    let mut samples = Some(0.0);
    let mut rate = 0.0;
    let mut judged_length = Nanos::ZERO;
    for operation in operations.iter().filter_map(|id| plan.operations.get(id.index())) {
        let Some(scenario) = plan.scenarios.get(operation.scenario) else { continue };
        let expected = arrivals(scenario).map(|(_, judged)| judged * operation.share);
        judged_length = judged_length.max(scenario.judged_length());
        rate += expected.unwrap_or(0.0) / scenario.judged_length().as_secs_f64().max(1e-9);
        samples = samples.zip(expected).map(|(sum, more)| sum + more);
    }
    let (must_hold, limit) = match &objective.aim {
        Aim::Quantile { of, quantile, below, .. } => {
            let name = (quantile * 100.0 * 1e6).round() / 1e6;
            (format!("p{name} {of} < {below}"), Some(1.0 - quantile))
        }
        Aim::ErrorRate { below } => (format!("error_rate < {}", Reading::Share(*below)), Some(*below)),
        Aim::Ratio { of, above, .. } => (format!("{of} > {}", Reading::Share(*above)), Some(1.0 - above)),
        Aim::Throughput { above } => (format!("throughput > {}", Reading::Rate(*above)), None),
    };
    let counted = samples.map(|n| n.round() as u64);
    let mut forecast = Forecast {
        name: objective.name.clone(),
        scope,
        must_hold,
        samples: counted,
        fewest: limit.map(samples_without_bad),
        enough: limit.map(|limit| (samples_for_power(limit) as f64 / worth_of_one(1.0)).ceil() as u64),
        outlook: Outlook::Unknown,
        lengths: None,
    };
    forecast.outlook = match (&objective.aim, counted, limit) {
        (_, None, _) => Outlook::Unknown,
        (Aim::Throughput { above }, ..) if rate <= *above => Outlook::Slower,
        (_, Some(n), Some(limit)) => {
            let chance = chance(n, limit);
            let fewest = forecast.fewest.unwrap_or(0);
            // A saw: beyond `enough` the chance may be a hair below what it was there.
            match n {
                n if n < fewest => Outlook::Never,
                n if chance >= POWER || forecast.enough.is_some_and(|enough| n >= enough) => Outlook::Good,
                _ => Outlook::Chance(chance),
            }
        }
        (_, Some(_), None) => Outlook::Good,
    };
    if let (Outlook::Never | Outlook::Chance(_), Some(n), Some(fewest), Some(enough)) =
        (forecast.outlook, samples, forecast.fewest, forecast.enough)
        && n > 0.0
    {
        let rest = plan.end() - judged_length;
        let lasting = |wanted: u64| {
            // Up to a whole second: what is said must be enough.
            let secs = (judged_length.as_secs_f64() * wanted as f64 / n + rest.as_secs_f64()).ceil();
            Nanos::from_secs_f64(secs)
        };
        forecast.lengths = Some((lasting(fewest).max(plan.end()), lasting(enough)));
    }
    forecast
}

/// Chance that `n` samples pass a target that is twice as good as asked, if they are independent: by
/// the exact test with what they are worth, or because none of them is bad.
fn chance(n: u64, limit: f64) -> f64 {
    let share = limit / 2.0;
    let worth = (n as f64 * worth_of_one(1.0)) as u64;
    let none_bad = if n < samples_without_bad(limit) { 0.0 } else { (n as f64 * (-share).ln_1p()).exp() };
    chance_of_pass(worth, limit, share).max(none_bad)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use slatest_core::schedule::ArrivalLaw;
    use slatest_engine::profile::{Mix, OperationPlan, RateCounts, StagePlan};

    fn stage(secs: u64, from: f64, to: f64) -> StagePlan {
        StagePlan { duration: Nanos::from_secs(secs), from, to }
    }

    fn scenario(name: &str, executor: ExecutorPlan, warm_up: u64, first: u16) -> ScenarioPlan {
        ScenarioPlan {
            name: name.into(),
            workload: format!("{name}-workload"),
            endpoint: name.into(),
            driver: "http".into(),
            executor,
            mix: Mix::Weighted,
            start: Nanos::ZERO,
            warm_up: Nanos::from_secs(warm_up),
            cool_down: Nanos::ZERO,
            max_in_flight: 1_000,
            users: (name == "users").then_some(50),
            once: vec![],
            rate_counts: RateCounts::Arrivals,
            places: slatest_core::schedule::Places::UNBOUNDED,
            first_operation: OperationId(first),
            items: Vec::new(),
        }
    }

    fn operation(scenario: usize, address: &str, share: f64) -> OperationPlan {
        OperationPlan { scenario, timeout: Nanos::from_secs(5), share, ..OperationPlan::sample(address) }
    }

    fn objective(name: &str, operations: &[u16], each: bool, aim: Aim) -> ObjectivePlan {
        let operations = operations.iter().map(|&id| OperationId(id)).collect();
        ObjectivePlan { name: name.into(), scope: "api/*".into(), operations, each, aim, abort_after: None }
    }

    fn p95() -> Aim {
        Aim::Quantile {
            of: "response_time".into(),
            thresholds: vec![0, 0],
            quantile: 0.95,
            below: Nanos::from_millis(500),
        }
    }

    /// 100/s for 40 s after a ramp of 20 s, and 50 users beside it.
    pub(in crate::commands) fn plan() -> Plan {
        let stages = vec![stage(20, 0.0, 100.0), stage(40, 100.0, 100.0)];
        let users = vec![stage(60, 50.0, 50.0)];
        Plan {
            profile: "night".into(),
            description: Some("What the night run does".into()),
            seed: 7,
            window: Nanos::from_secs(1),
            graceful_stop: Nanos::from_secs(30),
            on_agent_loss: Default::default(),
            on_coordinator_loss: Default::default(),
            scenarios: vec![
                scenario("api", ExecutorPlan::Arrivals { law: ArrivalLaw::Poisson, stages }, 20, 0),
                scenario("users", ExecutorPlan::Users { stages: users, think: Nanos::from_secs(1) }, 0, 3),
            ],
            operations: vec![
                operation(0, "api/list", 0.9),
                operation(0, "api/create", 0.09),
                operation(0, "api/rare", 0.01),
                operation(1, "users/edit", 1.0),
            ],
            objectives: vec![
                objective("p95", &[0, 1, 2], true, p95()),
                objective("errors", &[0, 1, 2], false, Aim::ErrorRate { below: 0.001 }),
                objective("hits", &[3], false, Aim::Ratio { of: "hit_rate".into(), ratios: vec![0], above: 0.9 }),
                objective("enough", &[0, 1, 2], false, Aim::Throughput { above: 99.0 }),
                objective("more", &[0, 1, 2], false, Aim::Throughput { above: 101.0 }),
            ],
            drills: vec![],
            left_out: vec![("queue".into(), "the target `sandbox` has no `queue`: no AMQP broker".into())],
        }
    }

    #[test]
    fn arrivals_are_the_integral_and_only_what_is_judged_counts() {
        let plan = plan();
        let (all, judged) = arrivals(&plan.scenarios[0]).unwrap();
        assert!((all - 5_000.0).abs() < 1e-6 && (judged - 4_000.0).abs() < 1e-6, "{all} {judged}");
        assert_eq!(arrivals(&plan.scenarios[1]), None);
    }

    #[test]
    fn outlooks_follow_from_the_samples() {
        let plan = plan();
        let all = forecasts(&plan);
        let short: Vec<_> = all.iter().map(|f| (f.scope.as_str(), f.samples, f.fewest, f.enough)).collect();
        assert_eq!(short[0], ("api/list", Some(3_600), Some(59), Some(596)));
        assert_eq!(short[2], ("api/rare", Some(40), Some(59), Some(596)));
        assert_eq!(short[3], ("api/*", Some(4_000), Some(2_995), Some(29_995)));
        assert_eq!((short[4].1, short[4].2), (None, Some(29)));
        assert_eq!(all[0].outlook, Outlook::Good);
        assert!(matches!(all[1].outlook, Outlook::Chance(c) if c > 0.5 && c < 0.9), "{:?}", all[1].outlook);
        assert_eq!(all[2].outlook, Outlook::Never);
        assert!(matches!(all[3].outlook, Outlook::Chance(c) if c < 0.5), "{:?}", all[3].outlook);
        assert_eq!(all[4].outlook, Outlook::Unknown);
        assert_eq!((all[5].outlook, all[6].outlook), (Outlook::Good, Outlook::Slower));
    }

    #[test]
    fn a_run_as_long_as_is_said_is_long_enough() {
        let mut plan = plan();
        let (fewest, enough) = forecasts(&plan)[2].lengths.unwrap();
        // 40 samples in 40 s, and 20 s that are not judged.
        assert_eq!((fewest, enough), (Nanos::from_secs(79), Nanos::from_secs(616)));
        for (wanted, length) in [(59, fewest), (596, enough)] {
            let ExecutorPlan::Arrivals { stages, .. } = &mut plan.scenarios[0].executor else { unreachable!() };
            stages[1].duration = length - Nanos::from_secs(20);
            assert_eq!(forecasts(&plan)[2].samples, Some(wanted));
        }
        assert_eq!(forecasts(&plan)[2].outlook, Outlook::Good);
    }
}
