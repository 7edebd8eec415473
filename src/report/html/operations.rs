//! Operations in the page: which have charts, which stand in its tables, and which only in its data.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use super::rows::table_of_times;
use crate::report::course::{Course, QUANTILES};
use crate::report::phrases::{errors, grouped, plain, rate, retried, time};
use slatest_core::model::{Nanos, Verdict};
use slatest_engine::record::{OperationFigures, RunRecord};

/// Most operations whose rows and parts stand in the page itself; the rest is in its data, page by page.
const ROWS_MAX: usize = 200;

/// A row of the table of operations, with what its own part holds.
#[derive(Serialize)]
pub(super) struct Operation {
    index: usize,
    address: String,
    /// Cells after the address: (shown, number to sort by).
    cells: Vec<(String, f64)>,
    failed: bool,
    outcomes: Vec<(&'static str, String)>,
    times: Vec<[String; 9]>,
    errors: Vec<(String, String)>,
    notes: Vec<String>,
    has_charts: bool,
}

/// Heads of the columns after the address.
pub(super) const COLUMNS: [&str; 9] = ["count", "/s", "errors", "p50", "p95", "p99", "p99.9", "max", "service p99"];

/// The rows of the page, those with failures first, then the slowest.
pub(super) fn operations(run: &RunRecord, course: &Course) -> Vec<Operation> {
    let charts = in_charts(run, course, usize::MAX);
    let in_page = in_page(run);
    in_page.into_iter().map(|index| operation(run, index, charts.contains(&index))).collect()
}

fn operation(run: &RunRecord, index: usize, has_charts: bool) -> Operation {
    let figures = &run.result.operations[index];
    let outcomes = &figures.outcomes;
    let named = [
        ("ok", outcomes.ok),
        ("rejected", outcomes.rejected),
        ("timed out", outcomes.timed_out),
        ("disconnected", outcomes.disconnected),
        ("blocked by a firewall", outcomes.blocked),
        ("dropped", outcomes.dropped),
        ("unknown", outcomes.unknown),
    ];
    let mut notes = Vec::new();
    if figures.retried_stale > 0 {
        notes.push(retried(figures));
    }
    for ratio in figures.ratios.iter().filter(|ratio| ratio.total > 0) {
        let share = slatest_stats::Reading::Share(ratio.good as f64 / ratio.total as f64);
        notes.push(format!("{}: {share} ({} of {})", ratio.name, grouped(ratio.good), grouped(ratio.total)));
    }
    if figures.unjudged_planned > 0 {
        notes.push(format!(
            "{} more were due in warm-up, cool-down or a drill, which no figure here counts; {} of these failed",
            grouped(figures.unjudged_planned),
            grouped(figures.unjudged.failures()),
        ));
    }
    Operation {
        index,
        address: plain(&figures.address),
        cells: cells(figures),
        failed: outcomes.failures() > 0,
        outcomes: named.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name, grouped(n))).collect(),
        times: table_of_times(figures),
        errors: figures.errors.iter().map(|error| (grouped(error.count), plain(&error.kind))).collect(),
        notes,
        has_charts,
    }
}

/// The cells of a row, for the total, too.
pub(super) fn cells(figures: &OperationFigures) -> Vec<(String, f64)> {
    let response = figures.response.as_ref();
    let number =
        |of: fn(&slatest_engine::record::TimeFigures) -> Nanos| response.map_or(-1.0, |times| of(times).0 as f64);
    vec![
        (grouped(figures.count), figures.count as f64),
        (rate(figures.rate), figures.rate),
        (errors(figures), figures.outcomes.failures() as f64),
        (time(response, |t| t.p50), number(|t| t.p50)),
        (time(response, |t| t.p95), number(|t| t.p95)),
        (time(response, |t| t.p99), number(|t| t.p99)),
        (time(response, |t| t.p999), number(|t| t.p999)),
        (time(response, |t| t.max), number(|t| t.max)),
        (time(figures.service.as_ref(), |t| t.p99), figures.service.as_ref().map_or(-1.0, |times| times.p99.0 as f64)),
    ]
}

/// Operations by what a reader looks for first: those of objectives that did not pass, then those that failed, then the
/// slowest.
fn order(run: &RunRecord) -> Vec<usize> {
    let broken: BTreeSet<&str> =
        run.result.objectives.iter().filter(|one| one.verdict != Verdict::Pass).map(|one| one.scope.as_str()).collect();
    let mut order: Vec<usize> = (0..run.result.operations.len().min(run.plan.operations.len())).collect();
    order.sort_by_cached_key(|&i| {
        let figures = &run.result.operations[i];
        let p99 = figures.response.as_ref().map_or(0, |times| times.p99.0);
        let is_broken = broken.contains(figures.address.as_str());
        (!is_broken, std::cmp::Reverse((figures.outcomes.failures(), p99)), i)
    });
    order
}

fn in_page(run: &RunRecord) -> Vec<usize> {
    let mut order = order(run);
    order.truncate(ROWS_MAX);
    // Where all are shown, the plan's own order is what people know.
    if run.result.operations.len() <= ROWS_MAX {
        order.sort_unstable();
    }
    order
}

/// The operations whose charts are in the data.
pub(super) fn in_charts(run: &RunRecord, course: &Course, numbers_max: usize) -> BTreeSet<usize> {
    let each = course.slots.max(1) * (QUANTILES.len() + 2);
    let most = (numbers_max / each).clamp(1, ROWS_MAX);
    let something = |i: &usize| course.operations.get(*i).is_some_and(|one| one.ended.iter().any(|count| *count > 0));
    order(run).into_iter().filter(something).take(most).collect()
}

/// The rows that are not in the page itself: address and cells.
pub(super) fn rest(run: &RunRecord) -> Value {
    if run.result.operations.len() <= ROWS_MAX {
        return json!([]);
    }
    let shown: BTreeSet<usize> = in_page(run).into_iter().collect();
    let rest = run.result.operations.iter().enumerate().filter(|(i, _)| !shown.contains(i));
    rest.map(|(_, figures)| json!([plain(&figures.address), cells(figures)])).collect()
}
