//! The data of the charts. Its version grows when something is renamed or means something else; what is added does not
//! change it. Times are milliseconds, instants seconds of the run's clock.

use serde_json::{Value, json};

use super::operations;
use crate::report::course::{Course, OperationCourse, QUANTILES, Track, Unit};
use crate::report::timeline::{marks, planned_rate};
use slatest_core::measure::Latencies;
use slatest_core::model::{Nanos, Verdict};
use slatest_engine::record::RunRecord;

/// Version of the block.
const VERSION: u32 = 1;
/// Most numbers of the charts of single operations; those that matter most come first.
const NUMBERS_MAX: usize = 160_000;
/// Most kinds of error that have a line of their own.
const KINDS_SHOWN: usize = 7;
/// Points of a distribution for each power of ten.
const POINTS: i32 = 8;
/// Largest 1/(1 − q) of a distribution, as a power of ten.
const POWERS: i32 = 7;

/// Everything that the page's scripts draw.
pub(super) fn data(run: &RunRecord, course: &Course) -> Value {
    let slots = course.slots;
    let slot_secs = course.slot.as_secs_f64();
    let per_sec =
        |counts: &[u64]| counts.iter().map(|count| digits(*count as f64 / slot_secs.max(1e-9))).collect::<Vec<_>>();
    let planned: Vec<Value> = (0..slots)
        .map(|slot| planned_rate(&run.plan, course.start(slot), course.start(slot + 1)).map_or(Value::Null, digits))
        .collect();
    let achieved = if course.fired.iter().any(|fired| *fired > 0) { &course.fired } else { &course.total.due };
    let in_charts = operations::in_charts(run, course, NUMBERS_MAX);
    let operations: Vec<Value> = run
        .plan
        .operations
        .iter()
        .zip(&course.operations)
        .enumerate()
        .filter(|(i, _)| in_charts.contains(i))
        .map(|(i, (plan, operation))| {
            let mut value = over_time(operation);
            value["index"] = json!(i);
            value["address"] = json!(plan.address);
            value
        })
        .collect();
    let mut kinds: Vec<Value> = course
        .errors
        .iter()
        .take(KINDS_SHOWN)
        .map(|kind| json!({ "kind": kind.kind, "counts": kind.counts }))
        .collect();
    if course.errors.len() > KINDS_SHOWN {
        let rest = &course.errors[KINDS_SHOWN..];
        let sum = |slot: usize| rest.iter().filter_map(|kind| kind.counts.get(slot)).sum::<u64>();
        kinds.push(json!({ "kind": "all other kinds", "counts": (0..slots).map(sum).collect::<Vec<_>>() }));
    }
    let objectives = run.result.objectives.iter().zip(&course.tracks).enumerate();
    let objectives: Vec<Value> =
        objectives.filter_map(|(i, (judged, track))| Some(objective(i, judged, track.as_ref()?))).collect();
    json!({
        "version": VERSION,
        "run": run.id,
        "profile": run.plan.profile,
        "target": run.target.name,
        "verdict": run.result.verdict.name(),
        "started": run.started.to_string(),
        "length": secs(run.result.length),
        "slot": slot_secs,
        "slots": slots,
        "quantiles": QUANTILES,
        "planned": planned,
        "achieved": per_sec(achieved),
        "in_flight": course.in_flight,
        "lateness": course.lateness.iter().map(|time| ms(*time)).collect::<Vec<_>>(),
        "total": over_time(&course.total),
        "operations": operations,
        "errors": kinds,
        "objectives": objectives,
        "marks": marks(run).iter().map(|mark| json!({
            "kind": mark.kind.name(), "from": secs(mark.from), "to": secs(mark.to), "label": mark.label,
        })).collect::<Vec<_>>(),
        "rows": operations::rest(run),
    })
}

fn over_time(operation: &OperationCourse) -> Value {
    let times = operation.times.each_ref().map(|values| values.iter().map(|time| ms(*time)).collect::<Vec<_>>());
    let parts: Vec<Value> = operation
        .parts
        .iter()
        .filter(|(_, values)| values.iter().any(Option::is_some))
        .map(|(name, values)| json!({ "name": name, "times": values.iter().map(|time| ms(*time)).collect::<Vec<_>>() }))
        .collect();
    json!({
        "ended": operation.ended,
        "failed": operation.failed,
        "times": times,
        "parts": parts,
        "distribution": distribution(&operation.judged),
    })
}

fn objective(index: usize, judged: &slatest_stats::JudgedObjective, track: &Track) -> Value {
    let (unit, scale) = match track.unit {
        Unit::Time => ("ms", 1e-6),
        Unit::Share => ("%", 100.0),
        Unit::Rate => ("/s", 1.0),
    };
    json!({
        "index": index,
        "name": judged.name,
        "scope": judged.scope,
        "indicator": judged.indicator,
        "passed": judged.verdict == Verdict::Pass,
        "below": judged.below,
        "unit": unit,
        "limit": digits(track.limit * scale),
        "values": track.values.iter().map(|value| value.map_or(Value::Null, |value| digits(value * scale))).collect::<Vec<_>>(),
        "bad": track.batches.iter().map(|batch| batch.bad).collect::<Vec<_>>(),
        "samples": track.batches.iter().map(|batch| batch.n).collect::<Vec<_>>(),
    })
}

/// Points [1/(1 − q), time] of a distribution, as far as there are samples.
fn distribution(times: &Latencies) -> Vec<Value> {
    let mut points = Vec::new();
    for step in 0..=POWERS * POINTS {
        let x = 10_f64.powf(f64::from(step) / f64::from(POINTS));
        if x > times.count() as f64 {
            break;
        }
        if let Ok(time) = times.quantile(1.0 - 1.0 / x) {
            points.push(json!([digits(x), ms(Some(time.0))]));
        }
    }
    points
}

fn secs(time: Nanos) -> Value {
    digits(time.as_secs_f64())
}

fn ms(time: Option<u64>) -> Value {
    time.map_or(Value::Null, |time| digits(time as f64 / 1e6))
}

/// A number with four digits that say something, or all before the point: more can't be seen in a chart.
fn digits(value: f64) -> Value {
    if !value.is_finite() {
        return Value::Null;
    }
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let scale = 10_f64.powi((3 - magnitude).clamp(0, 9));
    let rounded = (value * scale).round() / scale;
    if rounded.fract() == 0.0 && rounded.abs() < 1e15 { json!(rounded as i64) } else { json!(rounded) }
}
