//! The command line: one file per verb.

mod color;
mod doctor;
mod exit;
mod prepare;
mod problems;
mod report;
mod run;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(feature = "sandbox")]
mod sandbox_process;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use color::Color;
pub use exit::Exit;

/// Load-testing and SLA verification: drives a platform and says whether its targets hold.
#[derive(Debug, Parser)]
#[command(name = "slatest", version, max_term_width = 100)]
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
    /// Looks at this machine: file limits, ports, clock, timer, cores; what it can generate
    Doctor,
    /// Shows a run that was: as text, JSON, JUnit, Markdown or an HdrHistogram log
    Report(report::ReportArgs),
    #[cfg(feature = "sandbox")]
    Sandbox(Box<sandbox::SandboxArgs>),
}

/// Parses the command line, runs the verb and turns its end into an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.color.apply();
    match cli.command {
        Command::Run(args) => run::run(&args).into(),
        Command::Doctor => doctor::run().into(),
        Command::Report(args) => report::run(&args).into(),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => sandbox::run(*args).into(),
    }
}
