//! One connection of a worker that its sessions share, remade when it breaks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout_at};

use super::client::{Connection, Servers};
use crate::failure::Failure;
use slatest_core::model::Outcome;

type Connecting = Shared<BoxFuture<'static, Result<Connection, Failure>>>;

/// A connection, or the attempt at one. There is never more than one attempt at a time, and it
/// goes on when the operation that began it has given up: a short timeout must not keep a slow
/// handshake from ever ending.
pub struct Link {
    servers: Arc<Servers>,
    current: Mutex<Option<(u64, Connecting)>>,
    attempts: AtomicU64,
    answers: AtomicU64,
}

/// A connection as one operation uses it.
pub struct Use {
    /// The connection.
    pub connection: Connection,
    attempt: u64,
    answers: u64,
}

impl Link {
    /// Not yet connected.
    pub const fn new(servers: Arc<Servers>) -> Self {
        Self { servers, current: Mutex::new(None), attempts: AtomicU64::new(0), answers: AtomicU64::new(0) }
    }

    /// The connection, made where there is none.
    ///
    /// # Errors
    /// It could not be made, or not before `deadline`.
    pub async fn connection(&self, deadline: Instant) -> Result<Use, Failure> {
        let (attempt, connecting) = self.current();
        match timeout_at(deadline, connecting).await {
            Ok(Ok(connection)) => Ok(Use { connection, attempt, answers: self.answers.load(Ordering::Relaxed) }),
            Ok(Err(failure)) => {
                self.forget(attempt);
                Err(failure)
            }
            Err(_) => Err(Failure::new(Outcome::TimedOut, "connect: timed out")),
        }
    }

    /// Learns how an operation on it ended. A broken connection is remade by the next operation;
    /// so is one that answered nobody since an operation that timed out was sent.
    pub fn ended<T>(&self, used: &Use, result: &Result<T, Failure>) {
        match result {
            Ok(_) => {
                self.answers.fetch_add(1, Ordering::Relaxed);
            }
            Err(failure) if failure.broken => self.forget(used.attempt),
            Err(failure) if failure.outcome == Outcome::TimedOut => {
                if self.answers.load(Ordering::Relaxed) == used.answers {
                    self.forget(used.attempt);
                }
            }
            Err(_) => {
                self.answers.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn current(&self) -> (u64, Connecting) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (attempt, connecting) = current.get_or_insert_with(|| {
            let servers = Arc::clone(&self.servers);
            let connecting = async move { servers.connect().await }.boxed().shared();
            tokio::spawn(connecting.clone());
            (self.attempts.fetch_add(1, Ordering::Relaxed), connecting)
        });
        (*attempt, connecting.clone())
    }

    fn forget(&self, attempt: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|(now, _)| *now == attempt) {
            *current = None;
        }
    }
}
