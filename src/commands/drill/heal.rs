//! `slatest drill heal`: mends what a run has left broken, from its journal.

use std::path::{Path, PathBuf};

use clap::Args;

use super::faults::stopwatch;
use super::runtime;
use crate::commands::Exit;
use crate::commands::process::Signals;
use crate::report::phrases::plain;
use slatest_core::model::Span;
use slatest_core::say;
use slatest_core::terminal::print_all;
use slatest_engine::record::{StoreError, locate};
use slatest_faults::execute::{Mended, heal_unhealed};
use slatest_faults::journal::{self, DrillKey, JOURNAL_FILE, Unhealed};

/// Arguments of `slatest drill heal`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest drill heal latest
  slatest drill heal 20261121T020000Z-drill-database-5a1e57 --within 5m
  slatest drill heal results/20261121T020000Z-drill-zone-7c21aa

A run heals what it broke by itself, also after Ctrl-C. This is for a run that was killed, whose machine went
down, whose heal failed, or whose profile leaves the healing to people (`heal: manual`). It can be asked for
again and again: what is healed stays so.

Exit codes: 0 nothing is left broken, 99 SOMETHING IS STILL BROKEN, 3 refused (the run is still under way, or
programs would be started that somebody else wrote down), 2 no such run.")]
pub struct HealArgs {
    /// The run: its folder, its id, or `latest`
    #[arg(value_name = "RUN")]
    run: String,
    /// Longest that mending one fault may take
    #[arg(long, value_name = "DURATION", default_value = "120s")]
    within: Span,
    /// The run's drills may start programs on this machine, also where somebody else wrote down which
    #[arg(long)]
    allow_commands: bool,
    /// Where runs lie
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    results: PathBuf,
}

/// Runs it.
pub fn run(args: &HealArgs) -> Exit {
    match locate(&args.results, &args.run) {
        Ok(folder) => heal(&folder, args),
        Err(error) => {
            say!("slatest: {error}");
            if matches!(error, StoreError::NotFound { .. }) { Exit::Usage } else { Exit::Unexpected }
        }
    }
}

fn heal(folder: &Path, args: &HealArgs) -> Exit {
    let within = args.within.0;
    let run = plain(&folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy());
    let read = match journal::read(folder) {
        Ok(read) => read,
        Err(reason) => return wrong(&reason),
    };
    if journal::under_way(folder) {
        say!("slatest: refused: the run {run} is still under way and heals by itself; end it first (Ctrl-C, once)");
        return Exit::Refused;
    }
    for line in &read.unreadable {
        say!("slatest: warning: {JOURNAL_FILE}: {}; what it tells of is not known", plain(line));
    }
    if read.entries.is_empty() && !read.unreadable.is_empty() {
        return wrong(&format!(
            "no line of {JOURNAL_FILE} can be read: whether the run {run} left something broken is not known"
        ));
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
    if !args.allow_commands && refused(&run, &left) {
        return Exit::Refused;
    }
    for unhealed in &left {
        let what = unhealed.remedy.as_ref().map_or("?", |remedy| remedy.fault.injector());
        let tried =
            unhealed.tried.as_ref().map_or_else(String::new, |reason| format!("; healing failed before: {reason}"));
        print_all(&plain(&format!(
            "healing {} ({what}), broken since {}{tried}",
            message(&unhealed.key),
            unhealed.since
        )));
        print_all("\n");
    }
    let watch = stopwatch();
    let mended = runtime.block_on(async {
        tokio::select! {
            mended = heal_unhealed(folder, &watch, within) => mended,
            () = told_twice() => Err("ended by a second signal".into()),
        }
    });
    let mended = match mended {
        Ok(mended) => mended,
        Err(reason) => return wrong(&reason),
    };
    tell(&run, &mended)
}

/// Comes with the second signal. What is half mended is worse than what takes a moment more.
async fn told_twice() {
    let Ok(mut signals) = Signals::listen() else { return std::future::pending().await };
    if signals.heard().await.is_some() {
        say!("slatest: healing goes on to its end; a second signal ends it");
    }
    if signals.heard().await.is_none() {
        std::future::pending().await
    }
}

/// Whether something would be started that this user did not write down on this machine; says so.
fn refused(run: &str, left: &[Unhealed]) -> bool {
    let mut refused = false;
    for unhealed in left.iter().filter(|unhealed| !unhealed.own) {
        let programs = unhealed.remedy.as_ref().map(|remedy| remedy.fault.programs()).unwrap_or_default();
        if !programs.is_empty() {
            refused = true;
            say!(
                "slatest: refused: healing {} would start `{}` on this machine, and not this user wrote that here",
                message(&unhealed.key),
                plain(&programs.join("`, `"))
            );
        }
    }
    if refused {
        say!("slatest: look at {JOURNAL_FILE}, and if you mean it: slatest drill heal {run} --allow-commands");
    }
    refused
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
            Ok(did) => print_all(&format!("healed {}: {}\n", message(&one.key), plain(did))),
            Err(reason) => broken.push(format!("{}: {}", message(&one.key), plain(&reason.to_string()))),
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

fn wrong(reason: &str) -> Exit {
    say!("slatest: {}", plain(reason));
    say!("slatest: HEALING FAILED: what the run broke is left as it is");
    Exit::Failed
}

/// A drill as people call it.
fn message(key: &DrillKey) -> String {
    let repeat = if key.repeat > 1 { format!(", repeat {}", key.repeat) } else { String::new() };
    plain(&format!("the drill `{}`{repeat}", key.drill))
}
