//! `slatest drill`: what can be broken, whether it can be now, and how what a run left broken is mended.

mod check;
mod faults;
mod heal;
mod import;
mod journal;
mod list;

use clap::{Args, Subcommand};

use super::Exit;
use slatest_core::say;

/// Arguments of `slatest drill`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest drill list --target stack              what can be broken there, how it is healed, with which rights
  slatest drill check --profile drill-database --target stack    can it be broken now? changes nothing
  slatest drill heal latest                      mends what a run that was killed left broken
  slatest drill import experiment.json           a Chaos Toolkit experiment as faults and drills
  slatest drill journal latest                   the drill of a run as a Chaos Toolkit journal

A drill itself is done by `slatest run` with a profile that has `drills`.")]
pub struct DrillArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Shows what can be broken at a target, with which rights, and how it is healed
    List(list::ListArgs),
    /// Looks whether faults can be injected now; changes nothing
    Check(check::CheckArgs),
    /// Mends what a run has left broken, from its journal
    Heal(heal::HealArgs),
    /// Takes over a Chaos Toolkit experiment
    Import(import::ImportArgs),
    /// Shows a drill of a run as Chaos Toolkit's journal
    Journal(journal::JournalArgs),
}

/// Runs it.
pub fn run(args: &DrillArgs) -> Exit {
    match &args.verb {
        Verb::List(args) => list::run(args),
        Verb::Check(args) => check::run(args),
        Verb::Heal(args) => heal::run(args),
        Verb::Import(args) => import::run(args),
        Verb::Journal(args) => journal::run(args),
    }
}

/// Something to wait on faults with.
///
/// # Errors
/// [`Exit::Unexpected`], said in words.
fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        say!("slatest: no runtime: {error}");
        Exit::Unexpected
    })
}
