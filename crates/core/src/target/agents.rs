//! How agents are started for a target: the `agents` section of its file.

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster_values::{Cpu, Folder, Image, Key, Label, Memory, Name, Variable};

/// How agents are started for a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    /// As pods of a Kubernetes cluster: `slatest run --kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesSection>,
}

/// What the pods of agents are made of. Everything has a default but the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSection {
    /// Image that holds this version of slatest: `registry.example/slatest:0.1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// When nodes pull it. The cluster's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets of the namespace with which it is pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<Name>,
    /// Namespace in which the agents run, unless the command line names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// Where the pods reach the coordinator, `host` or `host:port`, unless the command line says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<String>,
    /// Worker threads of each agent. What its CPU limit allows when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<NonZeroU8>,
    /// Service account of the pods; they never get its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<Name>,
    /// Priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class: Option<Name>,
    /// What each pod asks for and may use.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<Key, Label>,
    /// Taints of nodes that don't keep the pods away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// How strictly pods are spread over nodes. Default `preferred`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// Labels of everything that is made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Key, Label>,
    /// Annotations of everything that is made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<Key, String>,
    /// Secrets of the namespace whose keys become environment variables of the agents: for credentials that
    /// the target names as `{ env: … }`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_from_secrets: Vec<Name>,
    /// Single environment variables from keys of Secrets, by their name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<Variable, SecretKey>,
    /// Secrets that are mounted as folders: for credentials that the target names as `{ file: … }`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_folders: Vec<SecretFolder>,
}

/// When nodes pull an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// For every pod.
    Always,
    /// When the node doesn't have it.
    IfNotPresent,
    /// Never: it must be there.
    Never,
}

/// What a pod asks for, which is kept free for it, and what it may use at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// What is kept free for it.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub requests: Amounts,
    /// What it may use at most. An agent that is throttled voids its run: leave CPU out, or well above need.
    #[serde(default, skip_serializing_if = "Amounts::is_empty")]
    pub limits: Amounts,
}

impl Resources {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }
}

/// CPU and memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Amounts {
    /// Cores: `2`, `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// `512Mi`, `2Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}

impl Amounts {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none()
    }
}

/// How strictly pods are spread over nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// Evenly where that is possible.
    #[default]
    Preferred,
    /// Evenly, or a pod is not placed: where a firewall counts what each node's address sends.
    Required,
}

/// A taint that doesn't keep pods away.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Toleration {
    /// The taint's key.
    pub key: Key,
    /// Its value; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Label>,
    /// Its effect; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaintEffect {
    /// Keeps new pods away.
    NoSchedule,
    /// Keeps them away where there is another node.
    PreferNoSchedule,
    /// Sends those away that are there.
    NoExecute,
}

/// One key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    /// Name of the Secret.
    pub secret: Name,
    /// The key in it.
    pub key: String,
}

/// A Secret as a folder of files.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFolder {
    /// Name of the Secret.
    pub secret: Name,
    /// Where its keys become files, an absolute path: `/run/secrets/kafka`.
    pub at: Folder,
}
