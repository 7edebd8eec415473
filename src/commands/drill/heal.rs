//! `slatest drill heal`: mends what a run has left broken, from its journal.

use std::path::{Path, PathBuf};

use clap::Args;

use super::faults::stopwatch;
use super::runtime;
use crate::commands::Exit;
use crate::report::words::plain;
use slatest_core::model::{Nanos, Span};
use slatest_core::say;
use slatest_core::terminal::print_all;
use slatest_engine::record::{StoreError, locate};
use slatest_faults::execute::{Mended, heal_unhealed};
use slatest_faults::journal::{self, DrillKey, JOURNAL_FILE};

/// Arguments of `slatest drill heal`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest drill heal latest
  slatest drill heal 20261121T020000Z-drill-database-5a1e57 --within 5m
  slatest drill heal results/20261121T020000Z-drill-zone-7c21aa

A run heals what it broke by itself, also after Ctrl-C. This is for a run that was killed, whose machine went
down, whose heal failed, or whose profile leaves the healing to people (`heal: manual`). It can be asked for
again and again: what is healed stays so.

Exit codes: 0 nothing is left broken, 99 SOMETHING IS STILL BROKEN, 3 the run is still under way, 2 no such run.")]
pub struct HealArgs {
    /// The run: its folder, its id, or `latest`
    #[arg(value_name = "RUN")]
    run: String,
    /// Longest that mending one fault may take
    #[arg(long, value_name = "DURATION", default_value = "120s")]
    within: Span,
    /// Where runs lie
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    results: PathBuf,
}

/// Runs it.
pub fn run(args: &HealArgs) -> Exit {
    match locate(&args.results, &args.run) {
        Ok(folder) => heal(&folder, args.within.0),
        Err(error) => {
            say!("slatest: {error}");
            if matches!(error, StoreError::NotFound { .. }) { Exit::Usage } else { Exit::Unexpected }
        }
    }
}

fn heal(folder: &Path, within: Nanos) -> Exit {
    let run = plain(&folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy());
    let read = match journal::read(folder) {
        Ok(read) => read,
        Err(why) => return wrong(&why),
    };
    if journal::under_way(folder) {
        say!("slatest: refused: the run {run} is still under way and heals by itself; end it first (Ctrl-C, once)");
        return Exit::Refused;
    }
    for line in &read.unreadable {
        say!("slatest: warning: {JOURNAL_FILE}: {}; what it tells of is not known", plain(line));
    }
    if read.entries.is_empty() {
        print_all(&format!("Nothing to heal: the run {run} broke nothing.\n"));
        return Exit::Pass;
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let left = journal::unhealed(&read.entries);
    for unhealed in &left {
        let what = unhealed.remedy.as_ref().map_or("?", |remedy| remedy.fault.injector());
        let tried = unhealed.tried.as_ref().map_or_else(String::new, |why| format!("; healing failed before: {why}"));
        print_all(&plain(&format!(
            "healing {} ({what}), broken since {}{tried}",
            words(&unhealed.key),
            unhealed.since
        )));
        print_all("\n");
    }
    let mended = match runtime.block_on(heal_unhealed(folder, &stopwatch(), within)) {
        Ok(mended) => mended,
        Err(why) => return wrong(&why),
    };
    tell(&run, &mended)
}

/// What became of it, and whether all is well.
fn tell(run: &str, mended: &[Mended]) -> Exit {
    if mended.is_empty() {
        print_all(&format!("Nothing to heal: everything that the run {run} broke was healed.\n"));
        return Exit::Pass;
    }
    let mut broken = Vec::new();
    for one in mended {
        match &one.end {
            Ok(did) => print_all(&format!("healed {}: {}\n", words(&one.key), plain(did))),
            Err(why) => broken.push(format!("{}: {}", words(&one.key), plain(&why.to_string()))),
        }
    }
    if broken.is_empty() {
        return Exit::Pass;
    }
    for what in &broken {
        say!("slatest: STILL BROKEN: {what}");
    }
    let noun = if broken.len() == 1 { "fault" } else { "faults" };
    say!(
        "slatest: HEALING FAILED: {} {noun} of the run {run} could not be mended; see to it by hand, or ask again: slatest drill heal {run}",
        broken.len()
    );
    Exit::Failed
}

fn wrong(why: &str) -> Exit {
    say!("slatest: {}", plain(why));
    say!("slatest: HEALING FAILED: what the run broke is left as it is");
    Exit::Failed
}

/// A drill as people call it.
fn words(key: &DrillKey) -> String {
    let repeat = if key.repeat > 1 { format!(", repeat {}", key.repeat) } else { String::new() };
    plain(&format!("the drill `{}`{repeat}", key.drill))
}
