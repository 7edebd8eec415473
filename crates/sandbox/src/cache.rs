//! The task cache in a real Redis: read first, filled on a miss, dropped on a change.
//!
//! A cache that fails is a miss: the services go on without it.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisError, TlsCertificates};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::store::Task;

const TASK_TTL_SECS: u64 = 300;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// After a failed connect, requests do without the cache for this long.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Which Redis.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// `redis://` or `rediss://` URLs, comma separated; more than one only for a cluster.
    pub urls: SecretString,
    /// Password for all of them, where the URLs have none.
    pub password: Option<SecretString>,
    /// Whether it is a cluster.
    pub cluster: bool,
    /// The CA of `rediss://` servers, PEM; none: the system's.
    pub ca: Option<Vec<u8>>,
}

enum Door {
    Single(Box<Client>),
    Cluster(Box<ClusterClient>),
}

#[derive(Clone)]
enum Link {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

struct Held {
    link: Option<Link>,
    not_before: Instant,
}

/// The task cache. Clones share its connection.
#[derive(Clone)]
pub struct Cache {
    door: Arc<Door>,
    held: Arc<Mutex<Held>>,
}

impl Cache {
    /// Connects.
    ///
    /// # Errors
    /// When a URL is none or Redis can't be reached; no URL or password is quoted.
    pub async fn connect(settings: &CacheSettings) -> Result<Self, String> {
        let said = |error: RedisError| match error.detail() {
            Some(detail) => format!("Redis can't be used: {} ({detail})", error.category()),
            None => format!("Redis can't be used: {}", error.category()),
        };
        let door = door(settings).map_err(said)?;
        let link = open(&door).await.map_err(said)?;
        let held = Held { link: Some(link), not_before: Instant::now() };
        Ok(Self { door: Arc::new(door), held: Arc::new(Mutex::new(held)) })
    }

    /// The task, where it is cached.
    pub async fn task(&self, id: &str) -> Option<Task> {
        let cached: Option<Vec<u8>> = self.ask(redis::cmd("GET").arg(key(id))).await?;
        serde_json::from_slice(&cached?).ok()
    }

    /// Caches a task for five minutes.
    pub async fn keep(&self, task: &Task) {
        let Ok(text) = serde_json::to_vec(task) else { return };
        let _: Option<()> = self.ask(redis::cmd("SET").arg(key(&task.id)).arg(text).arg("EX").arg(TASK_TTL_SECS)).await;
    }

    /// Drops a task that changed.
    pub async fn forget(&self, id: &str) {
        let _: Option<()> = self.ask(redis::cmd("DEL").arg(key(id))).await;
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        let mut link = self.link().await?;
        let answer = match &mut link {
            Link::Single(connection) => query(command, connection).await,
            Link::Cluster(connection) => query(command, connection).await,
        };
        match answer {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::debug!(kind = error.category(), "the cache failed");
                // A cluster's connection mends itself; a single one that broke doesn't.
                if matches!(link, Link::Single(_)) && (error.is_connection_dropped() || error.is_io_error()) {
                    self.held.lock().await.link = None;
                }
                None
            }
        }
    }

    async fn link(&self) -> Option<Link> {
        let mut held = self.held.lock().await;
        if held.link.is_none() && Instant::now() >= held.not_before {
            held.link = open(&self.door).await.ok();
            held.not_before = Instant::now() + RECONNECT_AFTER;
        }
        held.link.clone()
    }
}

async fn query<T: redis::FromRedisValue>(
    command: &redis::Cmd,
    connection: &mut impl ConnectionLike,
) -> Result<T, RedisError> {
    command.query_async(connection).await
}

fn key(id: &str) -> String {
    format!("task:{id}")
}

fn door(settings: &CacheSettings) -> Result<Door, RedisError> {
    let infos = settings
        .urls
        .expose_secret()
        .split(',')
        .map(|url| url.trim().into_connection_info())
        .collect::<Result<Vec<ConnectionInfo>, _>>()?;
    let certificates = settings.ca.clone().map(|ca| TlsCertificates { client_tls: None, root_cert: Some(ca) });
    if settings.cluster {
        let mut builder = ClusterClient::builder(infos)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(RESPONSE_TIMEOUT)
            .retries(2);
        if let Some(password) = &settings.password {
            builder = builder.password(password.expose_secret());
        }
        if let Some(certificates) = certificates {
            builder = builder.certs(certificates);
        }
        return Ok(Door::Cluster(Box::new(builder.build()?)));
    }
    let [info] = <[ConnectionInfo; 1]>::try_from(infos).map_err(|infos| {
        RedisError::from((
            redis::ErrorKind::InvalidClientConfig,
            "wrong number of URLs",
            format!("{} were given: give one, or say that it is a cluster", infos.len()),
        ))
    })?;
    let info = match &settings.password {
        Some(password) => {
            let login = info.redis_settings().clone().set_password(password.expose_secret());
            info.set_redis_settings(login)
        }
        None => info,
    };
    Ok(Door::Single(Box::new(match certificates {
        Some(certificates) => Client::build_with_tls(info, certificates)?,
        None => Client::open(info)?,
    })))
}

async fn open(door: &Door) -> Result<Link, RedisError> {
    match door {
        Door::Single(client) => {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT_TIMEOUT))
                .set_response_timeout(Some(RESPONSE_TIMEOUT));
            client.get_multiplexed_async_connection_with_config(&config).await.map(Link::Single)
        }
        Door::Cluster(client) => client.get_async_connection().await.map(Link::Cluster),
    }
}
