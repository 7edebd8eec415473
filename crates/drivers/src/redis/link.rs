//! One connection of a worker that its sessions share, remade when it breaks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::{Instant, timeout_at};

use super::client::{Connection, Servers};
use super::links::Counts;
use super::rest::Rest;
use crate::failure::Failure;
use slatest_core::model::Outcome;

type Connecting = Shared<BoxFuture<'static, Result<Connection, Failure>>>;

/// A connection, or the attempt at one. There is never more than one attempt at a time, and it
/// goes on when the operation that began it has given up: a short timeout must not keep a slow
/// handshake from ever ending.
pub struct Link {
    servers: Arc<Servers>,
    counts: Arc<Counts>,
    rest: Mutex<Rest>,
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
    pub fn new(servers: Arc<Servers>, counts: Arc<Counts>) -> Self {
        let rest = Mutex::new(Rest::none());
        Self {
            servers,
            counts,
            rest,
            current: Mutex::new(None),
            attempts: AtomicU64::new(0),
            answers: AtomicU64::new(0),
        }
    }

    /// The connection, made where there is none.
    ///
    /// # Errors
    /// It could not be made, or not before `deadline`; that the server has no place for it, and wasn't asked again yet.
    pub async fn connection(&self, deadline: Instant) -> Result<Use, Failure> {
        let Some((attempt, connecting)) = self.current() else {
            return Err(Failure::full("the server has no place for another connection"));
        };
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

    /// Whether it is connected.
    pub fn stands(&self) -> bool {
        self.peek(|connecting| matches!(connecting.peek(), Some(Ok(_))))
    }

    /// Whether it is about to be.
    pub fn is_opening(&self) -> bool {
        self.peek(|connecting| connecting.peek().is_none())
    }

    fn peek(&self, is: impl FnOnce(&Connecting) -> bool) -> bool {
        locked(&self.current).as_ref().is_some_and(|(_, connecting)| is(connecting))
    }

    /// The connection or the attempt at it; none while the server is not to be asked.
    fn current(&self) -> Option<(u64, Connecting)> {
        let mut current = locked(&self.current);
        if current.is_none() && !locked(&self.rest).is_over() {
            return None;
        }
        let (attempt, connecting) = current.get_or_insert_with(|| {
            let (servers, counts) = (Arc::clone(&self.servers), Arc::clone(&self.counts));
            let connecting = async move {
                let connection = servers.connect().await;
                match &connection {
                    Ok(_) => counts.opened(),
                    Err(failure) if failure.has_no_place() => counts.refused(),
                    Err(_) => {}
                }
                connection
            };
            let connecting = connecting.boxed().shared();
            tokio::spawn(connecting.clone());
            (self.attempts.fetch_add(1, Ordering::Relaxed), connecting)
        });
        Some((*attempt, connecting.clone()))
    }

    fn forget(&self, attempt: u64) {
        let mut current = locked(&self.current);
        let Some((_, connecting)) = current.take_if(|(now, _)| *now == attempt) else { return };
        match connecting.peek() {
            Some(Ok(_)) => {
                self.counts.closed();
                *locked(&self.rest) = Rest::none();
            }
            Some(Err(failure)) if failure.has_no_place() => locked(&self.rest).begin(),
            _ => {}
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.stands() {
            self.counts.closed();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
