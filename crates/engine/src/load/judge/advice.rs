//! What is said of an objective that can't be told, and what it would take.

use std::time::Duration;

use super::incidents::Incident;
use super::objective::Tried;
use crate::profile::Plan;
use slatest_core::model::Nanos;
use slatest_stats::{fewest_for_pass, samples_for_power, samples_to_tell, samples_without_bad, worth_of_one};

/// The longest run that is still advised.
const SENSIBLE: Nanos = Nanos::from_secs(24 * 3_600);

/// Fewer samples than these say nothing of the share that more of them would show.
const SAMPLES_FEW: u64 = 10;
/// From this design effect on, bad samples come together.
const DEFF_HIGH: f64 = 5.0;

/// Why there is no verdict although there are samples, and how long a run would have to be for one
/// at the measured rate, counting samples for what they are worth.
pub(super) fn undecided(plan: &Plan, tried: &Tried<'_>, incidents: &[Incident]) -> String {
    let judged = &tried.judged;
    let (Some(limit), bad, samples @ 1..) = (tried.limit(), judged.bad, judged.samples) else {
        return "nothing was measured".into();
    };
    let worth = worth_of_one(judged.deff.unwrap_or(1.0));
    let lasting = |samples_wanted: f64| length(plan, tried, samples_wanted / samples as f64);
    let said = |length: Nanos| humantime::format_duration(Duration::from_secs_f64(length.as_secs_f64().ceil()));
    let seen = format!("{bad} of {samples} {} bad", if bad == 1 { "is" } else { "are" });
    if samples < SAMPLES_FEW {
        let fewest = samples_without_bad(limit);
        return format!("too few samples for a verdict: {seen}; with none bad, a pass takes {fewest}");
    }
    if let Some(reason) = one_event(plan, tried, incidents) {
        return format!(
            "no verdict: {seen}, and they come together ({reason}); a longer run would only dilute that: find out what it \
             was, and run again"
        );
    }
    let share = bad as f64 / samples as f64;
    let planned = samples_for_power(limit) as f64 / worth;
    if (samples as f64) < planned && share <= limit {
        // Too little was planned: what was seen of the share is noise as yet.
        let fewest = match bad {
            // Where nothing is bad, nothing comes together.
            0 => Some(samples_without_bad(limit) as f64),
            // As few as the samples are worth, so are the bad ones.
            _ => fewest_for_pass((bad as f64 * worth).ceil() as u64, limit).map(|fewest| fewest as f64 / worth),
        };
        return match fewest.map(|fewest| (round(fewest), lasting(fewest), lasting(planned.max(fewest)))) {
            Some((fewest, at_least, better)) if better <= SENSIBLE => format!(
                "too few samples for a verdict: {seen}; with no more, a pass takes {fewest}: a run of {}, better {}",
                said(at_least),
                said(better),
            ),
            Some((fewest, at_least, _)) if at_least <= SENSIBLE => format!(
                "too few samples for a verdict: {seen}; with no more, a pass takes {fewest}: a run of {}, or a higher \
                 rate",
                said(at_least),
            ),
            _ => {
                format!("too few samples for a verdict: {seen}, and no run of a day has enough at this rate: raise it")
            }
        };
    }
    match samples_to_tell(limit, share).map(|enough| enough as f64 / worth).map(|enough| (enough, lasting(enough))) {
        Some((enough, length)) if length <= SENSIBLE => {
            let end = if share < limit { "pass" } else { "fail" };
            format!(
                "too few samples for a verdict: {seen}; at that share about {} would {end}: a run of {}",
                round(enough),
                said(length),
            )
        }
        _ => format!("at its limit: {seen}, and no run of a day would tell on which side of the bound that is"),
    }
}

/// What makes most of the bad samples one event, which no length of a run can be reckoned from.
fn one_event(plan: &Plan, tried: &Tried<'_>, incidents: &[Incident]) -> Option<String> {
    let scope = || tried.objective.operations.iter().filter_map(|id| plan.operations.get(id.index()));
    let is_in_scope = |scenario: &str| {
        scope().any(|operation| plan.scenarios.get(operation.scenario).is_some_and(|of| of.name == scenario))
    };
    let worst = incidents.iter().max_by_key(|incident| incident.failed + incident.late);
    if let Some(incident) = worst
        && tried.judged.bad > 0
        && (incident.failed + incident.late) * 2 >= tried.judged.bad
        && is_in_scope(&incident.scenario)
    {
        let until = incident.ended.map_or_else(|| "the end".into(), |ended| format!("{:.1} s", ended.as_secs_f64()));
        return Some(format!("an incident, {:.1} s – {until}", incident.began.as_secs_f64()));
    }
    let deff = tried.judged.deff.filter(|deff| *deff >= DEFF_HIGH)?;
    let mut bad: Vec<u64> = tried.batches.iter().map(|batch| batch.bad).collect();
    bad.sort_unstable_by(|a, b| b.cmp(a));
    let few = bad.len().div_ceil(6);
    let most = bad.iter().take(few).sum::<u64>() * 2 >= tried.judged.bad;
    most.then(|| format!("half of them in {few} of {} parts of the run, design effect {deff:.1}", bad.len()))
}

/// Up to three digits that say something.
fn round(count: f64) -> u64 {
    let unit = 10_f64.powf((count.max(1.0).log10().floor() - 2.0).max(0.0));
    ((count / unit).ceil() * unit) as u64
}

/// How long the plan would last if what is judged of it were so many times as long.
fn length(plan: &Plan, tried: &Tried<'_>, times: f64) -> Nanos {
    let whole = plan.end();
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
