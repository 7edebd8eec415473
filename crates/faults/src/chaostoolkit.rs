//! Experiments of Chaos Toolkit: read where they say what drills say, and its journal, written for the tools
//! that read it.
//!
//! An experiment is a steady-state hypothesis (probes), a method (actions and probes, one after the other) and
//! rollbacks. A drill is one fault under load, with a steady state that is seen in windows, and a heal. So:
//! each action of the method becomes a fault, its pauses become waits, the rollback becomes its heal, and a
//! probe of the hypothesis becomes its probe. What has no counterpart is said in words; an action whose
//! rollback can't be told apart is not taken over without it.

mod experiment;
mod export;
mod journal;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use experiment::{Activity, Experiment, Hypothesis, Pauses, Provider};
pub use export::{Told, outcome_of};
pub use journal::{ChaosJournal, ChaosRun, ChaosStates, ChaosStatus, chaos_journal};

use super::command::CommandSpec;
use super::http::{Hook, HttpSpec};
use super::program::Program;
use super::registry::FaultSpec;
use slatest_core::model::{Nanos, Problems, Span};
use slatest_core::source::{CREDENTIAL_WRITTEN, Source};
use slatest_core::target::cluster_values::Variable;
use slatest_core::target::{Allow, Guard, Text};

/// What an experiment became.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// Its title.
    pub title: String,
    /// The drills that it became.
    pub drills: Vec<ImportedDrill>,
    /// What it says that drills don't say, in words.
    pub left_out: Vec<String>,
}

/// A drill from an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedDrill {
    /// Its name: the action's, in the letters that names have.
    pub name: String,
    /// What it breaks.
    pub inject: FaultSpec,
    /// How long the fault is held: the pause after the action.
    pub hold: Option<Span>,
    /// How long is waited before it: the pause before the action.
    pub wait: Option<Span>,
}

/// Reads an experiment file, JSON or YAML.
///
/// # Errors
/// When it is no experiment: the first mistake, with its place.
pub fn import(source: &Source) -> Result<Imported, Problems> {
    let experiment: Experiment = source.parse()?;
    let mut imported = Imported { title: experiment.title.clone(), ..Imported::default() };
    let mut left_out = Vec::new();
    let probe = hypothesis(&experiment, &mut left_out);
    let actions: Vec<&Activity> = experiment.method.iter().filter(|activity| activity.kind == "action").collect();
    for activity in experiment.method.iter().filter(|activity| activity.kind != "action") {
        left_out.push(format!(
            "the probe `{}` of the method: drills watch by their objectives, window by window",
            activity.name
        ));
    }
    for (key, of) in [("secrets", &experiment.secrets), ("configuration", &experiment.configuration)] {
        if of.as_object().is_some_and(|map| !map.is_empty()) {
            left_out.push(format!("`{key}`: name credentials and addresses in the target, as {{ env: NAME }}"));
        }
    }
    if experiment.controls.as_array().is_some_and(|all| !all.is_empty()) {
        left_out.push("`controls`: drills have none".into());
    }
    let rollbacks: Vec<&Activity> = experiment.rollbacks.iter().collect();
    match (actions.as_slice(), rollbacks.as_slice()) {
        ([], _) => left_out.push("the method has no action: there is nothing to inject".into()),
        ([action], rollbacks) => {
            imported.drills.extend(drill(action, rollbacks, probe, &mut left_out));
        }
        (actions, []) => {
            for action in actions {
                imported.drills.extend(drill(action, &[], probe, &mut left_out));
            }
        }
        (actions, _) => left_out.push(format!(
            "{} actions with rollbacks ({}): which rollback undoes which action is not said, and a fault is not taken over without what heals it; write a drill for each",
            actions.len(),
            actions.iter().map(|action| format!("`{}`", action.name)).collect::<Vec<_>>().join(", ")
        )),
    }
    imported.left_out = left_out;
    Ok(imported)
}

/// The one probe of the hypothesis that a fault can be probed with.
fn hypothesis<'e>(experiment: &'e Experiment, left_out: &mut Vec<String>) -> Option<&'e Activity> {
    let hypothesis = experiment.hypothesis.as_ref()?;
    let fits = |probe: &&Activity| match &probe.provider {
        Provider::Process { .. } => probe.tolerance.as_i64() == Some(0),
        Provider::Http { .. } => statuses(&probe.tolerance).is_some(),
        Provider::Other { .. } => false,
    };
    let chosen = hypothesis.probes.iter().find(fits);
    for probe in hypothesis.probes.iter().filter(|probe| chosen.is_none_or(|chosen| chosen.name != probe.name)) {
        left_out.push(format!(
            "the probe `{}` of the hypothesis `{}`: a drill begins when the profile's objectives hold",
            probe.name, hypothesis.title
        ));
    }
    chosen
}

fn drill(
    action: &Activity,
    rollbacks: &[&Activity],
    probe: Option<&Activity>,
    left_out: &mut Vec<String>,
) -> Option<ImportedDrill> {
    let mut no = |reason: String| {
        left_out.push(format!("the action `{}`: {reason}", action.name));
        None
    };
    let heal = match rollbacks {
        [] => None,
        [one] => Some(*one),
        all => {
            return no(format!("it has {} rollbacks, and a fault has one heal; put them into one program", all.len()));
        }
    };
    if action.background {
        return no("it runs in the background, and a fault is injected when its call comes back".into());
    }
    let inject = match (&action.provider, heal.map(|heal| &heal.provider)) {
        (Provider::Process { .. }, None | Some(Provider::Process { .. })) => {
            let program = |activity: &Activity| program(&activity.provider);
            let inject = match program(action) {
                Ok(inject) => inject,
                Err(reason) => return no(reason),
            };
            let heal = match heal.map(program).transpose() {
                Ok(heal) => heal,
                Err(reason) => return no(format!("its rollback: {reason}")),
            };
            let probe = probe.and_then(|probe| program(probe).ok());
            FaultSpec::Command(Box::new(CommandSpec { prepare: None, inject, heal, probe }))
        }
        (Provider::Http { .. }, None | Some(Provider::Http { .. })) => {
            let inject = match hook(action) {
                Ok(inject) => inject,
                Err(reason) => return no(reason),
            };
            let heal = match heal.map(hook).transpose() {
                Ok(heal) => heal,
                Err(reason) => return no(format!("its rollback: {reason}")),
            };
            let probe = probe.and_then(|probe| hook(probe).ok());
            FaultSpec::Http(Box::new(HttpSpec { inject, heal, probe, ca: None, cert: None, key: None }))
        }
        (Provider::Other { kind }, _) => {
            return no(format!("its provider is `{kind}`; write it as one of {}", FaultSpec::INJECTORS.join(", ")));
        }
        (_, Some(_)) => return no("its rollback has another provider than it; a fault is healed by its own".into()),
    };
    // What stands in a command line, a URL or a body can't be taken apart; it is not carried into another file.
    let everywhere = Allow { hosts: vec!["*".into()], max_rate: None, max_users: None, drills: true };
    let wrong = Guard::new(&everywhere).map(|guard| inject.mistakes(Path::new("."), &guard)).unwrap_or_default();
    if let Some((key, reason)) = wrong.into_iter().find(|(_, reason)| reason.starts_with(CREDENTIAL_WRITTEN)) {
        return no(format!("{key}: {reason}"));
    }
    for name in credentials(&inject) {
        left_out.push(format!(
            "the value of `{name}` in the action `{}`: a credential; the fault takes it from the environment",
            action.name
        ));
    }
    let pauses = action.pauses.as_ref();
    let length = |secs: Option<f64>| secs.map(Nanos::from_secs_f64).filter(|length| !length.is_zero()).map(Span);
    Some(ImportedDrill {
        name: plain_name(&action.name),
        inject,
        hold: length(pauses.and_then(|pauses| pauses.after)),
        wait: length(pauses.and_then(|pauses| pauses.before)),
    })
}

/// Names of the variables and headers that became references to credentials.
fn credentials(spec: &FaultSpec) -> BTreeSet<&str> {
    let secret = |text: &Text| matches!(text, Text::Secret(_));
    match spec {
        FaultSpec::Command(spec) => {
            let programs = [Some(&spec.inject), spec.heal.as_ref(), spec.probe.as_ref()].into_iter().flatten();
            let variables = programs.flat_map(|program| &program.env);
            variables.filter(|(_, text)| secret(text)).map(|(name, _)| name.as_str()).collect()
        }
        FaultSpec::Http(spec) => {
            let hooks = [Some(&spec.inject), spec.heal.as_ref(), spec.probe.as_ref()].into_iter().flatten();
            let headers = hooks.flat_map(|hook| &hook.headers);
            headers.filter(|(_, text)| secret(text)).map(|(name, _)| name.as_str()).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// A process as a program, without a shell.
fn program(provider: &Provider) -> Result<Program, String> {
    let Provider::Process { path, arguments, timeout, env } = provider else {
        return Err("it is no process".into());
    };
    let mut variables = BTreeMap::new();
    for (name, value) in env {
        let name: Variable = name.parse()?;
        let text = Text::adopted(name.as_str(), value);
        variables.insert(name, text);
    }
    let timeout = timeout.map(Nanos::from_secs_f64).filter(|length| !length.is_zero()).map(Span);
    let args = arguments.words()?;
    if [path].into_iter().chain(&args).any(|word| word.contains("${")) {
        return Err("it substitutes values of its configuration; write them out, or name them in `env`".into());
    }
    Ok(Program { program: path.clone(), args, env: variables, folder: None, timeout })
}

/// A call as a hook.
fn hook(activity: &Activity) -> Result<Hook, String> {
    let Provider::Http { url, method, headers, arguments, timeout } = &activity.provider else {
        return Err("it is no call".into());
    };
    if url.contains("${") || headers.values().any(|value| value.contains("${")) {
        return Err("it substitutes values of its configuration; write them out, or name them as { env: NAME }".into());
    }
    let mut hook = Hook {
        headers: headers.iter().map(|(name, value)| (name.clone(), Text::adopted(name, value))).collect(),
        json: (!arguments.is_null()).then(|| arguments.clone()),
        status: statuses(&activity.tolerance).unwrap_or_default(),
        timeout: timeout.map(Nanos::from_secs_f64).filter(|length| !length.is_zero()).map(Span),
        ..Hook::default()
    };
    let slot = match method.to_ascii_uppercase().as_str() {
        "GET" => &mut hook.get,
        "POST" => &mut hook.post,
        "PUT" => &mut hook.put,
        "PATCH" => &mut hook.patch,
        "DELETE" => &mut hook.delete,
        other => return Err(format!("its method is {other}; hooks have GET, POST, PUT, PATCH and DELETE")),
    };
    *slot = Some(url.clone());
    Ok(hook)
}

/// The statuses of a tolerance: a number, or a list of them.
fn statuses(tolerance: &serde_json::Value) -> Option<Vec<u16>> {
    let status = |value: &serde_json::Value| value.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n >= 100);
    match tolerance {
        serde_json::Value::Array(all) if !all.is_empty() => all.iter().map(status).collect(),
        one => status(one).map(|status| vec![status]),
    }
}

/// A name of people as the name of a drill.
fn plain_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let plain = words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-");
    if plain.is_empty() { "drill".into() } else { plain }
}

#[cfg(test)]
mod tests;
