//! Sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::Stream;
use tokio::net::{TcpListener, TcpStream};

use super::HANDSHAKE_WITHIN;

/// How long to wait after the machine could not give a connection that came: it has run out of
/// descriptors, and asking at once again would only keep a processor busy.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Listens on an address, `host:port`; port 0 takes any that is free. Gives the address that it got, and
/// the connections that come with the address of who made each.
///
/// # Errors
/// When the address can't be used.
pub async fn listen(
    address: &str,
) -> io::Result<(SocketAddr, impl Stream<Item = (TcpStream, String)> + Send + 'static)> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    let connections = futures_util::stream::unfold(listener, async |listener| {
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    // Acknowledgements and pings are small, and nothing follows them.
                    let _ = stream.set_nodelay(true);
                    return Some(((stream, from.to_string()), listener));
                }
                Err(e) => {
                    tracing::warn!("a connection could not be taken: {e}");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    });
    Ok((local, connections))
}

/// Connects to an address, `host:port`.
///
/// # Errors
/// When nobody listens there, or nobody answers within [`HANDSHAKE_WITHIN`].
pub async fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(HANDSHAKE_WITHIN, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
