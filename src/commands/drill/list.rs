//! `slatest drill list`: what can be broken at a target.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::faults::{Described, kind, permission, place, ready, uses};
use crate::commands::Exit;
use crate::commands::check::wrapped;
use crate::commands::prepare::target_name;
use crate::report::phrases::plain;
use slatest_core::say;
use slatest_core::terminal::print_all;
use slatest_engine::profile::Library;

/// Column at which what is said of a fault starts.
const INDENT: usize = 12;

/// Arguments of `slatest drill list`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest drill list --target staging
  slatest drill list --target stack --json | jq -r '.faults[].name'

Nobody is contacted. Exit codes: 0 shown, 104 the target can't be read.")]
pub struct ListArgs {
    /// Target: a name (targets/NAME.yaml here, else built in) or a path [default: $SLATEST_TARGET]
    #[arg(long, short, value_name = "TARGET")]
    target: Option<String>,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// What can be broken at a target.
#[derive(Debug, Serialize)]
struct Listed {
    target: String,
    environment: &'static str,
    /// Whether the target allows drills at all.
    drills_allowed: bool,
    /// Address of the Alertmanager that says when a fault was detected.
    #[serde(skip_serializing_if = "Option::is_none")]
    alertmanager: Option<String>,
    faults: Vec<ListedFault>,
}

#[derive(Debug, Serialize)]
struct ListedFault {
    #[serde(flatten)]
    described: Described,
    /// Profiles at hand whose drills inject it.
    profiles: BTreeSet<String>,
}

/// Runs it.
pub fn run(args: &ListArgs) -> Exit {
    let library = Library::new(std::env::current_dir().unwrap_or_default());
    let place = match place(&library, &target_name(args.target.as_ref())) {
        Ok(place) => place,
        Err(exit) => return exit,
    };
    let (mut uses, unread) = uses(&library);
    let target = &place.target;
    let listed = Listed {
        target: plain(&target.name),
        environment: kind(target.environment),
        drills_allowed: target.allow.drills,
        alertmanager: target.alerts.as_ref().map(|alerts| plain(&alerts.alertmanager)),
        faults: target
            .faults
            .iter()
            .map(|(name, spec)| ListedFault {
                described: ready(name, spec, &place.folder, &place.guard, None).described,
                profiles: uses.remove(name).unwrap_or_default(),
            })
            .collect(),
    };
    if args.json {
        print_all(&format!("{:#}\n", serde_json::json!(listed)));
    } else {
        print_all(&text(&listed, permission(target)));
    }
    for name in unread {
        say!("slatest: warning: the profile `{name}` can't be read; `slatest check --profile {name}` says why");
    }
    Exit::Pass
}

fn text(listed: &Listed, permission: &str) -> String {
    let mut text = format!("What drills can break on {} ({}); {permission}\n", listed.target, listed.environment);
    if listed.faults.is_empty() {
        text.push_str("\nNothing: the target has no section `faults`.\n");
        return text;
    }
    for fault in &listed.faults {
        let _ = writeln!(text, "\n {} ({})", fault.described.name, fault.described.injector);
        text.push_str(&lines(&fault.described));
        if !fault.profiles.is_empty() {
            let profiles: Vec<String> = fault.profiles.iter().map(|name| plain(name)).collect();
            text.push_str(&line("used by", &profiles.join(", ")));
        }
    }
    let detected = match &listed.alertmanager {
        Some(url) => format!("detected: by the alerts of {url}"),
        None => "detected: the target names no Alertmanager (`alerts`), so no drill has a time of detection".into(),
    };
    let _ = writeln!(text, "\n{}", wrapped(&[detected], "", 0));
    text
}

/// What a fault breaks, how it is healed, and what it takes, a line each.
pub(super) fn lines(fault: &Described) -> String {
    let mut text = String::new();
    if let Some(breaks) = &fault.breaks {
        text.push_str(&line("breaks", breaks));
        text.push_str(&line("healed by", fault.healed.as_deref().unwrap_or("the platform itself; nothing is named")));
    }
    if let Some(rights) = &fault.rights {
        text.push_str(&line("rights", rights));
    }
    for wrong in &fault.wrong {
        text.push_str(&line("WRONG", wrong));
    }
    text
}

/// A line of what is said of a fault.
pub(super) fn line(word: &str, said: &str) -> String {
    format!("   {word:<width$}{}\n", wrapped(&[said.to_owned()], "", INDENT + 2), width = INDENT - 1)
}
