//! A TCP proxy between slatest and an endpoint, whose conditions change while connections are open.
//!
//! It runs on a thread of its own, so that a busy run doesn't delay it and it delays no run.

mod pump;
mod settings;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

pub use settings::ProxySpec;

/// Most connections at once when a proxy doesn't say.
const CONNECTIONS_DEFAULT: u32 = 1000;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// Longest wait for the upstream; then the client is reset.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long the proxy waits after an accept that failed (no descriptors are left, mostly).
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What a proxy does with connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Passes everything on.
    #[default]
    Pass,
    /// Open connections are reset, new ones refused: nobody listens.
    Refuse,
    /// Open connections are reset, new ones as soon as they are accepted.
    Reset,
    /// Nothing passes and nothing closes; what is held passes when it passes again.
    Blackhole,
    /// Everything passes, later or more slowly.
    Slow {
        /// How much later the upstream's bytes arrive.
        latency: Duration,
        /// How much that varies, evenly up and down.
        jitter: Duration,
        /// Most bytes per second of each connection and direction.
        bytes_per_second: Option<NonZeroU64>,
        /// Seed of the jitter.
        seed: u64,
    },
}

impl Condition {
    /// Whether open connections end.
    const fn breaks(self) -> bool {
        matches!(self, Self::Refuse | Self::Reset)
    }
}

/// Why a proxy can't be put up.
#[derive(Debug, thiserror::Error)]
#[error("the proxy `{name}` can't listen on {listen}: {reason}; choose another address under proxies.{name}.listen")]
pub struct ProxyError {
    name: String,
    listen: SocketAddr,
    reason: io::Error,
}

type Order = (Condition, oneshot::Sender<io::Result<()>>);

/// A proxy that is up. It ends when this is dropped, with all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    upstream: String,
    orders: Option<mpsc::Sender<Order>>,
    conditions: watch::Receiver<Condition>,
    open: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Puts it up; it passes everything on.
    ///
    /// # Errors
    /// When its address can't be had.
    pub fn start(name: &str, spec: &ProxySpec) -> Result<Self, ProxyError> {
        let wrong = |reason| ProxyError { name: name.to_owned(), listen: spec.listen, reason };
        let listener = std::net::TcpListener::bind(spec.listen).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        let (orders, taken) = mpsc::channel(8);
        let (told, conditions) = watch::channel(Condition::Pass);
        let open = Arc::new(AtomicUsize::new(0));
        let most = spec.max_connections.map_or(CONNECTIONS_DEFAULT, std::num::NonZero::get);
        let door = Door {
            address,
            upstream: spec.upstream.as_str().into(),
            told,
            seats: Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS))),
            open: Arc::clone(&open),
        };
        let thread = std::thread::Builder::new()
            .name(format!("proxy-{name}"))
            .spawn(move || door.stand(listener, taken))
            .map_err(wrong)?;
        let upstream = spec.upstream.clone();
        Ok(Self { address, upstream, orders: Some(orders), conditions, open, thread: Some(thread) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it connects to.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// Connections that are open through it.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// What it does with connections now.
    pub fn condition(&self) -> Condition {
        *self.conditions.borrow()
    }

    /// Changes what it does with connections, open and new. When this returns, it does.
    ///
    /// # Errors
    /// When its address can't be listened on again.
    pub async fn set(&self, condition: Condition) -> io::Result<()> {
        let ended = || io::Error::other("the proxy has ended");
        let (done, told) = oneshot::channel();
        let orders = self.orders.as_ref().ok_or_else(ended)?;
        orders.send((condition, done)).await.map_err(|_| ended())?;
        told.await.map_err(|_| ended())?
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The thread ends when nobody can give orders any more.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The proxies of a run, by name.
#[derive(Debug, Default)]
pub struct Proxies(BTreeMap<String, Proxy>);

impl Proxies {
    /// Puts all of them up.
    ///
    /// # Errors
    /// The first that can't be; then none is up.
    pub fn start<'a>(specs: impl IntoIterator<Item = (&'a str, &'a ProxySpec)>) -> Result<Self, ProxyError> {
        let start = |(name, spec): (&str, &ProxySpec)| Ok((name.to_owned(), Proxy::start(name, spec)?));
        specs.into_iter().map(start).collect::<Result<_, _>>().map(Self)
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Proxy> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Proxy)> {
        self.0.iter().map(|(name, proxy)| (name.as_str(), proxy))
    }
}

/// A port that is ours, and on which nobody listens yet: connections to it are refused.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections that were accepted on it may still be ending.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// What the port is at the moment.
enum Port {
    Listening(TcpListener),
    Closed(TcpSocket),
}

/// The side of a proxy that accepts.
struct Door {
    address: SocketAddr,
    upstream: Arc<str>,
    told: watch::Sender<Condition>,
    seats: Arc<Semaphore>,
    open: Arc<AtomicUsize>,
}

impl Door {
    /// Keeps the door on this thread, until nobody can give orders any more.
    fn stand(self, listener: std::net::TcpListener, orders: mpsc::Receiver<Order>) {
        let address = self.address;
        let stood = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            runtime.block_on(async {
                self.keep(TcpListener::from_std(listener)?, orders).await;
                Ok(())
            })
        });
        if let Err(error) = stood {
            tracing::error!(%error, %address, "a proxy could not be put up");
        }
    }

    async fn keep(self, listener: TcpListener, mut orders: mpsc::Receiver<Order>) {
        let mut port = Some(Port::Listening(listener));
        let mut number = 0;
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => {
                    let Some((condition, done)) = order else { return };
                    let changed = self.change(&mut port, condition);
                    if changed.is_ok() {
                        self.told.send_replace(condition);
                    }
                    let _ = done.send(changed);
                }
                (client, seat) = accepted(&port, &self.seats) => {
                    number += 1;
                    self.admit(client, seat, number);
                }
            }
        }
    }

    fn change(&self, port: &mut Option<Port>, condition: Condition) -> io::Result<()> {
        *port = Some(match (port.take(), condition == Condition::Refuse) {
            (Some(Port::Listening(listener)), true) => {
                // What waits to be accepted is reset with it.
                drop(listener);
                Port::Closed(reserve(self.address)?)
            }
            (Some(Port::Closed(socket)), false) => Port::Listening(socket.listen(BACKLOG)?),
            (None, true) => Port::Closed(reserve(self.address)?),
            (None, false) => Port::Listening(reserve(self.address)?.listen(BACKLOG)?),
            (Some(as_it_is), _) => as_it_is,
        });
        Ok(())
    }

    fn admit(&self, client: TcpStream, seat: OwnedSemaphorePermit, number: u64) {
        let conditions = self.told.subscribe();
        let upstream = Arc::clone(&self.upstream);
        let open = Open::one(&self.open);
        tokio::spawn(async move {
            let _until_the_end = (seat, open);
            let broken = {
                let mut breaks = conditions.clone();
                let through = through(&client, &upstream, conditions, number);
                tokio::select! {
                    biased;
                    _ = breaks.wait_for(|condition| condition.breaks()) => true,
                    ended = through => ended.is_err(),
                }
            };
            if broken {
                // Best effort: without it the client sees an end instead of a reset.
                let _ = client.set_zero_linger();
            }
        });
    }
}

/// The next connection, when somebody listens and there is a seat for it.
async fn accepted(port: &Option<Port>, seats: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let Some(Port::Listening(listener)) = port else { return std::future::pending().await };
    let Ok(seat) = Arc::clone(seats).acquire_owned().await else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((client, _)) => return (client, seat),
            Err(error) => {
                tracing::warn!(%error, "a proxy can't accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn through(
    client: &TcpStream,
    upstream: &str,
    mut conditions: watch::Receiver<Condition>,
    number: u64,
) -> io::Result<()> {
    // A black hole answers nobody; the upstream doesn't learn of the connection either.
    if conditions.wait_for(|condition| *condition != Condition::Blackhole).await.is_err() {
        return Ok(());
    }
    let server = timeout(CONNECT_WITHIN, TcpStream::connect(upstream)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ended = tokio::try_join!(
        pump::pump(client, &server, conditions.clone(), None),
        pump::pump(&server, client, conditions.clone(), Some(number)),
    );
    if ended.is_err() {
        // What broke on one side breaks on the other.
        let _ = server.set_zero_linger();
    }
    ended.map(drop)
}

/// Counts a connection for as long as it lives.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn one(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
