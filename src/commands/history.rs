//! `slatest history`, `slatest compare`, `slatest trend`: what the folders of results say together.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::Exit;
use crate::report::history;
use slatest_core::model::Percent;
use slatest_core::say;
use slatest_core::terminal::print_all;
use slatest_engine::record::{RunRecord, StoreError, locate, read};
use slatest_history::{HistoryError, Said, compare_runs, list, trend};
use slatest_stats::Compared;

/// Arguments of `slatest history`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest history                                   the last 20 runs
  slatest history --profile peak --target staging -n 60
  slatest history --json | jq '.runs[] | {id, verdict}'")]
pub struct HistoryArgs {
    /// Only runs of this profile
    #[arg(long, short, value_name = "PROFILE")]
    profile: Option<String>,
    /// Only runs on this target
    #[arg(long, short, value_name = "TARGET")]
    target: Option<String>,
    /// The last so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    last: usize,
    /// For programs
    #[arg(long)]
    json: bool,
    /// Where runs lie
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    results: PathBuf,
}

/// Arguments of `slatest compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest compare 20261130T020000Z-peak-5a1e57 latest
  slatest compare results/a results/b --json

Each operation's p50, p95, p99 and share of failures: the change with its interval, and the smallest change that would
have been told. Each run is cut into batches of time, because neighbouring times resemble each other; what varies from run
to run (--between) is part of the error; the chance of any wrong word among all figures is 5 %. What differs beside the
figures (version, machine, plan) is said.

Exit codes: 0 nothing got worse, 99 something did, 98 it can't be told of something, 2 a run can't be compared.")]
pub struct CompareArgs {
    /// The run that is held against: its folder or its id
    #[arg(value_name = "BEFORE")]
    before: String,
    /// The run that is judged: its folder, its id, or `latest`
    #[arg(value_name = "AFTER", default_value = "latest")]
    after: String,
    /// How much times vary from run to run of a target that did not change: 0% where the two runs alternated within one
    /// night, what `slatest history` shows of quiet nights otherwise
    #[arg(long, value_name = "SHARE", default_value = "3%")]
    between: Percent,
    /// For programs
    #[arg(long)]
    json: bool,
    /// Where runs lie
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    results: PathBuf,
}

/// Arguments of `slatest trend`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest trend --profile peak
  slatest trend --profile peak --target staging --again latest    the last night was suspect, and run again

The p95 of each operation, night after night. The last three nights are held against up to thirty before them, since the
last change of profile, target, version, machine or number of agents. They are suspect where ranks, size (5 %) and mean
agree; then run the profile once more and name that run with --again: only what it confirms is slower. Void runs are no
nights. Fewer than 17 nights say nothing: compare two runs side by side.

Exit codes: 0 nothing is shown, 99 slower, 98 suspect, 2 there are no such runs.")]
pub struct TrendArgs {
    /// The profile
    #[arg(long, short, value_name = "PROFILE")]
    profile: String,
    /// The target [default: that of the last run]
    #[arg(long, short, value_name = "TARGET")]
    target: Option<String>,
    /// The last night run again: its id, or `latest`
    #[arg(long, value_name = "RUN")]
    again: Option<String>,
    /// For programs
    #[arg(long)]
    json: bool,
    /// Where runs lie
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    results: PathBuf,
}

/// Lists runs.
pub fn run(args: &HistoryArgs) -> Exit {
    let mut found = list(&args.results, args.profile.as_deref(), args.target.as_deref());
    let hidden = found.runs.len().saturating_sub(args.last);
    found.runs.drain(..hidden);
    if args.json {
        print(|out| json_line(out, &found));
        return Exit::Pass;
    }
    if found.runs.is_empty() && found.unreadable.is_empty() {
        say!("slatest: no such run under {}: run one first, or look elsewhere with --results", args.results.display());
        return Exit::Pass;
    }
    print(|out| history::runs(&found, out));
    Exit::Pass
}

/// Holds one run against another.
pub fn compare(args: &CompareArgs) -> Exit {
    let found = find(&args.results, &args.before)
        .and_then(|before| compare_runs(&before, &find(&args.results, &args.after)?, args.between.0));
    let found = match found {
        Ok(found) => found,
        Err(error) => return tell(&error),
    };
    if args.json {
        print(|out| json_line(out, &found));
    } else {
        print(|out| history::comparison(&found, out));
    }
    match found.compared {
        Compared::Worse => Exit::Failed,
        Compared::CannotSay => Exit::Inconclusive,
        Compared::Same | Compared::Better => Exit::Pass,
    }
}

/// Looks at the last nights of a profile.
pub fn trending(args: &TrendArgs) -> Exit {
    let again = match args.again.as_deref().map(|run| find(&args.results, run)).transpose() {
        Ok(again) => again.map(|run| run.id),
        Err(error) => return tell(&error),
    };
    let found = match trend(&args.results, &args.profile, args.target.as_deref(), again.as_deref()) {
        Ok(found) => found,
        Err(error) => return tell(&error),
    };
    if args.json {
        let course = |course: &slatest_history::Course| json!({ "address": course.address, "p95_secs": course.p95_secs, "says": course.said() });
        let courses: Vec<_> = found.courses.iter().map(course).collect();
        print(|out| {
            json_line(
                out,
                &json!({ "profile": found.profile, "target": found.target, "nights": found.nights, "operations": courses, "left_out": found.left_out, "unreadable": found.unreadable }),
            )
        });
    } else {
        print(|out| history::trend(&found, out));
    }
    let any = |said: Said| found.courses.iter().any(|course| course.said() == said);
    match () {
        () if any(Said::Slower) => Exit::Failed,
        () if any(Said::Suspect) => Exit::Inconclusive,
        () => Exit::Pass,
    }
}

/// Which way it went, in a word.
pub(super) const fn name_of(compared: Compared) -> &'static str {
    history::name(compared)
}

fn find(results: &Path, wanted: &str) -> Result<RunRecord, HistoryError> {
    Ok(read(&locate(results, wanted)?)?)
}

fn tell(error: &HistoryError) -> Exit {
    say!("slatest: {error}");
    match error {
        HistoryError::Store(StoreError::NotFound { .. })
        | HistoryError::Void { .. }
        | HistoryError::NotWhole { .. }
        | HistoryError::NothingInCommon { .. }
        | HistoryError::NoRuns { .. } => Exit::Usage,
        HistoryError::Store(_) => Exit::Unexpected,
    }
}

fn json_line(out: &mut dyn io::Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

fn print(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) {
    let mut text = Vec::new();
    if let Err(error) = render(&mut text) {
        say!("slatest: it could not be printed: {error}");
    }
    print_all(&String::from_utf8_lossy(&text));
}
