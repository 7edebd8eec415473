//! The stand-in's memory: objects, their versions, who watches them, and what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::controller::Kubelet;
use super::server;

/// The token that the kubeconfig has.
pub const BEARER: &str = "the-kubeconfigs-token";
/// Longest wait for something that must come.
pub const SOON: Duration = Duration::from_secs(60);

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// `jobs`, `secrets`, `pods` or `events`.
    pub resource: String,
    pub query: String,
    pub body: Value,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This status and message, and nothing done.
    Refuse(u16, &'static str),
    /// Done, and then answered as if it had not been.
    DoneButLost,
}

/// What becomes of the pod of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A process of slatest.
    Process,
    /// Placed and said to run; nothing does.
    Runs,
    /// No node takes it, for this reason.
    Unschedulable(&'static str),
}

#[derive(Clone, Debug)]
struct Change {
    version: u64,
    resource: &'static str,
    kind: &'static str,
    object: Value,
}

#[derive(Default)]
pub struct State {
    version: u64,
    serial: u64,
    objects: BTreeMap<(&'static str, String), Value>,
    changes: Vec<Change>,
    pub asked: Vec<Asked>,
    /// What nobody should ask for.
    pub unexpected: Vec<String>,
    /// Answers to the next requests of (method, resource).
    scripted: Vec<(&'static str, &'static str, Answer)>,
    /// By index; the last one is for all that follow.
    pub fates: Vec<Fate>,
    /// Watches of this generation end.
    pub generation: u64,
    /// Changes before this version are forgotten: 410 for those who ask for them.
    pub forgotten: u64,
}

impl State {
    /// Puts an object in place, as it is or changed.
    pub fn put(&mut self, resource: &'static str, mut object: Value) -> Value {
        self.version += 1;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let before = self.objects.insert((resource, name), object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.changes.push(Change { version: self.version, resource, kind, object: object.clone() });
        object
    }

    pub fn take(&mut self, resource: &'static str, name: &str) -> Option<Value> {
        let mut object = self.objects.remove(&(resource, name.to_owned()))?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.changes.push(Change { version: self.version, resource, kind: "DELETED", object: object.clone() });
        Some(object)
    }

    pub fn get(&self, resource: &str, name: &str) -> Option<&Value> {
        self.objects.iter().find(|((r, n), _)| *r == resource && n == name).map(|(_, object)| object)
    }

    pub fn all(&self, resource: &str) -> Vec<Value> {
        self.objects.iter().filter(|((r, _), _)| *r == resource).map(|(_, object)| object.clone()).collect()
    }

    pub const fn version(&self) -> u64 {
        self.version
    }

    /// A number that nothing else has.
    pub fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Changes of a resource after a version, as lines of a watch.
    pub fn changes_after(&self, resource: &str, version: u64) -> Vec<(u64, Value, Value)> {
        let of = self.changes.iter().filter(|c| c.version > version && c.resource == resource);
        of.map(|c| (c.version, json!({ "type": c.kind, "object": c.object }), c.object.clone())).collect()
    }

    /// The scripted answer to a request, used up.
    pub fn answer(&mut self, method: &str, resource: &str) -> Option<Answer> {
        let at = self.scripted.iter().position(|(m, r, _)| *m == method && *r == resource)?;
        Some(self.scripted.remove(at).2)
    }

    pub fn fate(&self, index: usize) -> Fate {
        self.fates.get(index).or(self.fates.last()).cloned().unwrap_or(Fate::Runs)
    }
}

/// A cluster of one namespace, `load`.
#[derive(Clone)]
pub struct Cluster {
    pub address: std::net::SocketAddr,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
    pub kubelet: Arc<Mutex<Kubelet>>,
    runtime: Arc<OnceLock<Handle>>,
}

impl Cluster {
    /// Starts it on loopback, on a thread that lives as long as the tests.
    pub fn start(fates: &[Fate]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket that doesn't block");
        let cluster = Self {
            address: listener.local_addr().expect("an address"),
            state: Arc::new(Mutex::new(State { fates: fates.to_vec(), ..State::default() })),
            changed: watch::Sender::new(0),
            kubelet: Arc::new(Mutex::new(Kubelet::new())),
            runtime: Arc::default(),
        };
        let served = cluster.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let _ = served.runtime.set(runtime.handle().clone());
            runtime.block_on(server::serve(served, listener));
        });
        cluster
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes something and tells those who watch.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.send_modify(|generation| *generation += 1);
        result
    }

    /// Does something beside everything else.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.get().expect("a cluster that runs").spawn(work);
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The next such request is answered so.
    pub fn script(&self, method: &'static str, resource: &'static str, answer: Answer) {
        self.state().scripted.push((method, resource, answer));
    }

    /// Ends every watch that is open, as servers do now and then.
    pub fn break_watches(&self) {
        self.change(|state| state.generation += 1);
    }

    /// A client as the program makes one from a kubeconfig.
    pub fn client(&self) -> kube::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://{}", self.address).parse().expect("a URL");
        let mut config = kube::Config::new(url);
        config.default_namespace = "load".into();
        config.auth_info.token = Some(secrecy::SecretString::from(BEARER));
        kube::Client::try_from(config).expect("a client")
    }

    /// A kubeconfig that points here.
    pub fn kubeconfig(&self, folder: &std::path::Path) -> std::path::PathBuf {
        let file = folder.join("kubeconfig");
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stand-in",
            "clusters": [{ "name": "stand-in", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "tester", "user": { "token": BEARER } }],
            "contexts": [{ "name": "stand-in", "context": { "cluster": "stand-in", "user": "tester", "namespace": "load" } }],
        });
        std::fs::write(&file, text.to_string()).expect("the file can be written");
        file
    }

    /// Everything that is there but events, by name, and every process.
    pub fn left(&self) -> Vec<String> {
        let state = self.state();
        let objects = state.objects.keys().filter(|(resource, _)| *resource != "events");
        let mut left: Vec<String> = objects.map(|(resource, name)| format!("{resource}/{name}")).collect();
        drop(state);
        left.extend(self.kubelet.lock().expect("a kubelet").running().into_iter().map(|pid| format!("process {pid}")));
        left
    }

    /// Nothing is left, and nobody asked for what they shouldn't.
    pub fn assert_clean(&self) {
        let left = self.left();
        assert!(left.is_empty(), "left behind: {left:?}");
        let unexpected = self.state().unexpected.clone();
        assert!(unexpected.is_empty(), "{unexpected:?}");
    }
}
