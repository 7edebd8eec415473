//! The same agents for those who apply objects by hand, with a coordinator that runs beside them.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, ContainerPort, KeyToPath, PersistentVolumeClaimVolumeSource, PodTemplateSpec,
    Service, ServicePort, ServiceSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use secrecy::SecretString;
use serde_json::Value;

use super::objects::{RUN_LABEL, agents_job, labels, metadata};
use super::pod::{Parts, mount, pod};
use super::settings::{JobSettings, SettingsError, object_name};
use slatest_core::model::Nanos;
use slatest_core::target::KubernetesSection;

/// Where the coordinator listens.
const PORT: u16 = 7420;
/// Where the files of the run are mounted; the coordinator's working directory.
const FILES: &str = "/work";
/// Where results go.
const RESULTS: &str = "/results";
/// Most bytes of a ConfigMap, some kept for its own words.
const FILES_BYTES_MAX: usize = 1000 * 1024;
/// How long the coordinator waits for agents: somebody has to hand them the token.
const WAIT: &str = "15m";

/// A file of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedFile {
    /// Where it lies, from the working directory.
    pub path: String,
    /// What it holds.
    pub content: Vec<u8>,
}

/// What is to be applied by hand.
#[derive(Clone, Debug)]
pub struct ByHand {
    /// Name of the profile; the objects are called after it.
    pub profile: String,
    /// Namespace.
    pub namespace: String,
    /// How many agents.
    pub agents: u32,
    /// How long the plan is.
    pub length: Nanos,
    /// Image, when the section names none.
    pub image: Option<String>,
    /// What the coordinator is told beside the agents' number: `--profile`, `--target`, overrides.
    pub arguments: Vec<String>,
    /// The run's files.
    pub files: Vec<MountedFile>,
    /// A claim for the results; without one they go with the coordinator's pod, but for its log.
    pub claim: Option<String>,
    /// The target's `agents.kubernetes`.
    pub section: KubernetesSection,
}

/// Why there is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByHandError {
    /// As for those who don't apply by hand.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// More than a ConfigMap takes.
    #[error(
        "the files of this run have {0} KiB, and a ConfigMap takes {max}: put them into the image, or let feeds be made up (`generate`, `keys`)",
        max = FILES_BYTES_MAX / 1024
    )]
    TooLarge(usize),
    /// Can't be written.
    #[error("the manifest can't be written: {0}")]
    Written(String),
}

impl ByHand {
    /// Name of what the objects are called after.
    pub fn name(&self) -> String {
        object_name(&self.profile)
    }

    /// How to go on, for the head of the file.
    pub fn instructions(&self) -> String {
        let (name, namespace) = (self.name(), &self.namespace);
        let results = match &self.claim {
            Some(claim) => format!("# Results are in the claim {claim}."),
            None => "# Results go with the coordinator's pod: its log has the summary; --claim keeps them all.".into(),
        };
        format!(
            "# slatest {version}: {agents} agents and their coordinator.\n\
             #\n\
             #   kubectl apply --namespace {namespace} --filename THIS-FILE\n\
             #   kubectl logs --namespace {namespace} --follow job/{name}-coordinator\n\
             #\n\
             # The log has the token of this run (slatest1.…), which lets agents in for an hour. They wait for it\n\
             # in the Secret {name}: paste it, then Ctrl-D:\n\
             #\n\
             #   kubectl create secret generic {name} --namespace {namespace} --from-file=token=/dev/stdin\n\
             #\n\
             # The run starts when all agents are there. Afterwards:\n\
             #\n\
             #   kubectl delete job,service,configmap --namespace {namespace} --selector {RUN_LABEL}={name}\n\
             #   kubectl delete secret {name} --namespace {namespace}\n\
             #\n\
             {results}\n\
             # Each run has a token of its own: delete everything before the next.\n",
            version = env!("CARGO_PKG_VERSION"),
            agents = self.agents,
        )
    }
}

/// Every object, in the order in which they are applied.
///
/// # Errors
/// When they can't be made of what is there.
pub fn by_hand(wanted: &ByHand) -> Result<Vec<Value>, ByHandError> {
    let bytes: usize = wanted.files.iter().map(|file| file.content.len() + file.path.len()).sum();
    if bytes > FILES_BYTES_MAX {
        return Err(ByHandError::TooLarge(bytes.div_ceil(1024)));
    }
    let name = wanted.name();
    let settings = JobSettings {
        namespace: Some(wanted.namespace.clone()),
        agents: wanted.agents,
        run: name.clone(),
        coordinator_address: format!("{name}-coordinator.{}.svc:{PORT}", wanted.namespace),
        // Comes by hand, when the coordinator has made it.
        token: SecretString::default(),
        ca_pem: String::new(),
        length: wanted.length,
        image: wanted.image.clone(),
        section: wanted.section.clone(),
    };
    settings.check()?;
    let mut agents = agents_job(&settings)?;
    agents.metadata.name = Some(format!("{name}-agents"));
    let values = [
        serde_json::to_value(files(wanted, &name)),
        serde_json::to_value(service(wanted, &name)),
        serde_json::to_value(coordinator(wanted, &name, &settings)?),
        serde_json::to_value(agents),
    ];
    let placed = values.into_iter().map(|value| {
        let mut value = value.map_err(|error| ByHandError::Written(error.to_string()))?;
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("namespace".into(), wanted.namespace.clone().into());
        }
        Ok(value)
    });
    placed.collect()
}

/// Key of a file in the ConfigMap, which takes no slashes.
fn key(number: usize) -> String {
    format!("file-{number}")
}

fn files(wanted: &ByHand, name: &str) -> ConfigMap {
    let (mut texts, mut bytes) = (BTreeMap::new(), BTreeMap::new());
    for (number, file) in wanted.files.iter().enumerate() {
        match String::from_utf8(file.content.clone()) {
            Ok(text) => drop(texts.insert(key(number), text)),
            Err(other) => drop(bytes.insert(key(number), ByteString(other.into_bytes()))),
        }
    }
    ConfigMap {
        metadata: metadata(&wanted.section, &format!("{name}-files"), name, "files"),
        data: (!texts.is_empty()).then_some(texts),
        binary_data: (!bytes.is_empty()).then_some(bytes),
        ..Default::default()
    }
}

/// The coordinator's name in the cluster. Without an address of its own: agents dial its pod.
fn service(wanted: &ByHand, name: &str) -> Service {
    let full = format!("{name}-coordinator");
    let own = labels(&wanted.section, name, "coordinator");
    let selector = own.into_iter().filter(|(key, _)| key == RUN_LABEL || key == "app.kubernetes.io/component");
    Service {
        metadata: metadata(&wanted.section, &full, name, "coordinator"),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            selector: Some(selector.collect()),
            ports: Some(vec![ServicePort { name: Some("grpc".into()), port: PORT.into(), ..Default::default() }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn coordinator(wanted: &ByHand, name: &str, settings: &JobSettings) -> Result<Job, SettingsError> {
    let full = format!("{name}-coordinator");
    let mut args = vec!["coordinator".to_owned()];
    args.extend(wanted.arguments.iter().cloned());
    let listen = format!("0.0.0.0:{PORT}");
    let agents = wanted.agents.to_string();
    args.extend(["--agents", &agents, "--listen", &listen, "--wait", WAIT, "--out", RESULTS].map(str::to_owned));
    let items = wanted.files.iter().enumerate().map(|(number, file)| KeyToPath {
        key: key(number),
        path: file.path.clone(),
        ..Default::default()
    });
    let sources =
        ConfigMapVolumeSource { name: format!("{name}-files"), items: Some(items.collect()), ..Default::default() };
    let results = match &wanted.claim {
        Some(claim) => Volume {
            name: "results".into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.clone(),
                ..Default::default()
            }),
            ..Default::default()
        },
        None => Volume { name: "results".into(), empty_dir: Some(Default::default()), ..Default::default() },
    };
    let mut spec = pod(Parts {
        section: &wanted.section,
        image: settings.image()?,
        args,
        volumes: vec![Volume { name: "files".into(), config_map: Some(sources), ..Default::default() }, results],
        mounts: vec![mount("files", FILES, true), mount("results", RESULTS, false)],
        apart: None,
        // It reads the target as the agents do: credentials that are missing show before they start.
        credentials: true,
    });
    for container in &mut spec.containers {
        container.working_dir = Some(FILES.into());
        container.ports = Some(vec![ContainerPort { container_port: PORT.into(), ..Default::default() }]);
    }
    Ok(Job {
        metadata: metadata(&wanted.section, &full, name, "coordinator"),
        spec: Some(JobSpec {
            // A verdict that is not a pass ends it with an exit code of its own: nothing to try again.
            backoff_limit: Some(0),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(&wanted.section, name, "coordinator")),
                    ..Default::default()
                }),
                spec: Some(spec),
            },
            ..Default::default()
        }),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> ByHand {
        ByHand {
            profile: "peak".into(),
            namespace: "load".into(),
            agents: 20,
            length: Nanos::from_secs(140),
            image: Some("registry.example/slatest:1".into()),
            arguments: ["--profile", "profiles/peak.yaml", "--target", "targets/staging.yaml"]
                .map(str::to_owned)
                .into(),
            files: vec![
                MountedFile { path: "profiles/peak.yaml".into(), content: b"name: peak\n".to_vec() },
                MountedFile { path: "certs/ca.der".into(), content: vec![0xff, 0xfe] },
            ],
            claim: None,
            section: KubernetesSection::default(),
        }
    }

    #[test]
    fn files_are_mounted_where_they_lie() {
        let objects = by_hand(&wanted()).unwrap();
        let kinds: Vec<_> = objects.iter().map(|o| format!("{} {}", o["kind"], o["metadata"]["name"])).collect();
        assert_eq!(
            kinds.join(", ").replace('"', ""),
            "ConfigMap slatest-peak-files, Service slatest-peak-coordinator, Job slatest-peak-coordinator, Job slatest-peak-agents"
        );
        assert_eq!(objects[0]["data"]["file-0"], "name: peak\n");
        assert_eq!(objects[0]["binaryData"]["file-1"], "//4=");
        let pod = &objects[2]["spec"]["template"]["spec"];
        let items = pod["volumes"].as_array().unwrap().iter().find(|v| v["name"] == "files").unwrap();
        assert_eq!(items["configMap"]["items"][0]["path"], "profiles/peak.yaml");
        // Agents ask for the Service's name, and the Service for the coordinator's labels.
        let dialled = &objects[3]["spec"]["template"]["spec"]["containers"][0]["args"][2];
        assert_eq!(dialled, "slatest-peak-coordinator.load.svc:7420");
        for (key, value) in objects[1]["spec"]["selector"].as_object().unwrap() {
            assert_eq!(objects[2]["spec"]["template"]["metadata"]["labels"][key], *value);
        }
        // The Secret that the instructions have made is the one that agents mount.
        let text = objects[3].to_string();
        assert!(text.contains("\"secretName\":\"slatest-peak\""), "{text}");
        assert!(wanted().instructions().contains("create secret generic slatest-peak --namespace load"));
    }

    #[test]
    fn what_a_config_map_does_not_take_is_said() {
        let mut large = wanted();
        large.files[0].content = vec![b'x'; FILES_BYTES_MAX];
        assert!(matches!(by_hand(&large), Err(ByHandError::TooLarge(_))));
        let nameless = ByHand { image: None, ..wanted() };
        assert_eq!(by_hand(&nameless), Err(ByHandError::Settings(SettingsError::NoImage)));
    }
}
