//! A cluster as the injector sees it: few calls, each with its refusal in words.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams, Preconditions};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config, Error};
use serde_json::json;

use super::super::FaultError;
use super::PodId;
use slatest_core::model::error_chain;
use slatest_core::target::Guard;

/// Most pods or nodes that are touched at once.
const LISTED_MAX: u32 = 1000;

/// A cluster.
pub(super) struct Cluster(Client);

/// How an eviction was answered.
pub(super) enum Evicted {
    /// It goes.
    Yes,
    /// Its disruption budget doesn't allow it now.
    NotNow(String),
}

impl Cluster {
    #[cfg(test)]
    pub fn of(client: Client) -> Self {
        Self(client)
    }

    /// Connects to the cluster of a context, or the one in which this runs.
    ///
    /// # Errors
    /// When there is none, or its host is not allowed.
    pub async fn connect(context: Option<&str>, guard: &Guard) -> Result<Self, FaultError> {
        // Another part may have chosen it already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = match context {
            Some(context) => {
                let options = KubeConfigOptions { context: Some(context.to_owned()), ..Default::default() };
                Config::from_kubeconfig(&options).await.map_err(|e| {
                    FaultError::Refused(format!(
                        "the context `{context}` of the kubeconfig can't be used: {}",
                        error_chain(&e)
                    ))
                })?
            }
            None => Config::incluster().map_err(|e| {
                let reason = error_chain(&e);
                FaultError::Refused(format!(
                    "no context is named, and this is no pod of a cluster ({reason}); name a `context`"
                ))
            })?,
        };
        let host = config.cluster_url.host().unwrap_or_default().to_owned();
        guard.check(&host).map_err(|reason| FaultError::Refused(format!("the cluster's API server: {reason}")))?;
        Client::try_from(config).map(Self).map_err(|e| said("connecting to the cluster", e))
    }

    /// Pods of a namespace, or of all, by labels and by fields.
    pub async fn pods(
        &self,
        namespace: Option<&str>,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Vec<Pod>, FaultError> {
        let api: Api<Pod> = match namespace {
            Some(namespace) => Api::namespaced(self.0.clone(), namespace),
            None => Api::all(self.0.clone()),
        };
        let mut params = ListParams::default().limit(LISTED_MAX);
        params.label_selector = labels.map(str::to_owned);
        params.field_selector = fields.map(str::to_owned);
        let list = api.list(&params).await.map_err(|e| said("listing pods", e))?;
        whole("pods", list.metadata.continue_.as_deref())?;
        Ok(list.items)
    }

    /// Nodes by labels.
    pub async fn nodes(&self, labels: &str) -> Result<Vec<Node>, FaultError> {
        let api: Api<Node> = Api::all(self.0.clone());
        let params = ListParams::default().labels(labels).limit(LISTED_MAX);
        let list = api.list(&params).await.map_err(|e| said("listing nodes", e))?;
        whole("nodes", list.metadata.continue_.as_deref())?;
        Ok(list.items)
    }

    /// One node.
    pub async fn node(&self, name: &str) -> Result<Node, FaultError> {
        let api: Api<Node> = Api::all(self.0.clone());
        api.get(name).await.map_err(|e| said(&format!("looking at the node {name}"), e))
    }

    /// Keeps new pods off a node, or lets them on again.
    pub async fn set_cordoned(&self, name: &str, cordoned: bool) -> Result<(), FaultError> {
        let api: Api<Node> = Api::all(self.0.clone());
        let (doing, end) = match cordoned {
            true => ("cordoning", api.cordon(name).await),
            false => ("uncordoning", api.uncordon(name).await),
        };
        match end {
            // A node that is gone takes no pods, whatever it says.
            Err(Error::Api(status)) if status.code == 404 && !cordoned => Ok(()),
            end => end.map(drop).map_err(|e| said(&format!("{doing} the node {name}"), e)),
        }
    }

    /// Deletes this very pod; false when it is gone.
    pub async fn delete(&self, pod: &PodId, grace_seconds: u32) -> Result<bool, FaultError> {
        let api: Api<Pod> = Api::namespaced(self.0.clone(), &pod.namespace);
        let own = Preconditions { uid: Some(pod.uid.clone()), resource_version: None };
        let params = DeleteParams::default().grace_period(grace_seconds).preconditions(own);
        match api.delete(&pod.name, &params).await {
            Ok(_) => Ok(true),
            // 409: another pod has its name by now.
            Err(Error::Api(status)) if [404, 409].contains(&status.code) => Ok(false),
            Err(e) => Err(said(&format!("deleting the pod {}", pod.name), e)),
        }
    }

    /// Asks for this very pod to be evicted.
    pub async fn evict(&self, pod: &PodId, grace_seconds: Option<u32>) -> Result<Evicted, FaultError> {
        let api: Api<Pod> = Api::namespaced(self.0.clone(), &pod.namespace);
        let own = Preconditions { uid: Some(pod.uid.clone()), resource_version: None };
        let mut delete = DeleteParams::default().preconditions(own);
        delete.grace_period_seconds = grace_seconds;
        let params = EvictParams { delete_options: Some(delete), ..Default::default() };
        match api.evict(&pod.name, &params).await {
            Ok(_) => Ok(Evicted::Yes),
            Err(Error::Api(status)) if [404, 409].contains(&status.code) => Ok(Evicted::Yes),
            Err(Error::Api(status)) if status.code == 429 => Ok(Evicted::NotNow(status.message.clone())),
            Err(e) => Err(said(&format!("evicting the pod {}", pod.name), e)),
        }
    }

    /// How many pods a deployment is to have.
    pub async fn replicas(&self, namespace: &str, deployment: &str) -> Result<i32, FaultError> {
        let api: Api<Deployment> = Api::namespaced(self.0.clone(), namespace);
        let doing = format!("looking at the deployment {deployment}");
        let scale = api.get_scale(deployment).await.map_err(|e| said(&doing, e))?;
        Ok(scale.spec.and_then(|spec| spec.replicas).unwrap_or(0))
    }

    /// How many pods a deployment is to have, and how many of them are ready.
    pub async fn ready(&self, namespace: &str, deployment: &str) -> Result<(i32, i32), FaultError> {
        let api: Api<Deployment> = Api::namespaced(self.0.clone(), namespace);
        let doing = format!("looking at the deployment {deployment}");
        let found = api.get(deployment).await.map_err(|e| said(&doing, e))?;
        let wanted = found.spec.and_then(|spec| spec.replicas).unwrap_or(1);
        Ok((wanted, found.status.and_then(|status| status.ready_replicas).unwrap_or(0)))
    }

    /// Gives a deployment so many pods.
    pub async fn scale(&self, namespace: &str, deployment: &str, replicas: i32) -> Result<(), FaultError> {
        let api: Api<Deployment> = Api::namespaced(self.0.clone(), namespace);
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let end = api.patch_scale(deployment, &PatchParams::default(), &patch).await;
        end.map(drop).map_err(|e| said(&format!("scaling the deployment {deployment} to {replicas}"), e))
    }
}

fn whole(what: &str, more: Option<&str>) -> Result<(), FaultError> {
    match more {
        None | Some("") => Ok(()),
        Some(_) => Err(FaultError::Refused(format!("there are more than {LISTED_MAX} {what}: select fewer"))),
    }
}

/// What a cluster says no with.
fn said(doing: &str, error: Error) -> FaultError {
    let reason = match error {
        Error::Api(status) => match status.code {
            401 => format!("the cluster doesn't accept the credentials of the kubeconfig: {}", status.message),
            403 => format!("forbidden: {}", status.message),
            404 => format!("there is none: {}", status.message),
            _ if status.message.is_empty() => status.reason.clone(),
            _ => status.message.clone(),
        },
        error => error_chain(&error),
    };
    FaultError::failed(doing, reason)
}
