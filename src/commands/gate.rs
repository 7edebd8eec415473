//! `slatest gate`: a chain of profiles to one verdict, and whether the target got slower since a baseline.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::Exit;
use super::conclude::conclude;
use super::failure::tell;
use super::history::name_of;
use super::prepare::{PlanArgs, find};
use super::process::{begin, workers_default};
use super::report_files::Telling;
use super::terminal::Terminal;
use crate::report::phrases::plain;
use slatest_core::model::Percent;
use slatest_core::say;
use slatest_engine::load::Stop;
use slatest_engine::record::{RunRecord, locate, read, result_folder, save_json};
use slatest_engine::run::{RunError, RunOptions, Silent, single};
use slatest_history::{Comparison, ConditionDifference, HistoryError, compare_runs};
use slatest_stats::Compared;

/// Name of the file in the gate's folder.
const FILE: &str = "gate.json";
/// Version of its format.
const VERSION: u32 = 1;

/// Arguments of `slatest gate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest gate smoke peak --target staging
  slatest gate smoke peak drill-database --target staging --drills --baseline 20261130T020000Z-peak-5a1e57
  slatest gate smoke peak --target staging --inconclusive-as fail

The profiles run one after another. All of them are checked before anything is sent; one without objectives is refused,
because it could only pass. The chain stops at the first that fails: what comes after it would say no more. A baseline is a
run; the step of the same profile must not be slower than it, nor fail more often. gate.json in the results says it all.

Exit codes: 0 every step passed and nothing got worse, 99 a step failed or something got worse, 98 too little evidence,
97 void, 96 all held and not everything could be saved, 2 wrong usage, 3 refused, 103 target unreachable, 104 invalid file,
105 interrupted, 1 unexpected.")]
pub struct GateArgs {
    /// The profiles, in order: names or paths
    #[arg(value_name = "PROFILE", required = true)]
    profiles: Vec<String>,
    /// Target: a name (targets/NAME.yaml here, else built in) or a path [default: sandbox, or $SLATEST_TARGET]
    #[arg(long, short, value_name = "TARGET")]
    target: Option<String>,
    /// A run that the step of the same profile is held against: its folder or its id; several for several profiles
    #[arg(long, value_name = "RUN")]
    baseline: Vec<String>,
    /// How much times vary from run to run of a target that did not change
    #[arg(long, value_name = "SHARE", default_value = "3%")]
    between: Percent,
    /// What too little evidence counts as, for pipelines that know only yes and no
    #[arg(long, value_enum, value_name = "AS")]
    inconclusive_as: Option<InconclusiveAs>,
    /// Seed of every random choice of every step
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// The addresses that load is sent from stand on the allow list of the firewall
    #[arg(long)]
    allow_listed: bool,
    /// Drills may break things on a target that is no sandbox
    #[arg(long)]
    drills: bool,
    /// Drills that are written in a profile may start programs on this machine
    #[arg(long)]
    allow_commands: bool,
    /// Where results go: a folder for each run, and one for the gate
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    out: PathBuf,
    /// Worker threads [default: one for each core, at most 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// No progress, just the summaries
    #[arg(long, short)]
    quiet: bool,
    /// A flag for the sandbox, when it is the target
    #[arg(long = "sandbox", value_name = "FLAG", allow_hyphen_values = true)]
    sandbox_flags: Vec<String>,
}

/// What too little evidence counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InconclusiveAs {
    /// The gate stays shut
    Fail,
    /// The gate opens
    Pass,
}

/// One profile of the chain.
#[derive(Clone, Debug, Serialize)]
struct Step {
    profile: String,
    /// Id of its run; `None` where it did not come about.
    run: Option<String>,
    /// What it says; of a step that did not come about, why.
    says: String,
    exit: u8,
    /// What the comparison with its baseline says.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Comparison>,
}

/// What `gate.json` holds.
#[derive(Clone, Debug, Serialize)]
struct GateRecord {
    version: u32,
    id: String,
    started: Timestamp,
    ended: Option<Timestamp>,
    target: String,
    steps: Vec<Step>,
    /// Profiles that were not run, because the chain had stopped.
    left_out: Vec<String>,
    exit: u8,
}

/// Runs it.
pub fn run(args: &GateArgs) -> Exit {
    let stop = match begin() {
        Ok(stop) => stop,
        Err(exit) => return exit,
    };
    let baselines = match check(args).and_then(|profiles| baselines(args, &profiles)) {
        Ok(baselines) => baselines,
        Err(exit) => return exit,
    };
    let started = Timestamp::now();
    let (id, folder) = match result_folder(&args.out, "gate", started) {
        Ok(made) => made,
        Err(error) => return tell(&error.into()),
    };
    let mut record = GateRecord {
        version: VERSION,
        id,
        started,
        ended: None,
        target: args.plan("").target_name(),
        steps: Vec::new(),
        left_out: Vec::new(),
        exit: Exit::Unexpected as u8,
    };
    let mut exits = Vec::new();
    for (index, profile) in args.profiles.iter().enumerate() {
        say!("slatest: step {} of {}: {profile}", index + 1, args.profiles.len());
        let (step, exit) = args.step(profile, &baselines, &stop);
        record.steps.push(step);
        exits.push(exit);
        if ends(exit) {
            record.left_out = args.profiles.get(index + 1..).unwrap_or_default().to_vec();
            break;
        }
    }
    let exit = together(&exits, args.inconclusive_as);
    record.ended = Some(Timestamp::now());
    record.exit = exit as u8;
    show(&record, exit);
    if let Err(error) = save_json(&folder, FILE, &record) {
        say!("slatest: THE RESULTS ARE NOT SAVED: {error}");
        return exit.unsaved();
    }
    exit
}

/// Whether nothing after it would say more: it failed, was refused, could not be run, or was ended.
const fn ends(exit: Exit) -> bool {
    !matches!(exit, Exit::Pass | Exit::Unsaved | Exit::Void | Exit::Inconclusive)
}

/// One exit code for all steps: the worst, where a failure is worse than void, and void worse than too little evidence.
fn together(exits: &[Exit], inconclusive_as: Option<InconclusiveAs>) -> Exit {
    let severity = |exit: &Exit| match exit {
        Exit::Pass => 0,
        Exit::Unsaved => 1,
        Exit::Inconclusive => 2,
        Exit::Void => 3,
        Exit::Failed => 4,
        // It did not come about: whatever else was found, this must be seen.
        _ => 5,
    };
    let worst = exits.iter().copied().max_by_key(severity).unwrap_or(Exit::Unexpected);
    match (worst, inconclusive_as) {
        (Exit::Inconclusive, Some(InconclusiveAs::Fail)) => Exit::Failed,
        (Exit::Inconclusive, Some(InconclusiveAs::Pass)) => Exit::Pass,
        (worst, _) => worst,
    }
}

/// Every profile is valid and allowed and has objectives, before anything is sent. Their names.
fn check(args: &GateArgs) -> Result<Vec<String>, Exit> {
    let mut names = Vec::new();
    for profile in &args.profiles {
        let found = find(&args.plan(profile)).map_err(|error| tell(&error))?;
        let resolved = found.resolve(&mut Silent).map_err(|error| tell(&error))?;
        let judges = !resolved.plan.objectives.is_empty()
            || resolved.plan.drills.iter().any(|drill| !drill.objectives.is_empty());
        if !judges {
            let reason = format!("the profile `{profile}` has no objectives: as a step of a gate it could only pass");
            return Err(tell(&RunError::Usage(reason)));
        }
        names.push(resolved.plan.profile);
    }
    Ok(names)
}

/// The runs that steps are held against, of those that can be.
fn baselines(args: &GateArgs, profiles: &[String]) -> Result<Vec<RunRecord>, Exit> {
    let usage = |reason: String| tell(&RunError::Usage(reason));
    let mut runs: Vec<RunRecord> = Vec::new();
    for wanted in &args.baseline {
        let folder = locate(&args.out, wanted).map_err(|error| usage(error.to_string()))?;
        let run = read(&folder).map_err(|error| usage(error.to_string()))?;
        // Against itself nothing changes: this finds out whether it can be a baseline at all.
        compare_runs(&run, &run, 0.0).map_err(|error: HistoryError| usage(error.to_string()))?;
        if !profiles.contains(&run.plan.profile) {
            let reason =
                format!("the baseline `{}` is a run of `{}`, which is no step of this gate", run.id, run.plan.profile);
            return Err(usage(reason));
        }
        runs.push(run);
    }
    Ok(runs)
}

impl GateArgs {
    fn plan(&self, profile: &str) -> PlanArgs {
        PlanArgs {
            seed: self.seed,
            allow_listed: self.allow_listed,
            drills: self.drills,
            sandbox_flags: self.sandbox_flags.clone(),
            ..PlanArgs::looking(profile.to_owned(), self.target.clone(), self.allow_commands)
        }
    }

    /// One profile to its verdict, and against its baseline.
    fn step(&self, profile: &str, baselines: &[RunRecord], stop: &Stop) -> (Step, Exit) {
        let options = RunOptions {
            out: self.out.clone(),
            command: std::env::args().collect(),
            workers: self.workers.map_or_else(workers_default, usize::from),
        };
        let mut terminal = Terminal::new(self.quiet);
        let ran = find(&self.plan(profile))
            .and_then(|found| Ok((single(&found.selection, &options, stop, &mut terminal)?, found)));
        let (outcome, found) = match ran {
            Ok(ran) => ran,
            Err(error) => {
                let exit = tell(&error);
                let (profile, says) = (profile.to_owned(), error.to_string());
                return (Step { profile, run: None, says, exit: exit as u8, against: None }, exit);
            }
        };
        drop(found);
        let mut exit = conclude(&outcome, &Telling { quiet: self.quiet, ..Telling::default() });
        let record = &outcome.record;
        let mut against = None;
        if let Some(baseline) = baselines.iter().find(|run| run.plan.profile == record.plan.profile) {
            let found = compare_runs(baseline, record, self.between.0);
            let unlike = found.as_ref().is_ok_and(|found| found.conditions.iter().any(matters));
            exit = with_comparison(exit, found.as_ref().ok().filter(|_| !unlike).map(|found| found.compared));
            match found {
                Ok(found) => against = Some(found),
                Err(error) => say!("slatest: {error}"),
            }
        }
        let says = record.result.verdict.name().to_owned();
        (
            Step {
                profile: record.plan.profile.clone(),
                run: Some(record.id.clone()),
                says,
                exit: exit as u8,
                against,
            },
            exit,
        )
    }
}

/// Whether two runs that differ in this can't be held against each other: another release is what a gate is for.
fn matters(difference: &ConditionDifference) -> bool {
    difference.what != "version"
}

/// What a step says together with its comparison, where there is one of like with like: worse shuts the gate. One that was
/// asked for and can't be made is too little evidence; a figure of it that can't be told is not, because it says itself
/// what it could have shown.
const fn with_comparison(exit: Exit, compared: Option<Compared>) -> Exit {
    match (exit, compared) {
        (Exit::Pass | Exit::Unsaved | Exit::Inconclusive, Some(Compared::Worse)) => Exit::Failed,
        (Exit::Pass | Exit::Unsaved, None) => Exit::Inconclusive,
        (exit, _) => exit,
    }
}

/// The chain on a screen, its verdict last.
fn show(record: &GateRecord, exit: Exit) {
    say!("\nslatest: the gate on {}", plain(&record.target));
    for step in &record.steps {
        let run = step.run.as_deref().map(|run| format!("  {run}")).unwrap_or_default();
        say!("  {:<20} {}{run}", plain(&step.profile), plain(&step.says));
        if let Some(found) = &step.against {
            let worse = found.rows.iter().filter(|row| row.compared == Compared::Worse);
            let worse: Vec<String> = worse.map(|row| format!("{} {}", plain(&row.address), row.figure)).collect();
            let list = if worse.is_empty() { String::new() } else { format!(": {}", worse.join(", ")) };
            say!("  {:<20} against {}: {}{list}", "", plain(&found.before), name_of(found.compared));
            for one in &found.conditions {
                let counts = if matters(one) { "NOT ALIKE, so it doesn't count" } else { "differs" };
                say!("  {:<20} {counts}: {}: {} → {}", "", one.what, plain(&one.before), plain(&one.after));
            }
        }
    }
    for profile in &record.left_out {
        say!("  {:<20} not run: the chain had stopped", plain(profile));
    }
    let word = match exit {
        Exit::Pass => "OPEN",
        Exit::Failed => "SHUT",
        Exit::Inconclusive => "CAN'T SAY: too little evidence",
        Exit::Void => "CAN'T SAY: void",
        _ => "SHUT: it did not come to its end",
    };
    say!("slatest: {word}  {}", record.id);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_step_is_the_gate_s() {
        assert_eq!(together(&[Exit::Pass, Exit::Pass], None), Exit::Pass);
        assert_eq!(together(&[Exit::Pass, Exit::Inconclusive], None), Exit::Inconclusive);
        assert_eq!(together(&[Exit::Inconclusive], Some(InconclusiveAs::Fail)), Exit::Failed);
        assert_eq!(together(&[Exit::Inconclusive], Some(InconclusiveAs::Pass)), Exit::Pass);
        assert_eq!(together(&[Exit::Void, Exit::Inconclusive], Some(InconclusiveAs::Pass)), Exit::Void);
        assert_eq!(together(&[Exit::Void, Exit::Failed], None), Exit::Failed);
        assert_eq!(together(&[Exit::Failed, Exit::Unreachable], None), Exit::Unreachable);
        assert_eq!(together(&[], None), Exit::Unexpected);
    }

    #[test]
    fn a_chain_stops_where_going_on_says_no_more() {
        for (exit, stops) in [
            (Exit::Pass, false),
            (Exit::Unsaved, false),
            (Exit::Void, false),
            (Exit::Inconclusive, false),
            (Exit::Failed, true),
            (Exit::Unreachable, true),
            (Exit::Interrupted, true),
            (Exit::Refused, true),
        ] {
            assert_eq!(ends(exit), stops, "{exit:?}");
        }
    }

    #[test]
    fn what_got_worse_shuts_the_gate_whatever_the_objectives_say() {
        assert_eq!(with_comparison(Exit::Pass, Some(Compared::Worse)), Exit::Failed);
        assert_eq!(with_comparison(Exit::Inconclusive, Some(Compared::Worse)), Exit::Failed);
        assert_eq!(with_comparison(Exit::Void, Some(Compared::Worse)), Exit::Void);
        assert_eq!(with_comparison(Exit::Pass, Some(Compared::Better)), Exit::Pass);
        assert_eq!(with_comparison(Exit::Pass, Some(Compared::CannotSay)), Exit::Pass);
        // It was asked for, and like could not be compared with like.
        assert_eq!(with_comparison(Exit::Pass, None), Exit::Inconclusive);
        assert_eq!(with_comparison(Exit::Failed, None), Exit::Failed);
    }
}
