//! Rows of bad windows in a run in which nothing was broken on purpose.

use crate::recovery::{breaks, is_shown_above};

/// So many good windows in a row end an incident.
const GOOD_ROW: usize = 5;
/// The chance that a steady run at its limits is said to have an incident.
const RUN_ALPHA: f64 = 0.005;

/// Windows that hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// The first bad window.
    pub first: usize,
    /// The last one.
    pub last: usize,
    /// How many are bad.
    pub bad: usize,
    /// Whether good windows follow it.
    pub ended: bool,
}

/// Per window (bad, out of) of each limit; `None` for a window that is nobody's to judge. A window is bad when so many
/// bad ones would be seen at a limit with a chance of at most 0.1 %, as in drills. A run has many windows, so a row
/// counts only when one of its windows would be seen by chance in one of 200 runs at most.
pub fn bad_rows(windows: &[Option<Vec<(u64, u64)>>], shares: &[f64]) -> Vec<BadRow> {
    let looks = windows.iter().flatten().count() * shares.len();
    let chance = (RUN_ALPHA / looks.max(1) as f64).min(RUN_ALPHA);
    let (mut rows, mut open, mut good) = (Vec::new(), None::<(BadRow, bool)>, 0);
    for (at, counts) in windows.iter().enumerate() {
        let Some(counts) = counts else { continue };
        if is_bad(counts, shares) {
            let shown = counts.iter().zip(shares).any(|(&(bad, n), &share)| is_shown_above(bad, n, share, chance));
            let (row, is_shown) = open.get_or_insert((BadRow { first: at, last: at, bad: 0, ended: false }, false));
            row.last = at;
            row.bad += 1;
            row.ended = false;
            *is_shown |= shown;
            good = 0;
        } else if counts.iter().any(|(_, n)| *n > 0)
            && let Some((row, _)) = &mut open
        {
            row.ended = true;
            good += 1;
            if good >= GOOD_ROW {
                rows.extend(open.take());
            }
        }
    }
    rows.extend(open);
    rows.into_iter().filter(|(_, is_shown)| *is_shown).map(|(row, _)| row).collect()
}

/// Whether a window breaks a limit.
pub fn is_bad(counts: &[(u64, u64)], shares: &[f64]) -> bool {
    counts.iter().zip(shares).any(|(&(bad, n), &share)| breaks(bad, n, share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bad: &[u64]) -> Vec<BadRow> {
        let windows: Vec<_> = bad.iter().map(|bad| Some(vec![(*bad, 50)])).collect();
        bad_rows(&windows, &[0.01])
    }

    #[test]
    fn a_row_ends_with_five_good_windows() {
        let row = |first, last, bad, ended| BadRow { first, last, bad, ended };
        assert_eq!(rows(&[0, 0, 50, 0, 30, 0, 0, 0, 0, 0, 20, 0]), [row(2, 4, 2, true), row(10, 10, 1, true)]);
        assert_eq!(rows(&[0, 50, 50]), [row(1, 2, 2, false)]);
        assert_eq!(rows(&[0; 60]), []);
        // Bad by the rule for one window, and to be expected in a run of many.
        let mut one = vec![0; 600];
        one[300] = 5;
        assert_eq!(rows(&one), []);
    }

    #[test]
    fn what_is_nobodys_to_judge_is_left_out() {
        let windows = [Some(vec![(0, 50)]), None, None, Some(vec![(0, 50)])];
        assert_eq!(bad_rows(&windows, &[0.01]), []);
    }
}
