//! The command line: one file per verb.

mod agent;
mod agents;
mod capacity;
mod check;
mod color;
mod completions;
mod conclude;
mod coordinator;
mod doctor;
mod drill;
mod drills;
mod exit;
mod failure;
mod fleet_line;
mod forecast;
mod gate;
mod history;
mod init;
mod join;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod log;
#[cfg(feature = "kubernetes")]
mod pods;
mod prepare;
mod problems;
mod process;
mod quick;
mod report;
mod report_files;
mod run;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(feature = "sandbox")]
mod sandbox_process;
mod schema;
#[cfg(feature = "sandbox")]
mod selftest;
mod terminal;
mod usage;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::quick::{AmqpArgs, HttpArgs, KafkaArgs, RedisArgs, SqlArgs, WebsocketArgs};
use color::Color;
pub use exit::Exit;
pub use report_files::Telling;

const EXAMPLES: &str = "Examples:
  slatest run --profile peak                       the platform's peak, on the embedded sandbox
  slatest http localhost:8080/tasks --p99 500ms    one URL, without any file
  slatest check --profile peak --target staging    is all of it ready, and long enough to tell?
  slatest report latest --format markdown          the last run again

`slatest VERB --help` shows the verb's own examples. SLATEST_LOG=debug writes diagnostics to stderr.";

/// Load-testing and SLA verification: drives a platform and says whether its targets hold.
#[derive(Debug, Parser)]
#[command(name = "slatest", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// When to colour what is printed
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a profile against a target, to its verdict
    Run(Box<run::RunArgs>),
    /// Tests one URL, without any file: curl's letters, a verdict
    Http(Box<HttpArgs>),
    /// Tests one WebSocket, without any file
    Ws(Box<WebsocketArgs>),
    /// Tests one Kafka topic, without any file
    Kafka(Box<KafkaArgs>),
    /// Tests one SQL statement, without any file
    Sql(Box<SqlArgs>),
    /// Tests one Redis command, without any file
    Redis(Box<RedisArgs>),
    /// Tests one AMQP queue, without any file
    Amqp(Box<AmqpArgs>),
    /// Validates and reaches everything, shows the plan and whether it can conclude; sends no load
    Check(Box<check::CheckArgs>),
    /// Writes the built-in profiles, workloads, targets and schemas, to be changed
    Init(init::InitArgs),
    /// Looks at this machine: file limits, ports, clock, timer, cores; what it can generate
    Doctor,
    /// Shows a run or a series that was: as text, JSON, JUnit, Markdown or an HdrHistogram log
    Report(report::ReportArgs),
    /// Runs a chain of profiles to one verdict, and holds it against a baseline: the gate before a release
    Gate(Box<gate::GateArgs>),
    /// Lists runs, with what they say and their key figures
    History(history::HistoryArgs),
    /// Holds one run against another: better, worse, the same, or it can't be told
    Compare(history::CompareArgs),
    /// Holds the last nights of a profile against those before
    Trend(history::TrendArgs),
    /// What drills can break, whether they can now, and mending what a run left broken
    Drill(drill::DrillArgs),
    /// Leads a run that agents make, on many machines
    Coordinator(Box<coordinator::CoordinatorArgs>),
    /// Makes a share of a coordinator's load
    Agent(Box<agent::AgentArgs>),
    /// Finds the highest rate of a scenario at which its objectives still pass
    Capacity(Box<capacity::CapacityArgs>),
    /// Manifests for a run whose agents are pods of a cluster
    #[cfg(feature = "kubernetes")]
    Kubernetes(kubernetes::KubernetesArgs),
    /// Proves on this machine, in about a minute, that what is measured is what is true
    #[cfg(feature = "sandbox")]
    Selftest(selftest::SelftestArgs),
    #[cfg(feature = "sandbox")]
    Sandbox(Box<sandbox::SandboxArgs>),
    /// Prints what a shell needs to complete the command line
    Completions(completions::CompletionsArgs),
}

/// Parses the command line, runs the verb and turns its end into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::refuse(&error),
    };
    cli.color.apply();
    log::start();
    match cli.command {
        Command::Run(args) => run::run(&args).into(),
        Command::Http(args) => quick::run(&args.load, |secrets| args.request(secrets)).into(),
        Command::Ws(args) => quick::run(&args.load, |_| args.request()).into(),
        Command::Kafka(args) => quick::run(&args.load, |secrets| args.request(secrets)).into(),
        Command::Sql(args) => quick::run(&args.load, |secrets| args.request(secrets)).into(),
        Command::Redis(args) => quick::run(&args.load, |secrets| args.request(secrets)).into(),
        Command::Amqp(args) => quick::run(&args.load, |secrets| args.request(secrets)).into(),
        Command::Check(args) => check::run(&args).into(),
        Command::Init(args) => init::run(&args).into(),
        Command::Doctor => doctor::run().into(),
        Command::Report(args) => report::run(&args).into(),
        Command::Gate(args) => gate::run(&args).into(),
        Command::History(args) => history::run(&args).into(),
        Command::Compare(args) => history::compare(&args).into(),
        Command::Trend(args) => history::trending(&args).into(),
        Command::Drill(args) => drill::run(&args).into(),
        Command::Coordinator(args) => coordinator::run(&args).into(),
        Command::Agent(args) => agent::run(&args).into(),
        Command::Capacity(args) => capacity::run(&args).into(),
        #[cfg(feature = "kubernetes")]
        Command::Kubernetes(args) => kubernetes::run(&args).into(),
        #[cfg(feature = "sandbox")]
        Command::Selftest(args) => selftest::run(&args).into(),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => sandbox::run(*args).into(),
        Command::Completions(args) => completions::run(&args).into(),
    }
}
