//! Phrases that several formats share.

pub(crate) use slatest_core::text::{grouped, plain};

use slatest_core::model::{Nanos, OperationId, Verdict};
use slatest_engine::record::{OperationFigures, RunRecord, Status, TimeFigures};
use slatest_stats::Heal;

/// Most kinds of error that are shown.
pub(super) const ERRORS_SHOWN: usize = 10;

/// Most incidents that are shown.
pub(super) const INCIDENTS_SHOWN: usize = 10;

/// A rate with one decimal, or two where it is small: `300.0`, `0.25`.
pub(super) fn rate(per_sec: f64) -> String {
    if per_sec < 10.0 { format!("{per_sec:.2}") } else { format!("{per_sec:.1}") }
}

/// One figure of a set of times; `-` where there is none.
pub(super) fn time(times: Option<&TimeFigures>, of: impl Fn(&TimeFigures) -> Nanos) -> String {
    times.map_or_else(|| "-".into(), |times| of(times).to_string())
}

/// A length of time: `2m 20s`.
pub(crate) fn length(length: Nanos) -> String {
    let secs = std::time::Duration::from_secs_f64(length.as_secs_f64().round());
    if length < Nanos::from_secs(10) { length.to_string() } else { humantime::format_duration(secs).to_string() }
}

/// Errors of an operation with their share: `12 (0.05%)`, `0`.
pub(super) fn errors(operation: &OperationFigures) -> String {
    let failures = operation.outcomes.failures();
    match operation.error_share().filter(|_| failures > 0) {
        Some(share) => format!("{} ({})", grouped(failures), slatest_stats::Reading::Share(share)),
        None => grouped(failures),
    }
}

/// How often requests of an operation were sent again: `retried: stale 19 (of 240)`.
pub(super) fn retried(operation: &OperationFigures) -> String {
    format!("retried: stale {} (of {})", grouped(operation.retried_stale), grouped(operation.count))
}

/// Answers by status, and bytes each way: `200 3,521 · 503 2 · sent 1.20 MB · received 30.5 MB`; `None` where nothing was
/// counted.
pub(super) fn traffic(operation: &OperationFigures) -> Option<String> {
    let mut parts: Vec<String> =
        operation.statuses.iter().map(|s| format!("{} {}", s.status, grouped(s.count))).collect();
    for (what, count) in [("sent", operation.bytes_sent), ("received", operation.bytes_received)] {
        if count > 0 {
            parts.push(format!("{what} {}", bytes(count)));
        }
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// A number of bytes with three digits: `812 B`, `1.20 MB`.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1e3;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1e3, unit + 1);
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// What stands first: the verdict. A sound run of which nothing was asked is no pass of anything.
pub(super) fn headline(run: &RunRecord) -> &'static str {
    let result = &run.result;
    let asked = !result.objectives.is_empty() || !result.drills.is_empty() || !result.findings.is_empty();
    if result.verdict == Verdict::Pass && !asked { "no objectives" } else { result.verdict.name() }
}

/// What the verdict rests on, in one sentence.
pub(crate) fn explanation(run: &RunRecord) -> String {
    let result = &run.result;
    let count = |verdict| result.objectives.iter().filter(|o| o.verdict == verdict).count();
    let total = result.objectives.len();
    let broken: Vec<&str> = result.validity.iter().filter(|c| c.voids()).map(|c| c.name.as_str()).collect();
    let findings = result.findings.iter().filter(|f| !f.holds).count();
    if !broken.is_empty() {
        let message = format!("the run says nothing about the target: {} out of bounds", broken.join(", "));
        return std::iter::once(message).chain(left_broken(run)).collect::<Vec<_>>().join("; ");
    }
    let mut parts = Vec::new();
    for (verdict, message) in [
        (Verdict::Void, "void"),
        (Verdict::Fail, "failed"),
        (Verdict::Inconclusive, "inconclusive"),
        (Verdict::Pass, "held"),
    ] {
        if count(verdict) > 0 {
            parts.push(format!("{} of {total} objectives {message}", count(verdict)));
        }
    }
    if findings > 0 {
        parts.push(format!("{findings} of {} checks at the end did not hold", result.findings.len()));
    }
    parts.extend(drills(run));
    if total == 0 && result.drills.is_empty() {
        let any = result.total.count > 0;
        parts.push(
            if any {
                "no objectives: only the run itself was checked, and nothing is shown of the target"
            } else {
                "nothing was measured"
            }
            .into(),
        );
    }
    match run.status {
        Status::Interrupted => parts.push("interrupted, so it can't pass".into()),
        Status::Aborted => parts.push("ended early by `abort_on_fail`".into()),
        Status::Running | Status::Finished => {}
    }
    parts.join("; ")
}

/// What the verdicts of drills add to the reason.
fn drills(run: &RunRecord) -> Vec<String> {
    let drills = &run.result.drills;
    let mut parts = Vec::new();
    for (verdict, message) in
        [(Verdict::Fail, "failed"), (Verdict::Inconclusive, "inconclusive"), (Verdict::Pass, "held")]
    {
        let count = drills.iter().filter(|drill| drill.verdict == verdict).count();
        if count > 0 {
            parts.push(format!("{count} of {} drills {message}", drills.len()));
        }
    }
    parts.extend(left_broken(run));
    parts
}

/// The drills whose heal failed, or did not come: whatever else is said, somebody must mend what they broke.
fn left_broken(run: &RunRecord) -> Option<String> {
    let broken = run.result.drills.iter().filter(|drill| matches!(drill.heal, Heal::Failed(_) | Heal::Open(_)));
    let names: Vec<&str> = broken.map(|drill| drill.name.as_str()).collect();
    let heal = format!("`slatest drill heal {}` mends it", run.id);
    (!names.is_empty()).then(|| format!("THE TARGET IS LEFT BROKEN by {}: {heal}", names.join(", ")))
}

/// Which operations are shown to be at fault, where several were judged by themselves: `shown to be
/// at fault (Holm, 5% for all together): api-p95 of api/create-task`. `None` where none failed so.
pub(super) fn culprits(run: &RunRecord) -> Option<String> {
    let judged = run.result.objectives.iter().filter(|o| o.culprit.is_some());
    let named: Vec<String> =
        judged.clone().filter(|o| o.culprit == Some(true)).map(|o| format!("{} of {}", o.name, o.scope)).collect();
    judged.count().gt(&0).then(|| {
        let named = if named.is_empty() { "none of those that failed".into() } else { named.join(", ") };
        format!("shown to be at fault (Holm, 5% for all operations of an objective together): {named}")
    })
}

/// The most frequent kinds of error of all operations: (count, operation, kind).
pub(super) fn top_errors(run: &RunRecord) -> Vec<(u64, &str, &str)> {
    let mut errors: Vec<(u64, &str, &str)> = run
        .result
        .operations
        .iter()
        .flat_map(|o| o.errors.iter().map(|e| (e.count, o.address.as_str(), e.kind.as_str())))
        .collect();
    errors.sort_by(|a, b| b.0.cmp(&a.0).then(a.cmp(b)));
    errors
}

/// The address of an operation by its id, harmless.
pub(super) fn address(run: &RunRecord, id: OperationId) -> String {
    run.plan.operations.get(id.index()).map_or_else(|| "?".into(), |operation| plain(&operation.address))
}

/// The place of a verdict in lists: what did not pass comes first, the worst of it first.
pub(super) const fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 0,
        Verdict::Void => 1,
        Verdict::Inconclusive => 2,
        Verdict::Pass => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_engine::record::StatusCount;

    #[test]
    fn bytes_have_three_digits() {
        for (count, said) in [
            (0, "0 B"),
            (812, "812 B"),
            (1_204, "1.20 kB"),
            (12_040, "12.0 kB"),
            (120_400, "120 kB"),
            (999_999, "1.00 MB"),
            (30_500_000, "30.5 MB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(bytes(count), said);
        }
    }

    #[test]
    fn answers_are_told_by_status_where_they_are_counted() {
        let mut operation = OperationFigures::default();
        assert_eq!(traffic(&operation), None);
        operation.statuses = vec![StatusCount { status: 200, count: 3_521 }, StatusCount { status: 503, count: 2 }];
        operation.bytes_received = 30_500_000;
        assert_eq!(traffic(&operation).unwrap(), "200 3,521 · 503 2 · received 30.5 MB");
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
