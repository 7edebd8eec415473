//! A fixed slice of the timeline.

use serde::{Deserialize, Serialize};

use super::arrivals::FiredArrivals;
use super::cohort::{Cohort, merge_cohorts};
use super::tally::COUNT_MAX;
use super::troubles::{Trouble, merge_troubles};
use super::{Latencies, Tally, Threshold};
use crate::model::{Nanos, OperationId};

/// No run is longer: ten years.
const RUN_LENGTH_MAX: Nanos = Nanos::from_secs(10 * 366 * 24 * 3600);
/// Most events of one window.
const EVENTS_MAX: usize = 1000;

/// What is kept of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationShape {
    /// How many timings it has.
    pub timings: usize,
    /// How many ratios it has.
    pub ratios: usize,
    /// Limits whose exceedances are counted.
    pub thresholds: Vec<Threshold>,
}

impl OperationShape {
    /// An empty tally for it.
    pub fn tally(&self) -> Tally {
        Tally::with_shape(self.timings, self.thresholds.len(), self.ratios)
    }
}

/// Everything that ended during one fixed slice of the timeline (by the instant of its end;
/// dropped arrivals by their planned instant), per operation; what is judged apart from what was
/// warm-up or cool-down. Operations of which nothing ended are absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Number of the window: it covers [index, index + 1) × length.
    pub index: u64,
    /// Its length.
    pub length: Nanos,
    /// What is judged, by operation, in order of operation.
    pub judged: Vec<(OperationId, Tally)>,
    /// What is not, likewise.
    pub unjudged: Vec<(OperationId, Tally)>,
    /// Operations under way at its end.
    pub in_flight: u64,
    /// Operations under way × time, summed over the window: the time that operations were under way in it, taken
    /// together. Divided by its length it is the mean number under way. Measured by the engine's clock at the instants
    /// at which operations are fired and reported, never from their own times: so L = λW can be checked with it.
    /// Zero in windows of an older version.
    #[serde(default, skip_serializing_if = "Nanos::is_zero")]
    pub in_flight_time: Nanos,
    /// Fired − intended of the arrivals fired in it: how late the generator itself was.
    pub dispatch_lag: Latencies,
    /// Arrivals that were fired in it, and for which windows they were planned.
    #[serde(default, skip_serializing_if = "FiredArrivals::is_empty")]
    pub arrivals: FiredArrivals,
    /// The longest time in it that the generator's machine stood still; zero when it did not.
    #[serde(default, skip_serializing_if = "Nanos::is_zero")]
    pub stall: Nanos,
    /// Whether that was long enough to show in what it holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spoiled: bool,
    /// Whether the rest of this window was handed on already: this is what an agent brought when the
    /// others had long gone on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// What was heard in it of operations by the window in which they were meant to start, by operation;
    /// only where a drill is planned. Judged or not makes no difference here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<(OperationId, Vec<Cohort>)>,
    /// What went wrong of what ended in it, by operation and the window in which it was meant to start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<(OperationId, Vec<Trouble>)>,
    /// What happened in it besides requests: a fault, an alert, a recovery.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<WindowEvent>,
}

/// Something that happened in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowEvent {
    /// When, on the run's clock.
    pub at: Nanos,
    /// Of which drill.
    pub drill: String,
    /// What.
    pub kind: EventKind,
}

/// What can happen besides requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The fault's injector was called.
    FaultIssued,
    /// It said that it was done.
    FaultAcknowledged,
    /// An alert fired.
    Detected,
    /// The heal was called.
    HealIssued,
    /// It said that it was done.
    Healed,
    /// Nothing is watched any more.
    WatchEnded,
}

impl Window {
    /// When it starts.
    pub const fn start(&self) -> Nanos {
        Nanos(self.index * self.length.0)
    }

    /// Whether it can have been measured: its numbers and its time are such that sums of windows hold
    /// them.
    pub fn is_possible(&self) -> bool {
        let end = self.index.checked_add(1).and_then(|windows| windows.checked_mul(self.length.0));
        end.is_some_and(|end| end <= RUN_LENGTH_MAX.0)
            && self.in_flight <= COUNT_MAX
            && self.arrivals.is_possible(self.index)
            && self.dispatch_lag.count() <= COUNT_MAX
            && self.all().all(|(_, tally)| tally.is_possible())
            && self
                .cohorts
                .iter()
                .flat_map(|(_, cohorts)| cohorts)
                .all(|cohort| cohort.window <= self.index.saturating_add(1) && cohort.is_possible())
            && self.troubles.iter().flat_map(|(_, troubles)| troubles).all(|trouble| trouble.is_possible(self.index))
            && self.events.len() <= EVENTS_MAX
    }

    /// Adds another worker's part of the same window.
    pub fn merge(&mut self, other: Self) {
        debug_assert_eq!((self.index, self.length), (other.index, other.length));
        merge_sorted(&mut self.judged, other.judged);
        merge_sorted(&mut self.unjudged, other.unjudged);
        self.in_flight += other.in_flight;
        self.in_flight_time += other.in_flight_time;
        self.arrivals.merge(&other.arrivals);
        self.dispatch_lag.merge(&other.dispatch_lag);
        self.stall = self.stall.max(other.stall);
        self.spoiled |= other.spoiled;
        for (operation, cohorts) in other.cohorts {
            match self.cohorts.binary_search_by_key(&operation, |(known, _)| *known) {
                Ok(at) => merge_cohorts(&mut self.cohorts[at].1, cohorts),
                Err(at) => self.cohorts.insert(at, (operation, cohorts)),
            }
        }
        for (operation, troubles) in other.troubles {
            match self.troubles.binary_search_by_key(&operation, |(known, _)| *known) {
                Ok(at) => merge_troubles(&mut self.troubles[at].1, troubles),
                Err(at) => self.troubles.insert(at, (operation, troubles)),
            }
        }
        self.events.extend(other.events);
        self.events.truncate(EVENTS_MAX);
    }

    /// Both parts of one operation, judged first.
    pub fn all(&self) -> impl Iterator<Item = &(OperationId, Tally)> {
        self.judged.iter().chain(&self.unjudged)
    }
}

fn merge_sorted(mine: &mut Vec<(OperationId, Tally)>, theirs: Vec<(OperationId, Tally)>) {
    for (operation, tally) in theirs {
        match mine.binary_search_by_key(&operation, |(o, _)| *o) {
            Ok(at) => mine[at].1.merge(&tally),
            Err(at) => mine.insert(at, (operation, tally)),
        }
    }
}
