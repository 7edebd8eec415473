//! Results on disk: the record of a run, written as the run goes.
//!
//! A run's folder `results/<UTC time>-<profile>-<short id>/` holds
//! - `run.json`: the [`RunRecord`], written at the start (status `running`) and again at the end;
//! - `windows.jsonl`: one [`Window`](slatest_core::measure::Window) a line with its histograms, flushed as
//!   each closes: what a killed run is rebuilt from;
//! - `timeline.hlog`: the same response times as an HdrHistogram interval log, for other tools.
//!
//! The folder of a series, `results/<UTC time>-<profile>-series-<short id>/`, holds `series.json`: the [`Series`], written
//! at its start and after every repeat; the runs' folders lie beside it.

mod agents;
mod error;
mod figures;
mod hlog;
mod locate;
mod over_time;
mod read;
mod run_record;
#[cfg(any(test, feature = "samples"))]
pub mod sample;
mod series;
#[cfg(test)]
mod tests;
mod windows;
mod write;

pub use crate::load::HealthLine;
pub use agents::AgentFigures;
pub use error::StoreError;
pub use figures::{
    ErrorCount, GeneratorFigures, OperationFigures, OutcomeCounts, RatioFigures, StatusCount, TimeFigures,
    TimingFigures,
};
pub use locate::{locate, locate_series, run_ids};
pub use over_time::Moment;
pub use read::{read, read_json, read_series};
pub use run_record::{Machine, Opening, RunRecord, RunResult, Status, TargetRecord, VERSION};
#[cfg(any(test, feature = "samples"))]
pub use series::sample as series_sample;
pub use series::{
    ComponentRepeat, ComponentSummary, DrillRepeat, DrillSummary, EndedEarly, LossRepeat, LossSummary, Missing,
    ObjectiveRepeat, ObjectiveSummary, REPEATS_MAX, Repeat, SERIES_FILE, SERIES_VERSION, Series, SeriesOpening,
    UnderWay, repeat_seed,
};
pub use slatest_core::model::redact;
pub use windows::Windows;
pub use write::{RunWriter, result_folder, resumable, save_json};

/// Name of the record in a run's folder.
const RECORD_FILE: &str = "run.json";
/// Name of the windows in a run's folder.
const WINDOWS_FILE: &str = "windows.jsonl";
/// Name of the interval log in a run's folder.
pub const LOG_FILE: &str = "timeline.hlog";
