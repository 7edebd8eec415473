//! Starting the parts and serving until told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rdkafka::error::KafkaError;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::{TcpListener, TcpStream};

use super::api::{Platform, router};
use super::behaviour::{Behaviour, Behaviours};
use super::cache::{Cache, CacheSettings};
use super::events::{AmqpPublisher, Broker, Events, KafkaPublisher, KafkaSettings, Tally};
use super::ready::{Ready, VERSION};
use super::resp;
use super::scratch::Scratch;
use super::store::{Store, StoreError, open_postgres, open_sqlite};

/// A part of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The HTTP services.
    Api,
    /// The Yjs sync endpoint and the echo WebSocket.
    Sync,
    /// The embedded database.
    Sql,
    /// The embedded RESP server.
    Redis,
    /// The embedded brokers.
    Kafka,
}

/// What to start.
#[derive(Debug)]
pub struct Settings {
    /// Where HTTP and WebSockets are served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The parts to start.
    pub parts: Vec<Part>,
    /// How it misbehaves from the start.
    pub behaviour: Behaviour,
    /// Bytes that the embedded RESP server keeps at most.
    pub redis_memory_max: usize,
    /// DSN of a real PostgreSQL that replaces the embedded database.
    pub postgres: Option<SecretString>,
    /// Connections to it.
    pub postgres_connections: u32,
    /// A real Redis as the task cache, in place of the embedded server.
    pub redis: Option<CacheSettings>,
    /// A real Kafka, in place of the embedded brokers.
    pub kafka: Option<KafkaSettings>,
    /// URL of a real AMQP broker that events go to as well.
    pub amqp: Option<SecretString>,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or not ours to take.
    #[error("can't listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// No temporary folder.
    #[error("can't make a temporary folder (TMPDIR says where): {0}")]
    Scratch(io::Error),
    /// The database.
    #[error("{part}: {error}")]
    Store {
        /// Which one.
        part: &'static str,
        /// Why.
        error: StoreError,
    },
    /// The embedded brokers.
    #[error("the embedded Kafka can't start: {0}")]
    Broker(KafkaError),
    /// A real server can't be reached or its settings don't hold.
    #[error("{0}")]
    Outside(String),
}

impl StartError {
    /// Whether a real server was missing, rather than something of this machine.
    pub fn is_outside(&self) -> bool {
        matches!(self, Self::Outside(_) | Self::Store { part: POSTGRES, .. })
    }
}

const POSTGRES: &str = "PostgreSQL";
const SQLITE: &str = "the embedded database";

/// A started sandbox. Dropping it stops the brokers and removes the temporary folder.
pub struct Sandbox {
    ready: Ready,
    listener: Loopback,
    router: axum::Router,
    _broker: Option<Broker>,
    // After the store, so that its files are closed when the folder goes.
    _scratch: Option<Scratch>,
}

impl Sandbox {
    /// Starts what the settings ask for.
    ///
    /// # Errors
    /// Names the part that did not start.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let wants = |part| settings.parts.contains(&part);
        let behaviours = Behaviours::new(settings.behaviour.clone());
        let listener = listen(settings.listen).await?;
        let address = listener.local_addr().map_err(|error| StartError::Listen { address: settings.listen, error })?;

        let embedded_sql = settings.postgres.is_none() && (wants(Part::Api) || wants(Part::Sql));
        let scratch = if embedded_sql { Some(Scratch::new().map_err(StartError::Scratch)?) } else { None };
        let file = scratch.as_ref().map(|scratch| scratch.path().join("platform.sqlite"));
        let store: Option<Arc<dyn Store>> = match (&settings.postgres, &file) {
            (Some(dsn), _) if wants(Part::Api) || wants(Part::Sql) => Some(
                open_postgres(dsn.expose_secret(), settings.postgres_connections)
                    .await
                    .map_err(|error| StartError::Store { part: POSTGRES, error })?,
            ),
            (None, Some(file)) => {
                Some(open_sqlite(file).await.map_err(|error| StartError::Store { part: SQLITE, error })?)
            }
            _ => None,
        };

        let broker = if settings.kafka.is_none() && wants(Part::Kafka) {
            Some(Broker::start().map_err(StartError::Broker)?)
        } else {
            None
        };
        let brokers = broker.as_ref().map(|broker| broker.addresses().to_vec()).unwrap_or_default();
        let events = events(&settings, &brokers).await?;

        let mut redis = None;
        let mut cache = None;
        match &settings.redis {
            Some(real) => cache = Some(Cache::connect(real).await.map_err(StartError::Outside)?),
            None if wants(Part::Redis) => {
                let own = SocketAddr::new(settings.listen.ip(), 0);
                let served = listen(own).await?;
                let served = resp::serve(served, settings.redis_memory_max, behaviours.clone())
                    .map_err(|error| StartError::Listen { address: own, error })?;
                redis = Some(format!("redis://{served}"));
            }
            None => {}
        }

        let platform = match store {
            Some(store) if wants(Part::Api) => Some(Platform { store, cache, events: events.clone() }),
            _ => None,
        };
        let ready = Ready {
            ready: true,
            version: VERSION,
            pid: std::process::id(),
            http: format!("http://{address}"),
            websocket: wants(Part::Sync).then(|| format!("ws://{address}/sync")),
            echo: wants(Part::Sync).then(|| format!("ws://{address}/echo")),
            kafka: brokers,
            sqlite: file.filter(|_| wants(Part::Sql)).map(|file| file.display().to_string()),
            redis,
        };
        let router = router(platform, wants(Part::Sync), &events, &behaviours);
        Ok(Self { ready, listener: Loopback(listener), router, _broker: broker, _scratch: scratch })
    }

    /// Where everything is.
    pub const fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Serves until `stop` comes. Connections that are open then are cut: whoever stops the
    /// platform has done with it.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let service = self.router.into_make_service_with_connect_info::<Peer>();
        tokio::select! {
            served = axum::serve(self.listener, service).into_future() => served,
            () = stop => Ok(()),
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || {
        let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // 10,000 clients may come at once.
        socket.listen(8_192)
    };
    open().map_err(|error| StartError::Listen { address, error })
}

async fn events(settings: &Settings, embedded: &[String]) -> Result<Events, StartError> {
    let tally = Arc::<Tally>::default();
    let own = KafkaSettings { brokers: embedded.join(","), properties: None };
    let kafka = match &settings.kafka {
        Some(real) => Some(real),
        None if embedded.is_empty() => None,
        None => Some(&own),
    };
    let kafka = match kafka {
        Some(kafka) => {
            let publisher =
                KafkaPublisher::start(kafka, tally.clone()).map_err(|e| StartError::Outside(e.to_string()))?;
            // Blocks, which nothing else minds: nothing else runs yet.
            publisher.check().map_err(StartError::Outside)?;
            Some(publisher)
        }
        None => None,
    };
    let amqp = match &settings.amqp {
        Some(url) => Some(AmqpPublisher::start(url.clone(), tally.clone()).await.map_err(StartError::Outside)?),
        None => None,
    };
    Ok(Events::new(kafka, amqp, tally))
}

/// A listener whose connections don't wait to fill packets.
struct Loopback(TcpListener);

impl Listener for Loopback {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        // axum's own: it goes on after errors that pass, such as no file descriptor left.
        let (stream, peer) = Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        (stream, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Who is connected.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Loopback>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Loopback>) -> Self {
        Self(*stream.remote_addr())
    }
}
