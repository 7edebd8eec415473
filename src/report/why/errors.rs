//! Which operations and which kinds of error stand behind an objective that did not pass.

use std::collections::BTreeMap;

use crate::report::course::{Course, QUANTILES};
use crate::report::phrases::{address, grouped, plain};
use slatest_core::model::{Nanos, OperationId};
use slatest_engine::record::RunRecord;
use slatest_stats::JudgedObjective;

/// Most operations and kinds that are named.
const NAMED: usize = 3;
/// Where the p95 of a slot stands in the quantiles.
const P95: usize = 2;

/// The operations that failed most; where none failed, those whose times are the longest. `None` where the scope is one.
pub(super) fn operations(
    run: &RunRecord,
    course: &Course,
    judged: &JudgedObjective,
    scope: &[OperationId],
    from: Nanos,
    to: Nanos,
) -> Option<String> {
    if scope.len() < 2 || judged.bad == 0 {
        return None;
    }
    let slots = course.slots_of(from, to);
    let sum = |counts: &[u64]| counts.get(slots.clone()).unwrap_or_default().iter().sum::<u64>();
    let mut failed: Vec<(u64, u64, OperationId)> = scope
        .iter()
        .filter_map(|id| course.operations.get(id.index()).map(|one| (sum(&one.failed), sum(&one.ended), *id)))
        .filter(|(failed, ..)| *failed > 0)
        .collect();
    failed.sort_by_key(|(count, _, id)| (std::cmp::Reverse(*count), *id));
    if !failed.is_empty() {
        let more = failed.len().saturating_sub(NAMED);
        let named = failed.iter().take(NAMED);
        let named: Vec<String> = named
            .map(|(failed, ended, id)| {
                format!("{} ({} of {} failed)", address(run, *id), grouped(*failed), grouped(*ended))
            })
            .collect();
        return Some(with_more(&named, more));
    }
    debug_assert!((QUANTILES[P95] - 0.95).abs() < 1e-9);
    let slowest = |id: &OperationId| {
        let times = &course.operations.get(id.index())?.times[P95];
        let most = times.get(slots.clone())?.iter().flatten().max()?;
        Some((*most, *id))
    };
    let mut slow: Vec<(u64, OperationId)> = scope.iter().filter_map(slowest).collect();
    slow.sort_by_key(|(time, id)| (std::cmp::Reverse(*time), *id));
    let named: Vec<String> = slow
        .iter()
        .take(NAMED)
        .map(|(time, id)| format!("{} (p95 up to {})", address(run, *id), Nanos(*time)))
        .collect();
    (!named.is_empty()).then(|| with_more(&named, 0))
}

/// The kinds of error of these operations in a part of the run, the most frequent first.
pub(super) fn kinds(run: &RunRecord, course: &Course, scope: &[OperationId], from: Nanos, to: Nanos) -> Option<String> {
    let slots = course.slots_of(from, to);
    let mut counts: Vec<(u64, &str, BTreeMap<OperationId, u64>)> = Vec::new();
    for kind in &course.errors {
        let mut by_operation: BTreeMap<OperationId, u64> = BTreeMap::new();
        for ((_, id), count) in kind.cells.range((slots.start, OperationId(0))..(slots.end, OperationId(0))) {
            if scope.contains(id) {
                *by_operation.entry(*id).or_default() += count;
            }
        }
        let count: u64 = by_operation.values().sum();
        if count > 0 {
            counts.push((count, &kind.kind, by_operation));
        }
    }
    counts.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let more = counts.len().saturating_sub(NAMED);
    let named: Vec<String> = counts
        .iter()
        .take(NAMED)
        .map(|(count, kind, by_operation)| {
            let most = by_operation.iter().max_by_key(|(_, count)| **count).filter(|_| scope.len() > 1);
            let of = most.map_or_else(String::new, |(id, most)| match by_operation.len() {
                1 => format!(", all in {}", address(run, *id)),
                _ => format!(", {} of them in {}", grouped(*most), address(run, *id)),
            });
            format!("{} × {}{of}", grouped(*count), plain(kind))
        })
        .collect();
    (!named.is_empty()).then(|| with_more(&named, more))
}

fn with_more(named: &[String], more: usize) -> String {
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{rest}", named.join("; "))
}
