//! How connections are made: addresses, credentials, TLS, and the guard before each contact.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::AsyncDNSResolver;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _,
    Pipeline, RedisError, RedisFuture, TlsCertificates, Value,
};
use secrecy::ExposeSecret as _;
use url::Url;

use super::cluster::Cluster;
use crate::failure::Failure;
use crate::{CONNECT_TIMEOUT, CompileContext};
use slatest_core::files::read_bytes;
use slatest_core::model::hide;
use slatest_core::model::{Nanos, Outcome};
use slatest_core::target::PEM_BYTES_MAX;
use slatest_core::target::{Guard, RedisEndpoint, TlsFiles, client_config};

/// How often the cluster client follows a redirection or tries again by itself. Few, because what
/// it hides is not measured as what it is.
const RETRIES: u32 = 3;
/// Most nodes that a command of one key is sent to before it is given up.
pub(super) const REDIRECTIONS_MAX: u32 = RETRIES + 1;
/// Bounds of its waits in between, in milliseconds.
const RETRY_WAIT_MILLIS: (u64, u64) = (5, 200);
/// Port of a URL that names none.
const PORT_DEFAULT: u16 = 6379;

/// An endpoint, ready to be connected to.
pub struct Servers {
    /// One per URL of the endpoint.
    pub seeds: Vec<Client>,
    /// The cluster, where it is one.
    cluster: Option<ClusterClient>,
    /// Where the servers are that the endpoint names.
    seeds_at: Vec<(String, u16)>,
    /// Whether the library's own connection to the cluster will be needed.
    library: bool,
    guard: Guard,
    addresses: String,
    secret: Option<String>,
}

/// A connection that many sessions use at once. Clones share it.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To every node of a cluster.
    Cluster(Arc<Cluster>),
}

impl Connection {
    /// Sends commands together and takes their replies.
    ///
    /// # Errors
    /// The connection's, or the first command's.
    pub async fn send(&mut self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let replies = match self {
            Self::Single(connection) => commands.query_async(connection).await?,
            Self::Cluster(cluster) => cluster.send(commands).await?,
        };
        Ok(replies)
    }

    /// Sends one command and takes its reply.
    ///
    /// # Errors
    /// The connection's, or the command's.
    pub async fn send_one(&mut self, command: &redis::Cmd) -> Result<Value, Failure> {
        let reply = match self {
            Self::Single(connection) => command.query_async(connection).await?,
            Self::Cluster(cluster) => cluster.send_one(command).await?,
        };
        Ok(reply)
    }
}

impl Servers {
    /// Reads an endpoint. `patience` is the longest that any operation waits.
    ///
    /// # Errors
    /// In words, without a credential.
    pub fn new(context: &CompileContext<'_>, endpoint: &RedisEndpoint, patience: Nanos) -> Result<Self, String> {
        let password = endpoint.password.as_ref().map(|secret| secret.resolve(context.target_folder)).transpose()?;
        let files = endpoint.tls_files();
        // To find mistakes in the files early; the client makes its own.
        client_config(files, context.target_folder, &[]).map_err(|e| e.to_string())?;
        // The client takes the process's provider; whoever was first is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let certificates = certificates(files, context.target_folder)?;
        let mut seeds = Vec::with_capacity(endpoint.redis.len());
        let mut infos = Vec::with_capacity(endpoint.redis.len());
        let mut addresses = Vec::with_capacity(endpoint.redis.len());
        let mut encrypted = false;
        let mut at = Vec::with_capacity(endpoint.redis.len());
        if endpoint.redis.is_empty() {
            return Err("names no server: redis: [\"rediss://cache.example:6379\"]".into());
        }
        if endpoint.redis.len() > 1 && !endpoint.cluster {
            return Err("several servers are a cluster: add `cluster: true`, or name one".into());
        }
        for written in &endpoint.redis {
            let address = Address::parse(written)?;
            context.guard.check(&address.host)?;
            let info = address.info(endpoint.username.as_deref(), password.as_ref().map(|p| p.expose_secret()))?;
            let client = if address.tls {
                Client::build_with_tls(info.clone(), certificates.clone())
            } else {
                Client::open(info.clone())
            };
            seeds.push(client.map_err(|e| format!("`{written}` can't be used: {e}"))?);
            infos.push(info);
            addresses.push(format!("{}:{}", address.host, address.port));
            at.push((address.host, address.port));
            encrypted |= address.tls;
        }
        let cluster = endpoint.cluster.then(|| {
            let (least, most) = RETRY_WAIT_MILLIS;
            let builder = ClusterClient::builder(infos)
                .retries(RETRIES)
                .min_retry_wait(least)
                .max_retry_wait(most)
                .connection_timeout(CONNECT_TIMEOUT.as_duration())
                // The session's own timeout comes first, so that it is counted as one.
                .response_timeout(patience.as_duration() + Duration::from_secs(1))
                .tcp_settings(TcpSettings::default().set_nodelay(true))
                .async_dns_resolver(Guarded(context.guard.clone()));
            // With certificates the client takes every node to speak TLS.
            if encrypted { builder.certs(certificates).build() } else { builder.build() }
        });
        let cluster = cluster.transpose().map_err(|e| format!("the cluster can't be used: {e}"))?;
        let secret = password.map(|p| p.expose_secret().to_owned()).filter(|p| !p.is_empty());
        Ok(Self {
            seeds,
            cluster,
            seeds_at: at,
            library: false,
            guard: context.guard.clone(),
            addresses: addresses.join(","),
            secret,
        })
    }

    /// With the library's own connection to a cluster opened with every other, or only once it is needed.
    pub fn with_library(mut self, wanted: bool) -> Self {
        self.library = wanted;
        self
    }

    /// Whether the library's own connection to a cluster is opened with every other.
    pub const fn wants_library(&self) -> bool {
        self.library
    }

    /// Where it is, without credentials.
    pub fn addresses(&self) -> &str {
        &self.addresses
    }

    /// Whether it is a cluster.
    pub const fn is_cluster(&self) -> bool {
        self.cluster.is_some()
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
    pub async fn connect_seed(&self, index: usize) -> Result<MultiplexedConnection, Failure> {
        let Some(client) = self.seeds.get(index) else {
            return Err(Failure::new(Outcome::Disconnected, "connect: no such server"));
        };
        self.open(client).await
    }

    /// Opens a connection to a node that the cluster named, with the credentials and the TLS of the first server. An
    /// empty host stands for that of the first server.
    ///
    /// # Errors
    /// A host that may not be contacted, or when it can't be made.
    pub async fn connect_node(&self, host: &str, port: u16) -> Result<MultiplexedConnection, Failure> {
        let no_server = || Failure::new(Outcome::Disconnected, "connect: no such server");
        let info = self.seeds.first().ok_or_else(no_server)?.get_connection_info().clone();
        let known = |first: &str| if host.is_empty() { first.to_owned() } else { host.to_owned() };
        let address = match info.addr() {
            ConnectionAddr::Tcp(first, _) => ConnectionAddr::Tcp(known(first), port),
            ConnectionAddr::TcpTls { host: first, insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host: known(first), port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => return Err(no_server()),
        };
        if !host.is_empty() {
            self.guard.check(host).map_err(|why| Failure::new(Outcome::Blocked, why))?;
        }
        self.open(&Client::open(info.set_addr(address))?).await
    }

    async fn open(&self, client: &Client) -> Result<MultiplexedConnection, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT.as_duration()))
            .set_response_timeout(None)
            .set_dns_resolver(Guarded(self.guard.clone()));
        Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
    }

    /// Where the servers are that the endpoint names.
    pub fn addresses_of_seeds(&self) -> Vec<(String, u16)> {
        self.seeds_at.clone()
    }

    /// Opens the library's own connection to the cluster.
    ///
    /// # Errors
    /// When none of its nodes gives one, or it is no cluster.
    pub async fn library_cluster(&self) -> Result<ClusterConnection, Failure> {
        let Some(cluster) = &self.cluster else {
            return Err(Failure::new(Outcome::Disconnected, "connect: no cluster"));
        };
        cluster.get_async_connection().await.map_err(|error| Failure::from(error).connecting())
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

    fn info(&self, username: Option<&str>, password: Option<&str>) -> Result<ConnectionInfo, String> {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let url = format!("{scheme}://{host}:{}", self.port);
        let info = url.into_connection_info().map_err(|e| format!("{host}:{} can't be used: {e}", self.port))?;
        let mut login = info.redis_settings().clone().set_db(self.database);
        if let Some(username) = username {
            login = login.set_username(username);
        }
        if let Some(password) = password {
            login = login.set_password(password);
        }
        Ok(info.set_redis_settings(login).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
    }
}

fn certificates(files: TlsFiles<'_>, folder: &Path) -> Result<TlsCertificates, String> {
    let read = |path: &str| {
        let path = folder.join(path);
        read_bytes(&path, PEM_BYTES_MAX).map_err(|error| format!("{} {error}", path.display()))
    };
    let client_tls = match (files.cert, files.key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig { client_cert: read(cert)?, client_key: read(key)? }),
        _ => None,
    };
    Ok(TlsCertificates { client_tls, root_cert: files.ca.map(read).transpose()? })
}

/// Looks hosts up, after the guard let them pass: also nodes that a cluster names later.
struct Guarded(Guard);

impl AsyncDNSResolver for Guarded {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            self.0.check(host).map_err(|e| RedisError::from((ErrorKind::InvalidClientConfig, "guard", e)))?;
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            Ok(Box::new(found.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
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
