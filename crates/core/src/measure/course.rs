//! How a run went over time: what was due and what ended, window by window.
//!
//! A rate is completions within an interval over that interval. The sums of a run cannot say it: they hold
//! what ended after the planned time, too.

use super::{Latencies, Window};
use crate::model::{Nanos, OperationId, Outcome};

/// Most cells that are kept (32 bytes each); slots are merged in pairs before there are more.
const CELLS_MAX: usize = 1 << 18;

/// Counts of one operation over some time, judged or not, by the instant of their ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Fired or begun in it.
    pub due: u64,
    /// Ended in it, in whatever way.
    pub ended: u64,
    /// Ended well in it.
    pub ok: u64,
    /// Failed in it.
    pub failed: u64,
}

impl Flow {
    /// Both together.
    #[must_use]
    pub const fn and(mut self, other: Self) -> Self {
        self.add(other);
        self
    }

    const fn add(&mut self, other: Self) {
        self.due += other.due;
        self.ended += other.ended;
        self.ok += other.ok;
        self.failed += other.failed;
    }
}

/// Counts by operation and slot of time; a slot is a window, or 2, 4, 8… in long runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    operations: usize,
    slots_max: usize,
    window: Nanos,
    windows_per_slot: u64,
    /// Slot after slot, from the run's start.
    cells: Vec<Flow>,
    /// The greatest p99 of a window in each slot, over all operations.
    slowest: Vec<Nanos>,
}

impl Course {
    /// An empty one.
    pub fn new(operations: usize) -> Self {
        let slots_max = (CELLS_MAX / operations.max(1)).clamp(64, 4_096);
        Self { operations, slots_max, window: Nanos::ZERO, windows_per_slot: 1, cells: Vec::new(), slowest: Vec::new() }
    }

    /// Adds a window, or a late part of one. Windows of one run have one length.
    pub fn add(&mut self, window: &Window) {
        if self.operations == 0 {
            return;
        }
        self.window = window.length;
        while window.index / self.windows_per_slot >= self.slots_max as u64 {
            self.halve();
        }
        let slot = usize::try_from(window.index / self.windows_per_slot).unwrap_or(self.slots_max - 1);
        let start = slot * self.operations;
        if self.cells.len() < start + self.operations {
            self.cells.resize(start + self.operations, Flow::default());
        }
        if self.slowest.len() <= slot {
            self.slowest.resize(slot + 1, Nanos::ZERO);
        }
        let mut times = Latencies::default();
        for (_, tally) in window.all() {
            times.merge(&tally.response);
            times.merge(&tally.failed);
        }
        self.slowest[slot] = self.slowest[slot].max(times.quantile(0.99).unwrap_or_default());
        for (operation, tally) in window.all() {
            if operation.index() < self.operations {
                self.cells[start + operation.index()].add(Flow {
                    due: tally.planned,
                    ended: tally.completed(),
                    ok: tally.outcome(Outcome::Ok),
                    failed: tally.failures(),
                });
            }
        }
    }

    fn halve(&mut self) {
        let old = std::mem::take(&mut self.cells);
        for pair in old.chunks(2 * self.operations) {
            let (first, second) = pair.split_at(self.operations);
            let mut sums = first.to_vec();
            sums.iter_mut().zip(second).for_each(|(sum, flow)| sum.add(*flow));
            self.cells.extend(sums);
        }
        self.slowest = self.slowest.chunks(2).map(|pair| pair.iter().copied().max().unwrap_or_default()).collect();
        self.windows_per_slot = self.windows_per_slot.saturating_mul(2);
    }

    /// The greatest p99 of a window in each slot, over the response times of all operations; zero where none ended.
    pub fn slowest(&self) -> &[Nanos] {
        &self.slowest
    }

    /// The sums of some operations by slot, from the run's start, with the time that each covers.
    pub fn slots(&self, operations: &[OperationId]) -> Vec<((Nanos, Nanos), Flow)> {
        if self.operations == 0 {
            return Vec::new();
        }
        let length = self.window.0.saturating_mul(self.windows_per_slot);
        let sum = |cells: &[Flow]| {
            let mut sum = Flow::default();
            operations.iter().filter_map(|id| cells.get(id.index())).for_each(|flow| sum.add(*flow));
            sum
        };
        let time = |slot: u64| (Nanos(slot.saturating_mul(length)), Nanos((slot + 1).saturating_mul(length)));
        self.cells.chunks_exact(self.operations).enumerate().map(|(i, cells)| (time(i as u64), sum(cells))).collect()
    }

    /// What happened to some operations in the slots that lie wholly between `from` and `to` and touch none
    /// of `aside`, with the length of these together: zero where there is no such slot.
    pub fn within(
        &self,
        operations: &[OperationId],
        (from, to): (Nanos, Nanos),
        aside: &[(Nanos, Nanos)],
    ) -> (Flow, Nanos) {
        let (mut sum, mut length) = (Flow::default(), Nanos::ZERO);
        for ((start, end), flow) in self.slots(operations) {
            let touches = aside.iter().any(|&(since, until)| start < until && end > since);
            if start >= from && end <= to && !touches {
                sum.add(flow);
                length += end - start;
            }
        }
        (sum, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Tally;

    const ONE: &[OperationId] = &[OperationId(0)];

    /// A window in which `due` became due and `ok` ended well.
    fn window(index: u64, due: u64, ok: u64) -> Window {
        let mut tally = Tally { planned: due, ..Tally::default() };
        tally.outcomes[Outcome::Ok.index()] = ok;
        Window { index, length: Nanos::from_secs(1), judged: vec![(OperationId(0), tally)], ..Window::default() }
    }

    fn secs(from: u64, to: u64) -> (Nanos, Nanos) {
        (Nanos::from_secs(from), Nanos::from_secs(to))
    }

    #[test]
    fn what_ends_outside_of_an_interval_is_not_in_it() {
        let mut course = Course::new(1);
        (0..20).for_each(|i| course.add(&window(i, if i < 10 { 5 } else { 0 }, 3)));
        let (flow, length) = course.within(ONE, secs(2, 10), &[]);
        assert_eq!((flow.due, flow.ok, length), (40, 24, Nanos::from_secs(8)));
        // Half a window is none.
        let (flow, length) = course.within(ONE, (Nanos::from_millis(1_500), Nanos::from_millis(4_500)), &[]);
        assert_eq!((flow.ok, length), (6, Nanos::from_secs(2)));
        // What is set aside is left out of the count and of the time.
        let (flow, length) = course.within(ONE, secs(2, 10), &[(Nanos::from_millis(3_900), Nanos::from_secs(6))]);
        assert_eq!((flow.ok, length), (15, Nanos::from_secs(5)));
    }

    #[test]
    fn a_long_run_keeps_its_sums_in_bounded_memory() {
        let mut course = Course::new(1);
        (0..100_000).for_each(|i| course.add(&window(i, 2, 1)));
        assert!(course.cells.len() <= 4_096);
        let (flow, length) = course.within(ONE, secs(0, 100_000), &[]);
        assert_eq!(flow.ok, length.0 / 1_000_000_000);
        assert_eq!(course.slots(ONE).iter().map(|(_, flow)| flow.due).sum::<u64>(), 200_000);
    }
}
