//! What came of a run or a series: told on the terminal and in files, and turned into an exit code.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use super::Exit;
use super::report_files::Telling;
use crate::report::phrases::plain;
use crate::report::{Junit, RenderSeries as _, Text};
use slatest_core::model::Verdict;
use slatest_core::say;
use slatest_engine::record::{EndedEarly, RunRecord, Status, StoreError};
use slatest_engine::run::{RunOutcome, SeriesOutcome};
use slatest_stats::Heal;

/// Writes the reports that were asked for, shows the summary, and gives the exit code.
pub fn conclude(outcome: &RunOutcome, telling: &Telling) -> Exit {
    let RunOutcome { record, unsaved } = outcome;
    let written = telling.write(record);
    telling.show(record);
    let mut exit = exit_of(record);
    if let Err(reason) = written {
        say!("slatest: NOT ALL REPORTS ARE WRITTEN: {reason}");
        exit = exit.unsaved();
    }
    let Some(reason) = unsaved else { return exit };
    say!("slatest: THE RESULTS ARE NOT SAVED: {reason}");
    say!("slatest: the verdict above is of the whole run, and stands nowhere else");
    exit.unsaved()
}

/// The same of a series.
pub fn conclude_series(outcome: &SeriesOutcome) -> Exit {
    let SeriesOutcome { series, folder, not_run, unsaved } = outcome;
    let junit = write_junit(folder, |file| Junit.render_series(series, file));
    let mut out = std::io::stdout().lock();
    if let Err(error) = Text::for_terminal().render_series(series, &mut out).and_then(|()| out.flush()) {
        say!("slatest: the summary could not be printed: {error}");
    }
    if let Some(EndedEarly::LeftBroken(reason)) = &series.ended_early {
        say!("slatest: THE TARGET IS NOT SOUND, nothing more was done to it: {}", plain(reason));
        say!("slatest: see to it by hand; {} has what was done until then", folder.display());
    }
    let exit = match (&series.ended_early, not_run) {
        (Some(EndedEarly::LeftBroken(_)), _) => Exit::Failed,
        (Some(EndedEarly::Interrupted), _) => Exit::Interrupted,
        (_, Some(error)) if series.verdict != Verdict::Fail => error.into(),
        _ => series.verdict.into(),
    };
    let Some(reason) = unsaved.as_ref().map(ToString::to_string).or(junit.err().map(|error| error.to_string())) else {
        return exit;
    };
    say!("slatest: THE RESULTS ARE NOT SAVED: {reason}");
    exit.unsaved()
}

/// Writes `junit.xml` into a folder of results.
///
/// # Errors
/// When the file system says no.
pub(super) fn write_junit(
    folder: &Path,
    fill: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<(), StoreError> {
    let path = folder.join("junit.xml");
    File::create(&path).and_then(|mut file| fill(&mut file)).map_err(|source| StoreError::Io {
        path,
        action: "written",
        source,
    })
}

fn exit_of(record: &RunRecord) -> Exit {
    // What a drill left broken is worse than a run that nobody wanted to end, and true whatever else can't be told.
    let left_broken = record.result.drills.iter().any(|drill| matches!(drill.heal, Heal::Failed(_)));
    match record.status {
        _ if left_broken => Exit::Failed,
        Status::Interrupted => Exit::Interrupted,
        _ => record.result.verdict.into(),
    }
}
