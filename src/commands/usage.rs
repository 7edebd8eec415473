//! A command line that can't be read: what clap says, and what users of other tools were about to do.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use slatest_core::say;
use slatest_engine::profile::{Library, Shelf};

/// Shows it, with a way out where one is known; help and version are no mistakes.
pub fn refuse(error: &clap::Error) -> ExitCode {
    // Nobody may be listening; the code says it too.
    let _ = error.print();
    if let Some(hint) = hint(error) {
        say!("\n  help: {hint}");
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn hint(error: &clap::Error) -> Option<String> {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    let arguments = named(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand => {
            let all = [arguments, named(ContextKind::InvalidSubcommand)].concat();
            let any = |fits: &dyn Fn(&str) -> bool| all.iter().any(|argument| fits(argument));
            if any(&|argument| argument.contains("://")) {
                Some(
                    "one URL or DSN is tried without any file by `slatest http URL` (or ws, kafka, sql, redis, amqp); `slatest run` takes profiles, and `--save FOLDER` of those verbs writes one with its workload and target".into(),
                )
            } else if any(&|argument| {
                matches!(argument.split('=').next(), Some("--vus" | "-u" | "--users" | "-c" | "--concurrency"))
            }) {
                Some("users stand in the profile (`executor: constant-vus, vus: 50`); `--scale 2` doubles them".into())
            } else if any(&|argument| matches!(argument.split('=').next(), Some("--rps" | "-r" | "-q"))) {
                Some("a rate is replaced by `--rate 300/s`, that of one scenario by `--rate api=300/s`".into())
            } else {
                None
            }
        }
        ErrorKind::MissingRequiredArgument if arguments.iter().any(|argument| argument.starts_with("--profile")) => {
            let library = Library::new(std::env::current_dir().unwrap_or_default());
            Some(format!("there are the profiles {}", library.names(Shelf::Profiles).join(", ")))
        }
        _ => None,
    }
}
