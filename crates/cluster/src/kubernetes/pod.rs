//! What every pod of a run has: no rights, nothing to write to but two empty folders, and a place on
//! a node of its own where there is one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, EnvFromSource, EnvVar, EnvVarSource, LocalObjectReference,
    PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile, SecretEnvSource, SecretKeySelector,
    SecretVolumeSource, SecurityContext, Toleration, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use slatest_core::target::cluster_values::{Name, Variable};
use slatest_core::target::{Amounts, KubernetesSection, PullPolicy, Resources, SecretKey, Spread, TaintEffect};

/// User and group of the image, `nonroot` in distroless images.
pub(super) const USER: i64 = 65532;
/// Name of the only container.
pub(super) const CONTAINER: &str = "slatest";
/// Where a process of slatest keeps what must outlive a reconnection.
pub(super) const STATE: &str = "/var/lib/slatest";
/// How long a pod may take to say goodbye.
pub(super) const GRACE_SECS: i64 = 30;
/// Who may read a mounted Secret: its owner and its group.
const SECRET_MODE: i32 = 0o440;
/// Most that a pod writes to disk: an agent's outbox while its coordinator is away.
const STATE_SIZE: &str = "2Gi";
const SCRATCH_SIZE: &str = "256Mi";

/// The parts of a pod that differ.
pub(super) struct Parts<'a> {
    pub section: &'a KubernetesSection,
    pub image: String,
    pub args: Vec<String>,
    pub volumes: Vec<Volume>,
    pub mounts: Vec<VolumeMount>,
    /// Labels by which pods of one kind find each other, to keep their distance.
    pub apart: Option<BTreeMap<String, String>>,
    /// Whether the agents' credentials go in.
    pub credentials: bool,
}

/// A pod of these parts.
pub(super) fn pod(parts: Parts<'_>) -> PodSpec {
    let section = parts.section;
    let mut volumes = vec![empty("tmp", SCRATCH_SIZE), empty("state", STATE_SIZE)];
    let mut mounts = vec![mount("tmp", "/tmp", false), mount("state", STATE, false)];
    volumes.extend(parts.volumes);
    mounts.extend(parts.mounts);
    if parts.credentials {
        for (i, folder) in section.secret_folders.iter().enumerate() {
            let name = format!("secret-{i}");
            volumes.push(secret_volume(&name, folder.secret.as_str()));
            mounts.push(mount(&name, folder.at.as_str(), true));
        }
    }
    let container = Container {
        name: CONTAINER.into(),
        image: Some(parts.image),
        image_pull_policy: section.image_pull_policy.map(|policy| {
            match policy {
                PullPolicy::Always => "Always",
                PullPolicy::IfNotPresent => "IfNotPresent",
                PullPolicy::Never => "Never",
            }
            .into()
        }),
        args: Some(parts.args),
        env: parts.credentials.then(|| variables(section)).filter(|all| !all.is_empty()),
        env_from: parts.credentials.then(|| variables_of_secrets(section)).filter(|all| !all.is_empty()),
        resources: (!section.resources.is_empty()).then(|| resources(&section.resources)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Default::default() }),
            ..Default::default()
        }),
        // What an agent says last is what its pod is said to have ended with.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        volume_mounts: Some(mounts),
        ..Default::default()
    };
    PodSpec {
        containers: vec![container],
        volumes: Some(volumes),
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        service_account_name: section.service_account.as_ref().map(ToString::to_string),
        priority_class_name: section.priority_class.as_ref().map(ToString::to_string),
        image_pull_secrets: (!section.image_pull_secrets.is_empty()).then(|| {
            section.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.to_string() }).collect()
        }),
        node_selector: (!section.node_selector.is_empty())
            .then(|| section.node_selector.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()),
        tolerations: (!section.tolerations.is_empty()).then(|| section.tolerations.iter().map(toleration).collect()),
        topology_spread_constraints: parts.apart.map(|labels| spread(section.spread.unwrap_or_default(), &labels)),
        termination_grace_period_seconds: Some(GRACE_SECS),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".into(), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub(super) fn mount(name: &str, at: &str, read_only: bool) -> VolumeMount {
    VolumeMount { name: name.into(), mount_path: at.into(), read_only: read_only.then_some(true), ..Default::default() }
}

pub(super) fn secret_volume(name: &str, secret: &str) -> Volume {
    let source =
        SecretVolumeSource { secret_name: Some(secret.into()), default_mode: Some(SECRET_MODE), ..Default::default() };
    Volume { name: name.into(), secret: Some(source), ..Default::default() }
}

fn empty(name: &str, size: &str) -> Volume {
    let source = EmptyDirVolumeSource { size_limit: Some(Quantity(size.into())), ..Default::default() };
    Volume { name: name.into(), empty_dir: Some(source), ..Default::default() }
}

fn variables(section: &KubernetesSection) -> Vec<EnvVar> {
    let variable = |name: &Variable, from: &SecretKey| EnvVar {
        name: name.to_string(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: from.secret.to_string(),
                key: from.key.clone(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    section.env.iter().map(|(name, from)| variable(name, from)).collect()
}

fn variables_of_secrets(section: &KubernetesSection) -> Vec<EnvFromSource> {
    let source = |name: &Name| EnvFromSource {
        secret_ref: Some(SecretEnvSource { name: name.to_string(), ..Default::default() }),
        ..Default::default()
    };
    section.env_from_secrets.iter().map(source).collect()
}

fn resources(resources: &Resources) -> ResourceRequirements {
    let amounts = |amounts: &Amounts| {
        let cpu = amounts.cpu.as_ref().map(|cpu| ("cpu".to_owned(), Quantity(cpu.to_string())));
        let memory = amounts.memory.as_ref().map(|memory| ("memory".to_owned(), Quantity(memory.to_string())));
        let all: BTreeMap<String, Quantity> = cpu.into_iter().chain(memory).collect();
        (!all.is_empty()).then_some(all)
    };
    ResourceRequirements {
        requests: amounts(&resources.requests),
        limits: amounts(&resources.limits),
        ..Default::default()
    }
}

fn toleration(toleration: &slatest_core::target::Toleration) -> Toleration {
    let effect = |effect| match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    };
    Toleration {
        key: Some(toleration.key.to_string()),
        operator: Some(if toleration.value.is_some() { "Equal" } else { "Exists" }.into()),
        value: toleration.value.as_ref().map(ToString::to_string),
        effect: toleration.effect.map(|e| effect(e).into()),
        ..Default::default()
    }
}

/// Over nodes first, so that no two agents share a processor or an address; over zones beside it, as far as
/// nodes allow.
fn spread(spread: Spread, labels: &BTreeMap<String, String>) -> Vec<TopologySpreadConstraint> {
    let strict = match spread {
        Spread::Preferred => "ScheduleAnyway",
        Spread::Required => "DoNotSchedule",
    };
    let over = |topology: &str, unsatisfiable: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology.into(),
        when_unsatisfiable: unsatisfiable.into(),
        label_selector: Some(LabelSelector { match_labels: Some(labels.clone()), ..Default::default() }),
        ..Default::default()
    };
    vec![over("kubernetes.io/hostname", strict), over("topology.kubernetes.io/zone", "ScheduleAnyway")]
}
