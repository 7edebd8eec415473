//! The last nights of a profile against those before.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::runs::{records, says_something};
use super::{ConditionDifference, HistoryError, differences};
use slatest_engine::record::RunRecord;
use slatest_stats::{NightShift, Nights, night_shift};

/// Nights that are shown at most.
const SHOWN_MAX: usize = 40;

/// One operation night after night.
#[derive(Clone, Debug)]
pub struct Course {
    /// `scenario/operation`.
    pub address: String,
    /// 95th percentile of the response time of each night, in seconds, oldest first.
    pub p95_secs: Vec<f64>,
    /// What the last ones say.
    pub shift: NightShift,
}

/// A profile night after night.
#[derive(Clone, Debug)]
pub struct Trend {
    /// The profile.
    pub profile: String,
    /// The target.
    pub target: String,
    /// When each night was, oldest first.
    pub nights: Vec<Timestamp>,
    /// Operation by operation.
    pub courses: Vec<Course>,
    /// Runs that say nothing: void, interrupted or killed.
    pub left_out: usize,
    /// What can't be read, in words.
    pub unreadable: Vec<String>,
    /// The last change of what the nights were made with, and when: nights before it are not looked at.
    pub changed: Option<(Timestamp, Vec<ConditionDifference>)>,
}

/// A night in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Too few nights.
    TooFew,
    /// Nothing is shown.
    Steady,
    /// One night is far off.
    Warning,
    /// To be run again.
    Suspect,
    /// Slower.
    Slower,
}

impl Course {
    /// What the last nights say, in short.
    pub const fn said(&self) -> Said {
        match self.shift {
            NightShift::TooFew { .. } => Said::TooFew,
            NightShift::Steady(_) => Said::Steady,
            NightShift::Warning(_) => Said::Warning,
            NightShift::Suspect(_) => Said::Suspect,
            NightShift::Slower(_) => Said::Slower,
        }
    }
}

/// The nights of a profile. `again` is the id of the last night run again, where it was suspect: it is no night of its own.
///
/// # Errors
/// When there is no run of the profile, or the run again can't be used.
pub fn trend(folder: &Path, profile: &str, target: Option<&str>, again: Option<&str>) -> Result<Trend, HistoryError> {
    let mut unreadable = Vec::new();
    let mut all = records(folder, &mut unreadable);
    all.retain(|run| run.plan.profile == profile && target.is_none_or(|target| run.target.name == target));
    let no_runs = || HistoryError::NoRuns {
        profile: profile.to_owned(),
        target: target.map(str::to_owned),
        folder: folder.display().to_string(),
    };
    let rerun = match again {
        None => None,
        Some(id) => {
            let position = all.iter().position(|run| run.id == id).ok_or_else(no_runs)?;
            let run = all.remove(position);
            says_something(&run)?;
            Some(run)
        }
    };
    // Nights of one target: that of the last.
    let Some(target) = all.last().map(|run| run.target.name.clone()) else { return Err(no_runs()) };
    all.retain(|run| run.target.name == target);
    let whole = all.len();
    all.retain(|run| says_something(run).is_ok());
    let left_out = whole - all.len();
    let Some(last) = all.last() else { return Err(no_runs()) };
    // Only like is compared with like: nights from the last change on.
    let mut start = 0;
    let mut changed = None;
    for (index, pair) in all.windows(2).enumerate() {
        let found = differences(&pair[0], &pair[1]);
        if !found.is_empty() {
            start = index + 1;
            changed = Some((pair[1].started, found));
        }
    }
    let nights = &all[start.max(all.len().saturating_sub(SHOWN_MAX))..];
    let p95 = |run: &RunRecord, address: &str| {
        let figures = run.result.operations.iter().find(|operation| operation.address == address)?;
        figures.response.as_ref().map(|times| times.p95.as_secs_f64())
    };
    let series = last.result.operations.len();
    let course = |address: &str| {
        let values: Vec<f64> = nights.iter().filter_map(|run| p95(run, address)).collect();
        let rerun = rerun.as_ref().and_then(|run| p95(run, address));
        let shift = night_shift(Nights { values: &values }, rerun, series);
        Course { address: address.to_owned(), p95_secs: values, shift }
    };
    Ok(Trend {
        profile: profile.to_owned(),
        target,
        courses: last.result.operations.iter().map(|operation| course(&operation.address)).collect(),
        nights: nights.iter().map(|run| run.started).collect(),
        left_out,
        unreadable,
        changed,
    })
}
