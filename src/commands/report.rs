//! `slatest report`: a run that was, in the format that is wanted.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Exit;
use crate::report::{Hlog, Json, Junit, Markdown, Render, RenderSeries, Text};
use slatest_core::say;
use slatest_engine::record::{StoreError, locate, locate_series, read, read_series};

/// Most runs of a series that are named.
const RUNS_NAMED: usize = 5;

/// A format of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The summary for people
    #[default]
    Text,
    /// The whole record
    Json,
    /// JUnit XML: every objective is a test case
    Junit,
    /// The summary for CI pages
    Markdown,
    /// The HdrHistogram interval log
    Hlog,
}

/// What `slatest report` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  slatest report latest
  slatest report 20261121T020000Z-peak-5a1e57 --format junit > junit.xml
  slatest report results/20261121T020000Z-peak-5a1e57 --format markdown >> \"$GITHUB_STEP_SUMMARY\"
  slatest report latest --format hlog | HistogramLogProcessor -tag api/list-tasks

  slatest report 20261121T020000Z-drill-database-series-5e71e5

A run that was killed is rebuilt from the windows that it left. A series (`slatest run --repeat`) that was killed has
every repeat that came to its end. `latest` is a run.")]
pub struct ReportArgs {
    /// The run or series: its folder, its id, or `latest`
    #[arg(value_name = "RESULT", default_value = "latest")]
    pub result: String,
    /// The format
    #[arg(long, short, value_enum, default_value_t)]
    pub format: Format,
    /// Where runs lie
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    pub results: PathBuf,
}

/// Shows a run, or a series. The exit code says whether it could be shown, not what its verdict is: that belongs
/// to the run.
pub fn run(args: &ReportArgs) -> Exit {
    if let Some(folder) = locate_series(&args.results, &args.result) {
        return series(args, &folder);
    }
    let record = match locate(&args.results, &args.result).and_then(|folder| read(&folder)) {
        Ok(record) => record,
        Err(error) => {
            say!("slatest: {error}");
            return if matches!(error, StoreError::NotFound { .. }) { Exit::Usage } else { Exit::Unexpected };
        }
    };
    let format: &dyn Render = match args.format {
        Format::Text => &Text::for_terminal(),
        Format::Json => &Json,
        Format::Junit => &Junit,
        Format::Markdown => &Markdown,
        Format::Hlog => &Hlog,
    };
    shown(|out| format.render(&record, out))
}

fn series(args: &ReportArgs, folder: &Path) -> Exit {
    let series = match read_series(folder) {
        Ok(series) => series,
        Err(error) => {
            say!("slatest: {error}");
            return Exit::Unexpected;
        }
    };
    let format: &dyn RenderSeries = match args.format {
        Format::Text => &Text::for_terminal(),
        Format::Json => &Json,
        Format::Junit => &Junit,
        Format::Markdown => &Markdown,
        Format::Hlog => {
            let runs: Vec<&str> = series.repeats.iter().map(|repeat| repeat.run.as_str()).take(RUNS_NAMED).collect();
            say!("slatest: a series has no log of its own; name one of its runs: {}", runs.join(", "));
            return Exit::Usage;
        }
    };
    shown(|out| format.render_series(&series, out))
}

fn shown(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Exit {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match render(&mut out).and_then(|()| out.flush()) {
        // Whoever read has seen enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Pass,
        Err(error) => {
            say!("slatest: the report can't be written: {error}");
            Exit::Unexpected
        }
        Ok(()) => Exit::Pass,
    }
}
