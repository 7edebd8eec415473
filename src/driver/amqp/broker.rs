//! The broker: where it is, and connections to it.
//!
//! lapin drives each connection on a thread of its own, but leaves connecting, heartbeats and the
//! readiness of sockets to a runtime. A worker's runtime would make every connection as late as
//! the worker is busy, and end with the worker; so all connections of the process share one small
//! runtime.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use lapin::tcp::RustlsConnector;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::failure::Failure;
use crate::driver::{CONNECT_TIMEOUT, CompileContext};
use crate::model::{Outcome, Problems};
use crate::target::{AmqpEndpoint, Guard, client_config};

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

/// Where the broker is, and how to get in.
pub(super) struct Broker {
    uri: AMQPUri,
    tls: Option<Arc<ClientConfig>>,
    guard: Guard,
    /// The password as the URI has it, to keep it out of texts.
    password: SecretString,
    /// Shown in the broker's list of connections.
    name: String,
}

impl Broker {
    /// Reads the endpoint and resolves its secret.
    ///
    /// # Errors
    /// What is missing, malformed or unreadable, with its place and without the URI.
    pub(super) fn compile(endpoint: &AmqpEndpoint, context: &CompileContext<'_>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let name = context.endpoint_name;
        let mut problem = |key: &str, message: String| {
            problems.0.push(context.target.problem(format!("endpoints.{name}.{key}"), message));
        };
        let uri = match endpoint.amqp.resolve(context.target_folder) {
            Ok(secret) => match secret.expose_secret().parse::<AMQPUri>() {
                Ok(uri) => Some(uri),
                Err(_) => {
                    let form = "amqps://user:password@host:5671/vhost";
                    problem("amqp", format!("what it holds is not an AMQP URI; write it like {form}"));
                    None
                }
            },
            Err(error) => {
                problem("amqp", error);
                None
            }
        };
        let files = endpoint.tls_files();
        let encrypted = uri.as_ref().is_none_or(|uri| uri.scheme == AMQPScheme::AMQPS);
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
        let Some(uri) = uri.filter(|_| problems.0.is_empty()) else { return Err(problems) };
        let password = SecretString::from(uri.authority.userinfo.password.clone());
        let name = format!("slatest {} {}", context.run, context.scenario);
        Ok(Self { uri, tls, guard: context.guard.clone(), password, name })
    }

    /// Where it is, without credentials.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    /// Its virtual host.
    pub(super) fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    /// Opens a connection, at most [`CONNECT_TIMEOUT`] long.
    ///
    /// # Errors
    /// A host that isn't allowed, isn't reachable or doesn't let us in.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Connection, Failure> {
        let host = &self.uri.authority.host;
        self.guard.check(host).map_err(|reason| Failure {
            outcome: Outcome::Rejected,
            kind: "host not allowed".into(),
            reason,
        })?;
        let broker = Arc::clone(self);
        let connecting = spawn(async move {
            match timeout(CONNECT_TIMEOUT.as_duration(), broker.open()).await {
                Ok(Ok(connection)) => Ok(connection),
                Ok(Err(error)) => Err(broker.redacted(Failure::from(&error)).during("connect")),
                Err(_) => {
                    let reason = format!("no answer within {}", CONNECT_TIMEOUT);
                    Err(Failure { reason, ..Failure::new(Outcome::TimedOut, "connect: timed out") })
                }
            }
        })?;
        connecting.await.unwrap_or_else(|_| Err(Failure::new(Outcome::Disconnected, "connect: interrupted")))
    }

    async fn open(&self) -> lapin::Result<Connection> {
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
        Connection::connector(self.uri.clone(), runtime, connect, properties).await
    }

    /// A failure whose words don't have the password in them.
    pub(super) fn redacted(&self, failure: Failure) -> Failure {
        let password = self.password.expose_secret();
        if password.len() < 4 {
            return failure;
        }
        Failure { reason: failure.reason.replace(password, "***"), ..failure }
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
