//! From a name to an open TCP connection: the guard, the look-up, and the race of RFC 8305 between a name's addresses.
//!
//! One [`Dial`] serves a compiled workload: its connections are spread over the addresses of a name, the name is
//! looked up again as time passes, and at the end it says how many connections went where.

mod count;
mod lookup;
mod race;
#[cfg(any(feature = "http", feature = "kafka"))]
mod tls;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use self::count::Counts;
use self::lookup::Names;
use super::Finding;
use super::generator::io_kind;
use slatest_core::target::Guard;

pub(crate) use lookup::LookupError;
#[cfg(any(feature = "http", feature = "kafka"))]
pub(crate) use tls::TlsFailure;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The host is not on the allow list; in words.
    #[error("{0}")]
    NotAllowed(String),
    /// The name has no address, or nobody says which.
    #[error("can't look `{host}` up: {error}; is the name right, and does this machine know it?")]
    Lookup {
        /// The name.
        host: String,
        /// Why.
        error: LookupError,
    },
    /// No address took the connection.
    #[error("can't connect: {}", refused_in_words(.0))]
    Connect(#[from] io::Error),
    /// The time was over first.
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
}

/// What a socket says, and what to do about the most usual of it.
fn refused_in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused: nobody listens on that port; is the port right, and does the server run?".to_owned()
        }
        _ => error.to_string(),
    }
}

impl DialError {
    /// The kind that is counted: `connect: connection refused`.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::NotAllowed(_) => "guard: host not allowed".to_owned(),
            Self::Lookup { error, .. } => error.kind(),
            Self::Connect(error) => io_kind("connect", error),
            Self::TimedOut(_) => "connect: timed out".to_owned(),
        }
    }
}

/// Dials for the sessions of one compiled workload.
#[derive(Debug)]
pub(crate) struct Dial {
    guard: Guard,
    names: Names,
    counts: Counts,
}

impl Dial {
    /// A dial that contacts only what `guard` lets pass.
    pub(crate) fn new(guard: Guard) -> Self {
        Self { guard, names: Names::of_the_system(), counts: Counts::default() }
    }

    /// A dial whose names have these addresses.
    #[cfg(test)]
    pub(crate) fn of(guard: Guard, addresses: Vec<std::net::IpAddr>) -> Self {
        let names = Names::of(std::sync::Arc::new(move |_| Ok(addresses.clone())));
        Self { guard, names, counts: Counts::default() }
    }

    /// Connects to `host` (a name or an address), without Nagle's delay, `within` so long. Addresses are tried one
    /// after another, 250 ms apart or as soon as one has failed; the first that takes the connection wins, and the
    /// other attempts are closed.
    ///
    /// # Errors
    /// Of the addresses that were tried, the one that says most.
    pub(crate) async fn connect(&self, host: &str, port: u16, within: Duration) -> Result<TcpStream, DialError> {
        let deadline = Instant::now() + within;
        let connecting = async {
            let addresses = self.addresses(host, port).await?;
            let raced = race::race(&addresses, TcpStream::connect).await;
            // What was tried before the one that won had its chance: it is tried last for a while.
            for slow in addresses.iter().take(raced.tried.saturating_sub(1)) {
                if raced.won.as_ref().is_none_or(|(won, _)| won != slow) {
                    self.names.failed(host, slow.ip());
                }
            }
            let (address, stream) = raced.into_result()?;
            stream.set_nodelay(true)?;
            self.connected(host, address);
            Ok(stream)
        };
        timeout_at(deadline, connecting).await.map_err(|_| DialError::TimedOut(within))?
    }

    /// The addresses of `host` in the order in which the next connection tries them: families in turn, another
    /// address first each time. For clients that connect by themselves, which then tell [`Dial::connected`].
    ///
    /// # Errors
    /// When the host isn't allowed, or has no address.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        self.guard.check(host).map_err(DialError::NotAllowed)?;
        let found = self.names.addresses(host).await;
        let found = found.map_err(|error| DialError::Lookup { host: host.to_owned(), error })?;
        self.counts.known(host, &found);
        Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    /// Counts a connection that was made to an address of `host`.
    pub(crate) fn connected(&self, host: &str, address: SocketAddr) {
        self.counts.connected(host, address.ip());
    }

    /// How many connections went to which address, of the names that have several.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let finding = |detail| Finding { check: "addresses".to_owned(), holds: true, detail };
        self.counts.in_words().into_iter().map(finding).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
