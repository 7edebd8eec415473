//! `slatest drill journal`: a drill of a run as Chaos Toolkit's journal.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::commands::Exit;
use crate::report::phrases::plain;
use slatest_core::say;
use slatest_core::terminal::print_all;
use slatest_engine::record::{RunRecord, Status, StoreError, locate, read};
use slatest_faults::chaostoolkit::{Told, chaos_journal, outcome_of};
use slatest_faults::journal::{self, DrillKey};
use slatest_faults::steps::HealBy;
use slatest_stats::DrillEnd;

/// Arguments of `slatest drill journal`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest drill journal latest > journal.json
  slatest drill journal 20261121T020000Z-drill-database-5a1e57 --drill primary-loss

What Chaos Toolkit calls the steady state after the method is whether the drill's scope was restored. A journal
of theirs is of one experiment: a run with several drills has one for each.")]
pub struct JournalArgs {
    /// The run: its folder, its id, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    run: String,
    /// Which drill, where the run has several
    #[arg(long, value_name = "NAME")]
    drill: Option<String>,
    /// Which of its repeats
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: u32,
    /// Where runs lie
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    results: PathBuf,
}

/// Runs it.
pub fn run(args: &JournalArgs) -> Exit {
    let found = locate(&args.results, &args.run).and_then(|folder| Ok((read(&folder)?, folder)));
    let (record, folder) = match found {
        Ok(found) => found,
        Err(error) => {
            say!("slatest: {error}");
            return if matches!(error, StoreError::NotFound { .. }) { Exit::Usage } else { Exit::Unexpected };
        }
    };
    match text(&record, &folder, args) {
        Ok(text) => {
            print_all(&text);
            Exit::Pass
        }
        Err(reason) => {
            say!("slatest: {}", plain(&reason));
            Exit::Usage
        }
    }
}

fn text(record: &RunRecord, folder: &Path, args: &JournalArgs) -> Result<String, String> {
    let names: Vec<&str> = record.plan.drills.iter().map(|drill| drill.name.as_str()).collect();
    let wanted = match (&args.drill, names.as_slice()) {
        (Some(name), _) => name.as_str(),
        (None, [only]) => only,
        (None, []) => return Err(format!("the run {} has no drills", record.id)),
        (None, all) => return Err(format!("the run has several drills: choose with --drill, of {}", all.join(", "))),
    };
    let Some(drill) = record.plan.drills.iter().find(|drill| drill.name == wanted) else {
        return Err(format!("the run {} has no drill `{wanted}`: it has {}", record.id, names.join(", ")));
    };
    let entries = journal::read(folder)?.entries;
    let key = DrillKey { drill: drill.name.clone(), repeat: args.repeat };
    if args.repeat != 1 && !entries.iter().any(|entry| entry.key() == key) {
        return Err(format!("the drill `{wanted}` has no repeat {}", args.repeat));
    }
    let judged = record.result.drills.iter().find(|judged| judged.name == drill.name);
    let scope = judged.and_then(|judged| judged.components.iter().find(|one| one.name == drill.scope));
    let told = Told {
        started: record.started,
        ended: record.ended,
        by_hand: drill.heal == HealBy::Manual,
        restored: scope.is_some_and(|scope| scope.restored.is_some()),
        interrupted: match judged.map(|judged| &judged.end) {
            Some(DrillEnd::Interrupted) => true,
            Some(DrillEnd::Watched) => false,
            _ => record.status == Status::Interrupted,
        },
        not_started: judged.and_then(|judged| match &judged.end {
            DrillEnd::NotStarted(reason) => Some(reason.clone()),
            _ => None,
        }),
    };
    let outcome = outcome_of(&entries, &key, &told);
    let journal = chaos_journal(&drill.name, &drill.injector, &outcome, &record.machine.host);
    let text = serde_json::to_string_pretty(&journal).map_err(|error| error.to_string())?;
    Ok(format!("{text}\n"))
}
