//! Which part of the time grew.

use crate::report::course::Course;
use crate::report::phrases::{address, plain};
use slatest_core::model::{Nanos, OperationId};
use slatest_engine::record::RunRecord;
use slatest_stats::JudgedObjective;

/// A part grew when it takes so many times what it takes otherwise.
const GREW: f64 = 1.5;
/// Growth below this is no growth, in nanoseconds.
const LEAST: u64 = 500_000;

/// The part of the time that grew most while an objective was broken, of the operation in which it did.
pub(super) fn part(
    run: &RunRecord,
    course: &Course,
    judged: &JudgedObjective,
    scope: &[OperationId],
    (from, to): (Nanos, Nanos),
) -> Option<String> {
    let slots = course.slots_of(from, to);
    let mut grown: Option<(u64, OperationId, String)> = None;
    for id in scope {
        let Some(operation) = course.operations.get(id.index()) else { continue };
        let compared: Vec<(&str, u64, u64)> = operation
            .parts
            .iter()
            .filter_map(|(name, values)| {
                let within = median(values.get(slots.clone())?.iter().flatten())?;
                let outside =
                    values.iter().enumerate().filter(|(i, _)| !slots.contains(i)).filter_map(|(_, v)| v.as_ref());
                Some((name.as_str(), median(outside).unwrap_or_default(), within))
            })
            .collect();
        // Timings of the driver are parts of the service time: the finest that grew says the most.
        let grew = |(_, before, within): &&(&str, u64, u64)| {
            within.saturating_sub(*before) > LEAST && *within as f64 > GREW * *before as f64
        };
        let growth = |(_, before, within): &&(&str, u64, u64)| within.saturating_sub(*before);
        let Some(whole) = compared.iter().take(2).filter(grew).max_by_key(growth) else { continue };
        let finer = compared.iter().skip(2).filter(grew).max_by_key(growth);
        let finest = finer.filter(|_| whole.0 == "service time").map_or(whole, |finer| finer);
        let said = |(name, before, within): &(&str, u64, u64)| {
            format!("{} (p95 {} instead of {})", named(name), Nanos(*within), Nanos(*before))
        };
        let mut text = format!("{}: {}", address(run, *id), said(whole));
        if finest.0 != whole.0 {
            text.push_str(&format!(", most of it {}", said(finest)));
        }
        let same: Vec<String> =
            compared.iter().filter(|one| !grew(one)).map(|one| plain(one.0)).filter(|name| name != whole.0).collect();
        if !same.is_empty() {
            text.push_str(&format!("; no more than before: {}", same.join(", ")));
        }
        if grown.as_ref().is_none_or(|(most, ..)| growth(&whole) > *most) {
            grown = Some((growth(&whole), *id, text));
        }
    }
    let is_about_time = judged.indicator.contains("time") || judged.indicator.starts_with('p');
    match grown {
        Some((_, _, text)) => Some(text),
        None if is_about_time => None,
        None => Some("none: those that ended took no longer than otherwise".into()),
    }
}

fn named(part: &str) -> String {
    match part {
        "send lag" => "waiting to be sent: connecting, a free connection, or the generator".into(),
        "service time" => "the target's own time, from sent to done".into(),
        other => format!("`{}`", plain(other)),
    }
}

fn median<'a>(values: impl Iterator<Item = &'a u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.copied().collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
