//! Whether arrivals were fired in the windows for which they were planned: the shape of the load.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tally::COUNT_MAX;
use crate::model::Nanos;

/// Most windows behind the newest one whose counts may still change; older ones are settled.
const OPEN_WINDOWS_MAX: usize = 128;
/// Shorter windows are looked at together: what a stall of some milliseconds moves over the edge of a short window is a
/// large share of it, and no other load for the target.
const SPAN_LEAST: Nanos = Nanos::from_secs(1);
/// A window is off when this share of its arrivals is missing or too many.
const OFF_SHARE: f64 = 0.05;

/// Arrivals that were fired in one window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiredArrivals {
    /// How many were fired in it.
    pub fired: u64,
    /// Those of them that were planned for an earlier window: (its number, how many), in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<(u64, u64)>,
}

impl FiredArrivals {
    /// Counts one that was planned for window `planned` and fired in window `fired`.
    pub(super) fn fired(&mut self, planned: u64, fired: u64) {
        self.fired += 1;
        if planned < fired {
            self.add_late(planned, 1);
        }
    }

    fn add_late(&mut self, planned: u64, count: u64) {
        match self.late.binary_search_by_key(&planned, |(window, _)| *window) {
            Ok(at) => self.late[at].1 += count,
            Err(at) => self.late.insert(at, (planned, count)),
        }
    }

    /// Adds another worker's or agent's part of the same window.
    pub(super) fn merge(&mut self, other: &Self) {
        self.fired += other.fired;
        for &(planned, count) in &other.late {
            self.add_late(planned, count);
        }
    }

    /// Whether nothing was fired.
    pub const fn is_empty(&self) -> bool {
        self.fired == 0 && self.late.is_empty()
    }

    /// Whether it can have been counted in window `index`.
    pub(super) fn is_possible(&self, index: u64) -> bool {
        self.fired <= COUNT_MAX
            && self.late.iter().all(|&(planned, count)| planned < index && count <= self.fired)
            && self.late.windows(2).all(|pair| pair[0].0 < pair[1].0)
    }
}

/// How many windows of a run held as many arrivals as were planned for them. Windows shorter than a second count together
/// as one of a second. Memory does not grow with the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrivalShape {
    /// (fired in it, planned for it), by window.
    open: BTreeMap<u64, (u64, u64)>,
    windows: u64,
    off: u64,
}

impl ArrivalShape {
    /// Adds what was fired in window `index`, of this length.
    pub(super) fn add(&mut self, index: u64, length: Nanos, arrivals: &FiredArrivals) {
        if arrivals.is_empty() {
            return;
        }
        let together = SPAN_LEAST.0.div_ceil(length.0.max(1)).max(1);
        let mut of_others = 0_u64;
        for &(planned, count) in &arrivals.late {
            self.open.entry(planned / together).or_default().1 += count;
            of_others = of_others.saturating_add(count);
        }
        let own = self.open.entry(index / together).or_default();
        own.0 += arrivals.fired;
        own.1 += arrivals.fired.saturating_sub(of_others);
        while self.open.len() > OPEN_WINDOWS_MAX {
            if let Some((_, counts)) = self.open.pop_first() {
                self.windows += 1;
                self.off += u64::from(is_off(counts));
            }
        }
    }

    /// Windows that held arrivals or should have.
    pub fn windows(&self) -> u64 {
        self.windows + self.open.len() as u64
    }

    /// Windows of these whose count of arrivals was off by more than 5 % of what was planned for them, and by more
    /// than one arrival.
    pub fn off(&self) -> u64 {
        self.off + self.open.values().filter(|counts| is_off(**counts)).count() as u64
    }
}

fn is_off((fired, planned): (u64, u64)) -> bool {
    let difference = fired.abs_diff(planned);
    difference > 1 && difference as f64 > OFF_SHARE * planned as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window's number, what was fired in it, and what of that was late.
    type Fired<'a> = (u64, u64, &'a [(u64, u64)]);

    fn shape(windows: &[Fired<'_>]) -> (u64, u64) {
        let mut shape = ArrivalShape::default();
        for &(index, fired, late) in windows {
            shape.add(index, SPAN_LEAST, &FiredArrivals { fired, late: late.to_vec() });
        }
        (shape.off(), shape.windows())
    }

    #[test]
    fn short_windows_are_looked_at_by_the_second() {
        let of_200_ms = |late_to_next_window| {
            let mut shape = ArrivalShape::default();
            for index in 0..50 {
                let planned_before = late_to_next_window && index > 0;
                let late = if planned_before { vec![(index - 1, 4)] } else { Vec::new() };
                shape.add(index, Nanos::from_millis(200), &FiredArrivals { fired: 40, late });
            }
            (shape.off(), shape.windows())
        };
        assert_eq!(of_200_ms(false), (0, 10));
        // A tenth of each window comes with the next one: 20 ms, which the load of a second doesn't show.
        assert_eq!(of_200_ms(true), (0, 10));
        let mut burst = ArrivalShape::default();
        for (index, fired, late) in [(0, 200, vec![]), (1, 100, vec![]), (2, 300, vec![(1, 100)])] {
            burst.add(index, Nanos::from_secs(1), &FiredArrivals { fired, late });
        }
        assert_eq!((burst.off(), burst.windows()), (2, 3));
    }

    #[test]
    fn arrivals_in_their_windows_are_no_deviation() {
        assert_eq!(shape(&[(0, 100, &[]), (1, 101, &[(0, 1)]), (2, 100, &[(1, 1)])]), (0, 3));
    }

    #[test]
    fn a_stalled_generator_leaves_one_window_short_and_fills_the_next() {
        assert_eq!(shape(&[(0, 50, &[]), (1, 150, &[(0, 50)]), (2, 100, &[])]), (2, 3));
        // A window in which nothing was fired at all.
        assert_eq!(shape(&[(0, 100, &[]), (2, 200, &[(1, 100)])]), (2, 3));
    }

    #[test]
    fn one_arrival_across_an_edge_is_none_whatever_the_rate() {
        assert_eq!(shape(&[(0, 1, &[]), (1, 3, &[(0, 1)])]), (0, 2));
    }

    #[test]
    fn a_long_run_keeps_as_much_as_a_short_one() {
        let mut shape = ArrivalShape::default();
        for index in 1..10_000 {
            let late = if index % 10 == 0 { vec![(index - 1, 30)] } else { Vec::new() };
            shape.add(index, SPAN_LEAST, &FiredArrivals { fired: 100, late });
        }
        assert!(shape.open.len() <= OPEN_WINDOWS_MAX);
        // Each late burst leaves one window short of what it should have held and gives another too many.
        assert_eq!((shape.windows(), shape.off()), (9_999, 2 * 999));
    }
}
