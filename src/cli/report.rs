//! `slatest report`: a run that was, in the format that is wanted.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Exit;
use crate::report::{Hlog, Json, Junit, Markdown, Render, Text};
use crate::store::{StoreError, locate, read};

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

A run that was killed is rebuilt from the windows that it left.")]
pub struct ReportArgs {
    /// The run: its folder, its id, or `latest`
    #[arg(value_name = "RESULT", default_value = "latest")]
    pub result: String,
    /// The format
    #[arg(long, short, value_enum, default_value_t)]
    pub format: Format,
    /// Where runs lie
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    pub results: PathBuf,
}

/// Shows a run. The exit code says whether it could be shown, not what its verdict is: that belongs
/// to the run.
pub fn run(args: &ReportArgs) -> Exit {
    let record = match locate(&args.results, &args.result).and_then(|folder| read(&folder)) {
        Ok(record) => record,
        Err(error) => {
            eprintln!("slatest: {error}");
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
    let mut out = io::BufWriter::new(io::stdout().lock());
    match format.render(&record, &mut out).and_then(|()| out.flush()) {
        // Whoever read has seen enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Pass,
        Err(error) => {
            eprintln!("slatest: the report can't be written: {error}");
            Exit::Unexpected
        }
        Ok(()) => Exit::Pass,
    }
}
