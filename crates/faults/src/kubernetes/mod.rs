//! Breaks things of a Kubernetes cluster: pods, nodes, deployments, zones.
//!
//! Everything is looked at first and remembered by name and uid, so that only what was meant is touched, and
//! only what the drill changed is changed back: a node that was cordoned before stays so.

mod act;
mod cluster;
mod settings;

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use settings::{DeletePods, KubernetesAction, KubernetesSpec};

use super::registry::FaultContext;
use super::{Fault, FaultError, Injected, Probe, Stopwatch, Undo};
use cluster::Cluster;
use slatest_core::model::{Nanos, Span};
use slatest_core::target::Guard;

/// Longest that an action may take when it doesn't say.
const TIMEOUT_DEFAULT: Span = Span(Nanos::from_secs(5 * 60));
/// Label of nodes with their zone.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// Breaks one thing of a cluster.
pub(super) struct KubernetesFault {
    spec: KubernetesSpec,
    guard: Guard,
    stopwatch: Stopwatch,
    #[cfg(test)]
    client: Option<kube::Client>,
}

/// What healing needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Known {
    /// Pods to delete, and how many were ready.
    Pods { pods: Vec<PodId>, ready: usize },
    /// Nodes to cordon: those that weren't, and all of them.
    Nodes { cordon: Vec<String>, all: Vec<String> },
    /// How many pods a deployment was given.
    Replicas { before: i32 },
}

/// A pod, told apart from a later one of its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct PodId {
    namespace: String,
    name: String,
    uid: String,
}

impl KubernetesFault {
    pub fn new(spec: &KubernetesSpec, context: &FaultContext) -> Self {
        Self {
            spec: spec.clone(),
            guard: context.guard.clone(),
            stopwatch: context.stopwatch.clone(),
            #[cfg(test)]
            client: None,
        }
    }

    async fn cluster(&self) -> Result<Cluster, FaultError> {
        #[cfg(test)]
        if let Some(client) = &self.client {
            return Ok(Cluster::of(client.clone()));
        }
        Cluster::connect(self.spec.context.as_deref(), &self.guard).await
    }

    fn limit(&self) -> Span {
        self.spec.timeout.unwrap_or(TIMEOUT_DEFAULT)
    }

    fn namespace(&self) -> Option<&str> {
        self.spec.namespace.as_ref().map(|name| name.as_str())
    }

    fn action(&self) -> Result<KubernetesAction<'_>, FaultError> {
        self.spec.action().map_err(FaultError::Refused)
    }

    /// Runs something within the action's time.
    async fn within<T>(&self, doing: &str, call: impl Future<Output = Result<T, FaultError>>) -> Result<T, FaultError> {
        let limit = self.limit();
        let slow = |_| FaultError::Slow { doing: doing.to_owned(), limit };
        tokio::time::timeout(limit.0.as_duration(), call).await.map_err(slow)?
    }

    async fn look(&self) -> Result<Known, FaultError> {
        let cluster = self.cluster().await?;
        let namespace = self.namespace().unwrap_or_default();
        match self.action()? {
            KubernetesAction::DeletePods(delete) => act::pods_to_delete(&cluster, namespace, delete).await,
            KubernetesAction::DrainNode(drain) => {
                let node = match (&drain.node, &drain.of_pod) {
                    (Some(node), _) => node.as_str().to_owned(),
                    (None, of_pod) => {
                        act::node_of_pod(&cluster, namespace, of_pod.as_deref().unwrap_or_default()).await?
                    }
                };
                act::nodes_to_cordon(&cluster, None, Some(&node)).await
            }
            KubernetesAction::CutZone(cut) => {
                let label = cut.label.as_ref().map_or(ZONE_LABEL, |label| label.as_str());
                act::nodes_to_cordon(&cluster, Some(&format!("{label}={}", cut.zone)), None).await
            }
            KubernetesAction::Scale(scale) => {
                let before = cluster.replicas(namespace, scale.deployment.as_str()).await?;
                let wanted = i32::try_from(scale.replicas).unwrap_or(i32::MAX);
                if before == wanted {
                    let reason = format!("the deployment {} has {before} replicas already", scale.deployment);
                    return Err(FaultError::Refused(reason));
                }
                Ok(Known::Replicas { before })
            }
        }
    }

    async fn break_it(&self, known: &Known) -> Result<String, FaultError> {
        let cluster = self.cluster().await?;
        let deadline = Instant::now() + self.limit().0.as_duration().saturating_sub(Duration::from_secs(1));
        match (self.action()?, known) {
            (KubernetesAction::DeletePods(delete), Known::Pods { pods, .. }) => {
                act::delete(&cluster, pods, delete.grace_seconds).await
            }
            (KubernetesAction::DrainNode(drain), Known::Nodes { cordon, all }) => {
                act::cordon(&cluster, cordon).await?;
                act::drain(&cluster, all, drain.grace_seconds, deadline).await
            }
            (KubernetesAction::CutZone(_), Known::Nodes { cordon, all }) => {
                act::cordon(&cluster, cordon).await?;
                let pods = act::pods_on(&cluster, all, self.namespace()).await?;
                let deleted = act::delete(&cluster, &pods, 0).await?;
                Ok(format!("cordoned {}; {deleted}", all.join(", ")))
            }
            (KubernetesAction::Scale(scale), Known::Replicas { before }) => {
                let wanted = i32::try_from(scale.replicas).unwrap_or(i32::MAX);
                cluster.scale(self.namespace().unwrap_or_default(), scale.deployment.as_str(), wanted).await?;
                Ok(format!("scaled {} from {before} to {wanted}", scale.deployment))
            }
            _ => Err(FaultError::Undo("it is of another action".into())),
        }
    }

    async fn mend(&self, known: &Known) -> Result<String, FaultError> {
        match (self.action()?, known) {
            (_, Known::Pods { .. }) => Ok("nothing: controllers replace pods that were deleted".into()),
            (_, Known::Nodes { cordon, .. }) => act::uncordon(&self.cluster().await?, cordon).await,
            (KubernetesAction::Scale(scale), Known::Replicas { before }) => {
                let cluster = self.cluster().await?;
                let (namespace, deployment) = (self.namespace().unwrap_or_default(), scale.deployment.as_str());
                let now = cluster.replicas(namespace, deployment).await?;
                let wanted = i32::try_from(scale.replicas).unwrap_or(i32::MAX);
                if now != wanted {
                    return Ok(format!("{deployment} has {now} replicas, which somebody else gave it; it keeps them"));
                }
                cluster.scale(namespace, deployment, *before).await?;
                Ok(format!("scaled {deployment} back to {before}"))
            }
            _ => Err(FaultError::Undo("it is of another action".into())),
        }
    }

    async fn see(&self, known: &Known) -> Result<Probe, FaultError> {
        let cluster = self.cluster().await?;
        match (self.action()?, known) {
            (KubernetesAction::DeletePods(delete), Known::Pods { ready, .. }) => {
                let pods = cluster.pods(self.namespace(), Some(&delete.selector), None).await?;
                let now = pods.iter().filter(|pod| act::is_ready(pod)).count();
                Ok(Probe::found(now >= *ready, format!("{now} of {ready} pods are ready")))
            }
            (_, Known::Nodes { cordon, .. }) => {
                let mut cordoned = Vec::new();
                for node in cordon {
                    if cluster.node(node).await?.spec.and_then(|spec| spec.unschedulable) == Some(true) {
                        cordoned.push(node.as_str());
                    }
                }
                Ok(match cordoned.as_slice() {
                    [] => Probe::found(true, "every node takes pods"),
                    nodes => Probe::found(false, format!("cordoned: {}", nodes.join(", "))),
                })
            }
            (KubernetesAction::Scale(scale), Known::Replicas { before }) => {
                let deployment = scale.deployment.as_str();
                let (wanted, ready) = cluster.ready(self.namespace().unwrap_or_default(), deployment).await?;
                let sound = wanted >= *before && ready >= *before;
                Ok(Probe::found(
                    sound,
                    format!("{deployment}: {ready} of {wanted} replicas are ready, {before} before"),
                ))
            }
            _ => Err(FaultError::Undo("it is of another action".into())),
        }
    }
}

impl Fault for KubernetesFault {
    fn describe(&self) -> String {
        let namespace = self.namespace().map(|name| format!(" in {name}")).unwrap_or_default();
        match self.action() {
            Ok(KubernetesAction::DeletePods(delete)) => {
                let count = delete.count.map_or_else(|| "all pods".into(), |count| format!("{count} pods"));
                format!("deletes {count} with {}{namespace}", delete.selector)
            }
            Ok(KubernetesAction::DrainNode(drain)) => match (&drain.node, &drain.of_pod) {
                (Some(node), _) => format!("drains the node {node}"),
                (None, of_pod) => {
                    format!(
                        "drains the node of the first pod with {}{namespace}",
                        of_pod.as_deref().unwrap_or_default()
                    )
                }
            },
            Ok(KubernetesAction::Scale(scale)) => {
                format!("scales the deployment {}{namespace} to {}", scale.deployment, scale.replicas)
            }
            Ok(KubernetesAction::CutZone(cut)) => {
                format!("cuts the zone {}: cordons its nodes and deletes their pods{namespace}", cut.zone)
            }
            Err(error) => error.to_string(),
        }
    }

    fn remedy(&self) -> Option<String> {
        match self.action().ok()? {
            KubernetesAction::DeletePods(_) => None,
            KubernetesAction::DrainNode(_) | KubernetesAction::CutZone(_) => {
                Some("uncordons the nodes that it cordoned".into())
            }
            KubernetesAction::Scale(_) => Some("scales it back to what it was".into()),
        }
    }

    fn rights(&self) -> String {
        match self.action() {
            Ok(KubernetesAction::DeletePods(_)) => "list and delete pods",
            Ok(KubernetesAction::DrainNode(_)) => {
                "get and patch nodes; list pods of all namespaces; create pods/eviction"
            }
            Ok(KubernetesAction::CutZone(_)) => "get, list and patch nodes; list and delete pods",
            Ok(KubernetesAction::Scale(_)) => "get deployments; get and patch deployments/scale",
            Err(_) => "none",
        }
        .into()
    }

    fn plan(&self) -> BoxFuture<'_, Result<Undo, FaultError>> {
        Box::pin(async { Undo::of(&self.within("looking at the cluster", self.look()).await?) })
    }

    fn inject<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<Injected, FaultError>> {
        Box::pin(async {
            let known: Known = undo.read()?;
            let issued = self.stopwatch.now();
            let detail = self.within(&self.describe(), self.break_it(&known)).await?;
            Ok(Injected { issued, acknowledged: self.stopwatch.now(), reported: None, detail })
        })
    }

    fn probe<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<Probe, FaultError>> {
        Box::pin(async {
            let known: Known = undo.read()?;
            self.within("looking at the cluster", self.see(&known)).await
        })
    }

    fn heal<'a>(&'a self, undo: &'a Undo) -> BoxFuture<'a, Result<String, FaultError>> {
        Box::pin(async {
            let known: Known = undo.read()?;
            self.within("mending the cluster", self.mend(&known)).await
        })
    }
}

#[cfg(test)]
mod tests;
