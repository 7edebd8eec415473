//! Where load may be sent: endpoints, their credentials, and what is allowed there.

mod agents;
mod block;
pub mod cluster_values;
mod endpoint;
mod guard;
mod secret;
mod text;
mod tls;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use agents::{
    Agents, Amounts, KubernetesSection, PullPolicy, Resources, SecretFolder, SecretKey, Spread, TaintEffect, Toleration,
};
pub use block::{BlockSignature, BlockSignatures};
pub use endpoint::{Address, Counted, EndpointSection, Mistake, SecretPart, SourceLimit};
pub use guard::{Allow, Guard};
pub use secret::Secret;
pub use text::{Text, check_sent, holds_credential, is_credential};
pub use tls::{
    PEM_BYTES_MAX, TlsError, TlsFiles, TlsManner, Verification, client_config, client_config_in,
    client_config_verifying,
};

use crate::source::Located;

/// What kind of place a target is; decides what a run must ask before it sends anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// The embedded platform or one like it: anything goes.
    Sandbox,
    /// A copy of the platform without real users.
    Staging,
    /// Real users: named on the command line and allowed by the profile, or refused.
    Production,
}

/// A target file (`targets/*.yaml`).
// It is generic over its endpoints, faults, proxies and alerts: what they say is known where the drivers and the
// injectors are.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
// Without it, what has a default must hold what has one.
#[serde(bound(deserialize = "E: Deserialize<'de>, F: Deserialize<'de>, P: Deserialize<'de>, A: Deserialize<'de>"))]
#[schemars(rename = "Target")]
pub struct Target<E, F, P, A> {
    /// Its name, as `--target` takes it.
    pub name: String,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What kind of place it is.
    pub environment: Environment,
    /// What is allowed there.
    pub allow: Located<Allow>,
    /// Where the workloads' endpoints are, by the name that workloads use.
    pub endpoints: BTreeMap<String, Located<E>>,
    /// Endpoints that this target can't have, with the reason; scenarios on them are left out and
    /// the summary says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub absent: BTreeMap<String, String>,
    /// How agents are started for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Agents>,
    /// What drills can break here, by the name that they use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, Located<F>>,
    /// Proxies that slatest puts between itself and endpoints, for faults of the network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proxies: BTreeMap<String, Located<P>>,
    /// Who says that something broke: when its alert fires, a drill's fault was detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Located<A>>,
}
