//! Two runs, operation by operation.

use std::fmt;

use serde::Serialize;

use super::runs::says_something;
use super::{ConditionDifference, HistoryError, differences};
use slatest_core::measure::{Latencies, Window};
use slatest_engine::record::{RunRecord, Windows};
use slatest_stats::{Batched, COMPARED_BATCHES_MAX, Compared, Comparing, Difference, MEANINGFUL, compare};

/// Samples beyond a quantile that a batch needs, that its own quantile means something.
const BEYOND_MIN: f64 = 10.0;
/// Samples that a batch needs for its share of failures.
const SHARE_SAMPLES_MIN: u64 = 50;
/// A difference of the share of failures below this matters to nobody: 0.1 %.
const SHARE_MEANINGFUL: f64 = 0.001;

/// A figure that two runs are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Median response time.
    P50,
    /// 95th percentile of the response time.
    P95,
    /// 99th percentile of the response time.
    P99,
    /// Share of failures.
    ErrorRate,
}

/// Every figure, in the order in which they are shown.
const FIGURES: [Figure; 4] = [Figure::P50, Figure::P95, Figure::P99, Figure::ErrorRate];

impl Figure {
    const fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::ErrorRate => None,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::ErrorRate => "errors",
        })
    }
}

/// One figure of one operation in two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// `scenario/operation`.
    pub address: String,
    /// Which figure.
    pub figure: Figure,
    /// In the first run: seconds, or a share. From the whole run, not from batches.
    pub before: f64,
    /// In the second.
    pub after: f64,
    /// Of times the change as a share (0.1 is 10 % more); of a share of failures the difference. `None` where there are too
    /// few samples.
    pub change: Option<f64>,
    /// Its lower end at 95 % for all rows together.
    pub lower: Option<f64>,
    /// Its upper end, likewise.
    pub upper: Option<f64>,
    /// The smallest change that would have been told nine times in ten.
    pub could_show: Option<f64>,
    /// What that says.
    #[serde(serialize_with = "compared_name")]
    pub compared: Compared,
}

fn compared_name<S: serde::Serializer>(compared: &Compared, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(match compared {
        Compared::Worse => "worse",
        Compared::Better => "better",
        Compared::Same => "same",
        Compared::CannotSay => "cannot_say",
    })
}

/// What two runs say together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Id of the first run.
    pub before: String,
    /// Id of the second.
    pub after: String,
    /// What differs beside the figures.
    pub conditions: Vec<ConditionDifference>,
    /// Operation by operation, figure by figure.
    pub rows: Vec<Row>,
    /// Operations that only one of them has.
    pub alone: Vec<String>,
    /// What all rows say: worse where any is worse.
    #[serde(serialize_with = "compared_name")]
    pub compared: Compared,
}

/// How much the times of a target that did not change vary from run to run, where nobody says: 3 %.
pub const BETWEEN_RUNS: f64 = 0.03;

/// Holds a run against another one. `between` is the share by which times vary from run to run of a target that did not
/// change: [`BETWEEN_RUNS`] for another night, 0 where the runs alternate.
///
/// # Errors
/// When one of them is void or not whole, can't be read, or they have no operation in common.
pub fn compare_runs(before: &RunRecord, after: &RunRecord, between: f64) -> Result<Comparison, HistoryError> {
    says_something(before)?;
    says_something(after)?;
    let (old, new) = (Course::read(before)?, Course::read(after)?);
    let mut rows = Vec::new();
    let mut batched = Vec::new();
    for old in &old.0 {
        let Some(new) = new.0.iter().find(|new| new.address == old.address) else { continue };
        for figure in FIGURES {
            let whole = |operation: &Operation| operation.whole(figure);
            let (Some(before), Some(after)) = (whole(old), whole(new)) else { continue };
            batched.push((old.batches(figure), new.batches(figure)));
            rows.push(Row {
                address: old.address.clone(),
                figure,
                before,
                after,
                change: None,
                lower: None,
                upper: None,
                could_show: None,
                compared: Compared::CannotSay,
            });
        }
    }
    if rows.is_empty() {
        return Err(HistoryError::NothingInCommon { before: before.id.clone(), after: after.id.clone() });
    }
    let comparisons = rows.len();
    for (row, (before, after)) in rows.iter_mut().zip(&batched) {
        let is_time = row.figure.quantile().is_some();
        let comparing = if is_time {
            Comparing { meaningful: MEANINGFUL.ln_1p(), between: between.ln_1p(), comparisons }
        } else {
            Comparing { meaningful: SHARE_MEANINGFUL, between: 0.0, comparisons }
        };
        let Some(found) = compare(before, after, comparing) else { continue };
        row.take(found, is_time);
    }
    let alone = |these: &Course, those: &Course| {
        let missing = these.0.iter().filter(|one| those.0.iter().all(|other| other.address != one.address));
        missing.map(|one| one.address.clone()).collect::<Vec<_>>()
    };
    Ok(Comparison {
        before: before.id.clone(),
        after: after.id.clone(),
        conditions: differences(before, after),
        alone: [alone(&old, &new), alone(&new, &old)].concat(),
        compared: together(&rows),
        rows,
    })
}

/// Worse where anything is; else what can't be told where anything that matters can't; else better where anything is.
fn together(rows: &[Row]) -> Compared {
    let any = |wanted: Compared| rows.iter().any(|row| row.compared == wanted);
    match () {
        () if any(Compared::Worse) => Compared::Worse,
        () if any(Compared::CannotSay) => Compared::CannotSay,
        () if any(Compared::Better) => Compared::Better,
        () => Compared::Same,
    }
}

impl Row {
    fn take(&mut self, found: Difference, is_time: bool) {
        // Of times, a difference of logarithms is a ratio.
        let share = |value: f64| if is_time { value.exp_m1() } else { value };
        self.change = Some(share(found.difference));
        self.lower = Some(share(found.lower));
        self.upper = Some(share(found.upper));
        self.could_show = Some(share(found.could_show));
        self.compared = found.compared;
    }
}

/// What is judged of each operation, window by window.
struct Course(Vec<Operation>);

struct Operation {
    address: String,
    windows: Vec<Piece>,
}

/// One operation in one window.
struct Piece {
    times: Latencies,
    failures: u64,
    countable: u64,
}

impl Course {
    fn read(run: &RunRecord) -> Result<Self, HistoryError> {
        let addresses = run.plan.operations.iter().map(|operation| operation.address.clone());
        let mut operations: Vec<Operation> =
            addresses.map(|address| Operation { address, windows: Vec::new() }).collect();
        let Some(mut windows) = Windows::open(&run.folder)? else { return Ok(Self(Vec::new())) };
        loop {
            let (batch, more) = windows.next_batch();
            for window in batch {
                Self::add(&mut operations, &window);
            }
            if !more? {
                break;
            }
        }
        operations.retain(|operation| !operation.windows.is_empty());
        Ok(Self(operations))
    }

    fn add(operations: &mut [Operation], window: &Window) {
        for (id, tally) in &window.judged {
            if let Some(operation) = operations.get_mut(id.index()) {
                let (failures, countable) = (tally.failures(), tally.countable());
                operation.windows.push(Piece { times: tally.all_responses(), failures, countable });
            }
        }
    }
}

impl Operation {
    /// The figure of the whole run.
    fn whole(&self, figure: Figure) -> Option<f64> {
        statistic(&self.windows, figure)
    }

    /// The figure of each batch of consecutive windows, as logarithms where it is a time.
    fn batches(&self, figure: Figure) -> Batched {
        let samples: u64 = match figure.quantile() {
            Some(_) => self.windows.iter().map(|piece| piece.times.count()).sum(),
            None => self.windows.iter().map(|piece| piece.countable).sum(),
        };
        let each =
            figure.quantile().map_or(SHARE_SAMPLES_MIN, |quantile| (BEYOND_MIN / (1.0 - quantile)).ceil() as u64);
        let most = usize::try_from(samples / each).unwrap_or(usize::MAX);
        let batches = most.min(COMPARED_BATCHES_MAX).min(self.windows.len());
        let pieces = (0..batches).map(|batch| {
            let at = |batch: usize| batch * self.windows.len() / batches.max(1);
            &self.windows[at(batch)..at(batch + 1)]
        });
        let value = |pieces: &[Piece]| {
            let value = statistic(pieces, figure)?;
            if figure.quantile().is_some() { (value > 0.0).then(|| value.ln()) } else { Some(value) }
        };
        Batched { values: pieces.filter_map(value).collect() }
    }
}

fn statistic(pieces: &[Piece], figure: Figure) -> Option<f64> {
    match figure.quantile() {
        Some(quantile) => {
            let mut times = Latencies::default();
            pieces.iter().for_each(|piece| times.merge(&piece.times));
            times.quantile(quantile).ok().map(|time| time.as_secs_f64())
        }
        None => {
            let (failures, all) = pieces.iter().fold((0, 0), |sum, p| (sum.0 + p.failures, sum.1 + p.countable));
            (all > 0).then(|| failures as f64 / all as f64)
        }
    }
}
