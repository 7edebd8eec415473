//! The Job on the cluster: made whole or not at all, watched, deleted.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions};
use kube::runtime::watcher::{self, Event as Seen};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Client, ResourceExt as _};
use tokio::time::{Instant, sleep, timeout};

use super::error::KubernetesError;
use super::news::{News, Roster};
use super::objects::{RUN_LABEL, agents_job, agents_secret};
use super::settings::JobSettings;

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Longest time until everything is deleted: the pods' own grace, and as much again.
const DELETED_WITHIN: Duration = Duration::from_secs(60);
/// How long a deletion that failed is left alone, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Annotation that tells a Job made by this very attempt from another of its name.
const ATTEMPT: &str = "slatest/attempt";

/// Waits for an answer, no longer than is sensible.
async fn asked<T>(
    doing: &'static str,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, KubernetesError> {
    match timeout(ANSWER, request).await {
        Ok(answer) => answer.map_err(|error| KubernetesError::new(doing, error)),
        Err(_) => Err(KubernetesError::Slow { doing, secs: ANSWER.as_secs() }),
    }
}

/// What isn't there is deleted, and what is another one by now isn't ours.
async fn unless_gone<T>(deletion: impl Future<Output = Result<T, kube::Error>>) -> Result<(), kube::Error> {
    match deletion.await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A Job with its Secret on a cluster.
#[derive(Clone)]
pub struct RunningJob {
    client: Client,
    namespace: String,
    name: String,
    uid: String,
    /// None where it is not known to have been made.
    secret_uid: Option<String>,
    ends_after_secs: i64,
}

/// Starts the agents: the Job, then its Secret, which belongs to the Job and goes with it. Pods wait for it.
/// What was made is taken away again when it fails half way. Must be awaited to its end: whoever drops it
/// half way leaves what there is to the Job's deadline.
///
/// # Errors
/// When the settings make no Job, or the cluster doesn't do as it is asked.
pub async fn start(client: Client, settings: &JobSettings) -> Result<RunningJob, KubernetesError> {
    settings.check()?;
    let named = settings.namespace.clone().or_else(|| settings.section.namespace.as_ref().map(ToString::to_string));
    let namespace = named.unwrap_or_else(|| client.default_namespace().to_owned());
    let name = settings.name();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    // Nothing is made that couldn't be watched.
    let none = ListParams::default().labels(&format!("{RUN_LABEL}={name}")).limit(1);
    asked("listing pods", pods.list(&none)).await?;
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    let attempt = uuid::Uuid::new_v4().to_string();
    let mut job = agents_job(settings)?;
    job.metadata.annotations.get_or_insert_default().insert(ATTEMPT.into(), attempt.clone());
    let is_own = |job: &Job| job.annotations().get(ATTEMPT) == Some(&attempt);
    let made = match asked("creating a Job", jobs.create(&PostParams::default(), &job)).await {
        Ok(made) => Ok(made),
        // Nobody knows whether it was made: an answer may be lost, or the request sent twice.
        Err(error) => match asked("looking for the Job", jobs.get_opt(&name)).await {
            Ok(Some(found)) if is_own(&found) => Ok(found),
            Ok(Some(_)) => Err(KubernetesError::Taken(format!("the Job {name} in {namespace}"))),
            Ok(None) | Err(_) => Err(error),
        },
    }?;
    let ends_after_secs = job.spec.and_then(|spec| spec.active_deadline_seconds).unwrap_or_default();
    let uid = made.metadata.uid.unwrap_or_default();
    let mut running = RunningJob {
        client: client.clone(),
        namespace: namespace.clone(),
        name,
        uid,
        secret_uid: None,
        ends_after_secs,
    };
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let secret = agents_secret(settings, &running.uid);
    match asked("creating a Secret", secrets.create(&PostParams::default(), &secret)).await {
        Ok(made) => running.secret_uid = made.metadata.uid,
        Err(error) => {
            return Err(match running.delete().await {
                Ok(()) => error,
                // The user must know of what is left; why it came to that is the lesser trouble.
                Err(left) => {
                    tracing::error!("{error}");
                    left
                }
            });
        }
    }
    Ok(running)
}

impl RunningJob {
    /// Name of the Job and its Secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Watches the pods from now on. What was before is told first.
    pub fn watch(&self) -> Watch {
        let selector = format!("{RUN_LABEL}={}", self.name);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let warnings = watcher::Config::default().fields("type=Warning");
        Watch {
            job: self.name.clone(),
            pods: watch(pods, watcher::Config::default().labels(&selector)).default_backoff().boxed(),
            events: Some(watch(events, warnings).default_backoff().boxed()),
            roster: Roster::default(),
            present: Vec::new(),
            listed: Vec::new(),
            broken: false,
            next: VecDeque::new(),
        }
    }

    /// Deletes it with its pods and its Secret, and waits until it is gone.
    ///
    /// # Errors
    /// When it is still there after a minute, with what to do.
    pub async fn delete(&self) -> Result<(), KubernetesError> {
        let deadline = Instant::now() + DELETED_WITHIN;
        let mut pause = RETRY.0;
        loop {
            let reason = match timeout(deadline.saturating_duration_since(Instant::now()), self.try_delete()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "its pods are still ending".to_owned(),
            };
            if Instant::now() + pause >= deadline {
                return Err(KubernetesError::Left {
                    name: self.name.clone(),
                    namespace: self.namespace.clone(),
                    reason,
                    ends_after_secs: self.ends_after_secs,
                });
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    async fn try_delete(&self) -> Result<(), KubernetesError> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        // Only this very Job: whatever else has its name by now is somebody else's.
        let own = Preconditions { uid: Some(self.uid.clone()), resource_version: None };
        let whole = DeleteParams::foreground().preconditions(own);
        asked("deleting the Job", unless_gone(jobs.delete(&self.name, &whole))).await?;
        // Credentials don't wait for the pods' grace, nor for the cluster's collector, which takes what is not
        // known here. Nobody needs the right to read Secrets for that.
        if let Some(uid) = &self.secret_uid {
            let own = Preconditions { uid: Some(uid.clone()), resource_version: None };
            let only = DeleteParams::default().preconditions(own);
            asked("deleting the Secret", unless_gone(secrets.delete(&self.name, &only))).await?;
        }
        let mut pause = RETRY.0;
        while asked("looking for the Job", jobs.get_metadata_opt(&self.name))
            .await?
            .is_some_and(|job| job.metadata.uid.as_deref() == Some(&self.uid))
        {
            sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
        Ok(())
    }
}

/// What is worth telling of a watch that broke. Its end and a version that is forgotten are everyday: it is
/// begun anew, and only where that fails is the cluster away.
fn trouble(error: watcher::Error) -> Option<String> {
    let doing = "watching the pods";
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            Some(KubernetesError::new(doing, error).to_string())
        }
        watcher::Error::WatchError(status) if status.code != 410 => Some(status.message),
        watcher::Error::NoResourceVersion => Some(error.to_string()),
        watcher::Error::WatchError(_) | watcher::Error::WatchFailed(_) => None,
    }
}

type Sightings<K> = Pin<Box<dyn Stream<Item = Result<Seen<K>, watcher::Error>> + Send>>;

/// News of a Job's pods, as they come.
pub struct Watch {
    job: String,
    pods: Sightings<Pod>,
    /// None where the cluster doesn't let us read them.
    events: Option<Sightings<Event>>,
    roster: Roster,
    /// The pods that are there, to tell after a break which went meanwhile.
    present: Vec<Pod>,
    listed: Vec<Pod>,
    broken: bool,
    next: VecDeque<News>,
}

impl Watch {
    /// The next piece of news. Never ends by itself; nothing is lost when it is dropped while waiting.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.next.pop_front() {
                return news;
            }
            let events = &mut self.events;
            let event = async {
                match events {
                    Some(events) => events.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                pod = self.pods.next() => match pod {
                    Some(pod) => self.pod(pod),
                    None => std::future::pending().await,
                },
                event = event => match event {
                    Some(event) => self.event(event),
                    None => self.events = None,
                },
            }
        }
    }

    fn pod(&mut self, seen: Result<Seen<Pod>, watcher::Error>) {
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                if let Some(reason) = trouble(error)
                    && !std::mem::replace(&mut self.broken, true)
                {
                    self.next.push_back(News::trouble(format!("the pods can't be watched, trying again: {reason}")));
                }
                return;
            }
        };
        // A list that only begins may fail again.
        self.broken &= matches!(seen, Seen::Init | Seen::InitApply(_));
        match seen {
            Seen::Init => self.listed.clear(),
            Seen::InitApply(pod) => {
                self.next.extend(self.roster.seen(&pod));
                self.listed.push(pod);
            }
            Seen::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                for pod in std::mem::take(&mut self.present) {
                    if !listed.iter().any(|other| other.metadata.name == pod.metadata.name) {
                        self.next.extend(self.roster.gone(&pod));
                    }
                }
                self.present = listed;
            }
            Seen::Apply(pod) => {
                self.next.extend(self.roster.seen(&pod));
                self.present.retain(|other| other.metadata.name != pod.metadata.name);
                self.present.push(pod);
            }
            Seen::Delete(pod) => {
                self.next.extend(self.roster.gone(&pod));
                self.present.retain(|other| other.metadata.name != pod.metadata.name);
            }
        }
    }

    fn event(&mut self, seen: Result<Seen<Event>, watcher::Error>) {
        match seen {
            Ok(Seen::Apply(event) | Seen::InitApply(event)) => {
                self.next.extend(self.roster.warned(&event, &self.job));
            }
            Ok(Seen::Delete(_) | Seen::Init | Seen::InitDone) => {}
            Err(watcher::Error::InitialListFailed(kube::Error::Api(status))) if status.code == 403 => {
                self.events = None;
                let message = "events can't be read (forbidden): why a pod can't be made or mounted won't be told";
                self.next.push_back(News::trouble(message));
            }
            // The pods' own watch says that the cluster is away.
            Err(_) => {}
        }
    }
}
