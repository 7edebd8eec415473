//! What is done to pods and nodes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::super::FaultError;
use super::cluster::{Cluster, Evicted};
use super::{DeletePods, Known, PodId};

/// How often an eviction is asked for again, and how often it is looked whether pods are gone.
const AGAIN: Duration = Duration::from_secs(1);
/// Namespace of what a cluster itself needs; a zone's share of it is left alone.
const SYSTEM: &str = "kube-system";

/// Whether a pod is ready.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
    ready && pod.metadata.deletion_timestamp.is_none()
}

fn id(pod: &Pod) -> Option<PodId> {
    let meta = &pod.metadata;
    Some(PodId { namespace: meta.namespace.clone()?, name: meta.name.clone()?, uid: meta.uid.clone()? })
}

/// Whether a pod can be taken away: it is not finished, its node doesn't hold it by itself (mirror pods), and
/// no DaemonSet would put it back at once.
fn can_go(pod: &Pod) -> bool {
    let mirror = pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key("kubernetes.io/config.mirror"));
    let daemon = pod.metadata.owner_references.as_ref().is_some_and(|all| all.iter().any(|o| o.kind == "DaemonSet"));
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    !mirror && !daemon && !["Succeeded", "Failed"].contains(&phase)
}

/// The pods that are to be deleted.
pub(super) async fn pods_to_delete(
    cluster: &Cluster,
    namespace: &str,
    delete: &DeletePods,
) -> Result<Known, FaultError> {
    let found = cluster.pods(Some(namespace), Some(&delete.selector), None).await?;
    let ready = found.iter().filter(|pod| is_ready(pod)).count();
    let there = found.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let mut pods: Vec<PodId> = there.filter_map(id).collect();
    pods.sort();
    pods.truncate(delete.count.map_or(usize::MAX, |count| usize::try_from(count.get()).unwrap_or(usize::MAX)));
    if pods.is_empty() {
        let reason = format!("no pod in {namespace} has the labels {}", delete.selector);
        return Err(FaultError::Refused(reason));
    }
    Ok(Known::Pods { pods, ready })
}

/// The node of the first pod with these labels.
pub(super) async fn node_of_pod(cluster: &Cluster, namespace: &str, labels: &str) -> Result<String, FaultError> {
    let mut pods = cluster.pods(Some(namespace), Some(labels), None).await?;
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let node = pods.into_iter().find_map(|pod| pod.spec?.node_name);
    node.ok_or_else(|| FaultError::Refused(format!("no pod in {namespace} with the labels {labels} has a node")))
}

/// The nodes that are to be cordoned, by labels or by name.
pub(super) async fn nodes_to_cordon(
    cluster: &Cluster,
    labels: Option<&str>,
    name: Option<&str>,
) -> Result<Known, FaultError> {
    let mut nodes = match labels {
        Some(labels) => cluster.nodes(labels).await?,
        None => vec![cluster.node(name.unwrap_or_default()).await?],
    };
    nodes.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let names = |cordoned: bool| -> Vec<String> {
        let fits = nodes
            .iter()
            .filter(|node| cordoned || node.spec.as_ref().and_then(|spec| spec.unschedulable) != Some(true));
        fits.filter_map(|node| node.metadata.name.clone()).collect()
    };
    let all = names(true);
    if all.is_empty() {
        return Err(FaultError::Refused(format!("no node has the label {}", labels.unwrap_or_default())));
    }
    Ok(Known::Nodes { cordon: names(false), all })
}

/// Keeps new pods off nodes.
pub(super) async fn cordon(cluster: &Cluster, nodes: &[String]) -> Result<(), FaultError> {
    for node in nodes {
        cluster.set_cordoned(node, true).await?;
    }
    Ok(())
}

/// Lets pods on nodes again: on all that will, and says which won't.
pub(super) async fn uncordon(cluster: &Cluster, nodes: &[String]) -> Result<String, FaultError> {
    let mut wrong = Vec::new();
    for node in nodes {
        if let Err(error) = cluster.set_cordoned(node, false).await {
            wrong.push(error.to_string());
        }
    }
    if wrong.is_empty() {
        return Ok(if nodes.is_empty() {
            "no node was cordoned".into()
        } else {
            format!("uncordoned {}", nodes.join(", "))
        });
    }
    let by_hand = format!("{}; by hand: kubectl uncordon {}", wrong.join("; "), nodes.join(" "));
    Err(FaultError::failed("uncordoning nodes", by_hand))
}

/// The pods of nodes that can be taken away, but for those of the cluster itself.
pub(super) async fn pods_on(
    cluster: &Cluster,
    nodes: &[String],
    namespace: Option<&str>,
) -> Result<Vec<PodId>, FaultError> {
    let mut found = Vec::new();
    for node in nodes {
        let pods = cluster.pods(namespace, None, Some(&format!("spec.nodeName={node}"))).await?;
        let theirs = pods.iter().filter(|pod| can_go(pod)).filter_map(id);
        found.extend(theirs.filter(|pod| namespace.is_some() || pod.namespace != SYSTEM));
    }
    found.sort();
    Ok(found)
}

/// Deletes pods, all of them, however many it takes.
pub(super) async fn delete(cluster: &Cluster, pods: &[PodId], grace_seconds: u32) -> Result<String, FaultError> {
    let mut deleted = Vec::new();
    for pod in pods {
        if cluster.delete(pod, grace_seconds).await? {
            deleted.push(pod.name.as_str());
        }
    }
    Ok(match deleted.as_slice() {
        [] => "no pod was left to delete".into(),
        pods => format!("deleted {}", pods.join(", ")),
    })
}

/// Evicts the pods of nodes as their disruption budgets allow, and waits until they are gone.
pub(super) async fn drain(
    cluster: &Cluster,
    nodes: &[String],
    grace_seconds: Option<u32>,
    deadline: Instant,
) -> Result<String, FaultError> {
    let mut names = Vec::new();
    loop {
        let mut left = Vec::new();
        let mut kept = Vec::new();
        for node in nodes {
            let pods = cluster.pods(None, None, Some(&format!("spec.nodeName={node}"))).await?;
            for pod in pods.iter().filter(|pod| can_go(pod)) {
                let Some(id) = id(pod) else { continue };
                if pod.metadata.deletion_timestamp.is_some() {
                    left.push(id.name);
                    continue;
                }
                match cluster.evict(&id, grace_seconds).await? {
                    Evicted::Yes => {
                        names.push(id.name.clone());
                        left.push(id.name);
                    }
                    Evicted::NotNow(reason) => kept.push(format!("{}: {reason}", id.name)),
                }
            }
        }
        if left.is_empty() && kept.is_empty() {
            let names = if names.is_empty() { "no pod".into() } else { names.join(", ") };
            return Ok(format!("drained {}: evicted {names}", nodes.join(", ")));
        }
        if Instant::now() >= deadline {
            let reason = match kept.as_slice() {
                [] => format!("still ending: {}", left.join(", ")),
                kept => format!(
                    "disruption budgets keep pods where they are ({}); give it more time, or the budget more room",
                    kept.join("; ")
                ),
            };
            return Err(FaultError::failed(format!("draining {}", nodes.join(", ")), reason));
        }
        tokio::time::sleep(AGAIN).await;
    }
}
