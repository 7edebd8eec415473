//! The judged part of a run, cut into slots of time: what shows whether samples hang together and
//! whether they have a trend. Counters only: histograms of every slot would be megabytes.

use super::{OperationShape, Tally, Window};
use crate::model::{Nanos, OperationId};

/// Most slots. A multiple of the 30 batches that are cut from them, and enough that batches differ
/// by a quarter at most after slots were merged in pairs.
const SLOTS_MAX: usize = 240;

/// Which of an operation's counters: (counted, out of).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Failures out of all that count.
    Failures,
    /// Exceedances of the threshold of this index out of what was observed.
    Threshold(usize),
    /// Exceedances of the threshold of this index that the generator's lateness may have made, out of what was
    /// observed.
    ByLateness(usize),
    /// Good ones out of all, of the ratio of this index.
    Ratio(usize),
}

impl Counter {
    /// What speaks against the target in a tally: (bad, out of). Of a ratio, what is not good.
    pub fn bad_of(self, tally: &Tally) -> (u64, u64) {
        let at = |counts: &[u64], index: usize| counts.get(index).copied().unwrap_or_default();
        match self {
            Self::Failures => (tally.failures(), tally.countable()),
            Self::Threshold(index) => (at(&tally.exceeded, index), at(&tally.observed, index)),
            Self::ByLateness(index) => {
                let late = tally.by_lateness.get(index).map_or(0, |late| late.samples);
                (late, at(&tally.observed, index))
            }
            Self::Ratio(index) => {
                tally.ratios.get(index).map_or((0, 0), |(good, all)| (all.saturating_sub(*good), *all))
            }
        }
    }
}

/// Where an operation's counters are in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    start: usize,
    thresholds: usize,
    ratios: usize,
}

impl Place {
    fn of(&self, counter: Counter) -> Option<usize> {
        match counter {
            Counter::Failures => Some(self.start),
            Counter::Threshold(i) => (i < self.thresholds).then_some(self.start + 1 + i),
            Counter::ByLateness(i) => (i < self.thresholds).then_some(self.start + 1 + self.thresholds + i),
            Counter::Ratio(i) => (i < self.ratios).then_some(self.start + 1 + 2 * self.thresholds + i),
        }
    }
}

/// Counters of what is judged, by slots of equal time from the first window that holds any. When the
/// slots are full, they are merged in pairs, so memory doesn't grow with the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Batches {
    places: Vec<Place>,
    /// Counters of a slot.
    width: usize,
    /// Length of a window.
    window: Nanos,
    /// The window with which the first slot starts.
    first: Option<u64>,
    windows_per_slot: u64,
    /// (counted, out of), slot after slot.
    counters: Vec<(u64, u64)>,
}

impl Batches {
    /// Empty, for operations of these shapes.
    pub fn new(shapes: &[OperationShape]) -> Self {
        let mut width = 0;
        let places = shapes
            .iter()
            .map(|shape| {
                let (start, thresholds) = (width, shape.thresholds.len());
                width += 1 + 2 * thresholds + shape.ratios;
                Place { start, thresholds, ratios: shape.ratios }
            })
            .collect();
        Self { places, width, window: Nanos::ZERO, first: None, windows_per_slot: 1, counters: Vec::new() }
    }

    /// Adds a window. Windows of one run have one length, and come in order.
    pub fn add(&mut self, window: &Window) {
        if window.judged.is_empty() || self.width == 0 {
            return;
        }
        self.window = window.length;
        let first = *self.first.get_or_insert(window.index);
        let offset = window.index.saturating_sub(first);
        while offset / self.windows_per_slot >= SLOTS_MAX as u64 {
            self.halve();
        }
        let slot = usize::try_from(offset / self.windows_per_slot).unwrap_or(SLOTS_MAX - 1);
        let start = slot * self.width;
        if self.counters.len() < start + self.width {
            self.counters.resize(start + self.width, (0, 0));
        }
        for (operation, tally) in &window.judged {
            if let Some(place) = self.places.get(operation.index()) {
                count(&mut self.counters[start + place.start..start + self.width], place, tally);
            }
        }
    }

    /// Merges slots in pairs.
    fn halve(&mut self) {
        let (width, slots) = (self.width, self.counters.len() / self.width);
        for slot in 0..slots {
            for i in 0..width {
                let (counted, total) = self.counters[slot * width + i];
                let into = &mut self.counters[slot / 2 * width + i];
                if slot % 2 == 0 {
                    *into = (counted, total);
                } else {
                    *into = (into.0 + counted, into.1 + total);
                }
            }
        }
        self.counters.truncate(slots.div_ceil(2) * width);
        self.windows_per_slot = self.windows_per_slot.saturating_mul(2);
    }

    /// Where the first slot that reaches beyond `from` starts, and how long a slot is: what [`Batches::cut`] gives into as
    /// many parts as there are slots.
    pub fn slots(&self, from: Nanos) -> (Nanos, Nanos) {
        let slot = Nanos(self.window.0.saturating_mul(self.windows_per_slot));
        let first = Nanos(self.first.unwrap_or_default().saturating_mul(self.window.0));
        let skipped = from.0.saturating_sub(first.0).checked_div(slot.0).unwrap_or_default();
        (Nanos(first.0.saturating_add(skipped.saturating_mul(slot.0))), slot)
    }

    /// The sums of these counters over `batches` contiguous parts, as equal as slots allow, of the
    /// time from `from` to `to`; fewer where there are fewer slots. Nothing is left out: what ended
    /// later (by a slow answer or a timeout) is in the last one, because by itself it would be a batch
    /// of the slowest alone.
    pub fn cut(&self, of: &[(OperationId, Counter)], from: Nanos, to: Nanos, batches: usize) -> Vec<(u64, u64)> {
        let (Some(first), true) = (self.first, self.width > 0) else { return Vec::new() };
        let slots = self.counters.len() / self.width;
        let starts = |slot: usize| {
            let window = (slot as u64).saturating_mul(self.windows_per_slot).saturating_add(first);
            Nanos(window.saturating_mul(self.window.0))
        };
        let skipped = (0..slots).take_while(|&slot| starts(slot + 1) <= from).count();
        let within = (skipped..slots).take_while(|&slot| starts(slot) < to).count().max(1);
        let batches = batches.min(within);
        let columns: Vec<usize> =
            of.iter().filter_map(|(operation, counter)| self.places.get(operation.index())?.of(*counter)).collect();
        let mut sums = vec![(0, 0); batches];
        for (slot, counters) in self.counters.chunks_exact(self.width).enumerate() {
            let batch = slot.saturating_sub(skipped) * batches / within;
            let Some(sum) = sums.get_mut(batch.min(batches.saturating_sub(1))) else { break };
            for &column in &columns {
                let (counted, total) = counters[column];
                *sum = (sum.0 + counted, sum.1 + total);
            }
        }
        sums
    }
}

/// Adds what a tally counts to the counters of its operation, which start the slice.
fn count(counters: &mut [(u64, u64)], place: &Place, tally: &Tally) {
    let mut add = |at: usize, counted: u64, total: u64| {
        counters[at].0 += counted;
        counters[at].1 += total;
    };
    add(0, tally.failures(), tally.countable());
    for (i, (exceeded, observed)) in tally.exceeded.iter().zip(&tally.observed).take(place.thresholds).enumerate() {
        add(1 + i, *exceeded, *observed);
        let by_lateness = tally.by_lateness.get(i).map_or(0, |late| late.samples);
        add(1 + place.thresholds + i, by_lateness, *observed);
    }
    for (i, (good, total)) in tally.ratios.iter().take(place.ratios).enumerate() {
        add(1 + 2 * place.thresholds + i, *good, *total);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::{Series, Threshold};
    use crate::model::Outcome;

    fn shapes() -> Vec<OperationShape> {
        let threshold = Threshold { series: Series::ResponseTime, limit: Nanos::from_millis(1) };
        let shape = |thresholds, ratios| OperationShape { timings: 0, ratios, thresholds: vec![threshold; thresholds] };
        vec![shape(2, 0), shape(1, 1)]
    }

    /// A window in which each operation has `n` samples, `bad` of them bad.
    fn window(index: u64, bad: u64, n: u64) -> Window {
        let judged = shapes()
            .iter()
            .enumerate()
            .map(|(i, shape)| {
                let mut tally = shape.tally();
                tally.outcomes[Outcome::Ok.index()] = n - bad;
                tally.outcomes[Outcome::Rejected.index()] = bad;
                tally.exceeded.fill(bad);
                tally.observed.fill(n);
                tally.ratios.fill((n - bad, n));
                (OperationId(i as u16), tally)
            })
            .collect();
        Window { index, length: Nanos::from_secs(1), judged, ..Window::default() }
    }

    fn all(windows: impl IntoIterator<Item = Window>) -> Batches {
        let mut batches = Batches::new(&shapes());
        windows.into_iter().for_each(|w| batches.add(&w));
        batches
    }

    const FAILURES: &[(OperationId, Counter)] = &[(OperationId(0), Counter::Failures)];

    fn secs(secs: u64) -> Nanos {
        Nanos::from_secs(secs)
    }

    #[test]
    fn every_counter_has_its_place() {
        let batches = all([window(0, 1, 10), window(1, 2, 20)]);
        let cut = |of: &[(OperationId, Counter)]| batches.cut(of, secs(0), secs(2), 30);
        assert_eq!(cut(FAILURES), [(1, 10), (2, 20)]);
        assert_eq!(cut(&[(OperationId(0), Counter::Threshold(1))]), [(1, 10), (2, 20)]);
        assert_eq!(cut(&[(OperationId(1), Counter::Ratio(0))]), [(9, 10), (18, 20)]);
        let both = [(OperationId(0), Counter::Failures), (OperationId(1), Counter::Threshold(0))];
        assert_eq!(cut(&both), [(2, 20), (4, 40)]);
        // What isn't there counts nothing.
        let none = [
            (OperationId(0), Counter::Ratio(0)),
            (OperationId(1), Counter::Threshold(1)),
            (OperationId(7), Counter::Failures),
        ];
        assert_eq!(cut(&none), [(0, 0), (0, 0)]);
    }

    #[test]
    fn what_ends_after_the_measured_phase_belongs_to_its_last_batch() {
        // Judged from 20 s to 26 s; five timeouts end at 31 s.
        let windows = (20..26).map(|i| window(i, 0, 100)).chain([window(31, 5, 5)]);
        assert_eq!(all(windows).cut(FAILURES, secs(20), secs(26), 3), [(0, 200), (0, 200), (5, 205)]);
    }

    #[test]
    fn another_scenario_that_is_judged_earlier_takes_no_batches() {
        let mut batches = Batches::new(&shapes());
        for i in 0..60 {
            let mut window = window(i, 1, 10);
            if i < 30 {
                window.judged.remove(0);
            }
            batches.add(&window);
        }
        assert_eq!(batches.cut(FAILURES, secs(30), secs(60), 30), [(1, 10); 30]);
    }

    #[test]
    fn a_long_run_keeps_as_much_as_a_short_one() {
        let batches = all((100..5_100).map(|i| window(i, i % 2, 10)));
        assert!(batches.counters.len() <= SLOTS_MAX * batches.width);
        let cut = batches.cut(FAILURES, secs(100), secs(5_100), 30);
        assert_eq!(cut.len(), 30);
        assert_eq!(cut.iter().fold((0, 0), |sum, b| (sum.0 + b.0, sum.1 + b.1)), (2_500, 50_000));
        let sizes: Vec<u64> = cut.iter().map(|b| b.1).collect();
        assert!(*sizes.iter().max().unwrap() <= 2 * *sizes.iter().min().unwrap(), "{sizes:?}");
    }

    #[test]
    fn nothing_judged_is_no_batch() {
        assert_eq!(all([]).cut(FAILURES, secs(0), secs(10), 30), []);
        let unjudged = Window { length: secs(1), ..Window::default() };
        assert_eq!(all([unjudged]).cut(FAILURES, secs(0), secs(10), 30), []);
        assert_eq!(Batches::new(&[]).cut(FAILURES, secs(0), secs(10), 30), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn nothing_is_lost_and_no_gap_upsets_it(
            gaps in prop::collection::vec((1..80_u64, 0..5_u64, 5..20_u64), 1..150),
            from in 0..100_u64,
            length in 0..20_000_u64,
            batches in 1..60_usize,
        ) {
            let mut index = from;
            let mut sum = (0, 0);
            let mut all = Batches::new(&shapes());
            for (gap, bad, n) in gaps {
                all.add(&window(index, bad, n));
                sum = (sum.0 + bad, sum.1 + n);
                index += gap;
            }
            let cut = all.cut(FAILURES, secs(from), secs(from + length), batches);
            prop_assert!(!cut.is_empty() && cut.len() <= batches);
            prop_assert_eq!(cut.iter().fold((0, 0), |sum, b| (sum.0 + b.0, sum.1 + b.1)), sum);
        }
    }
}
