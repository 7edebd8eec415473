//! What becomes of the pods, in words. Pure: pods and events in, news out, each thing told once.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ContainerState, Event, Pod, PodCondition, PodStatus};

use super::pod::CONTAINER;
use slatest_core::text::plain;

/// Annotation and label with an agent's number.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Most letters of what the cluster says that are passed on.
const WORDS_MAX: usize = 600;
/// How often a pod's wait is told anew when its reason changes.
const WAITS_TOLD_MAX: u32 = 3;
/// Most different reasons that are remembered; past that, each is told whole.
const REASONS_MAX: usize = 1_000;
/// Reasons of events that a pod's status doesn't tell.
const TOLD_BY_EVENTS: [&str; 4] = ["FailedCreate", "FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"];

/// What kind of news it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NewsKind {
    /// A pod has a node.
    Placed,
    /// Its agent runs.
    Started,
    /// It can't start as things are; the cluster goes on trying.
    Waiting,
    /// It is gone before its time: evicted, preempted, killed, failed, deleted.
    Lost,
    /// Its agent ended as it should.
    Ended,
    /// What watching, creating or deleting stumbled over.
    Trouble,
}

/// Something that became of a pod or of the Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// What kind of news it is.
    pub kind: NewsKind,
    /// Number of the agent, where it is about one.
    pub agent: Option<u32>,
    /// One line for people, the agent named in it.
    pub message: String,
}

impl News {
    /// What is about no pod.
    pub(super) fn trouble(message: impl AsRef<str>) -> Self {
        Self { kind: NewsKind::Trouble, agent: None, message: short(message.as_ref()) }
    }
}

/// What was told of each pod.
#[derive(Debug, Default)]
pub(super) struct Roster {
    pods: BTreeMap<String, Told>,
    /// Pods that had an index before.
    forerunners: BTreeMap<u32, String>,
    reasons: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<(NewsKind, String)>,
    waits: u32,
}

impl Roster {
    /// A pod as it is now.
    pub(super) fn seen(&mut self, pod: &Pod) -> Option<News> {
        let name = pod.metadata.name.clone()?;
        let (kind, what) = reading(pod)?;
        let told = self.pods.entry(name.clone()).or_default();
        if let Some((last, message)) = &told.last {
            let over = matches!(last, NewsKind::Lost | NewsKind::Ended);
            // A pod's status may be read out of order after the watch broke.
            let back = *last == NewsKind::Started && kind <= NewsKind::Started;
            if over || back || (*last == kind && (kind != NewsKind::Waiting || *message == what)) {
                return None;
            }
        }
        if kind == NewsKind::Waiting {
            told.waits += 1;
            if told.waits > WAITS_TOLD_MAX {
                return None;
            }
        }
        told.last = Some((kind, what.clone()));
        let agent = index(pod);
        let mut message = format!("{} {what}", who(agent, &name));
        if kind == NewsKind::Waiting {
            message = self.once(agent, &name, what);
        }
        if kind == NewsKind::Started
            && let Some(agent) = agent
            && self.forerunners.insert(agent, name.clone()).is_some_and(|before| before != name)
        {
            message.push_str(", in the place of one that is gone");
        }
        Some(News { kind, agent, message: short(&message) })
    }

    /// A reason that many pods share is told whole once.
    fn once(&mut self, agent: Option<u32>, name: &str, what: String) -> String {
        if self.reasons.contains(&what) {
            let (start, _) = what.split_once(':').unwrap_or((&what, ""));
            return format!("{} {start} either, for the same reason", who(agent, name));
        }
        let message = format!("{} {what}", who(agent, name));
        if self.reasons.len() < REASONS_MAX {
            self.reasons.insert(what);
        }
        message
    }

    /// A pod is no more.
    pub(super) fn gone(&mut self, pod: &Pod) -> Option<News> {
        // Its last state often comes with the word that it is gone.
        let last = self.seen(pod).filter(|news| matches!(news.kind, NewsKind::Lost | NewsKind::Ended));
        let name = pod.metadata.name.clone()?;
        let told = self.pods.remove(&name);
        if last.is_some() || matches!(told.and_then(|t| t.last), Some((NewsKind::Lost | NewsKind::Ended, _))) {
            return last;
        }
        let agent = index(pod);
        Some(News { kind: NewsKind::Lost, agent, message: format!("{} was deleted by somebody", who(agent, &name)) })
    }

    /// A warning of the cluster about the Job or one of its pods.
    pub(super) fn warned(&mut self, event: &Event, job: &str) -> Option<News> {
        let object = event.involved_object.name.as_deref()?;
        let own = object == job || object.strip_prefix(job).is_some_and(|rest| rest.starts_with('-'));
        let reason = event.reason.as_deref().unwrap_or_default();
        if !own || !TOLD_BY_EVENTS.contains(&reason) {
            return None;
        }
        let said = event.message.as_deref().unwrap_or(reason).to_owned();
        if self.reasons.contains(&said) || self.reasons.len() >= REASONS_MAX {
            return None;
        }
        self.reasons.insert(said.clone());
        if reason == "FailedCreate" {
            return Some(News::trouble(format!("pods can't be created: {said}")));
        }
        let agent = object.strip_prefix(job).and_then(|rest| rest.split('-').nth(1)).and_then(|n| n.parse().ok());
        let message = short(&format!("{} can't start: {said}", who(agent, object)));
        Some(News { kind: NewsKind::Waiting, agent, message })
    }
}

fn who(agent: Option<u32>, pod: &str) -> String {
    agent.map_or_else(|| format!("the pod {pod}"), |agent| format!("agent {agent}"))
}

fn index(pod: &Pod) -> Option<u32> {
    let written = |all: &Option<BTreeMap<String, String>>| all.as_ref()?.get(INDEX)?.parse().ok();
    written(&pod.metadata.annotations).or_else(|| written(&pod.metadata.labels))
}

fn short(text: &str) -> String {
    let line = plain(text.trim());
    match line.char_indices().nth(WORDS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

fn because(said: Option<&str>) -> String {
    said.map(str::trim).filter(|said| !said.is_empty()).map_or_else(String::new, |said| format!(": {said}"))
}

/// What a pod's state says, after `agent 3 …`.
fn reading(pod: &Pod) -> Option<(NewsKind, String)> {
    let status = pod.status.as_ref()?;
    let phase = status.phase.as_deref().unwrap_or_default();
    if phase == "Succeeded" {
        return Some((NewsKind::Ended, "has ended".into()));
    }
    if let Some(message) = taken_away(pod, status) {
        return Some((NewsKind::Lost, message));
    }
    if phase == "Failed" {
        return Some((NewsKind::Lost, failed(pod, status)));
    }
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    if let Some(condition) = condition(status, "PodScheduled")
        && condition.status == "False"
    {
        let said = because(condition.message.as_deref());
        return Some((NewsKind::Waiting, format!("can't be placed on a node{said}")));
    }
    if let Some(waiting) = container(status).and_then(|state| state.waiting) {
        let said = because(waiting.message.as_deref());
        let message = match waiting.reason.as_deref().unwrap_or_default() {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "RegistryUnavailable" => {
                let image = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.clone());
                format!("can't start, its image {} can't be pulled{said}", image.unwrap_or_default())
            }
            "CreateContainerConfigError" => format!("can't start, something that it needs is missing{said}"),
            "CreateContainerError" | "RunContainerError" | "StartError" => format!("can't start{said}"),
            _ => return node.map(|node| (NewsKind::Placed, format!("is placed on {node}"))),
        };
        return Some((NewsKind::Waiting, message));
    }
    let node = node?;
    match phase {
        "Running" => Some((NewsKind::Started, format!("runs on {node}"))),
        _ => Some((NewsKind::Placed, format!("is placed on {node}"))),
    }
}

fn condition<'p>(status: &'p PodStatus, kind: &str) -> Option<&'p PodCondition> {
    status.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

fn container(status: &PodStatus) -> Option<ContainerState> {
    status.container_statuses.as_ref()?.iter().find(|c| c.name == CONTAINER)?.state.clone()
}

/// Words for a pod that the cluster ended.
fn taken_away(pod: &Pod, status: &PodStatus) -> Option<String> {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("its node");
    if status.reason.as_deref() == Some("Evicted") {
        return Some(format!("was evicted by {node}{}", because(status.message.as_deref())));
    }
    let condition = condition(status, "DisruptionTarget").filter(|condition| condition.status == "True")?;
    let said = because(condition.message.as_deref());
    Some(match condition.reason.as_deref().unwrap_or_default() {
        "PreemptionByScheduler" => format!("was preempted: a pod of higher priority takes its place on {node}{said}"),
        "EvictionByEvictionAPI" => format!("was evicted from {node}, which is drained or wanted by somebody{said}"),
        "DeletionByTaintManager" => format!("was sent away from {node} by a taint that it doesn't tolerate{said}"),
        "DeletionByPodGC" => format!("is gone with {node}{said}"),
        "TerminationByKubelet" => format!("was evicted by {node}{said}"),
        other => format!("was ended by the cluster ({other}){said}"),
    })
}

/// Words for a pod that ended with an error of its own.
fn failed(pod: &Pod, status: &PodStatus) -> String {
    if let Some(ended) = container(status).and_then(|state| state.terminated) {
        if ended.reason.as_deref() == Some("OOMKilled") {
            let limits = pod.spec.as_ref().and_then(|s| s.containers.first()?.resources.as_ref()?.limits.clone());
            let limit = limits.and_then(|all| all.get("memory").map(|q| format!(" of {}", q.0))).unwrap_or_default();
            return format!("was killed: it used more memory than its limit{limit} (agents.kubernetes.resources)");
        }
        let said = because(ended.message.as_deref());
        return match ended.signal.filter(|signal| *signal != 0) {
            Some(signal) => format!("was killed by signal {signal}{said}"),
            None => format!("ended with exit code {}{said}", ended.exit_code),
        };
    }
    match status.reason.as_deref() {
        Some("DeadlineExceeded") => "was ended: the Job was there longer than its run can take".into(),
        reason => format!("failed{}", because(status.message.as_deref().or(reason))),
    }
}

#[cfg(test)]
mod tests;
