//! What a run says of its ledgers of writes, in words that several formats share.

use super::phrases::{grouped, plain};
use slatest_core::model::Verdict;
use slatest_core::writes::LogFindings;
use slatest_stats::{JudgedLedger, LedgerFindings, LedgerFound, LostWrite, LostWrites, Reading};

/// Most lost writes that are shown of a list; run.json has more of them.
const LOST_SHOWN: usize = 5;
/// Most places of a log that are shown.
const PLACES_SHOWN: usize = 3;

/// What was found, first of all what was lost.
pub(super) fn head(ledger: &JudgedLedger) -> String {
    let scenario = plain(&ledger.scenario);
    let found = match &ledger.found {
        LedgerFound::Unread(reason) => {
            return format!("ledger of {scenario}: not read back, nothing is known of it: {}", plain(reason));
        }
        LedgerFound::Read(found) => found,
    };
    let acknowledged = format!("ledger of {scenario}: {} writes acknowledged", grouped(found.acknowledged));
    if found.acknowledged == 0 {
        return acknowledged;
    }
    let lost = match (found.lost.count, found.lost_after_fault.count) {
        (0, 0) => "none lost".to_owned(),
        (before, 0) => format!("{} LOST (recovery point {})", grouped(before), found.recovery_point),
        (0, after) => format!("{} LOST, acknowledged after the fault", grouped(after)),
        (before, after) => format!(
            "{} LOST from before the fault (recovery point {}) and {} from after it",
            grouped(before),
            found.recovery_point,
            grouped(after)
        ),
    };
    let rate = found.loss_rate;
    format!(
        "{acknowledged}, {lost}: a rate of at most {} (at {})",
        Reading::Share(rate.upper),
        Reading::Share(rate.confidence)
    )
}

/// What counts though nobody asked, with its verdict.
pub(super) fn flaws(ledger: &JudgedLedger) -> Vec<(Verdict, String)> {
    ledger.flaws.iter().map(|flaw| (flaw.verdict, plain(&flaw.message))).collect()
}

/// Everything else that was found and is not as it would be in a quiet run; and the lost ones, one by one.
pub(super) fn lines(ledger: &JudgedLedger) -> Vec<String> {
    let Some(found) = ledger.findings() else { return Vec::new() };
    let mut lines: Vec<String> = counts(found).into_iter().collect();
    lines.extend(found.log.as_ref().and_then(log));
    lines.extend(stale(found));
    lines.extend(lost(&found.lost, "before"));
    lines.extend(lost(&found.lost_after_fault, "after"));
    lines
}

/// What is told though it is no flaw: what was promised may allow it.
fn counts(found: &LedgerFindings) -> Option<String> {
    let unknown = found.unknown_writes;
    let unresolved = match unknown.unresolved {
        0 => String::new(),
        n => format!(", {} could not be asked for", grouped(n)),
    };
    let unanswered = format!(" ({} found, {} not{unresolved})", grouped(unknown.found), grouped(unknown.not_found));
    told(&[
        (found.unreadable, "could not be asked for", ""),
        (found.unknown, "unanswered", &unanswered),
        (found.rejected, "refused", ""),
        (found.rejected_found, "refused and there all the same", ""),
        (found.duplicates, "copies beyond the first", ""),
    ])
}

fn log(log: &LogFindings) -> Option<String> {
    let named: Vec<String> = log.out_of_order_named.iter().take(PLACES_SHOWN).map(ToString::to_string).collect();
    let more = if log.out_of_order > named.len() as u64 { ", …" } else { "" };
    let named = if named.is_empty() { String::new() } else { format!(" ({}{more})", named.join(", ")) };
    told(&[
        (log.moved, "not at the offset that was acknowledged", ""),
        (log.out_of_order, "out of order", &named),
        (log.lost_behind_end, "lost from behind the end of what is left", ""),
    ])
    .map(|text| format!("in the log: {text}"))
}

/// Counts above zero: (how many, of what, more).
fn told(counts: &[(u64, &str, &str)]) -> Option<String> {
    let counted = counts.iter().filter(|(count, ..)| *count > 0);
    let parts: Vec<String> =
        counted.map(|(count, message, more)| format!("{} {message}{more}", grouped(*count))).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// Replicas that are behind their primary, or were not asked.
fn stale(found: &LedgerFindings) -> Option<String> {
    let behind = (1..).zip(&found.stale).filter(|(_, count)| **count > 0);
    let behind =
        behind.map(|(replica, count)| format!("replica {replica} lacks {} that the primary has", grouped(*count)));
    let unasked = (1..).zip(&found.unasked).filter(|(_, count)| **count > 0);
    let unasked = unasked.map(|(replica, count)| format!("replica {replica} was not asked for {}", grouped(*count)));
    let parts: Vec<String> = behind.chain(unasked).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// The first of what was lost, a line for each, and how many more there are.
fn lost(lost: &LostWrites, when: &str) -> Vec<String> {
    let one = |write: &LostWrite| {
        let place = write.place.as_ref().map_or_else(String::new, |at| format!(", {}", plain(&at.to_string())));
        let (operation, id) = (plain(&write.operation), write.id);
        format!("lost: {operation} {id}, acknowledged {} {when} the fault{place}", write.from_fault)
    };
    let mut lines: Vec<String> = lost.named.iter().take(LOST_SHOWN).map(one).collect();
    let more = lost.count.saturating_sub(lines.len() as u64);
    if more > 0 && !lines.is_empty() {
        lines
            .push(format!("lost: {} more, acknowledged {when} the fault (run.json names the earliest)", grouped(more)));
    }
    lines
}
