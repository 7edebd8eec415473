//! An in-memory server that speaks RESP2: the commands that caches are driven with, expiry, and
//! a bound on memory with the least recently used keys evicted first.

mod command;
mod connection;
mod keyspace;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::keyspace::Keyspace;
use super::behaviour::Behaviours;

/// Connections served at once; more are refused, as Redis does at `maxclients`.
const MOST_CONNECTIONS: usize = 10_000;
/// How often keys that expired unread are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// Serves on `listener` until dropped; keeps at most `memory_max` bytes.
pub fn serve(listener: TcpListener, memory_max: usize, behaviours: Behaviours) -> std::io::Result<SocketAddr> {
    let address = listener.local_addr()?;
    let keyspace = Arc::new(Mutex::new(Keyspace::new(memory_max)));
    tokio::spawn(sweep(keyspace.clone()));
    tokio::spawn(accept(listener, keyspace, behaviours));
    Ok(address)
}

async fn accept(listener: TcpListener, keyspace: Arc<Mutex<Keyspace>>, behaviours: Behaviours) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: let some close before the next try.
                tracing::warn!(%error, "the RESP server could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        let (keyspace, behaviours) = (keyspace.clone(), behaviours.clone());
        tokio::spawn(async move {
            if let Err(error) = connection::serve(stream, keyspace, behaviours).await {
                tracing::debug!(%error, "a RESP connection ended");
            }
            drop(place);
        });
    }
}

async fn sweep(keyspace: Arc<Mutex<Keyspace>>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        keyspace::lock(&keyspace).sweep(Instant::now());
    }
}
