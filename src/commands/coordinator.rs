//! `slatest coordinator`: leads a run that agents make.

use std::path::PathBuf;

use clap::Args;

use super::Exit;
use super::agents::{ByHand, JoinOptions};
use super::conclude::conclude;
use super::failure::{tell, tell_led};
use super::prepare::{PlanArgs, find};
use super::process::begin;
use super::report_files::Telling;
use super::terminal::Terminal;
use super::watch::WatchArgs;
use slatest_cluster::lead::{lead, resume};
use slatest_core::say;

/// Arguments of `slatest coordinator`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest coordinator --profile peak --target staging --agents 20 --listen 0.0.0.0:7420
  slatest agent --coordinator load.example.internal:7420 --token-file token     (20 times, anywhere)
  slatest coordinator --resume latest                                           (when the first one was lost)

Exit codes: those of `slatest run`; 103 also when not all agents joined, or one could not get ready.")]
pub struct CoordinatorArgs {
    #[command(flatten)]
    plan: Option<PlanArgs>,
    /// How many agents make the run; it starts when all of them are ready
    #[arg(long, value_name = "N", required_unless_present = "resume", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    agents: Option<u64>,
    #[command(flatten)]
    join_options: JoinOptions,
    /// Folder for certificates of agents that join by files: ca.pem, and NAME.pem with NAME.key for each agent
    #[arg(long, value_name = "FOLDER", conflicts_with = "resume")]
    certificates: Option<PathBuf>,
    /// Goes on with a run whose coordinator was lost: collects what its agents have measured, and finishes it
    #[arg(long, value_name = "RUN", conflicts_with_all = ["profile", "agents", "token_file"])]
    resume: Option<String>,
    /// Where the results go, in a folder of their own
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    out: PathBuf,
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    watch: WatchArgs,
}

/// Runs it.
pub fn run(args: &CoordinatorArgs) -> Exit {
    let stop = match begin() {
        Ok(stop) => stop,
        Err(exit) => return exit,
    };
    if let Err(exit) = args.telling.ready() {
        return exit;
    }
    let watched = match args.watch.start() {
        Ok(watched) => watched,
        Err(exit) => return exit,
    };
    let mut terminal = Terminal::new(args.telling.quiet).beside(watched.live());
    let outcome = if let Some(run) = &args.resume {
        resume(&args.out, run, args.join_options.wait.0, &stop, &mut terminal)
    } else {
        let (Some(plan), Some(agents)) = (&args.plan, args.agents) else {
            say!("slatest: name a profile with --profile, or a run to go on with: --resume RUN");
            return Exit::Usage;
        };
        let found = match find(plan) {
            Ok(found) => found,
            Err(error) => return tell(&error),
        };
        let command = std::env::args().collect();
        let options = args.join_options.lead_options(agents, agents, args.out.clone(), command);
        let by_hand = ByHand { join_options: args.join_options.clone(), certificates: args.certificates.clone() };
        lead(&found.selection, &options, &by_hand, &stop, &mut terminal)
    };
    let exit = match outcome {
        Ok(outcome) => conclude(&outcome, &args.telling),
        Err(error) => tell_led(&error),
    };
    watched.linger(&stop);
    exit
}
