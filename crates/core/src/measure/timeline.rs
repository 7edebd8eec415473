//! All windows of a run, added up in constant memory.

use super::{ArrivalShape, Batches, Course, Latencies, OperationShape, Tally, Troubles, Window};
use crate::model::{Nanos, OperationId};

/// The sums over all windows seen so far: what verdicts and summaries are made of. Its memory does
/// not grow with the run's length.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// What is judged, by operation.
    pub judged: Vec<Tally>,
    /// What is not: warm-up and cool-down.
    pub unjudged: Vec<Tally>,
    /// What is judged, over time.
    pub batches: Batches,
    /// Everything, window by window.
    pub course: Course,
    /// What went wrong, by the instants at which it was meant to start.
    pub troubles: Troubles,
    /// How late the generator was.
    pub dispatch_lag: Latencies,
    /// Whether arrivals were fired in the windows for which they were planned.
    pub arrivals: ArrivalShape,
    /// Operations under way at the end of the latest window; their ends are in no tally. None where
    /// a run ended by itself: what never answered has ended as unknown.
    pub in_flight: u64,
    /// Operations under way × time, over all windows: [`Window::in_flight_time`].
    pub in_flight_time: Nanos,
    /// How many windows were added.
    pub windows: u64,
    /// How many of them hold something that is judged.
    pub judged_windows: u64,
    /// How many of these a stall of the generator's machine spoiled.
    pub spoiled_windows: u64,
    /// End of the latest window.
    pub end: Nanos,
}

impl Timeline {
    /// An empty one.
    pub fn new(shapes: &[OperationShape]) -> Self {
        let empty: Vec<Tally> = shapes.iter().map(OperationShape::tally).collect();
        Self {
            judged: empty.clone(),
            unjudged: empty,
            batches: Batches::new(shapes),
            course: Course::new(shapes.len()),
            troubles: Troubles::default(),
            dispatch_lag: Latencies::default(),
            arrivals: ArrivalShape::default(),
            in_flight: 0,
            in_flight_time: Nanos::ZERO,
            windows: 0,
            judged_windows: 0,
            spoiled_windows: 0,
            end: Nanos::ZERO,
        }
    }

    /// Adds a window. Operations that the shapes don't know are left out. A late part adds its samples, and
    /// is no other window.
    pub fn add(&mut self, window: &Window) {
        for (sums, tallies) in [(&mut self.judged, &window.judged), (&mut self.unjudged, &window.unjudged)] {
            for (operation, tally) in tallies {
                if let Some(sum) = sums.get_mut(operation.index()) {
                    sum.merge(tally);
                }
            }
        }
        self.batches.add(window);
        self.course.add(window);
        self.troubles.add(window);
        self.dispatch_lag.merge(&window.dispatch_lag);
        self.arrivals.add(window.index, window.length, &window.arrivals);
        self.in_flight_time += window.in_flight_time;
        if window.late {
            return;
        }
        self.windows += 1;
        if !window.judged.is_empty() {
            self.judged_windows += 1;
            self.spoiled_windows += u64::from(window.spoiled);
        }
        let end = window.start() + window.length;
        if end >= self.end {
            self.end = end;
            self.in_flight = window.in_flight;
        }
    }

    /// Judged and unjudged of one operation together: what the ledger counts.
    pub fn whole(&self, operation: OperationId) -> Tally {
        let mut whole = self.judged[operation.index()].clone();
        whole.merge(&self.unjudged[operation.index()]);
        whole
    }
}
