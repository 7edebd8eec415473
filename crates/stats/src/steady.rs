//! Whether a run has come to its steady state: the ground that a drill stands on.

use super::recovery::Row;

/// A limit on a share of bad operations, as it is watched window by window.
#[derive(Clone, Debug, PartialEq)]
pub struct SteadyLimit {
    /// What it says, for people: `api-errors: error_rate < 0.1%`.
    pub message: String,
    /// The share that must not be reached, in (0, 1).
    pub share: f64,
    /// Fewest operations with which a window says anything of it.
    pub fewest: u64,
}

/// Watches windows until all limits have held in so many of them in a row. Keeps counters only, so that it costs
/// nothing to be asked at each window of a long run.
///
/// A window holds a limit when it has enough operations and does not break it (by the test of
/// [`super::Rule`]); the row as a whole must hold, too: a judge would not say of it that a limit
/// fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Steady {
    limits: Vec<SteadyLimit>,
    wanted: u64,
    row: u64,
    sums: Vec<(u64, u64)>,
    /// Why the last row ended; which window that was.
    ended: Option<(u64, String)>,
    seen: u64,
}

impl Steady {
    /// Wants `windows` in a row, at least one.
    pub fn new(limits: Vec<SteadyLimit>, windows: u64) -> Self {
        let sums = vec![(0, 0); limits.len()];
        Self { limits, wanted: windows.max(1), row: 0, sums, ended: None, seen: 0 }
    }

    /// Adds a window: (bad, out of) of each limit, in order. True once it is steady.
    pub fn window(&mut self, counts: &[(u64, u64)]) -> bool {
        self.seen += 1;
        let shares: Vec<f64> = self.limits.iter().map(|limit| limit.share).collect();
        let wrong = self.limits.iter().zip(counts).find_map(|(limit, &(bad, n))| {
            let share = [limit.share];
            let mut one = Row::new(&share);
            one.add(&[(bad, n)]);
            if one.is_broken() {
                Some(format!("{} did not hold: {bad} of {n} against it", limit.message))
            } else if n < limit.fewest {
                Some(format!("{}: {n} operations, and it takes {} to tell", limit.message, limit.fewest))
            } else {
                None
            }
        });
        if let Some(reason) = wrong {
            return self.end_row(reason);
        }
        for (sum, (bad, n)) in self.sums.iter_mut().zip(counts) {
            *sum = (sum.0 + bad, sum.1 + n);
        }
        self.row += 1;
        let mut whole = Row::new(&shares);
        whole.add(&self.sums);
        if self.row >= self.wanted {
            match whole.failing() {
                Some(limit) => {
                    let reason = format!(
                        "{} did not hold over {} windows together: {} of {} against it",
                        self.limits[limit].message, self.row, self.sums[limit].0, self.sums[limit].1
                    );
                    return self.end_row(reason);
                }
                None => return true,
            }
        }
        false
    }

    fn end_row(&mut self, reason: String) -> bool {
        self.ended = Some((self.seen, reason));
        self.row = 0;
        self.sums.fill((0, 0));
        false
    }

    /// How far it is: windows in the row now, of how many wanted.
    pub const fn progress(&self) -> (u64, u64) {
        (self.row, self.wanted)
    }

    /// Why it is not steady yet, in words.
    pub fn why_not(&self) -> String {
        let (row, wanted) = self.progress();
        match &self.ended {
            None if self.seen == 0 => "no window has closed yet".into(),
            None => format!("{row} of {wanted} windows in which every objective holds, and no more time"),
            Some((window, reason)) => {
                format!(
                    "{row} of {wanted} windows in which every objective holds; in window {window} of {}, {reason}",
                    self.seen
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(share: f64) -> SteadyLimit {
        SteadyLimit { message: "errors: error_rate < 1%".into(), share, fewest: 20 }
    }

    fn fed(windows: u64, counts: impl IntoIterator<Item = (u64, u64)>) -> (bool, Steady) {
        let mut steady = Steady::new(vec![errors(0.01)], windows);
        let reached = counts.into_iter().any(|count| steady.window(&[count]));
        (reached, steady)
    }

    #[test]
    fn it_takes_a_row() {
        assert!(fed(10, [(0, 100); 10]).0);
        let (reached, steady) = fed(10, [(0, 100); 9]);
        assert!(!reached);
        assert_eq!(steady.why_not(), "9 of 10 windows in which every objective holds, and no more time");
    }

    #[test]
    fn a_bad_window_starts_the_row_again_and_is_named() {
        let windows = [(0, 100), (0, 100), (9, 100), (0, 100), (0, 100)];
        let (reached, steady) = fed(3, windows);
        assert!(!reached);
        let reason = steady.why_not();
        assert!(reason.contains("2 of 3 windows") && reason.contains("window 3 of 5"), "{reason}");
        assert!(reason.contains("error_rate < 1% did not hold: 9 of 100"), "{reason}");
        assert!(fed(3, windows.into_iter().chain([(0, 100)])).0);
    }

    #[test]
    fn too_few_operations_are_no_steady_state() {
        let (reached, steady) = fed(3, [(0, 19); 50]);
        assert!(!reached && steady.why_not().contains("19 operations, and it takes 20"), "{}", steady.why_not());
    }

    #[test]
    fn windows_that_each_could_be_chance_are_not_steady_together() {
        // 3 of 100 each could be chance at 1 %; 30 of 1,000 are not.
        let (reached, steady) = fed(10, [(3, 100); 10]);
        assert!(!reached && steady.why_not().contains("windows together: 30 of 1000"), "{}", steady.why_not());
    }

    #[test]
    fn nothing_seen_is_not_steady() {
        assert_eq!(Steady::new(vec![errors(0.01)], 3).why_not(), "no window has closed yet");
    }
}
