//! The Job of the agents and its Secret, as a cluster is asked for them.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{PodTemplateSpec, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use secrecy::ExposeSecret as _;

use super::pod::{CONTAINER, Parts, STATE, mount, pod, secret_volume};
use super::settings::{JobSettings, SettingsError};
use slatest_core::model::Nanos;
use slatest_core::target::KubernetesSection;

/// Where the Secret is mounted.
const CREDENTIALS: &str = "/run/slatest";
/// Key of the token in the Secret, and name of its file.
pub(super) const TOKEN: &str = "token";
/// Key of the CA's certificate in the Secret, and name of its file.
const CA: &str = "ca.pem";
/// What a pod is given beyond the plan: images are pulled, agents are waited for, and one whose coordinator
/// died keeps its intervals for it for a while.
const BEYOND_PLAN: Nanos = Nanos::from_secs(30 * 60);
/// How long a Job that has ended stays to be looked at, when nobody deletes it.
const KEPT_SECS: i32 = 10 * 60;
/// Label with the name of the run's objects.
pub(super) const RUN_LABEL: &str = "app.kubernetes.io/instance";

/// Labels of everything that belongs to a run.
pub(super) fn labels(section: &KubernetesSection, name: &str, component: &str) -> BTreeMap<String, String> {
    let own = [
        ("app.kubernetes.io/name", "slatest"),
        ("app.kubernetes.io/managed-by", "slatest"),
        ("app.kubernetes.io/component", component),
        (RUN_LABEL, name),
    ];
    let theirs = section.labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    theirs.chain(own.map(|(key, value)| (key.to_owned(), value.to_owned()))).collect()
}

/// Metadata of an object of a run.
pub(super) fn metadata(section: &KubernetesSection, name: &str, of: &str, component: &str) -> ObjectMeta {
    let annotations: BTreeMap<String, String> =
        section.annotations.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(labels(section, of, component)),
        annotations: (!annotations.is_empty()).then_some(annotations),
        ..Default::default()
    }
}

/// The Job: as many pods as agents, each of which knows its number.
///
/// A pod that the cluster takes away (evicted, preempted, its node drained) is replaced and costs its index
/// nothing: before the start its replacement takes part as if nothing had been. An agent that ends with an
/// error is not tried again: it was refused or failed, which it would be once more, and load that comes in
/// late is load at the wrong time. One index that fails leaves the others alone: whether a run goes on
/// without one of its agents is the coordinator's to say.
///
/// # Errors
/// When the settings name no image.
pub fn agents_job(settings: &JobSettings) -> Result<Job, SettingsError> {
    let name = settings.name();
    let section = &settings.section;
    let mut args: Vec<String> = [
        "agent",
        "--coordinator",
        &settings.coordinator_address,
        "--token-file",
        &format!("{CREDENTIALS}/{TOKEN}"),
        "--name",
        "agent-$(JOB_COMPLETION_INDEX)",
        "--state",
        STATE,
    ]
    .map(str::to_owned)
    .to_vec();
    if let Some(workers) = section.workers {
        args.extend(["--workers".to_owned(), workers.to_string()]);
    }
    let pods = labels(section, &name, "agent");
    let apart = [RUN_LABEL, "app.kubernetes.io/component"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), pods.get(key)?.clone())))
        .collect();
    let spec = pod(Parts {
        section,
        image: settings.image()?,
        args,
        volumes: vec![secret_volume("credentials", &name)],
        mounts: vec![mount("credentials", CREDENTIALS, true)],
        apart: Some(apart),
        credentials: true,
    });
    let agents = i32::try_from(settings.agents).unwrap_or(i32::MAX);
    let longest = (settings.length + BEYOND_PLAN).as_secs_f64().ceil() as i64;
    Ok(Job {
        metadata: metadata(section, &name, &name, "agents"),
        spec: Some(JobSpec {
            completion_mode: Some("Indexed".into()),
            completions: Some(agents),
            parallelism: Some(agents),
            backoff_limit_per_index: Some(0),
            pod_failure_policy: Some(failure_policy()),
            // The only one that a failure policy allows: a replacement comes when its forerunner is gone.
            pod_replacement_policy: Some("Failed".into()),
            active_deadline_seconds: Some(longest),
            ttl_seconds_after_finished: Some(KEPT_SECS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pods),
                    annotations: metadata(section, &name, &name, "agent").annotations,
                    ..Default::default()
                }),
                spec: Some(spec),
            },
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn failure_policy() -> PodFailurePolicy {
    let taken_away = PodFailurePolicyOnPodConditionsPattern { type_: "DisruptionTarget".into(), status: "True".into() };
    let failed = PodFailurePolicyOnExitCodesRequirement {
        container_name: Some(CONTAINER.into()),
        operator: "NotIn".into(),
        values: vec![0],
    };
    PodFailurePolicy {
        rules: vec![
            PodFailurePolicyRule {
                action: "Ignore".into(),
                on_pod_conditions: Some(vec![taken_away]),
                on_exit_codes: None,
            },
            PodFailurePolicyRule { action: "FailIndex".into(), on_exit_codes: Some(failed), on_pod_conditions: None },
        ],
    }
}

/// The Secret of a Job that is there: token and certificate, and gone when the Job is.
pub fn agents_secret(settings: &JobSettings, job_uid: &str) -> Secret {
    let name = settings.name();
    let owner = OwnerReference {
        api_version: "batch/v1".into(),
        kind: "Job".into(),
        name: name.clone(),
        uid: job_uid.to_owned(),
        ..Default::default()
    };
    let data = [(TOKEN, settings.token.expose_secret()), (CA, settings.ca_pem.as_str())];
    Secret {
        metadata: ObjectMeta {
            owner_references: Some(vec![owner]),
            ..metadata(&settings.section, &name, &name, "agents")
        },
        type_: Some("Opaque".into()),
        immutable: Some(true),
        data: Some(data.map(|(key, text)| (key.to_owned(), ByteString(text.as_bytes().to_vec()))).into()),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::settings;
    use super::*;
    use slatest_core::source::Source;
    use slatest_engine::profile::Target;

    /// Every key that a section can have.
    const SECTION: &str = "
name: t
environment: staging
allow: { hosts: [h] }
endpoints: { api: { http: \"http://h\" } }
agents:
  kubernetes:
    image: registry.example/slatest:0.1.0
    image_pull_policy: if_not_present
    image_pull_secrets: [registry]
    namespace: load
    coordinator: slatest.load.svc:7420
    workers: 2
    service_account: load
    priority_class: batch
    resources: { requests: { cpu: 2, memory: 512Mi }, limits: { memory: 1Gi } }
    node_selector: { pool: load }
    tolerations: [{ key: dedicated, value: load, effect: no_schedule }, { key: spot }]
    spread: required
    labels: { team: qa }
    annotations: { example.com/why: \"a load test\" }
    env_from_secrets: [staging]
    env: { KAFKA_PASSWORD: { secret: kafka, key: password } }
    secret_folders: [{ secret: amqp, at: /run/secrets/amqp }]
";

    fn whole() -> JobSettings {
        let target: Target = Source::new("targets/t.yaml", SECTION, "targets").parse().unwrap();
        JobSettings { image: None, section: target.agents.unwrap().kubernetes.unwrap(), ..settings() }
    }

    #[test]
    fn the_job_with_all_that_a_section_can_say() {
        insta::assert_json_snapshot!(agents_job(&whole()).unwrap());
    }

    #[test]
    fn the_job_with_nothing_said_but_an_image() {
        insta::assert_json_snapshot!(agents_job(&settings()).unwrap());
    }

    #[test]
    fn the_token_is_in_the_secret_and_nowhere_else() {
        let settings = whole();
        let job = serde_json::to_string(&agents_job(&settings).unwrap()).unwrap();
        let token = settings.token.expose_secret();
        let encoded = ByteString(token.as_bytes().to_vec());
        assert!(!job.contains(token) && !job.contains(serde_json::to_string(&encoded).unwrap().trim_matches('"')));
        let secret = agents_secret(&settings, "uid-1");
        assert_eq!(secret.data.as_ref().unwrap()[TOKEN], encoded);
        let owner = &secret.metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("Job", "uid-1"));
        assert!(!format!("{settings:?}").contains(token), "settings may be logged");
    }

    #[test]
    fn labels_of_a_user_never_take_the_place_of_our_own() {
        let mut settings = settings();
        settings.section.labels.insert(RUN_LABEL.parse().unwrap(), "another".parse().unwrap());
        let job = agents_job(&settings).unwrap();
        assert_eq!(job.metadata.labels.unwrap()[RUN_LABEL], settings.name());
    }
}
