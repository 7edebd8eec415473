//! Writes that were lost: how many at most, how far back, and how seldom.

use super::binomial::{ALPHA, clopper_pearson};
use crate::ledger::LedgerCheck;
use crate::model::{Nanos, Verdict};

/// The upper bound of the rate at which acknowledged writes are lost, one-sided 95 % (Clopper–Pearson), over those
/// that could be asked for; 1 where there were none.
pub fn loss_rate_bound(check: &LedgerCheck) -> f64 {
    clopper_pearson(check.lost_count(), check.acknowledged.saturating_sub(check.unreadable), ALPHA).upper
}

/// Whether no more than `most` acknowledged writes were lost, those after the fault included. What could not be asked
/// for may be lost too, so it never passes with any of these, nor without a single acknowledged write.
pub fn judge_lost_writes(check: &LedgerCheck, most: u64) -> Verdict {
    let lost = check.lost_count();
    if lost > most {
        Verdict::Fail
    } else if check.acknowledged == 0 || lost.saturating_add(check.unreadable) > most {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

/// Whether the recovery point lies within `bound`: nothing was lost that had been acknowledged longer before the fault.
pub fn judge_recovery_point(check: &LedgerCheck, bound: Nanos) -> Verdict {
    if check.recovery_point > bound {
        Verdict::Fail
    } else if check.acknowledged == 0 || !check.is_complete() {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Losses;

    fn check(acknowledged: u64, lost: u64, after: u64, unreadable: u64) -> LedgerCheck {
        let losses = |count| Losses { count, named: Vec::new() };
        LedgerCheck {
            acknowledged,
            lost: losses(lost),
            lost_after_fault: losses(after),
            unreadable,
            recovery_point: Nanos::from_secs(lost),
            ..LedgerCheck::default()
        }
    }

    #[test]
    fn nothing_lost_of_many_still_has_a_bound() {
        assert!((loss_rate_bound(&check(2_995, 0, 0, 0)) - 9.997444209011e-4).abs() < 1e-12);
        assert!((loss_rate_bound(&check(5_010, 2, 1, 10)) - 1.549994279706e-3).abs() < 1e-12);
        assert_eq!(loss_rate_bound(&check(0, 0, 0, 0)), 1.0);
    }

    #[test]
    fn what_could_not_be_asked_for_is_no_pass() {
        use Verdict::{Fail, Inconclusive, Pass};
        for (counts, most, expected) in [
            ((100, 0, 0, 0), 0, Pass),
            ((100, 1, 0, 0), 0, Fail),
            ((100, 0, 1, 0), 0, Fail),
            ((100, 0, 0, 1), 0, Inconclusive),
            ((100, 2, 1, 2), 5, Pass),
            ((100, 2, 1, 3), 5, Inconclusive),
            ((0, 0, 0, 0), 5, Inconclusive),
        ] {
            let (acknowledged, lost, after, unreadable) = counts;
            assert_eq!(judge_lost_writes(&check(acknowledged, lost, after, unreadable), most), expected, "{counts:?}");
        }
    }

    #[test]
    fn the_recovery_point_is_held_against_its_bound() {
        let bound = Nanos::from_secs(5);
        assert_eq!(judge_recovery_point(&check(100, 5, 0, 0), bound), Verdict::Pass);
        assert_eq!(judge_recovery_point(&check(100, 6, 0, 9), bound), Verdict::Fail);
        assert_eq!(judge_recovery_point(&check(100, 5, 0, 1), bound), Verdict::Inconclusive);
        assert_eq!(judge_recovery_point(&check(0, 0, 0, 0), bound), Verdict::Inconclusive);
    }
}
