//! Who makes pods of a Job, runs their processes and takes everything away again.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::Command;

use super::cluster::{Cluster, Fate};
use super::pods;

/// How long a pod gets to end by itself.
const GRACE: Duration = Duration::from_secs(20);

/// The processes of pods.
pub struct Kubelet {
    running: BTreeMap<String, u32>,
}

impl Kubelet {
    pub const fn new() -> Self {
        Self { running: BTreeMap::new() }
    }

    /// Their process ids.
    pub fn running(&self) -> Vec<u32> {
        self.running.values().copied().collect()
    }
}

/// Makes a Job's pods, each with its fate.
pub fn pods_of(cluster: &Cluster, job: &Value) {
    let count = job["spec"]["completions"].as_u64().unwrap_or(0) as usize;
    for index in 0..count {
        make(cluster, job, index);
    }
}

fn make(cluster: &Cluster, job: &Value, index: usize) {
    let (name, fate) = cluster.change(|state| {
        let fate = state.fate(index);
        let mut pod = pods::of(state, job, index);
        match &fate {
            Fate::Unschedulable(reason) => pod["status"] = pods::unschedulable(reason),
            Fate::Runs => {
                pod["spec"]["nodeName"] = format!("node-{index}").into();
                pod["status"] = pods::running();
            }
            Fate::Process => {
                pod["spec"]["nodeName"] = format!("node-{index}").into();
                pod["status"] = pods::placed();
            }
        }
        let made = state.put("pods", pod);
        (made["metadata"]["name"].as_str().unwrap_or_default().to_owned(), fate)
    });
    if fate == Fate::Process {
        cluster.spawn(run(cluster.clone(), name));
    }
}

/// A node's part: mounts, variables, a process, and how it ended.
async fn run(cluster: Cluster, name: String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(pod) = mounted(&cluster, &name, folder.path()).await else { return };
    let container = &pod["spec"]["containers"][0];
    let index = pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"].as_str().unwrap_or_default();
    let mut arguments: Vec<String> = Vec::new();
    for argument in container["args"].as_array().into_iter().flatten() {
        let mut text = argument.as_str().unwrap_or_default().replace("$(JOB_COMPLETION_INDEX)", index);
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let at = mount["mountPath"].as_str().unwrap_or_default();
            if text == at || text.starts_with(&format!("{at}/")) {
                text = format!("{}{text}", folder.path().display());
                break;
            }
        }
        arguments.push(text);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_slatest"));
    command.args(&arguments).current_dir(folder.path()).stdin(Stdio::null());
    command.env_clear().env("JOB_COMPLETION_INDEX", index).env("TMPDIR", folder.path().join("tmp"));
    let mut child = match command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn() {
        Ok(child) => child,
        Err(error) => return cluster.becomes(&name, None, pods::waiting("RunContainerError", &error.to_string())),
    };
    let pid = child.id().unwrap_or_default();
    cluster.kubelet.lock().expect("a kubelet").running.insert(name.clone(), pid);
    cluster.becomes(&name, None, pods::running());
    let mut stderr = child.stderr.take().expect("a pipe");
    let mut said = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stderr, &mut said).await;
    let code = child.wait().await.ok().and_then(|status| status.code());
    cluster.kubelet.lock().expect("a kubelet").running.remove(&name);
    let text = String::from_utf8_lossy(&said).into_owned();
    let last: Vec<&str> = text.lines().rev().take(5).collect();
    let message = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    // One that was evicted stays so.
    let over = cluster.state().get("pods", &name).is_none_or(|pod| pod["status"]["phase"] == "Failed");
    if !over {
        let code = code.unwrap_or(137);
        cluster.becomes(&name, None, pods::ended(code, if code == 0 { "" } else { &message }));
    }
}

/// Waits for the Secrets that a pod mounts, and writes what they hold where its folders are.
async fn mounted(cluster: &Cluster, name: &str, folder: &Path) -> Option<Value> {
    let mut changes = cluster.changes();
    loop {
        changes.borrow_and_update();
        let pod = cluster.state().get("pods", name).cloned()?;
        if mount(cluster, &pod, folder) {
            return Some(pod);
        }
        changes.changed().await.ok()?;
    }
}

fn mount(cluster: &Cluster, pod: &Value, folder: &Path) -> bool {
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().cloned().unwrap_or_default();
    for mount in mounts {
        let volumes = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).cloned().unwrap_or_default();
        let at = folder.join(mount["mountPath"].as_str().unwrap_or_default().trim_start_matches('/'));
        std::fs::create_dir_all(&at).expect("a folder");
        let Some(secret) = volume["secret"]["secretName"].as_str() else { continue };
        let Some(secret) = cluster.state().get("secrets", secret).cloned() else { return false };
        for (key, value) in secret["data"].as_object().into_iter().flatten() {
            let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default());
            let file = at.join(key);
            std::fs::write(&file, bytes.expect("base64")).expect("the file can be written");
            let mode = volume["secret"]["defaultMode"].as_u64().unwrap_or(0o644) as u32;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("its mode");
        }
    }
    true
}

impl Cluster {
    /// A node that runs out of memory ends a pod; the Job makes another one in its place.
    pub fn evict(&self, pod: &str, reason: &str) {
        self.becomes(pod, None, pods::evicted(reason));
        let pid = self.kubelet.lock().expect("a kubelet").running.get(pod).copied();
        if let Some(pid) = pid {
            signal(pid, Signal::SIGKILL);
        }
        let (job, index) = {
            let state = self.state();
            let Some(object) = state.get("pods", pod) else { return };
            let labels = &object["metadata"]["labels"];
            let label = |key: &str| labels[key].as_str().unwrap_or_default().to_owned();
            let index = label("batch.kubernetes.io/job-completion-index").parse::<usize>();
            (state.get("jobs", &label("batch.kubernetes.io/job-name")).cloned(), index)
        };
        if let (Some(job), Ok(index)) = (job, index) {
            let ignored = job["spec"]["podFailurePolicy"]["rules"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|rule| rule["action"] == "Ignore" && rule["onPodConditions"][0]["type"] == "DisruptionTarget");
            if ignored {
                make(self, &job, index);
            }
        }
    }

    /// A warning of the cluster.
    pub fn warn(&self, object: &str, reason: &str, message: &str) {
        self.change(|state| {
            let name = format!("{object}.{:x}", state.serial());
            state.put(
                "events",
                json!({
                    "apiVersion": "v1", "kind": "Event", "metadata": { "name": name, "namespace": "load" },
                    "involvedObject": { "name": object, "namespace": "load" },
                    "type": "Warning", "reason": reason, "message": message,
                }),
            )
        });
    }
}

fn signal(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX)), signal);
}

/// Deletes a Job in the foreground: its pods first, then itself, then what belongs to it.
pub fn delete(cluster: &Cluster, name: &str) {
    cluster.change(|state| {
        if let Some(mut job) = state.get("jobs", name).cloned() {
            job["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            job["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
            state.put("jobs", job);
        }
    });
    cluster.spawn(collect(cluster.clone(), name.to_owned()));
}

async fn collect(cluster: Cluster, job: String) {
    let Some(owner) = cluster.state().get("jobs", &job).map(|job| job["metadata"]["uid"].clone()) else { return };
    let owned = |object: &Value| {
        object["metadata"]["ownerReferences"].as_array().into_iter().flatten().any(|owner_| owner_["uid"] == owner)
    };
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let pods: Vec<String> = cluster.state().all("pods").iter().filter(|pod| owned(pod)).map(name).collect();
    let alive = |cluster: &Cluster| -> Vec<u32> {
        let kubelet = cluster.kubelet.lock().expect("a kubelet");
        pods.iter().filter_map(|pod| kubelet.running.get(pod).copied()).collect()
    };
    for pid in alive(&cluster) {
        signal(pid, Signal::SIGTERM);
    }
    let since = tokio::time::Instant::now();
    while !alive(&cluster).is_empty() {
        if since.elapsed() > GRACE {
            alive(&cluster).into_iter().for_each(|pid| signal(pid, Signal::SIGKILL));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.change(|state| {
        for pod in &pods {
            state.take("pods", pod);
        }
        state.take("jobs", &job);
        let secrets: Vec<String> = state.all("secrets").iter().filter(|secret| owned(secret)).map(name).collect();
        for secret in secrets {
            state.take("secrets", &secret);
        }
    });
}
