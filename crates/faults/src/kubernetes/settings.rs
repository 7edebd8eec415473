//! A fault of a Kubernetes cluster.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Fault, FaultContext, FaultSection, Mistake};
use slatest_core::model::Span;
use slatest_core::target::Guard;
use slatest_core::target::cluster_values::{Key, Label, Name};

/// Breaks one thing of a cluster. Exactly one of the actions is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSpec {
    /// Context of the kubeconfig. Without one, the pod's own cluster; the current context is never taken,
    /// because nobody sees which that is. The host of its API server must be allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Namespace of pods and deployments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
    /// Longest that an action may take. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Deletes pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_pods: Option<DeletePods>,
    /// Cordons a node and evicts its pods, as their disruption budgets allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_node: Option<DrainNode>,
    /// Gives a deployment another number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScaleDeployment>,
    /// Cordons all nodes of a zone and deletes their pods at once, disruption budgets or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_zone: Option<CutZone>,
}

/// Pods to delete.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletePods {
    /// Label selector: `app=api,tier!=cache`.
    pub selector: String,
    /// Seconds that they may take to end; 0 ends them at once. Default 0.
    #[serde(default)]
    pub grace_seconds: u32,
    /// How many, in the order of their names; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<NonZeroU32>,
}

/// A node to drain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainNode {
    /// Its name; or
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Name>,
    /// the node of the first pod, by name, that has these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_pod: Option<String>,
    /// Seconds that pods may take to end; what each says when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
}

/// A deployment to scale.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleDeployment {
    /// Its name.
    pub deployment: Name,
    /// How many pods it gets until it is healed.
    pub replicas: u32,
}

/// A zone to cut.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CutZone {
    /// Its name, as its nodes are labelled.
    pub zone: Label,
    /// Label of nodes that names their zone. Default `topology.kubernetes.io/zone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Key>,
}

/// The one action that is written.
#[derive(Clone, Copy, Debug)]
pub enum KubernetesAction<'a> {
    /// Deletes pods.
    DeletePods(&'a DeletePods),
    /// Drains a node.
    DrainNode(&'a DrainNode),
    /// Scales a deployment.
    Scale(&'a ScaleDeployment),
    /// Cuts a zone.
    CutZone(&'a CutZone),
}

impl KubernetesSpec {
    /// The action that is written.
    ///
    /// # Errors
    /// In words, when none or several are.
    pub fn action(&self) -> Result<KubernetesAction<'_>, String> {
        let all = [
            self.delete_pods.as_ref().map(KubernetesAction::DeletePods),
            self.drain_node.as_ref().map(KubernetesAction::DrainNode),
            self.scale.as_ref().map(KubernetesAction::Scale),
            self.cut_zone.as_ref().map(KubernetesAction::CutZone),
        ];
        let mut written = all.into_iter().flatten();
        match (written.next(), written.next()) {
            (Some(action), None) => Ok(action),
            (None, _) => Err("says nothing to do: write delete_pods, drain_node, scale or cut_zone".into()),
            (Some(_), Some(_)) => Err("one fault breaks one thing: write two faults, and a drill for each".into()),
        }
    }
}

impl FaultSection for KubernetesSpec {
    #[cfg(feature = "kubernetes")]
    fn compile(&self, context: &FaultContext) -> Result<Arc<dyn Fault>, Mistake> {
        Ok(Arc::new(super::KubernetesFault::new(self, context)))
    }

    #[cfg(not(feature = "kubernetes"))]
    fn compile(&self, _: &FaultContext) -> Result<Arc<dyn Fault>, Mistake> {
        Err((String::new(), "this slatest was built without the feature `kubernetes`".into()))
    }

    fn mistakes(&self, _: &Path, _: &Guard, found: &mut Vec<Mistake>) {
        let selector = |at: &str, text: &str, found: &mut Vec<Mistake>| {
            if text.trim().is_empty() {
                found.push((at.into(), "would select every pod: name at least one label".into()));
            }
        };
        let needs_namespace = match self.action() {
            Err(why) => return found.push((String::new(), why)),
            Ok(KubernetesAction::DeletePods(pods)) => {
                selector("delete_pods.selector", &pods.selector, found);
                true
            }
            Ok(KubernetesAction::DrainNode(drain)) => {
                if let Some(of_pod) = &drain.of_pod {
                    selector("drain_node.of_pod", of_pod, found);
                }
                if drain.node.is_some() == drain.of_pod.is_some() {
                    found.push(("drain_node".into(), "names its node by either `node` or `of_pod`".into()));
                }
                drain.of_pod.is_some()
            }
            Ok(KubernetesAction::Scale(scale)) => {
                if i32::try_from(scale.replicas).is_err() {
                    found.push(("scale.replicas".into(), "is more than a cluster counts".into()));
                }
                true
            }
            Ok(KubernetesAction::CutZone(cut)) => {
                if cut.zone.as_str().is_empty() {
                    found.push(("cut_zone.zone".into(), "names no zone".into()));
                }
                false
            }
        };
        if needs_namespace && self.namespace.is_none() {
            found.push(("namespace".into(), "is needed: say in which namespace it is".into()));
        }
    }
}
