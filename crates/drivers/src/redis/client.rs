//! How connections are made: addresses, credentials, TLS, and the guard before each contact.

use std::sync::Arc;

use redis::{Cmd, Pipeline, RedisConnectionInfo, RedisError, Value};
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret as _;
use tokio_rustls::TlsConnector;
use url::Url;

use super::RedisEndpoint;
use super::bounds::ReplyLimits;
use super::cluster::Cluster;
use super::wire::Wire;
use crate::dial::{Dial, DialError};
use crate::failure::Failure;
use crate::{CONNECT_TIMEOUT, CompileContext};
use slatest_core::model::{Outcome, hide};
use slatest_core::target::{Guard, client_config};

/// Most nodes that a command is sent to before it is given up.
pub(super) const REDIRECTIONS_MAX: u32 = 4;
/// Port of a URL that names none.
const PORT_DEFAULT: u16 = 6379;

/// An endpoint, ready to be connected to.
pub struct Servers {
    /// One per URL of the endpoint; at least one.
    seeds: Vec<Address>,
    is_cluster: bool,
    login: RedisConnectionInfo,
    tls: TlsConnector,
    limits: ReplyLimits,
    guard: Guard,
    /// Opens all connections.
    pub dial: Dial,
    addresses: String,
    secret: Option<String>,
}

/// A connection that many sessions use at once. Clones share it.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    Single(Wire),
    /// To every node of a cluster.
    Cluster(Arc<Cluster>),
}

impl Connection {
    /// Sends commands together and takes their replies.
    ///
    /// # Errors
    /// The connection's, or the first command's.
    pub async fn send(&mut self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Single(connection) => Ok(commands.query_async(connection).await?),
            Self::Cluster(cluster) => cluster.send(commands).await,
        }
    }

    /// Sends one command and takes its reply.
    ///
    /// # Errors
    /// The connection's, or the command's.
    pub async fn send_one(&mut self, command: &Cmd) -> Result<Value, Failure> {
        match self {
            Self::Single(connection) => Ok(command.query_async(connection).await?),
            Self::Cluster(cluster) => cluster.send_one(command).await,
        }
    }
}

impl Servers {
    /// Reads an endpoint.
    ///
    /// # Errors
    /// In words, without a credential.
    pub fn new(context: &CompileContext<'_>, endpoint: &RedisEndpoint, limits: ReplyLimits) -> Result<Self, String> {
        let password = endpoint.password.as_ref().map(|secret| secret.resolve(context.target_folder)).transpose()?;
        let tls = client_config(endpoint.tls_files(), context.target_folder, &[]).map_err(|e| e.to_string())?;
        if endpoint.redis.is_empty() {
            return Err("names no server: redis: [\"rediss://cache.example:6379\"]".into());
        }
        if endpoint.redis.len() > 1 && !endpoint.cluster {
            return Err("several servers are a cluster: add `cluster: true`, or name one".into());
        }
        let mut seeds = Vec::with_capacity(endpoint.redis.len());
        for written in &endpoint.redis {
            let address = Address::parse(written)?;
            context.guard.check(&address.host)?;
            seeds.push(address);
        }
        let addresses: Vec<String> = seeds.iter().map(|seed| format!("{}:{}", seed.host, seed.port)).collect();
        let mut login = RedisConnectionInfo::default();
        if let Some(username) = &endpoint.username {
            login = login.set_username(username);
        }
        if let Some(password) = &password {
            login = login.set_password(password.expose_secret());
        }
        let secret = password.map(|p| p.expose_secret().to_owned()).filter(|p| !p.is_empty());
        Ok(Self {
            seeds,
            is_cluster: endpoint.cluster,
            login,
            tls: TlsConnector::from(tls),
            limits,
            guard: context.guard.clone(),
            dial: Dial::new(context.guard.clone()),
            addresses: addresses.join(","),
            secret,
        })
    }

    /// Where it is, without credentials.
    pub fn addresses(&self) -> &str {
        &self.addresses
    }

    /// Whether it is a cluster.
    pub const fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// The hosts that may be contacted.
    pub const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Takes what must not be shown out of words from elsewhere.
    pub fn redact(&self, words: &str) -> String {
        self.secret.as_ref().map_or_else(|| words.to_owned(), |secret| hide(words, secret))
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When there is none within [`CONNECT_TIMEOUT`].
    pub async fn connect(self: &Arc<Self>) -> Result<Connection, Failure> {
        let connecting = async {
            if self.is_cluster() {
                Cluster::open(Arc::clone(self)).await.map(Connection::Cluster)
            } else {
                self.connect_seed(0).await.map(Connection::Single)
            }
        };
        match tokio::time::timeout(CONNECT_TIMEOUT.as_duration(), connecting).await {
            Ok(connection) => connection.map_err(Failure::connecting),
            Err(_) => Err(Failure::new(Outcome::TimedOut, "connect: timed out").broken()),
        }
    }

    /// Opens a connection to one server that the endpoint names.
    ///
    /// # Errors
    /// When it can't be made.
    pub async fn connect_seed(&self, index: usize) -> Result<Wire, Failure> {
        let Some(seed) = self.seeds.get(index) else {
            return Err(Failure::new(Outcome::Disconnected, "connect: no such server"));
        };
        self.open(&seed.host, seed.port, seed).await
    }

    /// Opens a connection to a node that the cluster named, with the credentials and the TLS of the first server.
    ///
    /// # Errors
    /// A host that may not be contacted, or when it can't be made.
    pub async fn connect_node(&self, host: &str, port: u16) -> Result<Wire, Failure> {
        let Some(first) = self.seeds.first() else {
            return Err(Failure::new(Outcome::Disconnected, "connect: no such server"));
        };
        self.open(host, port, first).await
    }

    async fn open(&self, host: &str, port: u16, like: &Address) -> Result<Wire, Failure> {
        let tcp = self.dial.connect(host, port, CONNECT_TIMEOUT.as_duration()).await.map_err(|error| {
            let outcome = match error {
                DialError::NotAllowed(_) => Outcome::Blocked,
                DialError::TimedOut(_) => Outcome::TimedOut,
                DialError::Lookup { .. } | DialError::Connect(_) => Outcome::Disconnected,
            };
            Failure::new(outcome, error.kind()).with_detail(error.to_string()).broken()
        })?;
        let login = self.login.clone().set_db(like.database);
        let limits = self.limits.clone();
        if !like.tls {
            return Ok(Wire::open(tcp, &login, limits).await?);
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            let detail = format!("`{host}` is no name that a certificate can carry: {error}");
            Failure::new(Outcome::Disconnected, "tls").with_detail(detail).broken()
        })?;
        let stream = self.tls.connect(name, tcp).await.map_err(|error| Failure::from(RedisError::from(error)))?;
        Ok(Wire::open(stream, &login, limits).await?)
    }

    /// Where the servers are that the endpoint names.
    pub fn addresses_of_seeds(&self) -> impl Iterator<Item = (String, u16)> {
        self.seeds.iter().map(|seed| (seed.host.clone(), seed.port))
    }
}

/// One server of the endpoint, as written.
struct Address {
    tls: bool,
    host: String,
    port: u16,
    database: i64,
}

impl Address {
    fn parse(written: &str) -> Result<Self, String> {
        let url = Url::parse(written).map_err(|e| format!("this is no URL ({e}): write redis://host:6379"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL can't carry credentials here: use `username` and `password: { env: NAME }`".into());
        }
        crate::endpoint_url::refuse_extras(&url).map_err(|e| e.to_string())?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            other => return Err(format!("`{other}://` is not spoken: write redis:// or rediss://")),
        };
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(|| format!("`{written}` names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let database = match url.path().trim_matches('/') {
            "" => 0,
            number => number.parse().map_err(|_| format!("`{number}` is no database number"))?,
        };
        Ok(Self { tls, host, port: url.port().unwrap_or(PORT_DEFAULT), database })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_carry_no_credentials() {
        let address = Address::parse("rediss://cache.example/3").unwrap();
        assert_eq!(
            (address.tls, address.host.as_str(), address.port, address.database),
            (true, "cache.example", 6379, 3)
        );
        for (text, words) in [
            ("redis://user:hunter2@h", "credentials"),
            ("http://h", "not spoken"),
            ("redis://h/x", "database"),
            ("nonsense", "no URL"),
        ] {
            let error = Address::parse(text).map(|a| a.host).expect_err(text);
            assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
        }
    }
}
