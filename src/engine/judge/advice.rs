//! What is said of an objective that can't be told, and what it would take.

use std::time::Duration;

use super::objective::Tried;
use crate::model::Nanos;
use crate::objective::{samples_for_power, samples_to_tell, samples_without_bad, worth_of_one};
use crate::profile::{Plan, ScenarioPlan};

/// The longest run that is still advised.
const SENSIBLE: Nanos = Nanos::from_secs(24 * 3_600);

/// Why there is no verdict although there are samples, and how long a run would have to be for one
/// at the measured rate, counting samples for what they were worth.
pub(super) fn undecided(plan: &Plan, tried: &Tried<'_>) -> String {
    let judged = &tried.judged;
    let (Some(limit), samples @ 1..) = (tried.limit(), judged.samples) else { return "nothing was measured".into() };
    let bad = judged.bad;
    // Where nothing was bad, each counts for one.
    let worth = if bad == 0 { 1.0 } else { worth_of_one(judged.deff.unwrap_or(1.0)) };
    let lasting = |independent: u64| length(plan, tried, independent as f64 / worth / samples as f64);
    let said = |length: Nanos| humantime::format_duration(Duration::from_secs_f64(length.as_secs_f64().ceil()));
    if bad == 0 {
        let (fewest, enough) = (samples_without_bad(limit), samples_for_power(limit));
        let (at_least, sure) = (lasting(fewest), lasting(enough));
        if at_least > SENSIBLE {
            return format!(
                "too few samples for a verdict: none of {samples} is bad, but a pass takes {fewest}, which no run of a \
                 day has at this rate: raise the rate, or ask less"
            );
        }
        return format!(
            "too few samples for a verdict: none of {samples} is bad, but a pass takes {fewest}: at this rate a run of \
             {} at least; {} passes a target twice as good as asked nine times in ten",
            said(at_least),
            said(sure),
        );
    }
    let share = bad as f64 / samples as f64;
    match samples_to_tell(limit, share).map(|enough| (enough, lasting(enough))) {
        Some((enough, length)) if length <= SENSIBLE => {
            let end = if share < limit { "pass" } else { "fail" };
            format!(
                "too few samples for a verdict: {bad} of {samples} are bad; were that the truth, about {} would {end} \
                 nine times in ten: at this rate a run of {}",
                round(enough as f64 / worth),
                said(length),
            )
        }
        _ => format!(
            "at its limit: {bad} of {samples} are bad, which is neither shown to be within the bound nor beyond it, and \
             no run of a day would tell"
        ),
    }
}

/// Up to three digits.
fn round(count: f64) -> u64 {
    let unit = 10_f64.powf((count.max(1.0).log10().floor() - 2.0).max(0.0));
    ((count / unit).ceil() * unit) as u64
}

/// How long the plan would last if what is judged of it were so many times as long.
fn length(plan: &Plan, tried: &Tried<'_>, times: f64) -> Nanos {
    let whole = plan.scenarios.iter().map(ScenarioPlan::end).max().unwrap_or_default();
    let scope = tried.objective.operations.iter().filter_map(|id| plan.operations.get(id.index()));
    let planned = scope
        .filter_map(|operation| plan.scenarios.get(operation.scenario))
        .map(|scenario| scenario.end() - scenario.cool_down)
        .max()
        .unwrap_or(whole);
    // What is not judged (warm-up, cool-down, others' time) stays as it is.
    let rest = whole - (planned - tried.from);
    let secs = (tried.to - tried.from).as_secs_f64() * times;
    Nanos::from_secs_f64(secs.min(1e9)) + rest
}

/// `p95`, `p99.9`.
pub(super) fn quantile_name(quantile: f64) -> String {
    format!("p{}", (quantile * 100.0 * 1e6).round() / 1e6)
}
