//! TCP connections of the drivers that dial for themselves.

use std::io;

use tokio::net::TcpStream;

/// Connects to the first of a host's addresses that takes it, without Nagle's delay. The caller has
/// asked the guard and sets the time limit.
///
/// # Errors
/// Of the addresses that were tried, the one that says most: a machine without IPv6 says of every
/// such address that none is available, which is not why the others failed.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut told: Option<io::Error> = None;
    for address in tokio::net::lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => {
                let says_more = |told: &io::Error| told.kind() == io::ErrorKind::AddrNotAvailable;
                if told.as_ref().is_none_or(says_more) {
                    told = Some(error);
                }
            }
        }
    }
    Err(told.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}
