//! `slatest kubernetes`: manifests for those who apply objects by hand.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::Exit;
use super::failure::tell;
use super::prepare::{PlanArgs, SANDBOX, find};
use super::terminal::Terminal;
use slatest_cluster::kubernetes::{ByHand, MountedFile, by_hand};
use slatest_cluster::lead::assignment;
use slatest_cluster::wire;
use slatest_core::say;
use slatest_core::source::to_yaml;
use slatest_core::terminal::print_all;
use slatest_engine::profile::Resolved;
use slatest_engine::run::Selection;

/// Arguments of `slatest kubernetes`.
#[derive(Clone, Debug, Args)]
pub struct KubernetesArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Prints everything that a run of many agents needs in a cluster, to be applied by hand
    Manifest(Box<ManifestArgs>),
}

/// Arguments of `slatest kubernetes manifest`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest kubernetes manifest --profile peak --target staging --agents 20 --namespace load > peak.yaml
  kubectl apply --filename peak.yaml

A ConfigMap with the profile, the target and the workloads; a Service and a Job for the coordinator; an indexed
Job of agents, which wait for the token that its head says how to hand over. `slatest run --kubernetes` does
all of it by itself, and takes it away again.

Exit codes: 0 printed, 2 wrong usage, 3 refused, 104 invalid file.")]
pub struct ManifestArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// How many agents, each a pod of its own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    agents: u32,
    /// Namespace of everything [default: the target's `agents.kubernetes.namespace`]
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Image of coordinator and agents [default: the target's `agents.kubernetes.image`]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// A persistent volume claim that keeps the results
    #[arg(long, value_name = "CLAIM")]
    claim: Option<String>,
}

/// Runs it.
pub fn run(args: &KubernetesArgs) -> Exit {
    let Verb::Manifest(args) = &args.verb;
    match manifest(args) {
        Ok(text) => {
            print_all(&text);
            Exit::Pass
        }
        Err(exit) => exit,
    }
}

fn manifest(args: &ManifestArgs) -> Result<String, Exit> {
    let said = |reason: &dyn std::fmt::Display| say!("slatest: {reason}");
    if args.plan.target_name() == SANDBOX {
        said(&"the sandbox is a process of one machine, which pods can't reach: name a target with --target");
        return Err(Exit::Usage);
    }
    let refused = |error| tell(&error);
    let mut terminal = Terminal::new(true);
    let found = find(&args.plan).map_err(refused)?;
    let selection = &found.selection;
    let resolved = found.resolve(&mut terminal).map_err(refused)?;
    selection.check_addresses(&resolved.plan, &resolved.target, args.agents.into(), &mut terminal).map_err(refused)?;
    let section = resolved.target.agents.clone().and_then(|agents| agents.kubernetes).unwrap_or_default();
    let namespace = args.namespace.clone().or_else(|| section.namespace.as_ref().map(ToString::to_string));
    let Some(namespace) = namespace else {
        said(
            &"nothing says which namespace: give --namespace, or `agents: { kubernetes: { namespace: … } }` in the target",
        );
        return Err(Exit::Usage);
    };
    let (files, arguments) = files(args, selection, &resolved)?;
    let wanted = ByHand {
        profile: resolved.plan.profile.clone(),
        namespace,
        agents: args.agents,
        length: resolved.plan.end(),
        image: args.image.clone(),
        arguments,
        files,
        claim: args.claim.clone(),
        section,
    };
    let objects = by_hand(&wanted).map_err(|error| {
        said(&error);
        Exit::Invalid
    })?;
    let mut text = wanted.instructions();
    for object in &objects {
        let yaml = to_yaml(object).map_err(|reason| {
            said(&reason);
            Exit::Unexpected
        })?;
        let _ = write!(text, "---\n{}\n", yaml.trim_end());
    }
    Ok(text)
}

/// The files that make the run, and what the coordinator is told to make the same of them.
fn files(
    args: &ManifestArgs,
    selection: &Selection,
    resolved: &Resolved,
) -> Result<(Vec<MountedFile>, Vec<String>), Exit> {
    let plan = &args.plan;
    let packed = assignment(selection, &resolved.plan, "manifest").map_err(|error| tell(&error))?;
    let path = |file: &Option<wire::File>| file.as_ref().map(|file| file.path.clone()).unwrap_or_default();
    let mut arguments =
        vec!["--profile".to_owned(), path(&packed.profile), "--target".to_owned(), path(&packed.target)];
    for (scenario, rate) in &plan.rate {
        let scenario = scenario.as_ref().map(|name| format!("{name}=")).unwrap_or_default();
        arguments.extend(["--rate".to_owned(), format!("{scenario}{}/s", rate.0)]);
    }
    let duration = plan.duration.map(|duration| ("--duration", duration.to_string()));
    let scale = plan.scale.map(|scale| ("--scale", scale.to_string()));
    let seed = plan.seed.map(|seed| ("--seed", seed.to_string()));
    for (flag, value) in [duration, scale, seed].into_iter().flatten() {
        arguments.extend([flag.to_owned(), value]);
    }
    if plan.allow_listed {
        arguments.push("--allow-listed".into());
    }
    let whole = [packed.profile, packed.target].into_iter().flatten();
    let all = whole.chain(packed.workloads).chain(packed.files);
    let files = all.map(|file| MountedFile { path: file.path, content: file.content.to_vec() }).collect();
    Ok((files, arguments))
}
