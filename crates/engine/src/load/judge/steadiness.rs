//! Was what passes steady while it was measured?

use super::objective::Tried;
use crate::profile::{Aim, Plan};
use slatest_core::model::{Nanos, Verdict};
use slatest_stats::{Batch, Reading, TREND_Z, holm, judge_batches_below, mann_kendall, trend_p_value};

/// Fewest batches with samples from which a trend is looked for: below it, the normal approximation
/// of the test does not hold.
const BATCHES_MIN: usize = 10;

/// Takes the pass from every objective whose share of bad ones has a trend, unless the worse third
/// of the measured phase passes by itself: an average over something that changes says nothing of
/// what it changes into, but where even its worst part is shown to hold, it holds.
///
/// An objective that is inconclusive anyway is told why: a trend spreads the batches and so takes
/// from what the samples are worth, and more of them would not help.
///
/// Only where the planned load was constant: under a ramp a trend is what one expects. Over all
/// objectives together one in a hundred steady runs is found to have a trend (Holm); a single
/// objective is held to |Z| > 2.58.
pub(super) fn demand(plan: &Plan, tried: &mut [Tried<'_>]) {
    let candidates: Vec<(usize, f64)> = tried
        .iter()
        .enumerate()
        .filter(|(_, one)| matches!(one.judged.verdict, Verdict::Pass | Verdict::Inconclusive))
        .filter(|(_, one)| one.judged.bad > 0 && one.limit().is_some())
        .filter(|(_, one)| is_load_constant(plan, one.from, one.to))
        .filter_map(|(i, one)| {
            let rates: Vec<f64> = one.batches.iter().filter(|b| b.n > 0).map(|b| b.bad as f64 / b.n as f64).collect();
            (rates.len() >= BATCHES_MIN).then(|| (i, mann_kendall(&rates)))
        })
        .collect();
    let chances: Vec<f64> = candidates.iter().map(|(_, z)| trend_p_value(*z)).collect();
    for ((i, z), found) in candidates.into_iter().zip(holm(&chances, trend_p_value(TREND_Z))) {
        let one = &mut tried[i];
        one.judged.trend = Some((z * 1e6).round() / 1e6);
        if found {
            judge_trend(one, z);
        }
    }
}

fn judge_trend(one: &mut Tried<'_>, z: f64) {
    let Some(limit) = one.limit() else { return };
    let third = one.batches.len() / 3;
    let (first, last) = (&one.batches[..third], &one.batches[one.batches.len() - third..]);
    let worse = if z > 0.0 { last } else { first };
    let passed = one.judged.verdict == Verdict::Pass;
    let holds = passed && judge_batches_below(worse, limit).judgement.verdict == Verdict::Pass;
    let change = change(&one.objective.aim, share(first), share(last), z);
    one.judged.message = Some(if holds {
        format!("not steady, but its worse third passes by itself: {change}")
    } else if z > 0.0 {
        one.judged.verdict = Verdict::Inconclusive;
        format!(
            "not steady, so the average says nothing of what comes next: {change}; find out what builds up, and run \
             until it levels off"
        )
    } else {
        one.judged.verdict = Verdict::Inconclusive;
        format!("not steady while it was measured: {change}; a longer warm-up leaves this out")
    });
}

/// What changed, from the shares of bad ones in the first third and in the last.
fn change(aim: &Aim, first: f64, last: f64, z: f64) -> String {
    let (what, first, last) = match aim {
        Aim::Quantile { of, below, .. } => (format!("{of} ≥ {below}"), first, last),
        Aim::ErrorRate { .. } => ("errors".into(), first, last),
        Aim::Ratio { of, .. } => (of.clone(), 1.0 - first, 1.0 - last),
        Aim::Throughput { .. } => ("throughput".into(), first, last),
    };
    let (first, last) = (Reading::Share(first), Reading::Share(last));
    format!("{what}: {first} in the first third, {last} in the last (Mann–Kendall |Z| {:.1})", z.abs())
}

fn share(batches: &[Batch]) -> f64 {
    let (bad, n) = batches.iter().fold((0, 0), |sum, b| (sum.0 + b.bad, sum.1 + b.n));
    if n == 0 { 0.0 } else { bad as f64 / n as f64 }
}

/// Whether every scenario's planned load was the same throughout. One scenario's ramp is a trend of
/// the others' target.
fn is_load_constant(plan: &Plan, from: Nanos, to: Nanos) -> bool {
    plan.scenarios.iter().all(|scenario| {
        let mut values = Vec::new();
        let mut start = scenario.start;
        if start > from {
            values.push(0.0);
        }
        for stage in scenario.executor.stages().iter().filter(|s| s.duration > Nanos::ZERO) {
            let end = start + stage.duration;
            if start < to && end > from {
                values.extend([stage.from, stage.to]);
            }
            start = end;
        }
        if start < to {
            values.push(0.0);
        }
        values.windows(2).all(|pair| pair[0] == pair[1])
    })
}
