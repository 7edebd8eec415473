//! Drivers: one file or folder per protocol behind these traits, found by name in the registry.
//!
//! To add a protocol: write its folder, with its endpoint in `endpoint.rs`, a type for each section of its workload
//! files, a [`Driver`], a [`Workload`] and a [`Session`]; add its `mod` line here and its line to `registry.rs`; and run
//! the conformance suite against a real server. The tests' folder `toy/` is the smallest one that does it.
//!
//! A protocol's endpoint belongs to every build, its driver to those with its feature. So the module of a protocol whose
//! feature is off is its `endpoint.rs` alone.

// A print that fails panics: `slatest_core::terminal` writes.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[cfg_attr(not(feature = "amqp"), path = "amqp/endpoint.rs")]
mod amqp;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod awaited;
mod captured;
#[cfg(any(
    feature = "http",
    feature = "websocket",
    feature = "amqp",
    feature = "sql",
    feature = "redis",
    feature = "kafka"
))]
mod dial;
#[cfg(any(feature = "redis", feature = "websocket"))]
mod endpoint_url;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod envelope;
// What only some drivers need of it is idle where those are left out.
#[cfg_attr(
    not(all(feature = "amqp", feature = "http", feature = "redis", feature = "sql", feature = "websocket")),
    allow(dead_code)
)]
mod failure;
#[cfg(any(fuzzing, feature = "readers"))]
pub mod fuzzing;
mod generator;
#[cfg_attr(not(feature = "http"), path = "http/endpoint.rs")]
mod http;
mod identity;
#[cfg_attr(not(feature = "kafka"), path = "kafka/endpoint.rs")]
mod kafka;
// What only some drivers need of it is idle where those are left out.
#[cfg_attr(not(all(feature = "http", feature = "redis", feature = "sql", feature = "websocket")), allow(dead_code))]
mod large;
mod limit;
mod once;
mod outline;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod payload;
#[macro_use]
mod protocols;
mod read_back;
#[cfg_attr(not(feature = "redis"), path = "redis/endpoint.rs")]
mod redis;
mod registry;
#[cfg_attr(not(feature = "sql"), path = "sql/endpoint.rs")]
mod sql;
#[cfg(test)]
mod toy;
#[cfg_attr(not(feature = "websocket"), path = "websocket/endpoint.rs")]
mod websocket;
pub mod workload;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::{BoxFuture, LocalBoxFuture};
use schemars::Schema;

pub use generator::generator_fault;
pub use limit::{Elapsed, Limit};
pub use once::{Lifetime, Once, OnceSpec};
pub use outline::{Outline, outline};
pub use read_back::{ReadBack, ReadBackError, check_ledger};
#[cfg(test)]
pub(crate) use registry::Target;
pub use registry::{Endpoint, Protocol, driver, drivers, protocol};

use crate::workload::{LedgerSpec, OperationSpec};
use slatest_core::model::{Arrival, Clock, Completion, Nanos, Outcome, Problems};
use slatest_core::schedule::Share;
use slatest_core::source::Source;
use slatest_core::target::Guard;
use slatest_core::writes::LedgerSink;

/// Longest wait for an answer when an operation doesn't say.
pub const TIMEOUT_DEFAULT: Nanos = Nanos::from_secs(30);
/// Longest wait for a connection.
pub const CONNECT_TIMEOUT: Nanos = Nanos::from_secs(10);

/// A protocol.
pub trait Driver: Send + Sync {
    /// The name that workload files use.
    fn name(&self) -> &'static str;

    /// Reads a workload file and makes it ready to run. Contacts nobody.
    ///
    /// # Errors
    /// Every mistake in the file, each with its place.
    fn compile(&self, context: &CompileContext<'_>) -> Result<Arc<dyn Workload>, Problems>;

    /// JSON Schema of its workload files.
    fn schema(&self) -> Schema;
}

/// What a driver is given to compile a workload.
pub struct CompileContext<'a> {
    /// The workload file.
    pub source: &'a Source,
    /// The endpoint that the workload names, of a kind that the driver takes.
    pub endpoint: &'a Endpoint,
    /// Name of the endpoint, for errors.
    pub endpoint_name: &'a str,
    /// The target file, for errors about the endpoint.
    pub target: &'a Source,
    /// Folder that relative paths in the target file start from.
    pub target_folder: &'a Path,
    /// Hosts that may be contacted. Check each before contact, also those learnt later
    /// (redirects, advertised brokers, cluster nodes).
    pub guard: &'a Guard,
    /// Name of the scenario.
    pub scenario: &'a str,
    /// Sessions that the scenario asks for, where it does.
    pub sessions: Option<u64>,
    /// Seed of the run.
    pub seed: u64,
    /// Name of the run.
    pub run: &'a str,
}

/// An operation as the engine sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Its name within the workload.
    pub name: String,
    /// Share among operations and flows; 0 when only flows use it.
    pub weight: f64,
    /// Longest wait for the whole answer; the session keeps to it, the engine adds a margin.
    pub timeout: Nanos,
    /// Names of the parts of the whole that it reports (`connect`, `first_byte`, `pool_wait`…).
    pub timings: Vec<&'static str>,
    /// Names of the ratios that it reports (`hit_rate`).
    pub ratios: Vec<&'static str>,
    /// Whether its writes go to the ledger.
    pub ledger: bool,
}

impl Operation {
    /// What a workload file says of an operation, with the parts of the whole and the ratios that
    /// its driver reports of it.
    pub fn of<R, C, L: LedgerSpec>(
        spec: &OperationSpec<R, C, L>,
        timings: &[&'static str],
        ratios: &[&'static str],
    ) -> Self {
        Self {
            name: spec.name.value.clone(),
            weight: spec.weight.as_ref().map_or(1.0, |w| w.value),
            timeout: spec.timeout.map_or(TIMEOUT_DEFAULT, |t| t.0),
            timings: timings.to_vec(),
            ratios: ratios.to_vec(),
            ledger: spec.ledger.is_on(),
        }
    }
}

/// A flow as the engine sees it; nested flows are already unrolled.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Its name.
    pub name: String,
    /// Share among operations and flows.
    pub weight: f64,
    /// What it does.
    pub steps: Vec<Step>,
}

/// One step of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Executes an operation, by index.
    Operation(usize),
    /// Waits.
    Think(Nanos),
}

/// Which session it is, and where it lives.
#[derive(Clone)]
pub struct SessionContext {
    /// Number of the session in its scenario, over all workers; the user's number.
    pub index: u64,
    /// Number of the worker thread.
    pub worker: usize,
    /// What this worker has of the scenario: [`SessionContext::share_of`].
    pub share: Share,
    /// What this process, with all its workers, has of the scenario.
    pub process: Share,
    /// The run's clock.
    pub clock: Arc<dyn Clock>,
}

impl SessionContext {
    /// The worker's share of what the scenario has in all (connections, places in a pool). The shares of all
    /// workers of all agents add up to it, where it is no less than [`Workload::connections`]; a worker that
    /// has a part in the scenario has one at least.
    pub fn share_of(&self, total: usize) -> usize {
        let share = self.share.share_of(total as u64).max(1);
        usize::try_from(share).unwrap_or(total)
    }

    /// The same for this process, where its workers have something in common.
    pub fn process_share_of(&self, total: usize) -> usize {
        let share = self.process.share_of(total as u64).max(1);
        usize::try_from(share).unwrap_or(total)
    }
}

/// What a health check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// One line for people: version, nodes, round trip. No secret.
    pub detail: String,
}

/// An endpoint that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("endpoint `{endpoint}` ({address}): {reason}")]
pub struct Unreachable {
    /// Name of the endpoint.
    pub endpoint: String,
    /// Where it is, without credentials.
    pub address: String,
    /// Why, and what to do.
    pub reason: String,
}

/// A session that could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ConnectError {
    /// Outcome of the arrival that wanted it.
    pub outcome: Outcome,
    /// The kind of error, as in [`Completion::error`].
    pub kind: String,
}

/// Something that a workload found out about the run as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was checked, e.g. `convergence`.
    pub check: String,
    /// Whether it held.
    pub holds: bool,
    /// The figures in words.
    pub detail: String,
}

/// A compiled workload, shared by all workers. Everything that runs in the background runs on the
/// current thread's runtime and local set.
pub trait Workload: Send + Sync {
    /// What can be done; arrivals name these by index.
    fn operations(&self) -> &[Operation];

    /// Sequences; arrivals don't name these, the engine unrolls them.
    fn flows(&self) -> &[Flow] {
        &[]
    }

    /// What each user does before anything else; the engine executes it.
    fn once(&self) -> Option<&Once> {
        None
    }

    /// Sessions that must live on one worker come in groups of this size (the replicas of one
    /// document).
    fn session_group(&self) -> u64 {
        1
    }

    /// Connections that the scenario may have in all, over all workers and agents; `None`: as many as its sessions
    /// need. A scenario that may have fewer than there are workers is run by fewer of them.
    fn connections(&self) -> Option<u64> {
        None
    }

    /// Reaches the endpoint and signs in, without sending load. `check` calls it, and `run` before
    /// it starts.
    fn health(&self) -> BoxFuture<'_, Result<Health, Unreachable>>;

    /// Called once on every worker that has a part in the scenario, before its first session, e.g. to start consumers and wait
    /// until they have their partitions.
    fn prepare<'a>(&'a self, _seat: &'a SessionContext) -> LocalBoxFuture<'a, Result<(), ConnectError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Opens a session.
    fn connect<'a>(&'a self, context: &'a SessionContext)
    -> LocalBoxFuture<'a, Result<Box<dyn Session>, ConnectError>>;

    /// Called once after the last operation, while the sessions are still open: waits until the
    /// target is quiet, at most `patience`, and checks what can only be checked then.
    fn settle(&self, _patience: Nanos) -> LocalBoxFuture<'_, Vec<Finding>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// Where the workload records what it takes out of the store while the run goes on; told before the first
    /// session, when the run keeps a ledger.
    fn keep(&self, _ledger: LedgerSink) {}

    /// Finds what the store holds of the writes of operations with `ledger`, and tells [`ReadBack::found`] of
    /// each. Called when nobody writes any more. May block its thread.
    ///
    /// # Errors
    /// What keeps it from being read to the end: then nothing can be said.
    fn read_back<'a>(&'a self, _reading: &'a mut ReadBack<'_>) -> LocalBoxFuture<'a, Result<(), ReadBackError>> {
        let reason = "this driver can't read its writes back".to_owned();
        Box::pin(std::future::ready(Err(ReadBackError::Store(reason))))
    }

    /// Figures to show beside the latencies, read once a window (`consumer_lag`).
    fn gauges(&self) -> Vec<(String, f64)> {
        Vec::new()
    }
}

/// One user's connection and state. Lives and dies on one worker; never shared.
pub trait Session {
    /// Executes one operation within its timeout. Reconnects when the last one broke the
    /// connection. Never panics; every end is an outcome. Dropping the future must be safe.
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion>;

    /// What the user captured under this name.
    fn captured(&self, _name: &str) -> Option<&str> {
        None
    }

    /// Whether the target refused the last execution because it didn't know who asks (HTTP's 401).
    fn is_unauthorized(&self) -> bool {
        false
    }

    /// After how long a rest the user lets go of what it holds; `None`: never.
    fn idle_timeout(&self) -> Option<Nanos> {
        None
    }

    /// The user has rested for its idle timeout: it lets go of what it holds, and keeps what it knows.
    fn let_go(&mut self) {}

    /// Says goodbye to the server, within a second.
    fn close(self: Box<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
