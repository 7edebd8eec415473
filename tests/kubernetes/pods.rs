//! Pods as a cluster keeps them.

use serde_json::{Value, json};

use super::cluster::{Cluster, State};

/// A pod of a Job for one index, not yet placed.
pub fn of(state: &mut State, job: &Value, index: usize) -> Value {
    let job_name = job["metadata"]["name"].as_str().unwrap_or_default();
    let template = &job["spec"]["template"];
    let mut metadata = template["metadata"].clone();
    let random = format!("{:05x}", state.serial());
    metadata["name"] = format!("{job_name}-{index}-{random}").into();
    metadata["namespace"] = "load".into();
    metadata["uid"] = format!("uid-pod-{random}").into();
    for (key, value) in [
        ("batch.kubernetes.io/job-name", job_name.to_owned()),
        ("batch.kubernetes.io/job-completion-index", index.to_string()),
    ] {
        metadata["labels"][key] = value.into();
    }
    metadata["annotations"]["batch.kubernetes.io/job-completion-index"] = index.to_string().into();
    metadata["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": job_name, "uid": job["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    }]);
    // As the Job controller does, at the end of what the template has.
    let mut spec = template["spec"].clone();
    let path = "metadata.annotations['batch.kubernetes.io/job-completion-index']";
    let own = json!({ "name": "JOB_COMPLETION_INDEX", "valueFrom": { "fieldRef": { "fieldPath": path } } });
    match spec["containers"][0]["env"].as_array_mut() {
        Some(variables) => variables.push(own),
        None => spec["containers"][0]["env"] = json!([own]),
    }
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": { "phase": "Pending" },
    })
}

fn container(state: Value) -> Value {
    json!({ "name": "slatest", "state": state, "ready": false, "restartCount": 0, "image": "", "imageID": "" })
}

/// Statuses as nodes and scheduler write them.
pub fn unschedulable(reason: &str) -> Value {
    let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": reason });
    json!({ "phase": "Pending", "conditions": [condition] })
}

pub fn placed() -> Value {
    let waiting = container(json!({ "waiting": { "reason": "ContainerCreating" } }));
    json!({ "phase": "Pending", "containerStatuses": [waiting] })
}

pub fn waiting(reason: &str, message: &str) -> Value {
    let waiting = container(json!({ "waiting": { "reason": reason, "message": message } }));
    json!({ "phase": "Pending", "containerStatuses": [waiting] })
}

pub fn running() -> Value {
    json!({ "phase": "Running", "containerStatuses": [container(json!({ "running": {} }))] })
}

pub fn ended(code: i32, message: &str) -> Value {
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    let reason = if code == 0 { "Completed" } else { "Error" };
    let state = json!({ "terminated": { "exitCode": code, "reason": reason, "message": message } });
    json!({ "phase": phase, "containerStatuses": [container(state)] })
}

pub fn out_of_memory() -> Value {
    let state = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
    json!({ "phase": "Failed", "containerStatuses": [container(state)] })
}

pub fn evicted(reason: &str) -> Value {
    let condition =
        json!({ "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": reason });
    json!({ "phase": "Failed", "reason": "Evicted", "message": reason, "conditions": [condition] })
}

pub fn preempted(reason: &str) -> Value {
    let condition =
        json!({ "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": reason });
    json!({ "phase": "Failed", "conditions": [condition] })
}

impl Cluster {
    /// Name of the newest pod of an index.
    pub fn pod(&self, index: usize) -> Option<String> {
        let pods = self.state().all("pods");
        let number = index.to_string();
        let fits =
            |pod: &&Value| pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == number.as_str();
        pods.iter().rfind(fits).and_then(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned()))
    }

    /// A pod's status becomes this one.
    pub fn becomes(&self, pod: &str, node: Option<&str>, status: Value) {
        self.change(|state| {
            if let Some(mut object) = state.get("pods", pod).cloned() {
                if let Some(node) = node {
                    object["spec"]["nodeName"] = node.into();
                }
                object["status"] = status;
                state.put("pods", object);
            }
        });
    }
}
