//! Agents on a cluster for a caller without a runtime: they are there until this is dropped.

use std::thread::JoinHandle;

use kube::{Client, Config};
use tokio::sync::oneshot;

use super::error::KubernetesError;
use super::news::News;
use super::running::{RunningJob, start};
use super::settings::JobSettings;
use slatest_core::model::error_chain;
use slatest_core::say;

/// Agents on a cluster.
///
/// The coordinator listens and has its token first, then starts them, and ends them when its run is over,
/// however it ended:
///
/// ```no_run
/// # fn run(settings: slatest_cluster::kubernetes::JobSettings) -> Result<(), slatest_cluster::kubernetes::KubernetesError> {
/// use slatest_cluster::kubernetes::Placement;
/// use slatest_core::say;
/// let placement = Placement::start(settings, |news| say!("slatest: {}", news.message))?;
/// // … the run; Ctrl-C ends it early, and comes here too …
/// placement.end()?; // or drop: both delete the Job, its pods and its Secret
/// # Ok(())
/// # }
/// ```
///
/// Whoever is killed outright leaves what is there to the Job's deadline, half an hour after the plan's end.
pub struct Placement {
    name: String,
    namespace: String,
    /// Dropped to have everything deleted.
    stay: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), KubernetesError>>>,
}

impl Placement {
    /// Starts the agents on the cluster of the usual kubeconfig, and watches them: `tell` gets the news, on a
    /// thread of its own. Returns when Job and Secret are there; pods come later.
    ///
    /// # Errors
    /// When there is no cluster, or it doesn't do as it is asked; nothing is left of the attempt then.
    pub fn start(settings: JobSettings, tell: impl FnMut(News) + Send + 'static) -> Result<Self, KubernetesError> {
        settings.check()?;
        let (stay, leave) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| KubernetesError::Runtime(error.to_string()))?;
        let work = move || {
            runtime.block_on(async move {
                let running = match begin(&settings).await {
                    Ok(running) => running,
                    Err(error) => {
                        // Whoever asked waits for it.
                        let _ = ready.send(Err(error));
                        return Ok(());
                    }
                };
                let _ = ready.send(Ok((running.name().to_owned(), running.namespace().to_owned())));
                watch_until(&running, leave, tell).await
            })
        };
        let thread = std::thread::Builder::new()
            .name("kubernetes".into())
            .spawn(work)
            .map_err(|error| KubernetesError::Runtime(error.to_string()))?;
        match started.recv() {
            Ok(Ok((name, namespace))) => Ok(Self { name, namespace, stay: Some(stay), thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(KubernetesError::Runtime("its thread ended".into())),
        }
    }

    /// Name of the Job, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Namespace that it is in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Deletes the Job, its pods and its Secret, and waits for it: a minute at most.
    ///
    /// # Errors
    /// When something is left, with what to do.
    pub fn end(mut self) -> Result<(), KubernetesError> {
        self.leave()
    }

    fn leave(&mut self) -> Result<(), KubernetesError> {
        drop(self.stay.take());
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(end)) => end,
            Some(Err(_)) => Err(KubernetesError::Runtime("its thread panicked".into())),
        }
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            say!("slatest: {error}");
        }
    }
}

async fn begin(settings: &JobSettings) -> Result<RunningJob, KubernetesError> {
    // The one provider that is compiled in; it may be installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::infer().await.map_err(|error| KubernetesError::Config(error_chain(&error)))?;
    let client = Client::try_from(config).map_err(|error| KubernetesError::new("reading the kubeconfig", error))?;
    start(client, settings).await
}

async fn watch_until(
    running: &RunningJob,
    mut leave: oneshot::Receiver<()>,
    mut tell: impl FnMut(News),
) -> Result<(), KubernetesError> {
    let mut watch = running.watch();
    loop {
        tokio::select! {
            _ = &mut leave => break,
            news = watch.next() => tell(news),
        }
    }
    drop(watch);
    running.delete().await
}
