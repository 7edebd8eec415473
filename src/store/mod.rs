//! Results on disk: the record of a run, written as the run goes.
//!
//! A run's folder `results/<UTC time>-<profile>-<short id>/` holds
//! - `run.json`: the [`RunRecord`], written at the start (status `running`) and again at the end;
//! - `windows.jsonl`: one [`Window`](crate::measure::Window) a line with its histograms, flushed as
//!   each closes: what a killed run is rebuilt from;
//! - `timeline.hlog`: the same response times as an HdrHistogram interval log, for other tools.

mod agents;
mod error;
mod figures;
mod hlog;
mod locate;
mod read;
mod record;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod windows;
mod write;

pub use crate::engine::HealthLine;
pub use crate::model::redact;
pub use agents::AgentFigures;
pub use error::StoreError;
pub use figures::{
    ErrorCount, GeneratorFigures, OperationFigures, OutcomeCounts, RatioFigures, TimeFigures, TimingFigures,
};
pub use locate::locate;
pub use read::read;
pub use record::{Machine, Opening, RunRecord, RunResult, Status, TargetRecord, VERSION};
pub use write::{RunWriter, result_folder, resumable, save_json};

/// Name of the record in a run's folder.
const RECORD_FILE: &str = "run.json";
/// Name of the windows in a run's folder.
const WINDOWS_FILE: &str = "windows.jsonl";
/// Name of the interval log in a run's folder.
pub const LOG_FILE: &str = "timeline.hlog";
