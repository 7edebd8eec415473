//! `slatest report`: a run that was, in the format that is wanted.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Exit;
use super::report_files::ReportFiles;
use crate::report::{Brief, Csv, Ctrf, Hlog, Html, Json, Junit, K6, Markdown, Render, RenderSeries, Text};
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
    /// One HTML file with charts, for people
    Html,
    /// A row an operation
    Csv,
    /// JSON by ctrf.io, with the test cases of JUnit
    Ctrf,
    /// The summary that k6 exports
    K6,
}

impl Format {
    /// What writes a run in it.
    pub fn render(self) -> Box<dyn Render> {
        match self {
            Self::Text => Box::new(Text { color: false }),
            Self::Json => Box::new(Json),
            Self::Junit => Box::new(Junit),
            Self::Markdown => Box::new(Markdown),
            Self::Hlog => Box::new(Hlog),
            Self::Html => Box::new(Html),
            Self::Csv => Box::new(Csv),
            Self::Ctrf => Box::new(Ctrf),
            Self::K6 => Box::new(K6),
        }
    }
}

/// What `slatest report` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  slatest report latest                    a screen; --verbose has the whole
  slatest report latest --format html > report.html
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
    /// The whole text, however long it is; without it, a screen
    #[arg(long, short)]
    pub verbose: bool,
    #[command(flatten)]
    pub files: ReportFiles,
    /// Where runs lie
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    pub results: PathBuf,
}

/// Shows a run, or a series. The exit code says whether it could be shown, not what its verdict is: that belongs
/// to the run.
pub fn run(args: &ReportArgs) -> Exit {
    if let Err(reason) = args.files.check() {
        say!("slatest: {reason}");
        return Exit::Usage;
    }
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
    if !args.files.is_empty() {
        // Files were asked for, and nothing else.
        return match args.files.write(&record) {
            Ok(()) => Exit::Pass,
            Err(reason) => {
                say!("slatest: {reason}");
                Exit::Unexpected
            }
        };
    }
    let format: Box<dyn Render> = match args.format {
        Format::Text if args.verbose => Box::new(Text::for_terminal()),
        Format::Text => Box::new(Brief::for_terminal(None)),
        other => other.render(),
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
        Format::Html | Format::Hlog | Format::Csv | Format::Ctrf | Format::K6 => {
            let runs: Vec<&str> = series.repeats.iter().map(|repeat| repeat.run.as_str()).take(RUNS_NAMED).collect();
            say!(
                "slatest: a series has no report of its own in this format; name one of its runs: {}",
                runs.join(", ")
            );
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
