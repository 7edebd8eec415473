//! The command line: one file per verb.

mod doctor;
mod exit;
mod problems;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(feature = "sandbox")]
mod sandbox_process;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;

/// Load-testing and SLA verification: drives a platform and says whether its targets hold.
#[derive(Debug, Parser)]
#[command(name = "slatest", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks at this machine: file limits, ports, clock, timer, cores; what it can generate
    Doctor,
    #[cfg(feature = "sandbox")]
    Sandbox(Box<sandbox::SandboxArgs>),
}

/// Parses the command line, runs the verb and turns its end into an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Doctor => doctor::run().into(),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => sandbox::run(*args).into(),
    }
}
