//! What a target allows, held against what a plan asks.

use super::plan::{ExecutorPlan, ScenarioPlan};
use super::scenario::ResolveContext;
use slatest_core::model::{Nanos, Problems};
use slatest_core::schedule::Curve;

/// Refuses what the target doesn't allow.
pub(super) fn check(ground: &ResolveContext<'_>, scenarios: &[ScenarioPlan], problems: &mut Problems) {
    check_rate(ground, scenarios, problems);
    check_users(ground, scenarios, problems);
}

/// No more users than the target allows.
fn check_users(ground: &ResolveContext<'_>, scenarios: &[ScenarioPlan], problems: &mut Problems) {
    let Some(allowed) = ground.target.allow.max_users else { return };
    let users: u64 = scenarios.iter().map(users).fold(0, u64::saturating_add);
    if users > allowed.get() {
        let message = format!(
            "the profile `{}` has {users} users over all scenarios; this target allows {allowed}",
            ground.profile.name
        );
        let problem = ground.target_source.problem_at(&ground.target.allow, "allow.max_users", message);
        problems.0.push(problem.with_help("lower them in the profile or with --scale, or ask whoever owns the target"));
    }
}

/// The users that a scenario says it has, virtual ones at their most.
fn users(scenario: &ScenarioPlan) -> u64 {
    match (&scenario.executor, scenario.users) {
        (ExecutorPlan::Users { stages, .. }, _) => Curve::new(stages).peak().ceil() as u64,
        (ExecutorPlan::Arrivals { .. }, users) => users.unwrap_or_default(),
    }
}

/// The plan's peak must not be above what the target allows, the steps of flows included. Rates are straight lines, so
/// their sum peaks where one of them bends.
fn check_rate(ground: &ResolveContext<'_>, scenarios: &[ScenarioPlan], problems: &mut Problems) {
    let Some(allowed) = ground.target.allow.max_rate else { return };
    let peak = peak_rate(scenarios);
    if peak > allowed.0 * (1.0 + 1e-9) {
        let message = format!(
            "the profile `{}` reaches {:.0} requests/s over all scenarios; this target allows {allowed}",
            ground.profile.name, peak
        );
        let problem = ground.target_source.problem_at(&ground.target.allow, "allow.max_rate", message);
        problems.0.push(problem.with_help("lower it with --scale or --rate, or ask whoever owns the target"));
    }
}

/// The highest sum of all rates, in requests per second: arrivals times the steps of an average one.
pub fn peak_rate(scenarios: &[ScenarioPlan]) -> f64 {
    let pieces: Vec<(Nanos, Nanos, f64, f64)> = scenarios
        .iter()
        .filter_map(|scenario| match &scenario.executor {
            ExecutorPlan::Arrivals { stages, .. } => Some((scenario.start, stages, scenario.requests_per_arrival())),
            ExecutorPlan::Users { .. } => None,
        })
        .flat_map(|(start, stages, requests)| {
            stages.iter().scan(start, move |at, stage| {
                let from = *at;
                *at += stage.duration;
                Some((from, *at, stage.from * requests, stage.to * requests))
            })
        })
        .collect();
    let value = |&(start, end, from, to): &(Nanos, Nanos, f64, f64), at: Nanos| {
        let share = (at - start).as_secs_f64() / (end - start).as_secs_f64().max(f64::MIN_POSITIVE);
        (to - from).mul_add(share.clamp(0.0, 1.0), from)
    };
    let bends = pieces.iter().flat_map(|&(start, end, ..)| [start, end]);
    bends
        .map(|at| {
            // Just after the bend and just before it: a rate may jump there.
            let after = pieces.iter().filter(|p| p.0 <= at && at < p.1).map(|p| value(p, at)).sum::<f64>();
            let before = pieces.iter().filter(|p| p.0 < at && at <= p.1).map(|p| value(p, at)).sum::<f64>();
            after.max(before)
        })
        .fold(0.0, f64::max)
}
