//! The plan of one step: one scenario of a profile at a steady rate, with the objectives that cover it.

use slatest_core::model::{Nanos, OperationId};
use slatest_engine::profile::{Aim, ExecutorPlan, ObjectivePlan, Plan, RateCounts, StagePlan};

/// Why there can be no step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// There is no such scenario.
    #[error("the profile `{profile}` has no scenario `{scenario}` on this target; there is {known}")]
    NoScenario {
        /// Name of the profile.
        profile: String,
        /// The scenario that was asked for.
        scenario: String,
        /// Those that there are.
        known: String,
    },
    /// It has users.
    #[error("the scenario `{0}` has users, not a rate: its capacity can't be searched by rate")]
    NoRate(String),
    /// Nothing says when a rate passes.
    #[error(
        "no objective of the profile tells whether `{0}` holds at a rate (throughput does not): nothing to search for"
    )]
    NoObjectives(String),
}

/// How much of a step passes before a failing objective may end it.
const ABORT_AFTER: Nanos = Nanos::from_secs(2);
/// Most operations under way at once, whatever the rate.
const IN_FLIGHT_MAX: u64 = 100_000;

/// The plan of one step: `scenario` alone at `rate` per second, sent for `warm_up` and then judged for
/// `judged`. What may be under way at once grows with the rate. Objectives on throughput are left out:
/// they ask for one rate. With the index of the scenario in `plan`, whose workload is the step's.
///
/// # Errors
/// When the scenario is not there, has no rate, or is covered by no objective.
pub fn step_plan(
    plan: &Plan,
    scenario: &str,
    rate: f64,
    warm_up: Nanos,
    judged: Nanos,
) -> Result<(Plan, usize), StepError> {
    let Some(index) = plan.scenarios.iter().position(|s| s.name == scenario) else {
        let known: Vec<&str> = plan.scenarios.iter().map(|s| s.name.as_str()).collect();
        return Err(StepError::NoScenario {
            profile: plan.profile.clone(),
            scenario: scenario.to_owned(),
            known: known.join(", "),
        });
    };
    let mut own = plan.scenarios[index].clone();
    let ExecutorPlan::Arrivals { law, stages } = &own.executor else {
        return Err(StepError::NoRate(scenario.to_owned()));
    };
    let peak = stages.iter().map(|stage| stage.from.max(stage.to)).fold(f64::MIN_POSITIVE, f64::max);
    let most = (own.max_in_flight as f64 * (rate / peak).max(1.0)) as u64;
    own.max_in_flight = most.min(IN_FLIGHT_MAX).max(own.max_in_flight);
    // The rate that is searched counts what the profile's counts.
    let arrivals = match own.rate_counts {
        RateCounts::Arrivals => rate,
        RateCounts::Requests => rate / own.requests_per_arrival(),
    };
    let stage = StagePlan { duration: warm_up + judged, from: arrivals, to: arrivals };
    own.executor = ExecutorPlan::Arrivals { law: *law, stages: vec![stage] };
    (own.start, own.warm_up, own.cool_down) = (Nanos::ZERO, warm_up, Nanos::ZERO);

    let first = own.first_operation.index();
    let mut operations: Vec<_> = plan.operations.iter().filter(|o| o.scenario == index).cloned().collect();
    operations.iter_mut().for_each(|operation| operation.scenario = 0);
    own.first_operation = OperationId(0);
    let inside = first..first + operations.len();
    let objectives: Vec<ObjectivePlan> = plan.objectives.iter().filter_map(|o| narrowed(o, &inside)).collect();
    if objectives.is_empty() {
        return Err(StepError::NoObjectives(scenario.to_owned()));
    }
    let step =
        Plan { scenarios: vec![own], operations, objectives, drills: Vec::new(), left_out: Vec::new(), ..plan.clone() };
    Ok((step, index))
}

/// The objective over those of its operations that lie in a range, which then begins at zero; none where
/// there are none, or where it asks for one rate.
fn narrowed(objective: &ObjectivePlan, inside: &std::ops::Range<usize>) -> Option<ObjectivePlan> {
    let kept: Vec<usize> = objective
        .operations
        .iter()
        .enumerate()
        .filter(|(_, operation)| inside.contains(&operation.index()))
        .map(|(position, _)| position)
        .collect();
    if kept.is_empty() {
        return None;
    }
    let of = |list: &[usize]| kept.iter().filter_map(|&position| list.get(position).copied()).collect();
    let aim = match &objective.aim {
        Aim::Quantile { of: name, thresholds, quantile, below } => {
            Aim::Quantile { of: name.clone(), thresholds: of(thresholds), quantile: *quantile, below: *below }
        }
        Aim::ErrorRate { below } => Aim::ErrorRate { below: *below },
        Aim::Ratio { of: name, ratios, above } => Aim::Ratio { of: name.clone(), ratios: of(ratios), above: *above },
        Aim::Throughput { .. } => return None,
    };
    let operations = kept
        .iter()
        .filter_map(|&position| objective.operations.get(position))
        .filter_map(|operation| u16::try_from(operation.index() - inside.start).ok().map(OperationId))
        .collect();
    Some(ObjectivePlan { operations, aim, abort_after: Some(ABORT_AFTER), ..objective.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_engine::record::sample;

    #[test]
    fn a_step_holds_one_scenario_and_what_covers_it() {
        let plan = sample::plan();
        let name = &plan.scenarios[0].name;
        let (step, index) = step_plan(&plan, name, 1_234.0, Nanos::from_secs(2), Nanos::from_secs(8)).unwrap();
        assert_eq!((index, step.scenarios.len()), (0, 1));
        let own = &step.scenarios[0];
        assert_eq!(own.judged_length(), Nanos::from_secs(8));
        assert!(own.executor.stages().iter().all(|s| s.from == 1_234.0 && s.to == 1_234.0));
        assert!(step.operations.iter().all(|o| o.address.starts_with(&format!("{name}/")) && o.scenario == 0));
        assert!(!step.objectives.is_empty());
        for objective in &step.objectives {
            assert!(objective.operations.iter().all(|o| o.index() < step.operations.len()));
            if let Aim::Quantile { thresholds, .. } = &objective.aim {
                assert_eq!(thresholds.len(), objective.operations.len());
            }
            assert!(!matches!(objective.aim, Aim::Throughput { .. }));
        }
    }

    #[test]
    fn the_last_scenario_of_a_plan_begins_at_its_own_operations() {
        let plan = sample::plan();
        let last = plan.scenarios.last().unwrap();
        match step_plan(&plan, &last.name, 10.0, Nanos::ZERO, Nanos::from_secs(1)) {
            Ok((step, index)) => {
                assert_eq!(index, plan.scenarios.len() - 1);
                let own = &plan.operations[last.first_operation.index()..];
                assert_eq!(step.operations.len(), own.len());
                assert_eq!(step.operations[0].address, own[0].address);
            }
            Err(error) => assert!(matches!(error, StepError::NoRate(_) | StepError::NoObjectives(_)), "{error}"),
        }
    }

    #[test]
    fn an_unknown_scenario_is_told_with_the_known_ones() {
        let plan = sample::plan();
        let error = step_plan(&plan, "nope", 1.0, Nanos::ZERO, Nanos::from_secs(1)).unwrap_err();
        assert!(error.to_string().contains(&plan.scenarios[0].name), "{error}");
    }
}
