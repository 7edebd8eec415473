//! What a ledger of writes found, as it stands in the result of a drill, and what of it counts unasked.

use serde::{Deserialize, Serialize};

use super::losses::{LedgerOf, loss_rate_bound};
use crate::binomial::ALPHA;
use slatest_core::model::{Nanos, OperationId, Verdict, WriteId, WritePlace};
use slatest_core::writes::{self, LedgerCheck, LogFindings, UnknownWrites};

/// Most places that a flaw names.
const NAMED: usize = 3;

/// An acknowledged write that isn't there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostWrite {
    /// Its identifier, as it was sent to the store.
    pub id: WriteId,
    /// The operation that wrote: `scenario/operation`.
    pub operation: String,
    /// When it was meant to start, on the run's clock.
    pub intended: Nanos,
    /// When it was sent.
    pub sent: Option<Nanos>,
    /// When it was acknowledged.
    pub acknowledged: Nanos,
    /// How long before the fault, or after it, it was acknowledged.
    pub from_fault: Nanos,
    /// Where the store said that it put it, in a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<WritePlace>,
}

/// Acknowledged writes that aren't there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostWrites {
    /// All of them.
    pub count: u64,
    /// The earliest acknowledged of them, `LOSSES_NAMED_MAX` at most.
    pub named: Vec<LostWrite>,
}

/// At which rate acknowledged writes are lost at most, for all that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossRate {
    /// The one-sided upper bound (Clopper–Pearson), 0 to 1.
    pub upper: f64,
    /// Its confidence.
    pub confidence: f64,
}

/// What was found in a store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerFindings {
    /// Writes that the store acknowledged.
    pub acknowledged: u64,
    /// Writes that it refused, or that were never sent.
    pub rejected: u64,
    /// Writes of which nobody knows.
    pub unknown: u64,
    /// What became of these.
    pub unknown_writes: UnknownWrites,
    /// Acknowledged writes that could not be asked for.
    pub unreadable: u64,
    /// Acknowledged before the fault and not there.
    pub lost: LostWrites,
    /// Acknowledged at or after the fault and not there.
    pub lost_after_fault: LostWrites,
    /// The fault − the oldest acknowledgement in `lost`; 0 when none of these was lost.
    pub recovery_point: Nanos,
    /// The rate at which acknowledged writes are lost, before the fault and after it.
    pub loss_rate: LossRate,
    /// Acknowledged writes that are there with another value than was written.
    pub wrong_value: u64,
    /// Copies beyond the first.
    pub duplicates: u64,
    /// Writes in the store, in the name of this scenario, that nobody did.
    pub never_written: u64,
    /// Some of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_written_named: Vec<WriteId>,
    /// Writes that were refused and are there.
    pub rejected_found: u64,
    /// For each replica, acknowledged writes that the primary has and it hasn't.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<u64>,
    /// For each replica, those for which it was not asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unasked: Vec<u64>,
    /// What only a log can be found to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogFindings>,
}

/// What came of reading a store back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerFound {
    /// What it holds.
    Read(Box<LedgerFindings>),
    /// Why nothing can be said.
    Unread(String),
}

/// Something that counts though no objective asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flaw {
    /// What it makes of the drill at best.
    pub verdict: Verdict,
    /// What it is.
    #[serde(alias = "words")]
    pub message: String,
}

/// The ledger of one scenario's writes, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedLedger {
    /// The scenario that wrote.
    pub scenario: String,
    /// What was found.
    pub found: LedgerFound,
    /// What counts though no objective asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flaws: Vec<Flaw>,
}

impl JudgedLedger {
    /// The worst that it makes of its drill unasked; a pass without flaws.
    pub fn verdict(&self) -> Verdict {
        Verdict::worst(self.flaws.iter().map(|flaw| flaw.verdict).chain([Verdict::Pass]))
    }

    /// What was found, where the store was read back.
    pub fn findings(&self) -> Option<&LedgerFindings> {
        match &self.found {
            LedgerFound::Read(findings) => Some(findings),
            LedgerFound::Unread(_) => None,
        }
    }
}

/// Puts what was found of a scenario's writes into words of the run: operations by `address`, times relative to the
/// fault.
///
/// No objective has to ask for what no promise allows: an offset that holds two values, and an acknowledged write that
/// is there with another value, make a drill fail. A write that nobody did is either the store's invention or a hole in
/// the ledger, so that nothing passes with one. Everything else may be what was promised (a copy, a replica that
/// lags, a loss within the recovery point), and is shown.
pub fn judge_ledger(ledger: &LedgerOf, fault: Nanos, address: impl Fn(OperationId) -> String) -> JudgedLedger {
    let scenario = ledger.scenario.clone();
    match &ledger.check {
        Ok(check) => {
            let found = LedgerFound::Read(Box::new(findings(check, fault, address)));
            JudgedLedger { scenario, found, flaws: flaws(check) }
        }
        Err(reason) => JudgedLedger { scenario, found: LedgerFound::Unread(reason.clone()), flaws: Vec::new() },
    }
}

fn findings(check: &LedgerCheck, fault: Nanos, address: impl Fn(OperationId) -> String) -> LedgerFindings {
    let lost = |losses: &writes::Losses| LostWrites {
        count: losses.count,
        named: losses
            .named
            .iter()
            .map(|loss| LostWrite {
                id: loss.id,
                operation: address(loss.operation),
                intended: loss.intended,
                sent: loss.sent,
                acknowledged: loss.acknowledged,
                from_fault: Nanos(loss.acknowledged.0.abs_diff(fault.0)),
                place: loss.place.clone(),
            })
            .collect(),
    };
    LedgerFindings {
        acknowledged: check.acknowledged,
        rejected: check.rejected,
        unknown: check.unknown,
        unknown_writes: check.unknown_writes,
        unreadable: check.unreadable,
        lost: lost(&check.lost),
        lost_after_fault: lost(&check.lost_after_fault),
        recovery_point: check.recovery_point,
        loss_rate: LossRate {
            upper: loss_rate_bound(check.lost_count(), check.acknowledged, check.unreadable),
            confidence: 1.0 - ALPHA,
        },
        wrong_value: check.wrong_value,
        duplicates: check.duplicates,
        never_written: check.never_written,
        never_written_named: check.never_written_named.clone(),
        rejected_found: check.rejected_found,
        stale: check.stale.clone(),
        unasked: check.unasked.clone(),
        log: check.log.clone(),
    }
}

fn flaws(check: &LedgerCheck) -> Vec<Flaw> {
    let log = check.log.as_ref();
    let conflicts = log.map_or(0, |log| log.conflicts);
    let places: Vec<String> =
        log.into_iter().flat_map(|log| &log.conflicts_named).take(NAMED).map(ToString::to_string).collect();
    let strangers: Vec<String> = check.never_written_named.iter().take(NAMED).map(ToString::to_string).collect();
    let all = [
        (conflicts, Verdict::Fail, "offsets with two values, or another than was acknowledged", places),
        (check.wrong_value, Verdict::Fail, "acknowledged writes that are there with another value", Vec::new()),
        (check.never_written, Verdict::Inconclusive, "writes that are there and that nobody did", strangers),
    ];
    let counted = all.into_iter().filter(|(count, ..)| *count > 0);
    let torn = (check.torn_bytes > 0).then(|| Flaw {
        verdict: Verdict::Inconclusive,
        message: format!(
            "the ledger ends within a block, whose {} bytes were left out: the writes in it are not known",
            check.torn_bytes
        ),
    });
    counted
        .map(|(count, verdict, message, named)| {
            let more = if count > named.len() as u64 { ", …" } else { "" };
            let named = if named.is_empty() { String::new() } else { format!(" ({}{more})", named.join(", ")) };
            Flaw { verdict, message: format!("{message}: {count}{named}") }
        })
        .chain(torn)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_core::model::WriteScope;

    fn of(check: LedgerCheck) -> JudgedLedger {
        let ledger = LedgerOf { scenario: "events".into(), check: Ok(check) };
        judge_ledger(&ledger, Nanos::from_secs(100), |operation| format!("events/{}", operation.0))
    }

    #[test]
    fn what_no_promise_allows_counts_unasked_and_the_rest_is_shown() {
        let plain =
            LedgerCheck { acknowledged: 10, duplicates: 4, rejected_found: 2, stale: vec![3], ..Default::default() };
        let seen = of(plain.clone());
        assert_eq!((seen.verdict(), seen.flaws.len()), (Verdict::Pass, 0));
        let findings = seen.findings().unwrap();
        assert_eq!((findings.duplicates, findings.rejected_found, findings.stale.as_slice()), (4, 2, &[3][..]));
        let conflicts = LogFindings { conflicts: 1, ..LogFindings::default() };
        assert_eq!(of(LedgerCheck { log: Some(conflicts), ..plain.clone() }).verdict(), Verdict::Fail);
        assert_eq!(of(LedgerCheck { wrong_value: 1, ..plain.clone() }).verdict(), Verdict::Fail);
        let torn = of(LedgerCheck { torn_bytes: 17, ..plain.clone() });
        assert_eq!(torn.verdict(), Verdict::Inconclusive);
        assert!(torn.flaws[0].message.contains("17 bytes were left out"), "{torn:?}");
        assert_eq!(of(LedgerCheck { never_written: 1, ..plain }).verdict(), Verdict::Inconclusive);
    }

    #[test]
    fn lost_writes_are_named_with_their_distance_from_the_fault() {
        let loss = |at| writes::Loss {
            id: WriteScope::of("run", "events").id(at, 0),
            operation: OperationId(3),
            intended: Nanos::from_secs(at),
            sent: None,
            acknowledged: Nanos::from_secs(at),
            place: None,
        };
        let losses = |at| writes::Losses { count: 1, named: vec![loss(at)] };
        let seen = of(LedgerCheck {
            acknowledged: 5_000,
            lost: losses(60),
            lost_after_fault: losses(104),
            ..LedgerCheck::default()
        });
        let findings = seen.findings().unwrap();
        assert_eq!(findings.lost.named[0].from_fault, Nanos::from_secs(40));
        assert_eq!(findings.lost_after_fault.named[0].from_fault, Nanos::from_secs(4));
        assert_eq!(findings.lost.named[0].operation, "events/3");
        assert!(findings.loss_rate.upper > 2.0 / 5_000.0 && findings.loss_rate.upper < 0.0013);
    }
}
