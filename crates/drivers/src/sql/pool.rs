//! Connections that the sessions of one worker share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::run::Script;
use super::server::{Live, Server};
use crate::CONNECT_TIMEOUT;
use crate::failure::Failure;
use slatest_core::model::Outcome;

/// Longest goodbye.
const GOODBYE: Duration = Duration::from_millis(800);

/// At most so many connections to one server; who waits longest gets the next one. Nothing is
/// asked of a connection before it is handed out: a broken one shows when it is used, and is remade.
pub struct Pool {
    server: Arc<Server>,
    scripts: Arc<[Script]>,
    permits: Semaphore,
    size: usize,
    idle: Mutex<Vec<Live>>,
}

/// A connection on loan. Dropped, the connection is closed; given back, the next may have it.
pub struct Lease<'p> {
    pool: &'p Pool,
    /// The connection.
    pub live: Live,
    _permit: SemaphorePermit<'p>,
}

impl Pool {
    /// An empty pool of `size` connections.
    pub fn new(server: Arc<Server>, scripts: Arc<[Script]>, size: usize) -> Self {
        Self { server, scripts, permits: Semaphore::new(size), size, idle: Mutex::new(Vec::with_capacity(size)) }
    }

    /// A connection, new where none is idle.
    ///
    /// # Errors
    /// None became free before `deadline`, or a new one could not be made.
    pub async fn lease(&self, deadline: Instant) -> Result<Lease<'_>, Failure> {
        let permit = match timeout_at(deadline, self.permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(Failure::new(Outcome::TimedOut, "pool: no free connection").broken()),
        };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let live = match idle {
            Some(live) => live,
            None => {
                let deadline = deadline.min(Instant::now() + CONNECT_TIMEOUT.as_duration());
                self.server.connect(&self.scripts, deadline).await?
            }
        };
        Ok(Lease { pool: self, live, _permit: permit })
    }

    /// Opens all of its connections.
    ///
    /// # Errors
    /// The first that could not be made.
    pub async fn fill(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
        let leases = futures_util::future::try_join_all((0..self.size).map(|_| self.lease(deadline))).await?;
        leases.into_iter().for_each(Lease::give_back);
        Ok(())
    }

    /// Closes its idle connections, within a second.
    pub async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(timeout(GOODBYE, futures_util::future::join_all(idle.into_iter().map(Live::close))).await);
    }
}

impl Lease<'_> {
    /// Puts the connection back for the next.
    pub fn give_back(self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.live);
    }
}
