//! A run that needs no file: what the command line says of one URL or DSN, as a profile, a workload and a target.
//!
//! The three are texts, as a user would write them, and go through the same readers as files do. So a quick run and the
//! files that `--save` writes are the same by construction.

mod dsn;
mod http;
mod load;
mod queues;
mod secrets;
mod stores;
mod websocket;
mod words;

#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::{Map, Value, json};

use slatest_core::source::{Source, to_yaml};
use slatest_engine::profile::{Library, Shelf};

pub use http::HttpArgs;
pub use load::LoadArgs;
pub use queues::{AmqpArgs, KafkaArgs};
pub use secrets::Secrets;
pub use stores::{RedisArgs, SqlArgs};
pub use websocket::WebsocketArgs;

/// What is wrong with a command line, in words for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuickError {
    /// Something that can't be meant.
    #[error("{0}")]
    Usage(String),
    /// A host that nobody allowed.
    #[error(
        "{host} is not this machine, and load goes only where it is allowed: add --allow {host} if you may send load there"
    )]
    NotAllowed {
        /// The host.
        host: String,
    },
    /// A secret that can't be kept for the run.
    #[error("{0}")]
    Secret(String),
}

impl QuickError {
    /// A mistake in what was typed.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }
}

/// What one protocol makes of its arguments.
#[derive(Debug)]
pub struct Request {
    /// The driver of the workload; also the name of the three files.
    driver: &'static str,
    /// The section of the target's endpoint.
    endpoint: Value,
    /// Hosts that it names.
    hosts: Vec<String>,
    /// The workload's settings; empty ones are left out.
    settings: Map<String, Value>,
    /// Name of its one operation.
    operation: String,
    /// What is sent.
    request: Value,
    /// What must hold of the answer.
    check: Option<Value>,
}

/// The three files of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Name of the profile, the workload and the target.
    pub name: &'static str,
    /// Text of the profile.
    pub profile: String,
    /// Text of the workload.
    pub workload: String,
    /// Text of the target.
    pub target: String,
}

/// The name by which the target's endpoint is known to the workload.
const ENDPOINT: &str = "service";

impl Files {
    /// Writes them for a request and its load.
    ///
    /// # Errors
    /// A host that is neither this machine nor allowed.
    pub fn new(request: &Request, load: &LoadArgs) -> Result<Self, QuickError> {
        let name = request.driver;
        let local = |host: &String| dsn::is_loopback(host);
        if let Some(host) = request.hosts.iter().find(|host| !local(host) && !load.allows(host)) {
            return Err(QuickError::NotAllowed { host: host.clone() });
        }
        let mut hosts = request.hosts.clone();
        hosts.extend(load.allow.iter().cloned());
        hosts.sort_unstable();
        hosts.dedup();
        // Nobody else uses this machine's own servers. Elsewhere the file says what is likely, for the reader of a saved one.
        let environment = if request.hosts.iter().all(local) { "sandbox" } else { "staging" };
        let target = json!({
            "name": name,
            "environment": environment,
            "allow": { "hosts": hosts },
            "endpoints": { ENDPOINT: request.endpoint },
        });
        let mut operation = Map::new();
        operation.insert("name".into(), json!(request.operation));
        operation.insert("timeout".into(), json!(load.timeout));
        operation.insert("request".into(), request.request.clone());
        if let Some(check) = &request.check {
            operation.insert("check".into(), check.clone());
        }
        let mut workload = Map::new();
        workload.insert("name".into(), json!(name));
        workload.insert("driver".into(), json!(name));
        workload.insert("endpoint".into(), json!(ENDPOINT));
        if !request.settings.is_empty() {
            workload.insert("settings".into(), Value::Object(request.settings.clone()));
        }
        workload.insert("operations".into(), json!([operation]));
        Ok(Self {
            name,
            profile: text(&load.profile(name))?,
            workload: text(&Value::Object(workload))?,
            target: text(&target)?,
        })
    }

    /// The three as (folder, text).
    pub fn each(&self) -> [(Shelf, &str); 3] {
        [(Shelf::Profiles, &self.profile), (Shelf::Workloads, &self.workload), (Shelf::Targets, &self.target)]
    }

    /// A library in which they are found by name before all others; `folder` is where relative paths start.
    pub fn library(&self, folder: &Path) -> Library {
        let mut library = Library::new(folder);
        for (shelf, text) in self.each() {
            let named = format!("command line, as {}/{}.yaml", shelf.folder(), self.name);
            library.put(shelf, self.name, Source::new(named, text, folder));
        }
        library
    }
}

/// A file's text.
fn text(value: &Value) -> Result<String, QuickError> {
    to_yaml(value).map_err(|reason| QuickError::usage(format!("what was typed {reason}")))
}
