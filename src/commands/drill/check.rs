//! `slatest drill check`: whether faults can be injected now. Everything is looked at, and nothing is changed.

use std::sync::Arc;

use clap::Args;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::faults::{Described, Ready, permission, place, ready};
use super::list::{line, lines};
use super::runtime;
use crate::commands::Exit;
use crate::commands::failure::tell;
use crate::commands::prepare::{PlanArgs, find, target_name};
use crate::commands::terminal::Terminal;
use crate::report::phrases::plain;
use slatest_core::model::Span;
use slatest_core::say;
use slatest_core::target::Guard;
use slatest_core::terminal::print_all;
use slatest_engine::profile::Library;
use slatest_engine::profile::Target;
use slatest_faults::{FaultSpec, Proxies};

/// Faults that are looked at at once: what looks may be a program with a start-up of its own.
const AT_ONCE: usize = 4;

/// Arguments of `slatest drill check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest drill check --target stack                              every fault of the target
  slatest drill check --profile drill-database --target staging   those of the profile's drills

Each fault is looked at as a drill would just before it breaks it: is the process there, is the instance
available and does it have a standby, can the pods be deleted? Nothing is changed and no load is sent.

Exit codes: 0 all can be injected now, 3 refused, 103 one can't be, 104 invalid file.")]
pub struct CheckArgs {
    /// Profile whose drills are looked at; without one, every fault of the target
    #[arg(long, short, value_name = "PROFILE")]
    profile: Option<String>,
    /// Target: a name or a path [default: $SLATEST_TARGET; sandbox, with a profile]
    #[arg(long, short, value_name = "TARGET")]
    target: Option<String>,
    /// Longest that the look at one fault may take
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    within: Span,
    /// Drills that are written in the profile may start programs on this machine, which look as they would
    #[arg(long)]
    allow_commands: bool,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// What a look at a fault found.
#[derive(Debug, Serialize)]
struct Looked {
    #[serde(flatten)]
    described: Described,
    /// Whether it can be injected now.
    ready: bool,
    /// What is missing, in words.
    missing: Vec<String>,
}

/// Runs it.
pub fn run(args: &CheckArgs) -> Exit {
    match check(args) {
        Ok(exit) | Err(exit) => exit,
    }
}

fn check(args: &CheckArgs) -> Result<Exit, Exit> {
    let runtime = runtime()?;
    let (target, looked) = match &args.profile {
        None => {
            let library = Library::new(std::env::current_dir().unwrap_or_default());
            let place = place(&library, &target_name(args.target.as_ref()))?;
            let of = |(name, spec): (&String, &_)| (name.clone(), FaultSpec::clone(spec), place.folder.clone());
            let faults: Vec<_> = place.target.faults.iter().map(|(name, spec)| of((name, &spec.value))).collect();
            allowed(&place.target)?;
            let looked = runtime.block_on(look(&faults, &place.target, &place.guard, args.within));
            (place.target, looked)
        }
        Some(profile) => {
            let plan = PlanArgs::looking(profile.clone(), args.target.clone(), args.allow_commands);
            let found = find(&plan).map_err(|error| tell(&error))?;
            // A profile without drills has none to refuse.
            let resolved = found.resolve(&mut Terminal::new(true)).map_err(|error| tell(&error))?;
            let mut faults: Vec<(String, FaultSpec, std::path::PathBuf)> = Vec::new();
            for (drill, folder) in resolved.plan.drills.iter().zip(&resolved.fault_folders) {
                let named = drill.fault.clone();
                let name = named.unwrap_or_else(|| format!("{} (written in the profile)", drill.name));
                if faults.iter().all(|(known, ..)| *known != name) {
                    faults.push((name, drill.injector.clone(), folder.to_owned()));
                }
            }
            let guard = Guard::new(&resolved.target.allow).map_err(|reason| {
                say!("slatest: {reason}");
                Exit::Invalid
            })?;
            let looked = runtime.block_on(look(&faults, &resolved.target, &guard, args.within));
            (resolved.target, looked)
        }
    };
    let all = looked.iter().all(|one| one.ready);
    if args.json {
        print_all(&format!("{:#}\n", serde_json::json!({ "target": plain(&target.name), "faults": looked })));
    } else {
        print_all(&text(&target, &looked));
    }
    Ok(if all { Exit::Pass } else { Exit::Unreachable })
}

fn allowed(target: &Target) -> Result<(), Exit> {
    if target.allow.drills {
        return Ok(());
    }
    say!("slatest: refused: the target `{}` does not say `allow: {{ drills: true }}`", plain(&target.name));
    Err(Exit::Refused)
}

async fn look(
    faults: &[(String, FaultSpec, std::path::PathBuf)],
    target: &Target,
    guard: &Guard,
    within: Span,
) -> Vec<Looked> {
    // A fault of the network needs its proxy: that it can be put up is a part of the look.
    let networked = faults.iter().any(|(_, spec, _)| spec.proxy().is_some());
    let (proxies, not_up) = match networked {
        false => (None, None),
        true => match Proxies::start(target.proxies.iter().map(|(name, spec)| (name.as_str(), &spec.value))) {
            Ok(proxies) => (Some(Arc::new(proxies)), None),
            Err(error) => (None, Some(error.to_string())),
        },
    };
    let look = |(name, spec, folder): &(String, FaultSpec, std::path::PathBuf)| {
        let Ready { described, fault } = ready(name, spec, folder, guard, proxies.as_ref());
        let not_up = not_up.clone().filter(|_| spec.proxy().is_some());
        async move {
            let missing = match (not_up, fault) {
                (Some(reason), _) => vec![reason],
                (None, None) => described.wrong.clone(),
                (None, Some(fault)) => match tokio::time::timeout(within.0.as_duration(), fault.plan()).await {
                    Ok(Ok(_)) => Vec::new(),
                    Ok(Err(error)) => vec![error.to_string()],
                    Err(_) => vec![format!("the look took longer than {within} and was given up")],
                },
            };
            let missing: Vec<String> = missing.iter().map(|reason| plain(reason)).collect();
            Looked { described, ready: missing.is_empty(), missing }
        }
    };
    stream::iter(faults.iter().map(look)).buffered(AT_ONCE).collect().await
}

fn text(target: &Target, looked: &[Looked]) -> String {
    let mut text = format!("Can it be broken now, on {}? {}\n", plain(&target.name), permission(target));
    if looked.is_empty() {
        text.push_str("\nThere is nothing to look at: no drill, and no fault.\n");
        return text;
    }
    for one in looked {
        let word = if one.ready { "ready" } else { "NOT READY" };
        text.push_str(&format!("\n {} ({}): {word}\n", one.described.name, one.described.injector));
        for missing in one.missing.iter().filter(|missing| !one.described.wrong.contains(missing)) {
            text.push_str(&line("MISSING", missing));
        }
        text.push_str(&lines(&one.described));
    }
    let ready = looked.iter().filter(|one| one.ready).count();
    text.push_str(&format!("\n{ready} of {} can be injected now; nothing was changed.\n", looked.len()));
    text
}
