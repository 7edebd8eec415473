//! `slatest agent`: makes a share of a coordinator's load on this machine.

use std::path::PathBuf;

use clap::Args;

use super::Exit;
use super::process::{begin, realtime, workers_default};
use slatest_cluster::agent::{AgentEnd, AgentError, AgentNews, AgentSettings, Credentials, Ending, PATIENCE, attend};
use slatest_core::files::read_text;
use slatest_core::model::Span;
use slatest_core::say;
use slatest_engine::record::Machine;

/// Longest token that is read from a file, in bytes.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Arguments of `slatest agent`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest agent --coordinator load.example.internal:7420 --token-file token
  SLATEST_TOKEN=slatest1.… slatest agent --coordinator 10.0.3.7:7420
  slatest agent --coordinator 10.0.3.7:7420 --ca ca.pem --cert agent.pem --key agent.key

Exit codes: 0 its part is done and handed over, 97 it ended early, 2 wrong usage, 3 refused by the coordinator,
103 coordinator or target unreachable, 105 interrupted, 1 unexpected.")]
pub struct AgentArgs {
    /// The coordinator's address
    #[arg(long, short, value_name = "HOST:PORT")]
    coordinator: String,
    /// The token that the coordinator printed. Other users of this machine see command lines: prefer the
    /// variable or a file
    #[arg(long, value_name = "TOKEN", env = "SLATEST_TOKEN", hide_env_values = true, conflicts_with_all = ["token_file", "cert"])]
    token: Option<String>,
    /// File that holds the token
    #[arg(long, value_name = "FILE", conflicts_with = "cert")]
    token_file: Option<PathBuf>,
    /// Instead of a token: the certificate of the run's authority (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    ca: Option<PathBuf>,
    /// This agent's certificate (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["ca", "key"])]
    cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Name of the agent, unique in the run [default: host name and process number]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Folder for what the coordinator has not got yet [default: a temporary one]
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// How long to go on trying when the coordinator can't be reached
    #[arg(long, value_name = "DURATION", default_value_t = Span(PATIENCE.into()))]
    patience: Span,
    /// Worker threads [default: one for each core, at most 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Worker threads in the real-time class, before everything else on this machine; refused where that is not allowed
    #[arg(long)]
    realtime: bool,
    /// Says only what went wrong
    #[arg(long, short)]
    quiet: bool,
}

/// Runs it.
pub fn run(args: &AgentArgs) -> Exit {
    let stop = match begin() {
        Ok(stop) => stop,
        Err(exit) => return exit,
    };
    if args.realtime
        && let Err(exit) = realtime(false)
    {
        return exit;
    }
    let credentials = match credentials(args) {
        Ok(credentials) => credentials,
        Err(reason) => {
            say!("slatest: {reason}");
            return Exit::Usage;
        }
    };
    let name = args.name.clone().unwrap_or_else(default_name);
    let settings = AgentSettings {
        coordinator: args.coordinator.clone(),
        name: name.clone(),
        credentials,
        state: args.state.clone(),
        patience: args.patience.0.as_duration(),
        workers: args.workers.map_or_else(workers_default, usize::from),
        working_directory: std::env::current_dir().unwrap_or_default(),
    };
    let ended = attend(settings, stop, |news| {
        // Ten thousand sessions need no ten thousand lines.
        let counting = matches!(news, AgentNews::Opened { opened, wanted } if opened < wanted);
        if !args.quiet && !counting {
            say!("{name}: {news}");
        }
    });
    match ended {
        Ok(AgentEnd { ending, intervals, .. }) => {
            let (exit, message) = match ending {
                Ending::Finished => (Exit::Pass, format!("done: {intervals} intervals handed over")),
                Ending::HandedOver => (Exit::Pass, "handed over what was left".into()),
                Ending::Early(reason) => (Exit::Void, format!("ended early: {reason}")),
                Ending::Interrupted => (Exit::Interrupted, "interrupted".into()),
            };
            if !args.quiet || exit != Exit::Pass {
                say!("{name}: {message}");
            }
            exit
        }
        Err(error) => {
            say!("{name}: {error}");
            match error {
                AgentError::Refused { .. } => Exit::Refused,
                AgentError::Unreachable { .. } | AgentError::Lost { .. } | AgentError::NotReady(_) => Exit::Unreachable,
                AgentError::Settings(_) => Exit::Usage,
                AgentError::State(_) | AgentError::Machine(_) => Exit::Unexpected,
            }
        }
    }
}

fn credentials(args: &AgentArgs) -> Result<Credentials, String> {
    if let (Some(ca), Some(cert), Some(key)) = (&args.ca, &args.cert, &args.key) {
        return Ok(Credentials::Files { ca: ca.clone(), cert: cert.clone(), key: key.clone() });
    }
    if let Some(path) = &args.token_file {
        let token =
            read_text(path, TOKEN_BYTES_MAX).map_err(|error| format!("the token file {} {error}", path.display()))?;
        if token.trim().is_empty() {
            return Err(format!("the token file {} is empty", path.display()));
        }
        return Ok(Credentials::Token(token.trim().to_owned()));
    }
    match &args.token {
        Some(token) => Ok(Credentials::Token(token.trim().to_owned())),
        None => {
            Err("an agent shows who it is: give --token-file FILE, $SLATEST_TOKEN, or --ca, --cert and --key".into())
        }
    }
}

/// The host and the process: two agents of one machine differ.
fn default_name() -> String {
    let host = Machine::this().host;
    let host: String = host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect();
    let host = if host.is_empty() { "agent" } else { &host };
    format!("{host}-{}", std::process::id())
}
