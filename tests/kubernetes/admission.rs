//! What a cluster refuses: fields that it doesn't know, Jobs that contradict themselves, and pods that a
//! namespace under the restricted Pod Security Standard doesn't take.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PodSpec, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An object of this type, whole: what reading and writing it again doesn't give back was not known.
pub fn whole<T: DeserializeOwned + Serialize>(body: &Value) -> Result<T, String> {
    let object: T = serde_json::from_value(body.clone()).map_err(|e| format!("can't be read: {e}"))?;
    let again = serde_json::to_value(&object).map_err(|e| e.to_string())?;
    match unknown(body, &again, String::new()) {
        None => Ok(object),
        Some(path) => Err(format!("strict decoding error: unknown field \"{path}\"")),
    }
}

fn unknown(given: &Value, known: &Value, path: String) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            known.get(key).map_or(Some(path.clone()), |known| unknown(value, known, path))
        }),
        (Value::Array(given), Value::Array(known)) => {
            given.iter().zip(known).enumerate().find_map(|(i, (a, b))| unknown(a, b, format!("{path}[{i}]")))
        }
        (given, known) => (given != known).then_some(path),
    }
}

fn must(holds: bool, reason: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(reason.to_owned()) }
}

/// What the Job API and the restricted standard ask of a Job.
pub fn job(job: &Job) -> Result<(), String> {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    must(!name.is_empty() && name.len() <= 52, "metadata.name: pods of an indexed Job could not be named after it")?;
    must(
        name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
        "metadata.name: no DNS label",
    )?;
    let spec = job.spec.as_ref().ok_or("spec: Required value")?;
    must(spec.completion_mode.as_deref() == Some("Indexed"), "spec.completionMode: these agents need their index")?;
    must(
        spec.completions.is_some() && spec.completions == spec.parallelism,
        "spec.completions: all at once, or none starts",
    )?;
    must(spec.selector.is_none(), "spec.selector: is generated")?;
    if let Some(policy) = &spec.pod_failure_policy {
        let template = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
        must(template == Some("Never"), "spec.template.spec.restartPolicy: only Never goes with a podFailurePolicy")?;
        must(spec.pod_replacement_policy.as_deref() == Some("Failed"), "spec.podReplacementPolicy: must be Failed")?;
        for rule in &policy.rules {
            must(
                rule.on_exit_codes.is_some() != rule.on_pod_conditions.is_some(),
                "spec.podFailurePolicy.rules: one of onExitCodes and onPodConditions",
            )?;
            if rule.action == "FailIndex" {
                must(
                    spec.backoff_limit_per_index.is_some(),
                    "spec.podFailurePolicy: FailIndex needs backoffLimitPerIndex",
                )?;
            }
            if let Some(codes) = &rule.on_exit_codes {
                let names = spec.template.spec.iter().flat_map(|spec| &spec.containers).map(|c| c.name.as_str());
                must(
                    codes.container_name.as_deref().is_some_and(|name| names.clone().any(|known| known == name)),
                    "spec.podFailurePolicy.rules: containerName is none of the pod's",
                )?;
                // 0 is no failure: only what is not in a list may name it.
                must(codes.operator == "NotIn" || !codes.values.contains(&0), "values: 0 is no failure")?;
            }
        }
    }
    let labels = spec.template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    let pod = spec.template.spec.as_ref().ok_or("spec.template.spec: Required value")?;
    for spread in pod.topology_spread_constraints.iter().flatten() {
        let wanted = spread.label_selector.as_ref().and_then(|s| s.match_labels.clone()).unwrap_or_default();
        must(!wanted.is_empty(), "topologySpreadConstraints: would spread every pod of the namespace")?;
        must(wanted.iter().all(|(k, v)| labels.get(k) == Some(v)), "topologySpreadConstraints: don't mean these pods")?;
    }
    self::pod(pod)
}

/// What any pod here must be: restricted, and able to mount what it names.
pub fn pod(pod: &PodSpec) -> Result<(), String> {
    let volumes: Vec<&str> = pod.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    let security = pod.security_context.as_ref().ok_or("securityContext: runAsNonRoot != true")?;
    must(security.run_as_non_root == Some(true), "violates PodSecurity \"restricted\": runAsNonRoot != true")?;
    must(
        security.seccomp_profile.as_ref().is_some_and(|p| p.type_ == "RuntimeDefault"),
        "violates PodSecurity \"restricted\": seccompProfile",
    )?;
    must(pod.automount_service_account_token == Some(false), "an agent has nothing to ask of the cluster")?;
    for container in &pod.containers {
        let own = container.security_context.as_ref().ok_or("violates PodSecurity \"restricted\"")?;
        must(own.allow_privilege_escalation == Some(false), "violates PodSecurity: allowPrivilegeEscalation != false")?;
        must(own.read_only_root_filesystem == Some(true), "the root file system must be read-only here")?;
        let dropped = own.capabilities.as_ref().and_then(|c| c.drop.clone()).unwrap_or_default();
        must(dropped == ["ALL"], "violates PodSecurity \"restricted\": unrestricted capabilities")?;
        must(container.image.as_ref().is_some_and(|image| !image.is_empty()), "image: Required value")?;
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        for mount in mounts {
            must(volumes.contains(&mount.name.as_str()), "volumeMounts[].name: Not found")?;
            must(
                mounts.iter().filter(|other| other.mount_path == mount.mount_path).count() == 1,
                "volumeMounts[].mountPath: must be unique",
            )?;
        }
    }
    Ok(())
}

/// What a Secret must be: its owner known, its data there.
pub fn secret(secret: &Secret) -> Result<(), String> {
    must(secret.metadata.name.is_some(), "metadata.name: Required value")?;
    must(secret.data.as_ref().is_some_and(|data| !data.is_empty()), "data: nothing in it")?;
    must(secret.immutable == Some(true), "a run's Secret never changes")
}

#[test]
fn what_is_not_known_is_refused() {
    let known = serde_json::json!({ "metadata": { "name": "a" }, "data": { "token": "AA==" } });
    assert!(
        whole::<Secret>(&serde_json::json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" } }))
            .is_ok()
    );
    let mut odd = known;
    odd["apiVersion"] = "v1".into();
    odd["kind"] = "Secret".into();
    odd["metadata"]["colour"] = "red".into();
    assert_eq!(whole::<Secret>(&odd).unwrap_err(), "strict decoding error: unknown field \".metadata.colour\"");
}
