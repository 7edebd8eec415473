//! The broker: where it is, and connections to it.
//!
//! lapin drives each connection on a thread of its own, but leaves connecting, heartbeats and the
//! readiness of sockets to a runtime. A worker's runtime would make every connection as late as
//! the worker is busy, and end with the worker; so all connections of the process share one small
//! runtime.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use lapin::tcp::RustlsConnector;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::failure::Failure;
use crate::{CONNECT_TIMEOUT, CompileContext};
use slatest_core::model::hide;
use slatest_core::model::{Nanos, Outcome, Problems, Span};
use slatest_core::target::{AmqpEndpoint, Guard, Secret, client_config};

/// The runtime of all connections. It lives as long as the process, so that connections can say
/// goodbye whenever they are dropped.
static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).thread_name("amqp").enable_all().build());

/// Runs something on the runtime of all connections.
pub(super) fn spawn<F>(future: F) -> Result<JoinHandle<F::Output>, Failure>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.spawn(future)),
        Err(error) => Err(Failure::io(error).during("thread")),
    }
}

/// One node of the broker.
struct Node {
    uri: AMQPUri,
    /// The password as the URI has it, to keep it out of texts.
    password: SecretString,
}

impl Node {
    fn address(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    fn encrypted(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }
}

/// Where the broker is, and how to get in.
pub(super) struct Broker {
    first: Node,
    /// The other nodes of its cluster.
    others: Vec<Node>,
    /// Place of the node that was connected to last, which the next connection tries first.
    last: AtomicUsize,
    tls: Option<Arc<ClientConfig>>,
    guard: Guard,
    /// Shown in the broker's list of connections.
    name: String,
}

impl Broker {
    /// Reads the endpoint and resolves its secrets.
    ///
    /// # Errors
    /// What is missing, malformed or unreadable, with its place and without the URIs.
    pub(super) fn compile(endpoint: &AmqpEndpoint, context: &CompileContext<'_>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let name = context.endpoint_name;
        let mut problem = |key: &str, message: String| {
            problems.0.push(context.target.problem(format!("endpoints.{name}.{key}"), message));
        };
        let mut node = |key: &str, secret: &Secret| match secret.resolve(context.target_folder) {
            Ok(secret) => match secret.expose_secret().parse::<AMQPUri>() {
                Ok(uri) => {
                    let password = SecretString::from(uri.authority.userinfo.password.clone());
                    Some(Node { uri, password })
                }
                Err(_) => {
                    let form = "amqps://user:password@host:5671/vhost";
                    problem(key, format!("what it holds is not an AMQP URI; write it like {form}"));
                    None
                }
            },
            Err(error) => {
                problem(key, error);
                None
            }
        };
        let first = node("amqp", &endpoint.amqp);
        let others: Vec<_> =
            endpoint.nodes.iter().enumerate().map(|(i, secret)| node(&format!("nodes[{i}]"), secret)).collect();
        for (i, other) in others.iter().enumerate() {
            let (Some(first), Some(other)) = (&first, other) else { continue };
            let key = format!("nodes[{i}]");
            if other.uri.vhost != first.uri.vhost {
                problem(&key, "is of another virtual host than `amqp`: all nodes of a cluster have the same".into());
            }
            if other.encrypted() != first.encrypted() {
                problem(&key, "either all nodes are reached by amqps:// or none is".into());
            }
        }
        let files = endpoint.tls_files();
        let encrypted = first.as_ref().is_none_or(Node::encrypted);
        let mut tls = None;
        if !encrypted {
            for (key, _) in files.named() {
                problem(key, "has no effect without TLS: the URI must start with amqps://".into());
            }
        } else {
            match client_config(files, context.target_folder, &[]) {
                Ok(config) => tls = Some(config),
                Err(error) => problem("amqp", error.to_string()),
            }
        }
        let Some(first) = first.filter(|_| problems.0.is_empty()) else { return Err(problems) };
        let others = others.into_iter().flatten().collect();
        let name = format!("slatest {} {}", context.run, context.scenario);
        Ok(Self { first, others, last: AtomicUsize::new(0), tls, guard: context.guard.clone(), name })
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Where it is, all nodes, without credentials.
    pub(super) fn address(&self) -> String {
        self.nodes().map(Node::address).collect::<Vec<_>>().join(", ")
    }

    /// Its virtual host.
    pub(super) fn vhost(&self) -> &str {
        &self.first.uri.vhost
    }

    /// Opens a connection, at most [`CONNECT_TIMEOUT`] long: to the node that was connected to last, else to the
    /// one after it that can be reached. Each gets its share of the time that is left.
    ///
    /// # Errors
    /// A host that isn't allowed, isn't reachable or doesn't let us in: that of the node that was tried last.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Connection, Failure> {
        let broker = Arc::clone(self);
        let connecting = spawn(async move { broker.connect_in_turn().await })?;
        connecting.await.unwrap_or_else(|_| Err(Failure::new(Outcome::Disconnected, "connect: interrupted")))
    }

    async fn connect_in_turn(&self) -> Result<Connection, Failure> {
        let count = 1 + self.others.len();
        let begin = self.last.load(Ordering::Relaxed) % count;
        let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
        let mut ended = Failure::new(Outcome::Disconnected, "connect: no node");
        for (turn, (place, node)) in self.nodes().enumerate().cycle().skip(begin).take(count).enumerate() {
            let left = u32::try_from(count - turn).unwrap_or(u32::MAX);
            match self.connect_to(node, deadline.saturating_duration_since(Instant::now()) / left).await {
                Ok(connection) => {
                    self.last.store(place, Ordering::Relaxed);
                    return Ok(connection);
                }
                // What one node refuses, each of them would.
                Err(failure) if failure.outcome == Outcome::Rejected => return Err(failure),
                Err(failure) => {
                    tracing::debug!(node = node.address(), "can't connect: {}", failure.reason);
                    ended = failure;
                }
            }
        }
        Err(ended)
    }

    async fn connect_to(&self, node: &Node, patience: Duration) -> Result<Connection, Failure> {
        self.guard.check(&node.uri.authority.host).map_err(|reason| Failure {
            outcome: Outcome::Rejected,
            kind: "host not allowed".into(),
            reason,
        })?;
        match timeout(patience, self.open(node)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(self.redacted(Failure::from(&error)).during("connect")),
            Err(_) => {
                let reason = format!("no answer within {}", Span(Nanos::from(patience)));
                Err(Failure { reason, ..Failure::new(Outcome::TimedOut, "connect: timed out") })
            }
        }
    }

    async fn open(&self, node: &Node) -> lapin::Result<Connection> {
        let properties = ConnectionProperties::default().with_connection_name(self.name.as_str().into());
        let runtime = lapin::runtime::default_runtime()?;
        let tls = self.tls.clone().map(RustlsConnector::from);
        let connect = async move |uri: AMQPUri, runtime| {
            let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            let stream = AsyncTcpStream::connect(&runtime, found).await?;
            match &tls {
                Some(tls) => Ok(stream.into_rustls(tls, host).await?),
                None => Ok(stream),
            }
        };
        Connection::connector(node.uri.clone(), runtime, connect, properties).await
    }

    /// A failure whose words don't have a password in them.
    pub(super) fn redacted(&self, failure: Failure) -> Failure {
        let passwords = self.nodes().map(|node| node.password.expose_secret());
        let reason = passwords.fold(failure.reason, |reason, password| hide(&reason, password));
        Failure { reason, ..failure }
    }
}

/// A channel of a connection; `confirms` for one that publishes.
pub(super) async fn channel(connection: &Connection, confirms: bool) -> Result<Channel, Failure> {
    let channel = connection.create_channel().await.map_err(|e| Failure::from(&e).during("channel"))?;
    if confirms {
        let options = lapin::options::ConfirmSelectOptions::default();
        channel.confirm_select(options).await.map_err(|e| Failure::from(&e).during("channel"))?;
    }
    Ok(channel)
}
