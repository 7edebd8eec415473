//! The broker: where it is, and who gets in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};

use super::AmqpEndpoint;
use super::connection::{self, Connected};
use super::frames::{FRAME_MAX, FRAME_MAX_DEFAULT, FRAME_MIN};
use super::stream::Inbound;
use crate::dial::Dial;
use crate::failure::Failure;
use crate::{CONNECT_TIMEOUT, CompileContext, Finding};
use slatest_core::model::hide;
use slatest_core::model::{Nanos, Outcome, Problems, Span};
use slatest_core::target::{Secret, client_config};

/// Most channels of a connection that are asked for where the URI names no number, as RabbitMQ offers.
const CHANNEL_MAX_DEFAULT: u16 = 2_047;
/// Parameters of a URI that mean something here.
const PARAMETERS: [&str; 5] = ["auth_mechanism", "channel_max", "connection_timeout", "frame_max", "heartbeat"];

/// One node of the broker.
struct Node {
    uri: AMQPUri,
    /// The password as the URI has it, to keep it out of texts.
    password: SecretString,
}

/// Why a URI can't be used. Nothing of it is quoted but the names of parameters.
#[derive(Debug, thiserror::Error)]
enum UriError {
    #[error("what it holds is not an AMQP URI; write it like amqps://user:password@host:5671/vhost")]
    Malformed,
    #[error("the URI has the parameter `{0}`, which is not known here; known are: {known}", known = PARAMETERS.join(", "))]
    Unknown(String),
    #[error("the URI has the parameter `{0}` twice")]
    Twice(String),
    #[error("the URI's parameter `{0}` has a value that it can't have")]
    Value(&'static str),
    #[error("the URI's `frame_max` must lie from {FRAME_MIN} to {FRAME_MAX} bytes")]
    FrameMax,
    #[error("the URI has a fragment (#), which means nothing here; write %23 for a # in a name or a password")]
    Fragment,
}

impl Node {
    /// Reads a URI. What isn't known in it is refused, rather than dropped without a word.
    fn read(written: &str) -> Result<Self, UriError> {
        let url = url::Url::parse(written).map_err(|_| UriError::Malformed)?;
        if !matches!(url.scheme(), "amqp" | "amqps") || url.cannot_be_a_base() {
            return Err(UriError::Malformed);
        }
        if url.fragment().is_some() {
            return Err(UriError::Fragment);
        }
        let mut seen: Vec<&'static str> = Vec::new();
        for (name, value) in url.query_pairs() {
            let Some(known) = PARAMETERS.into_iter().find(|known| *known == name) else {
                return Err(UriError::Unknown(name.chars().take(64).collect()));
            };
            if seen.contains(&known) {
                return Err(UriError::Twice(known.to_owned()));
            }
            seen.push(known);
            let right = match known {
                "auth_mechanism" => value.parse::<lapin::uri::SASLMechanism>().is_ok(),
                "connection_timeout" => value.parse::<u64>().is_ok_and(|timeout_ms| timeout_ms > 0),
                "frame_max" => value.parse::<u32>().is_ok(),
                _ => value.parse::<u16>().is_ok(),
            };
            if !right {
                return Err(UriError::Value(known));
            }
        }
        let mut uri = written.parse::<AMQPUri>().map_err(|_| UriError::Malformed)?;
        // The library takes an address in brackets for no host, and then for localhost.
        if let Some(url::Host::Ipv6(address)) = url.host() {
            uri.authority.host = address.to_string();
        }
        let frame_max = uri.query.frame_max.filter(|max| *max != 0).unwrap_or(FRAME_MAX_DEFAULT);
        if !(FRAME_MIN..=FRAME_MAX).contains(&frame_max) {
            return Err(UriError::FrameMax);
        }
        // Asked for by us, so that a broker which names no limit doesn't mean that there is none.
        uri.query.frame_max = Some(frame_max);
        uri.query.channel_max = uri.query.channel_max.filter(|max| *max != 0).or(Some(CHANNEL_MAX_DEFAULT));
        let password = SecretString::from(uri.authority.userinfo.password.clone());
        Ok(Self { uri, password })
    }

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
    dial: Dial,
    /// Longest body of a message.
    body_max: u64,
    /// Shown in the broker's list of connections.
    name: String,
}

impl Broker {
    /// Reads the endpoint and resolves its secrets; bodies of messages are no longer than `body_max`.
    ///
    /// # Errors
    /// What is missing, malformed or unreadable, with its place and without the URIs.
    pub(super) fn compile(
        endpoint: &AmqpEndpoint,
        context: &CompileContext<'_>,
        body_max: u64,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let name = context.endpoint_name;
        let mut problem = |key: &str, message: String| {
            problems.0.push(context.target.problem(format!("endpoints.{name}.{key}"), message));
        };
        let mut node = |key: &str, secret: &Secret| match secret.resolve(context.target_folder) {
            Ok(secret) => match Node::read(secret.expose_secret()) {
                Ok(node) => Some(node),
                Err(error) => {
                    problem(key, error.to_string());
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
        let dial = Dial::new(context.guard.clone());
        Ok(Self { first, others, last: AtomicUsize::new(0), tls, dial, body_max, name })
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
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Connected, Failure> {
        let broker = Arc::clone(self);
        let connecting = connection::spawn(async move { broker.connect_in_turn().await })?;
        connecting.await.unwrap_or_else(|_| Err(Failure::new(Outcome::Disconnected, "connect: interrupted")))
    }

    async fn connect_in_turn(&self) -> Result<Connected, Failure> {
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
                    tracing::debug!(node = node.address(), "can't connect: {}", failure.detail);
                    ended = failure;
                }
            }
        }
        Err(ended)
    }

    async fn connect_to(&self, node: &Node, patience: Duration) -> Result<Connected, Failure> {
        let own = node.uri.query.connection_timeout.map_or(patience, Duration::from_millis);
        let patience = patience.min(own);
        let inbound = Arc::new(Inbound::new(self.body_max));
        let opening = async {
            let (host, port) = (node.uri.authority.host.as_str(), node.uri.authority.port);
            let socket = self.dial.connect(host, port, patience).await.map_err(Failure::dialling)?;
            let opened = connection::open(socket, &node.uri, self.tls.as_ref(), &self.name, &inbound).await;
            opened.map_err(|failure| failure.refused_at_the_door().during("connect"))
        };
        match timeout(patience, opening).await {
            Ok(opened) => opened.map_err(|failure| self.redacted(failure)),
            Err(_) => {
                // Who is given up by us is given up by lapin, too, whose thread would wait on.
                inbound.abandon();
                let reason = format!("no answer within {}", Span(Nanos::from(patience)));
                Err(Failure { detail: reason, ..Failure::new(Outcome::TimedOut, "connect: timed out") })
            }
        }
    }

    /// How many connections went to which address, of the names that have several.
    pub(super) fn findings(&self) -> Vec<Finding> {
        self.dial.findings()
    }

    /// A failure whose words don't have a password in them.
    pub(super) fn redacted(&self, failure: Failure) -> Failure {
        let passwords = self.nodes().map(|node| node.password.expose_secret());
        let detail = passwords.fold(failure.detail, |detail, password| hide(&detail, password));
        Failure { detail, ..failure }
    }
}
