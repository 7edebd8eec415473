//! Rows of good windows.

use super::rule::{breaks, is_shown_above};
use crate::binomial::ALPHA;

/// Sums over windows that follow one another, per limit.
///
/// One window alone says little: where 5 % may be late, 20 % of 30 operations are within chance. So the
/// whole row is held against the limits too, and so is each of its beginnings: the tail of an outage of
/// which only few operations suffered is found where its windows lie together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row<'a> {
    shares: &'a [f64],
    sums: Vec<(u64, u64)>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(shares: &'a [f64]) -> Self {
        Self { shares, sums: vec![(0, 0); shares.len()] }
    }

    /// Adds a window.
    pub(crate) fn add(&mut self, counts: &[(u64, u64)]) {
        for (sum, (bad, n)) in self.sums.iter_mut().zip(counts) {
            *sum = (sum.0 + bad, sum.1 + n);
        }
    }

    fn any(&self, broken: impl Fn(u64, u64, f64) -> bool) -> bool {
        self.sums.iter().zip(self.shares).any(|(&(bad, n), &share)| broken(bad, n, share))
    }

    /// Whether what was added so far breaks a limit as one window would.
    pub(crate) fn is_broken(&self) -> bool {
        self.any(breaks)
    }

    /// Whether a judge would say that a limit does not hold.
    pub(crate) fn fails(&self) -> bool {
        self.any(|bad, n, share| is_shown_above(bad, n, share, ALPHA))
    }

    /// The index of the limit that a judge would say does not hold.
    pub(crate) fn failing(&self) -> Option<usize> {
        self.sums.iter().zip(self.shares).position(|(&(bad, n), &share)| is_shown_above(bad, n, share, ALPHA))
    }
}

/// The beginning of a row that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// Where it starts.
    pub(super) start: usize,
    /// How many of its windows may still hold a part of the outage: the row begins with more bad ones than a
    /// limit leaves room for at 95 %, and this is the last window with one of these. At least one.
    pub(super) doubtful: usize,
}

/// The first row of `length` windows from `from` on that are all good and hold together. `counts` are
/// those of each window where it is good, else `None`.
pub(super) fn first_row(
    counts: &[Option<Vec<(u64, u64)>>],
    shares: &[f64],
    from: usize,
    length: usize,
) -> Option<Beginning> {
    let mut start = from;
    while start + length <= counts.len() {
        let row = &counts[start..start + length];
        if let Some(broken) = row.iter().rposition(Option::is_none) {
            start += broken + 1;
            continue;
        }
        match holds(row, shares) {
            Some(doubtful) => return Some(Beginning { start, doubtful }),
            None => start += 1,
        }
    }
    None
}

/// Whether a row and all of its beginnings hold; then, how many windows are doubtful.
fn holds(row: &[Option<Vec<(u64, u64)>>], shares: &[f64]) -> Option<usize> {
    let mut sums = Row::new(shares);
    let (mut doubtful, mut last_bad) = (1, 0);
    for (i, counts) in row.iter().flatten().enumerate() {
        sums.add(counts);
        if sums.is_broken() {
            return None;
        }
        if counts.iter().any(|(bad, _)| *bad > 0) {
            last_bad = i;
        }
        if sums.fails() {
            doubtful = last_bad + 1;
        }
    }
    (!sums.fails()).then_some(doubtful)
}
