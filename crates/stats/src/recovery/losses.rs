//! What was lost in a drill, judged: how many writes at most, how far back, and how seldom.

use super::judged::{Asked, JudgedPart};
use crate::binomial::{ALPHA, clopper_pearson};
use slatest_core::model::{Nanos, OperationId, Verdict};
use slatest_core::writes::LedgerCheck;

/// A scenario's store, held against the ledger of its writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerOf {
    /// The scenario that wrote.
    pub scenario: String,
    /// What was found; or why the store could not be read back, in words without secrets.
    pub check: Result<LedgerCheck, String>,
}

/// What was lost of the writes that an objective asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Of these, how many could not be asked for: they may be lost.
    pub unreadable: u64,
    /// Lost ones that were acknowledged before the fault.
    pub lost_before: u64,
    /// Lost ones that were acknowledged after it: by who was about to fail, or by two that took writes at a time.
    pub lost_after: u64,
    /// When the oldest of those before was acknowledged, on the run's clock.
    pub oldest_lost: Option<Nanos>,
    /// Writes of which nobody can tell whether they were acknowledged; never counted as lost.
    pub unknown: u64,
    /// Stores that could not be read back: (scenario, why).
    pub unread: Vec<(String, String)>,
}

impl Losses {
    /// What these ledgers say of the writes of some operations.
    pub fn of<'l>(ledgers: impl IntoIterator<Item = &'l LedgerOf>, operations: &[OperationId]) -> Self {
        let mut losses = Self::default();
        for ledger in ledgers {
            match &ledger.check {
                Ok(check) => losses.add(check, operations),
                Err(reason) => losses.unread.push((ledger.scenario.clone(), reason.clone())),
            }
        }
        losses
    }

    fn add(&mut self, check: &LedgerCheck, operations: &[OperationId]) {
        for writes in check.operations.iter().filter(|writes| operations.contains(&writes.operation)) {
            self.acknowledged += writes.acknowledged;
            self.unreadable += writes.unreadable;
            self.lost_before += writes.lost;
            self.lost_after += writes.lost_after_fault;
            self.unknown += writes.unknown;
            self.oldest_lost = [self.oldest_lost, writes.oldest_lost].into_iter().flatten().min();
        }
    }

    /// Lost ones in all.
    pub const fn lost(&self) -> u64 {
        self.lost_before.saturating_add(self.lost_after)
    }

    /// The recovery point: fault − the oldest acknowledgement among the lost ones from before the fault; zero where
    /// none of these was lost.
    pub fn recovery_point(&self, fault: Nanos) -> Nanos {
        self.oldest_lost.map_or(Nanos::ZERO, |oldest| fault - oldest)
    }
}

/// The upper bound of the rate at which acknowledged writes are lost, one-sided 95 % (Clopper–Pearson), over those
/// that could be asked for; 1 where there were none.
pub(super) fn loss_rate_bound(lost: u64, acknowledged: u64, unreadable: u64) -> f64 {
    clopper_pearson(lost, acknowledged.saturating_sub(unreadable), ALPHA).upper
}

/// Judges what was lost. `losses` is `None` where no ledger was kept. What could not be asked for may be lost too, so
/// nothing passes that would not pass without it. `clock_bound`: how far the clocks of the fault and of the
/// acknowledgements may be apart.
pub fn judge_losses(losses: Option<&Losses>, fault: Nanos, clock_bound: Nanos, asked: Asked) -> JudgedPart {
    let part = |measured: String, verdict, message: Option<String>| JudgedPart { asked, measured, verdict, message };
    let none = |message: &str| part("no data".into(), Verdict::Inconclusive, Some(message.into()));
    let Some(losses) = losses else {
        return none("no ledger of writes was kept here: mark the operations that write with `ledger: true`");
    };
    let unread = (!losses.unread.is_empty()).then(|| {
        let each = losses.unread.iter().map(|(scenario, reason)| format!("the writes of `{scenario}`: {reason}"));
        each.collect::<Vec<_>>().join("; ")
    });
    if losses.acknowledged == 0 {
        return none(unread.as_deref().unwrap_or("no write was acknowledged"));
    }
    let unreadable =
        || format!("{} of {} acknowledged writes could not be asked for", losses.unreadable, losses.acknowledged);
    let after = (losses.lost_after > 0).then(|| format!("{} were acknowledged after the fault", losses.lost_after));
    let with =
        |message: String| Some([Some(message), after.clone()].into_iter().flatten().collect::<Vec<_>>().join("; "));
    match asked {
        Asked::Rto(_) => none("a recovery time is not read from the ledger"),
        Asked::LostWrites(most) => {
            let measured = format!("{} of {} acknowledged writes lost", losses.lost(), losses.acknowledged);
            if losses.lost() > most {
                let message = after.map(|after| format!("of them, {after}"));
                part(measured, Verdict::Fail, message)
            } else if let Some(unread) = unread {
                part(measured, Verdict::Inconclusive, with(unread))
            } else if losses.lost().saturating_add(losses.unreadable) > most {
                part(measured, Verdict::Inconclusive, with(unreadable()))
            } else {
                part(measured, Verdict::Pass, after.map(|after| format!("of them, {after}")))
            }
        }
        Asked::Rpo(rpo) => {
            let point = losses.recovery_point(fault);
            let measured =
                format!("{point}, {} of {} acknowledged writes lost", losses.lost_before, losses.acknowledged);
            let bound = if losses.lost_before > 0 { clock_bound } else { Nanos::ZERO };
            let besides = after.as_ref().map(|after| format!("besides, {after} and lost"));
            if point - bound >= rpo {
                part(measured, Verdict::Fail, besides)
            } else if point + bound >= rpo {
                part(measured, Verdict::Inconclusive, Some("the target lies within the clocks' bound".into()))
            } else if let Some(unread) = unread {
                part(measured, Verdict::Inconclusive, Some(unread))
            } else if losses.unreadable > 0 {
                part(measured, Verdict::Inconclusive, Some(unreadable()))
            } else {
                part(measured, Verdict::Pass, besides)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slatest_core::writes::OperationWrites;

    const fn secs(s: u64) -> Nanos {
        Nanos::from_secs(s)
    }

    const fn writes(operation: u16, acknowledged: u64) -> OperationWrites {
        OperationWrites {
            operation: OperationId(operation),
            acknowledged,
            unreadable: 0,
            lost: 0,
            lost_after_fault: 0,
            oldest_lost: None,
            unknown: 0,
        }
    }

    fn ledger(scenario: &str, operations: Vec<OperationWrites>) -> LedgerOf {
        LedgerOf { scenario: scenario.into(), check: Ok(LedgerCheck { operations, ..LedgerCheck::default() }) }
    }

    fn judge(losses: &Losses, asked: Asked) -> Verdict {
        judge_losses(Some(losses), secs(100), Nanos::from_millis(10), asked).verdict
    }

    #[test]
    fn nothing_lost_of_many_still_has_a_bound() {
        // scipy.stats.beta.ppf(.95, x + 1, n - x)
        assert!((loss_rate_bound(0, 2_995, 0) - 9.997444209011e-4).abs() < 1e-12);
        assert!((loss_rate_bound(3, 5_010, 10) - 1.549994279706e-3).abs() < 1e-12);
        assert_eq!(loss_rate_bound(0, 0, 0), 1.0);
    }

    #[test]
    fn an_objective_is_judged_by_its_own_operations() {
        let lost = OperationWrites { lost: 3, oldest_lost: Some(secs(60)), ..writes(1, 500) };
        let other = OperationWrites { lost: 1, oldest_lost: Some(secs(50)), lost_after_fault: 2, ..writes(7, 200) };
        let ledgers = [ledger("api", vec![writes(0, 100), lost]), ledger("events", vec![other])];
        let of = |operations: &[u16]| {
            let operations: Vec<_> = operations.iter().copied().map(OperationId).collect();
            Losses::of(&ledgers, &operations)
        };
        let first = of(&[0]);
        assert_eq!((first.acknowledged, first.lost(), judge(&first, Asked::LostWrites(0))), (100, 0, Verdict::Pass));
        let api = of(&[0, 1]);
        assert_eq!((api.acknowledged, api.lost(), api.recovery_point(secs(100))), (600, 3, secs(40)));
        let all = of(&[0, 1, 7]);
        assert_eq!((all.acknowledged, all.lost(), all.recovery_point(secs(100))), (800, 6, secs(50)));
        assert_eq!(judge(&of(&[5]), Asked::LostWrites(0)), Verdict::Inconclusive, "nothing was written");
    }

    #[test]
    fn losses_are_judged_by_what_was_acknowledged() {
        let losses = Losses { acknowledged: 1_000, unknown: 9, ..Losses::default() };
        assert_eq!(judge(&losses, Asked::LostWrites(0)), Verdict::Pass, "unknown ones are not lost");
        assert_eq!(judge(&losses, Asked::Rpo(secs(300))), Verdict::Pass);
        let lost = Losses { lost_before: 3, oldest_lost: Some(secs(60)), ..losses.clone() };
        assert_eq!(judge(&lost, Asked::LostWrites(0)), Verdict::Fail);
        assert_eq!(judge(&lost, Asked::LostWrites(3)), Verdict::Pass);
        assert_eq!(judge(&lost, Asked::Rpo(secs(300))), Verdict::Pass);
        assert_eq!(judge(&lost, Asked::Rpo(secs(40))), Verdict::Inconclusive, "within the clocks' bound");
        assert_eq!(judge(&lost, Asked::Rpo(secs(30))), Verdict::Fail);
        // Lost after the fault says nothing of the recovery point, but is told.
        let split = Losses { lost_after: 5, ..losses.clone() };
        assert_eq!(
            (judge(&split, Asked::LostWrites(0)), split.recovery_point(secs(100))),
            (Verdict::Fail, Nanos::ZERO)
        );
        let rpo = judge_losses(Some(&split), secs(100), Nanos::ZERO, Asked::Rpo(secs(1)));
        assert_eq!(
            (rpo.verdict, rpo.message.is_some_and(|w| w.contains("5 were acknowledged after"))),
            (Verdict::Pass, true)
        );
    }

    #[test]
    fn what_could_not_be_asked_for_is_no_pass() {
        use Verdict::{Fail, Inconclusive, Pass};
        for (acknowledged, lost, after, unreadable, most, expected) in [
            (100, 0, 0, 0, 0, Pass),
            (100, 1, 0, 0, 0, Fail),
            (100, 0, 1, 9, 0, Fail),
            (100, 0, 0, 1, 0, Inconclusive),
            (100, 2, 1, 2, 5, Pass),
            (100, 2, 1, 3, 5, Inconclusive),
            (0, 0, 0, 0, 5, Inconclusive),
        ] {
            let losses = Losses { acknowledged, lost_before: lost, lost_after: after, unreadable, ..Losses::default() };
            assert_eq!(judge(&losses, Asked::LostWrites(most)), expected, "{losses:?}");
            if unreadable > 0 {
                assert_eq!(judge(&losses, Asked::Rpo(secs(1))), Inconclusive, "{losses:?}");
            }
        }
        assert_eq!(judge_losses(None, secs(1), Nanos::ZERO, Asked::LostWrites(0)).verdict, Inconclusive);
    }

    #[test]
    fn a_store_that_could_not_be_read_back_is_said_and_no_pass() {
        let unread = LedgerOf { scenario: "events".into(), check: Err("no broker answers".into()) };
        let ledgers = [ledger("api", vec![writes(0, 100)]), unread];
        let both = judge_losses(
            Some(&Losses::of(&ledgers, &[OperationId(0), OperationId(1)])),
            secs(1),
            Nanos::ZERO,
            Asked::LostWrites(0),
        );
        assert_eq!(both.verdict, Verdict::Inconclusive);
        assert_eq!(both.message.as_deref(), Some("the writes of `events`: no broker answers"));
        assert_eq!(judge(&Losses::of(&ledgers[..1], &[OperationId(0)]), Asked::LostWrites(0)), Verdict::Pass);
    }
}
