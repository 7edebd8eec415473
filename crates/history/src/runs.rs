//! The runs under a folder of results.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use slatest_core::model::Verdict;
use slatest_engine::record::{RunRecord, Status, read, run_ids};

use super::HistoryError;

/// A run as it is listed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// Its id, also the name of its folder.
    pub id: String,
    /// When it started.
    pub started: Timestamp,
    /// The profile.
    pub profile: String,
    /// The target.
    pub target: String,
    /// How far it came.
    pub status: Status,
    /// What it says.
    pub verdict: Verdict,
    /// Completions a second, all operations together.
    pub rate: f64,
    /// 95th percentile of all response times together, in seconds.
    pub p95_secs: Option<f64>,
    /// 99th percentile likewise.
    pub p99_secs: Option<f64>,
    /// Share of failures.
    pub error_rate: Option<f64>,
}

/// What lies under a folder.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Runs {
    /// Every run that can be read, oldest first.
    pub runs: Vec<Listed>,
    /// What can't be read, in words.
    pub unreadable: Vec<String>,
}

/// Every run under a folder, oldest first: of one profile and one target where these are named. What can't be read is told
/// and hides nothing else.
pub fn list(folder: &Path, profile: Option<&str>, target: Option<&str>) -> Runs {
    let mut runs = Runs::default();
    for record in records(folder, &mut runs.unreadable) {
        let wanted = |asked: Option<&str>, is: &str| asked.is_none_or(|asked| asked == is);
        if wanted(profile, &record.plan.profile) && wanted(target, &record.target.name) {
            runs.runs.push(Listed::of(&record));
        }
    }
    runs
}

/// Every record under a folder, oldest first.
pub(crate) fn records(folder: &Path, unreadable: &mut Vec<String>) -> Vec<RunRecord> {
    let mut records = Vec::new();
    for id in run_ids(folder) {
        match read(&folder.join(id)) {
            Ok(record) => records.push(record),
            Err(error) => unreadable.push(error.to_string()),
        }
    }
    records
}

/// A void run says nothing of the target, and neither does one that did not come to its end.
///
/// # Errors
/// Which of the two it is.
pub(crate) fn says_something(run: &RunRecord) -> Result<(), HistoryError> {
    if !matches!(run.status, Status::Finished | Status::Aborted) {
        return Err(HistoryError::NotWhole { id: run.id.clone() });
    }
    if run.result.verdict == Verdict::Void {
        return Err(HistoryError::Void { id: run.id.clone() });
    }
    Ok(())
}

impl Listed {
    fn of(run: &RunRecord) -> Self {
        let total = &run.result.total;
        let secs = |of: fn(&slatest_engine::record::TimeFigures) -> slatest_core::model::Nanos| {
            total.response.as_ref().map(|times| of(times).as_secs_f64())
        };
        Self {
            id: run.id.clone(),
            started: run.started,
            profile: run.plan.profile.clone(),
            target: run.target.name.clone(),
            status: run.status,
            verdict: run.result.verdict,
            rate: total.rate,
            p95_secs: secs(|times| times.p95),
            p99_secs: secs(|times| times.p99),
            error_rate: total.error_share(),
        }
    }
}
