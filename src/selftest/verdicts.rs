//! What was measured, held against what is true.

use super::act::Played;
use super::cases::{CLOSED_LOOP, Case, ERRORS, FAILING, PROMISES, REFERENCE, Size};
use super::interval::{ALPHA, Bounds, Overhead, independent, regular};
use super::law::Law;
use super::table::Row;
use slatest_core::measure::Latencies;
use slatest_core::model::{Nanos, OperationId, Outcome, Verdict};
use slatest_stats::{Reading, clopper_pearson};

/// More than this at the median and at p99 is added only by a machine that is busy with other things.
const OVERHEAD_MAX: (Nanos, Nanos) = (Nanos::from_millis(2), Nanos::from_millis(10));
/// What the last of the answers that come at once when a freeze ends may have to wait for the others, in
/// nanoseconds for each of them: sandbox and generator take some 50 µs for one, ten times as long in a
/// build without optimisation.
const BURST_EACH: f64 = 100_000.0 * if cfg!(debug_assertions) { 10.0 } else { 1.0 };
/// What is added may differ by this much from one probe to another: a processor that waits for longer
/// sleeps deeper.
const PROBES_DIFFER: Nanos = Nanos(500_000);
/// How many times as much as was seen at the reference a busy machine may have added elsewhere. What lies
/// above a bound by no more than that can't be told from a wrong instrument, so it is void; what is above
/// that, or below the lower bound, where no machine brings it, is wrong.
const DOUBT: u64 = if cfg!(debug_assertions) { 10 } else { 2 };
/// A harness that omits shows less than this share of the truth.
const OMITTING: f64 = 0.1;

/// The truths of the first act.
pub fn law_rows(played: &Played, size: Size) -> Vec<Row> {
    let overhead = overhead(played);
    let mut rows = vec![overhead_row(&overhead)];
    for case in size.law_cases() {
        let responses = responses(played, case.name);
        for &quantile in case.quantiles {
            let bounds = independent(&case.law, quantile, responses.count(), &overhead);
            let bounds = Bounds { upper: bounds.upper + PROBES_DIFFER, ..bounds };
            rows.push(quantile_row(played, &case, quantile, &responses, bounds, overhead.max()));
        }
    }
    rows.push(error_row(played));
    rows.push(quiet_row(played, size));
    rows.extend(promise_rows(played));
    rows.push(ledger_row(played, "laws"));
    settle(rows, played, &overhead)
}

/// The truths of the second act.
pub fn freeze_rows(played: &Played, size: Size) -> Vec<Row> {
    let overhead = overhead(played);
    let closed = responses(played, CLOSED_LOOP);
    let mut rows = Vec::new();
    for case in size.freeze_cases() {
        let Law::Freeze { length, period } = case.law else { continue };
        let responses = responses(played, case.name);
        let held = length.as_secs_f64() * size.freeze_rate;
        let added = overhead.max() + Nanos((held * BURST_EACH) as u64);
        for &quantile in case.quantiles {
            let bounds = regular(&case.law, quantile, size.freeze_rate * period.as_secs_f64(), added);
            rows.push(quantile_row(played, &case, quantile, &responses, bounds, added));
        }
    }
    let Some(case) = size.freeze_cases().into_iter().next() else { return rows };
    let truth = case.law.quantile(0.95);
    let most = Nanos::from_secs_f64(truth.as_secs_f64() * OMITTING);
    let shown = closed.quantile(0.95).unwrap_or_default();
    let holds = !closed.is_empty() && shown < most;
    rows.push(
        excused(
            Row::new("the same freeze as a closed loop shows it: p95", format!("< {most}"), shown.to_string(), holds),
            played,
        )
        .with_words(format!("what a harness that waits for its answers would report in place of {truth}")),
    );
    rows.push(ledger_row(played, "freezes"));
    settle(rows, played, &overhead)
}

fn responses(played: &Played, scenario: &str) -> Latencies {
    played.tally(scenario).map(|tally| tally.response.clone()).unwrap_or_default()
}

fn overhead(played: &Played) -> Overhead {
    Overhead::new(responses(played, REFERENCE.0), REFERENCE.1)
}

fn overhead_row(overhead: &Overhead) -> Row {
    let (median, high) = OVERHEAD_MAX;
    let truth = "added to an answer by machine, network, sandbox: p50, p99";
    let [found, found_high] = [0.5, 0.99].map(|quantile| overhead.quantile(quantile));
    // What is beyond is not wrong but void, as all of the act is then.
    Row::new(truth, format!("≤ {median}, ≤ {high}"), format!("{found}, {found_high}"), true)
}

/// Why the machine was too busy to tell, when it was.
fn busy(overhead: &Overhead) -> Option<String> {
    let (median, high) = OVERHEAD_MAX;
    let [found, found_high] = [0.5, 0.99].map(|quantile| overhead.quantile(quantile));
    (found > median || found_high > high).then(|| {
        format!("machine, network and sandbox added {found} to an answer at the median, {found_high} at p99: too busy")
    })
}

/// A quantile as measured; `added` is the most that was added to an answer elsewhere.
fn quantile_row(
    played: &Played,
    case: &Case,
    quantile: f64,
    responses: &Latencies,
    bounds: Bounds,
    added: Nanos,
) -> Row {
    let name = (quantile * 1e5).round() / 1e3;
    let truth = format!("{}: p{name}", case.law.message());
    let expected = format!("{} ({} – {})", case.law.quantile(quantile), bounds.lower, bounds.upper);
    let Ok(found) = responses.quantile(quantile) else {
        return Row::new(truth, expected, "no answers", false);
    };
    let row = Row::new(truth, expected, found.to_string(), bounds.contain(found));
    if found <= bounds.upper {
        // No stall ever makes an answer faster.
        row
    } else if row.finding == super::Finding::Wrong && found - bounds.upper <= Nanos(added.0.saturating_mul(DOUBT)) {
        row.voided(format!("machine, network and sandbox added up to {added} to an answer: too much to tell"))
    } else {
        excused(row, played)
    }
}

/// The same; void in place of wrong where the machine is known to have stood still.
fn excused(row: Row, played: &Played) -> Row {
    match (row.finding, played.stalls()) {
        (super::Finding::Wrong, Some(reason)) => row.voided(reason),
        _ => row,
    }
}

fn error_row(played: &Played) -> Row {
    let truth = format!("planted errors, {}", Reading::Share(ERRORS));
    let Some(tally) = played.tally(FAILING) else { return Row::new(truth, "answers", "none", false) };
    let (failed, n) = (tally.outcome(Outcome::Rejected), tally.countable());
    let interval = clopper_pearson(failed, n, ALPHA);
    let [lower, upper] = [interval.lower, interval.upper].map(Reading::Share);
    let expected = format!("{} within the measured interval", Reading::Share(ERRORS));
    let measured = format!("{failed} of {n}: {lower} – {upper}");
    let holds = n > 0 && interval.lower <= ERRORS && ERRORS <= interval.upper && tally.failures() == failed;
    Row::new(truth, expected, measured, holds)
}

/// Where nothing was planted, nothing fails.
fn quiet_row(played: &Played, size: Size) -> Row {
    let cases = size.law_cases();
    let names = cases.iter().map(|case| case.name).chain([REFERENCE.0]);
    let (mut failed, mut n) = (0, 0);
    for tally in names.filter_map(|name| played.tally(name)) {
        failed += tally.failures();
        n += tally.completed();
    }
    Row::new("errors where none are planted", "0", format!("{failed} of {n}"), failed == 0 && n > 0)
}

/// Verdicts that are known beforehand.
fn promise_rows(played: &Played) -> Vec<Row> {
    let expected = [Verdict::Pass, Verdict::Fail, Verdict::Inconclusive];
    let truths = ["a promise that is kept", "a promise that is broken", "a promise with too few samples to tell"];
    let said = |name: &str| played.judged.objectives.iter().find(|objective| objective.name == name);
    PROMISES
        .iter()
        .zip(expected)
        .zip(truths)
        .map(|((name, expected), truth)| match said(name) {
            Some(objective) => {
                let truth = format!("{truth}: {} {}", objective.indicator, objective.bound_text());
                Row::new(truth, expected.name(), objective.verdict.name(), objective.verdict == expected)
            }
            None => Row::new(truth, expected.name(), "not judged", false),
        })
        .collect()
}

/// Every planned request has ended in exactly one way.
fn ledger_row(played: &Played, act: &str) -> Row {
    let mut planned = 0;
    let mut ended = 0;
    for i in 0..played.plan.operations.len() {
        let whole = played.facts.timeline.whole(OperationId(i as u16));
        planned += whole.planned;
        ended += whole.completed();
    }
    let truth = format!("ledger of the {act}");
    Row::new(truth, format!("{planned} planned"), format!("{ended} ended"), planned == ended && planned > 0)
}

/// Nothing holds and nothing is wrong in a run that is void, or on a machine with so much else to do that
/// bounds are too wide to prove anything.
fn settle(rows: Vec<Row>, played: &Played, overhead: &Overhead) -> Vec<Row> {
    match played.void().or_else(|| busy(overhead)) {
        Some(reason) => rows.into_iter().map(|row| row.voided(reason.clone())).collect(),
        None => rows,
    }
}

#[cfg(test)]
mod tests {
    use super::super::interval::BOUNDS;
    use super::*;

    #[test]
    fn false_alarms_of_the_whole_table_are_fewer_than_one_in_a_thousand() {
        // Those of each quantile; two of the errors.
        let quantiles: usize = Size::FULL.law_cases().iter().map(|case| case.quantiles.len()).sum();
        assert!((BOUNDS * quantiles + 2) as f64 * ALPHA < 1e-3);
    }

    #[test]
    fn periods_are_whole_numbers_of_gaps() {
        for size in [Size::FULL, Size::SHORT] {
            for case in size.freeze_cases() {
                let Law::Freeze { period, .. } = case.law else { unreachable!() };
                let gaps = period.as_secs_f64() * size.freeze_rate;
                assert!((gaps - gaps.round()).abs() < 1e-9 && gaps >= 100.0, "{gaps}");
            }
        }
    }
}
