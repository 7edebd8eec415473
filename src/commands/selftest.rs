//! `slatest selftest`: does this instrument tell the truth, on this machine?

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;

use super::Exit;
use super::process::{begin, workers_default};
use super::sandbox_process::SandboxProcess;
use crate::selftest::{
    Account, Act, Finding, Played, Row, Size, behaviour_flags, freeze_rows, freezes, law_rows, laws, merging, throttled,
};
use slatest_core::model::Verdict;
use slatest_core::say;
use slatest_core::source::Source;
use slatest_engine::load::Stop;

/// Arguments of `slatest selftest`.
#[derive(Clone, Copy, Debug, Args)]
#[command(after_help = "Examples:
  slatest selftest                    about a minute on a machine that has nothing else to do
  slatest selftest --json > truth.json

It measures probes of the embedded sandbox whose answers follow known laws, freezes them, plants
errors, and takes the processor away from a generator. An act that the machine disturbed is played
a second time.

Exit codes: 0 every truth holds, 99 one was measured wrong, 97 the machine was too busy to tell,
105 interrupted, 1 unexpected.")]
pub struct SelftestArgs {
    /// Lighter and shorter: for a build without optimisation, or a machine with other work
    #[arg(long)]
    short: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Worker threads [default: one for each core, at most 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
}

/// Runs it.
pub fn run(args: &SelftestArgs) -> Exit {
    let stop = match begin() {
        Ok(stop) => stop,
        Err(exit) => return exit,
    };
    match account(args, &stop) {
        Ok(account) => conclude(&account, args.json),
        Err((exit, reason)) => {
            say!("slatest: {reason}");
            exit
        }
    }
}

type Failure = (Exit, String);

fn unexpected(reason: impl std::fmt::Display) -> Failure {
    (Exit::Unexpected, reason.to_string())
}

fn account(args: &SelftestArgs, stop: &Stop) -> Result<Account, Failure> {
    let since = Instant::now();
    let size = if args.short { Size::SHORT } else { Size::FULL };
    let folder = tempfile::Builder::new().prefix("slatest-selftest-").tempdir().map_err(unexpected)?;
    let sandbox = SandboxProcess::start(&behaviour_flags(size)).map_err(unexpected)?;
    let stage = Stage {
        folder: folder.path(),
        target: sandbox.target(),
        workers: args.workers.map_or_else(workers_default, usize::from),
        size,
        stop,
    };
    let mut rows = stage.rows(&laws(size), law_rows)?;
    rows.extend(stage.rows(&freezes(size), freeze_rows)?);
    say!("slatest: taking the processor away from a generator, 10 s at most");
    let program = std::env::current_exe().map_err(unexpected)?;
    rows.push(throttled(&program, stage.folder, &stage.target).map_err(unexpected)?);
    rows.push(merging());
    if stop.is_asked() {
        return Err((Exit::Interrupted, "interrupted".into()));
    }
    Ok(Account::new(rows, since.elapsed().as_secs_f64()))
}

/// Where acts are played.
struct Stage<'a> {
    folder: &'a Path,
    target: Source,
    workers: usize,
    size: Size,
    stop: &'a Stop,
}

impl Stage<'_> {
    /// Plays an act; once more when the machine disturbed it. That goes by what the meters saw, and a
    /// truth that was measured wrong stays wrong, so it can't make one hold that doesn't.
    fn rows(&self, act: &Act, rows: fn(&Played, Size) -> Vec<Row>) -> Result<Vec<Row>, Failure> {
        let first = self.play(act, rows)?;
        let any = |finding| first.iter().any(|row| row.finding == finding);
        if any(Finding::Void) && !any(Finding::Wrong) && !self.stop.is_asked() {
            let reason = first.iter().find(|row| row.finding == Finding::Void).map_or("", |row| row.message.as_str());
            say!("slatest: {} disturbed ({reason}): once more", act.name);
            return self.play(act, rows);
        }
        Ok(first)
    }

    fn play(&self, act: &Act, rows: fn(&Played, Size) -> Vec<Row>) -> Result<Vec<Row>, Failure> {
        let length = Duration::from_secs(act.length.as_duration().as_secs());
        say!("slatest: measuring the {}, {}", act.name, humantime::format_duration(length));
        let played = act.play(self.folder, &self.target, self.workers, self.stop.clone()).map_err(unexpected)?;
        if self.stop.is_asked() {
            return Err((Exit::Interrupted, "interrupted".into()));
        }
        Ok(rows(&played, self.size))
    }
}

fn conclude(account: &Account, json: bool) -> Exit {
    let mut out = std::io::stdout().lock();
    let shown = if json {
        serde_json::to_writer_pretty(&mut out, account).map_err(std::io::Error::from).and_then(|()| writeln!(out))
    } else {
        account.render(console::colors_enabled(), &mut out)
    };
    if let Err(error) = shown.and_then(|()| out.flush()) {
        say!("slatest: the table could not be printed: {error}");
    }
    match account.verdict {
        Verdict::Pass => Exit::Pass,
        verdict => verdict.into(),
    }
}
