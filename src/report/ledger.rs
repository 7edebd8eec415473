//! What a run says of its ledgers of writes, in words that several formats share.

use super::words::{grouped, plain};
use crate::ledger::LogFindings;
use crate::model::{Verdict, WritePlace};
use crate::objective::{JudgedLedger, LedgerFindings, LedgerFound, LostWrite, LostWrites, Reading};

/// Most lost writes that are shown of a list; run.json has more of them.
const LOST_SHOWN: usize = 5;
/// Most places of a log that are shown.
const PLACES_SHOWN: usize = 3;

/// What was found, first of all what was lost.
pub(super) fn head(ledger: &JudgedLedger) -> String {
    let scenario = plain(&ledger.scenario);
    let found = match &ledger.found {
        LedgerFound::Unread(why) => {
            return format!("ledger of {scenario}: not read back, nothing is known of it: {}", plain(why));
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
    ledger.flaws.iter().map(|flaw| (flaw.verdict, plain(&flaw.words))).collect()
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

fn counts(found: &LedgerFindings) -> Option<String> {
    let unknown = found.unknown_writes;
    let told = [
        (found.unreadable, "could not be asked for"),
        (found.rejected, "refused"),
        (found.rejected_found, "refused and found all the same"),
        (found.duplicates, "copies beyond the first"),
        (found.wrong_value, "with another value"),
        (found.never_written, "found that nobody wrote"),
    ];
    let mut parts: Vec<String> = Vec::new();
    if found.unknown > 0 {
        let unresolved = match unknown.unresolved {
            0 => String::new(),
            n => format!(", {} could not be asked for", grouped(n)),
        };
        parts.push(format!(
            "{} unanswered ({} found, {} not{unresolved})",
            grouped(found.unknown),
            grouped(unknown.found),
            grouped(unknown.not_found)
        ));
    }
    parts.extend(
        told.iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{} {words}", grouped(*count))),
    );
    (!parts.is_empty()).then(|| parts.join(" · "))
}

fn log(log: &LogFindings) -> Option<String> {
    let told = [
        (log.conflicts, "offsets with two values", log.conflicts_named.as_slice()),
        (log.moved, "not at the offset that was acknowledged", &[]),
        (log.out_of_order, "out of order", &log.out_of_order_named),
        (log.lost_behind_end, "lost from behind the end of what is left", &[]),
    ];
    let each = told.iter().filter(|(count, ..)| *count > 0).map(|(count, words, places)| {
        let named: Vec<String> = places.iter().take(PLACES_SHOWN).map(place).collect();
        let more = if *count > named.len() as u64 { ", …" } else { "" };
        let named = if named.is_empty() { String::new() } else { format!(" ({}{more})", named.join(", ")) };
        format!("{} {words}{named}", grouped(*count))
    });
    let parts: Vec<String> = each.collect();
    (!parts.is_empty()).then(|| format!("in the log: {}", parts.join(" · ")))
}

fn stale(found: &LedgerFindings) -> Option<String> {
    let behind: Vec<String> = (1..)
        .zip(&found.stale)
        .filter(|(_, count)| **count > 0)
        .map(|(replica, count)| format!("replica {replica} lacks {} that the primary has", grouped(*count)))
        .collect();
    (!behind.is_empty()).then(|| behind.join(" · "))
}

fn lost(lost: &LostWrites, when: &str) -> Option<String> {
    let shown: Vec<String> = lost.named.iter().take(LOST_SHOWN).map(|write| one(write, when)).collect();
    let more = lost.count.saturating_sub(shown.len() as u64);
    let more = if more > 0 { format!("; and {} more", grouped(more)) } else { String::new() };
    (!shown.is_empty()).then(|| format!("lost from {when} the fault: {}{more}", shown.join("; ")))
}

fn one(write: &LostWrite, when: &str) -> String {
    let place = write.place.as_ref().map_or_else(String::new, |at| format!(", {}", place(at)));
    format!("{} {} ({} {when}{place})", plain(&write.operation), write.id, write.from_fault)
}

fn place(place: &WritePlace) -> String {
    match place {
        WritePlace::Offset { partition, offset, .. } => format!("partition {partition} offset {offset}"),
        WritePlace::Key(key) => format!("key {}", plain(key)),
    }
}
