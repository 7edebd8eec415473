//! Connections that the sessions of a scenario share, over all workers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::run::Script;
use super::server::{Live, Server};
use crate::CONNECT_TIMEOUT;
use crate::failure::{Failure, shortage};
use slatest_core::model::Outcome;

/// Longest goodbye.
const GOODBYE: Duration = Duration::from_millis(800);
/// How many connections are opened at a time when the pool is filled: at first, and at most. In between it doubles, so
/// that a server with room for few is hardly asked in vain.
const OPENED_AT_ONCE: usize = 2;
const OPENED_AT_ONCE_MAX: usize = 32;
/// Wait after a server said that it has no place for another connection: at first, and at most. In between it doubles.
const BACK_OFF: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// At most so many connections to one server; who waits longest gets the next one. Nothing is
/// asked of a connection before it is handed out: a broken one shows when it is used, and is remade.
///
/// A permit is the right to one connection. Where the server gives fewer than were asked for, the rights to the others
/// are taken back, and given again one by one, later and later.
pub struct Pool {
    server: Arc<Server>,
    scripts: Arc<[Script]>,
    permits: Semaphore,
    size: usize,
    seed: u64,
    state: Mutex<State>,
}

struct State {
    /// With the worker that used each last.
    idle: Vec<(usize, Live)>,
    open: usize,
    /// Permits that there are.
    rights: usize,
    refused: u64,
    /// Most that were open when the server refused another.
    given: usize,
    back_off: Duration,
    /// When another may be tried.
    again: Instant,
}

/// A connection on loan. Dropped, the connection is closed; given back, the next may have it.
pub struct Lease<'p> {
    pool: &'p Pool,
    worker: usize,
    /// The connection; there until it is given back.
    live: Option<Live>,
    _permit: SemaphorePermit<'p>,
}

impl Pool {
    /// An empty pool of `size` connections; `seed` decides by how much waits differ.
    pub fn new(server: Arc<Server>, scripts: Arc<[Script]>, size: usize, seed: u64) -> Self {
        let state = State {
            idle: Vec::with_capacity(size),
            open: 0,
            rights: size,
            refused: 0,
            given: 0,
            back_off: BACK_OFF,
            again: Instant::now(),
        };
        Self { server, scripts, permits: Semaphore::new(size), size, seed, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, new where none is idle.
    ///
    /// # Errors
    /// None became free before `deadline`, or a new one could not be made.
    pub async fn lease(&self, worker: usize, deadline: Instant) -> Result<Lease<'_>, Failure> {
        loop {
            self.grow();
            let permit = match timeout_at(deadline, self.permits.acquire()).await {
                Ok(Ok(permit)) => permit,
                Ok(Err(_)) | Err(_) => return Err(self.none_free()),
            };
            if let Some(live) = self.take_idle(worker)? {
                return Ok(Lease { pool: self, worker, live: Some(live), _permit: permit });
            }
            match self.open(deadline).await {
                Ok(live) => return Ok(Lease { pool: self, worker, live: Some(live), _permit: permit }),
                Err(failure) if failure.is_full() => self.refused(permit, deadline).await?,
                Err(failure) => return Err(failure),
            }
        }
    }

    fn none_free(&self) -> Failure {
        Failure::new(Outcome::TimedOut, "pool: no free connection").broken()
    }

    /// One that is idle; the worker's own first, which needn't move.
    fn take_idle(&self, worker: usize) -> Result<Option<Live>, Failure> {
        let taken = {
            let mut state = self.state();
            let own = state.idle.iter().rposition(|(home, _)| *home == worker);
            match own {
                Some(at) => Some(state.idle.swap_remove(at)),
                None => state.idle.pop(),
            }
        };
        let Some((home, mut live)) = taken else { return Ok(None) };
        if home != worker
            && let Err(failure) = live.settle()
        {
            self.state().open -= 1;
            return Err(failure);
        }
        Ok(Some(live))
    }

    async fn open(&self, deadline: Instant) -> Result<Live, Failure> {
        let place = Opening::of(self);
        let deadline = deadline.min(Instant::now() + CONNECT_TIMEOUT.as_duration());
        let live = self.server.connect(&self.scripts, deadline).await?;
        place.keep();
        let mut state = self.state();
        state.back_off = BACK_OFF;
        // One that was given is a sign that there are more.
        state.again = Instant::now();
        Ok(live)
    }

    /// The server has no place: the right to this connection is taken back. The last one stays, and its holder waits.
    async fn refused(&self, permit: SemaphorePermit<'_>, deadline: Instant) -> Result<(), Failure> {
        let wait = {
            let mut state = self.state();
            state.refused += 1;
            state.given = state.given.max(state.open);
            let jitter = jitter(self.seed, state.refused);
            let wait = Instant::now() + state.back_off.mul_f64(jitter);
            state.back_off = (state.back_off * 2).min(BACK_OFF_MAX);
            state.again = wait;
            if state.rights > 1 {
                state.rights -= 1;
                permit.forget();
                return Ok(());
            }
            wait
        };
        // Not longer than a second: who waits has a deadline of its own, and others may have left.
        let wait = wait.min(Instant::now() + BACK_OFF);
        if wait >= deadline {
            sleep_until(deadline).await;
            return Err(self.none_free());
        }
        sleep_until(wait).await;
        drop(permit);
        Ok(())
    }

    /// Gives the right to another connection, when it is time to try.
    fn grow(&self) {
        let mut state = self.state();
        if state.rights < self.size && Instant::now() >= state.again {
            state.rights += 1;
            // Until it was tried, nobody else tries.
            state.again = Instant::now() + state.back_off;
            self.permits.add_permits(1);
        }
    }

    /// Opens all of its connections, or as many as the server gives.
    ///
    /// # Errors
    /// The first that could not be made for another reason; that the server gave none.
    pub async fn fill(&self, worker: usize) -> Result<(), Failure> {
        let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
        let mut opened = Vec::with_capacity(self.size);
        let there = self.state().open;
        let (mut failed, mut refused) = (None, 0);
        let mut at_once = OPENED_AT_ONCE;
        while there + opened.len() < self.size && failed.is_none() {
            let wave = (self.size - there - opened.len()).min(at_once);
            at_once = (at_once * 2).min(OPENED_AT_ONCE_MAX);
            let mut wave: futures_util::stream::FuturesUnordered<_> = (0..wave).map(|_| self.open(deadline)).collect();
            while let Some(result) = wave.next().await {
                match result {
                    Ok(live) => opened.push(live),
                    Err(failure) if failure.is_full() => {
                        refused += 1;
                        failed = Some(failure);
                    }
                    // What was opened is closed with the error.
                    Err(failure) => {
                        self.state().open -= opened.len();
                        return Err(failure);
                    }
                }
            }
        }
        let given = there + opened.len();
        {
            let mut state = self.state();
            state.idle.extend(opened.into_iter().map(|live| (worker, live)));
            if let Some(failure) = failed {
                state.refused += refused;
                state.given = given;
                state.again = Instant::now() + state.back_off;
                state.back_off *= 2;
                if given == 0 {
                    return Err(failure);
                }
                let unused = self.permits.forget_permits(self.size - given);
                state.rights -= unused;
            }
        }
        Ok(())
    }

    /// What is said of a server that gave fewer connections than were asked for: `5 of 10`.
    pub fn shortage(&self) -> Option<String> {
        let state = self.state();
        (state.refused > 0).then(|| shortage(state.given, self.size, state.refused, &self.server.address()))
    }

    /// Takes a connection in that was opened elsewhere.
    pub fn adopt(&self, worker: usize, live: Live) {
        let mut state = self.state();
        state.open += 1;
        state.idle.push((worker, live));
    }

    /// Closes its idle connections, within a second.
    pub async fn close(&self) {
        let idle = {
            let mut state = self.state();
            state.open -= state.idle.len();
            std::mem::take(&mut state.idle)
        };
        let goodbyes = idle.into_iter().map(|(_, mut live)| async move {
            if live.settle().is_ok() {
                live.close().await;
            }
        });
        drop(timeout(GOODBYE, futures_util::future::join_all(goodbyes)).await);
    }
}

/// Counts a connection that is being opened, unless it comes to nothing.
struct Opening<'p>(Option<&'p Pool>);

impl<'p> Opening<'p> {
    fn of(pool: &'p Pool) -> Self {
        pool.state().open += 1;
        Self(Some(pool))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.0 {
            pool.state().open -= 1;
        }
    }
}

/// From 0.75 to 1.25, the same for the same seed and turn.
fn jitter(seed: u64, turn: u64) -> f64 {
    use rand::{RngExt as _, SeedableRng as _};
    rand_chacha::ChaCha8Rng::seed_from_u64(seed ^ turn.rotate_left(32)).random_range(0.75..1.25)
}

impl Lease<'_> {
    /// The connection.
    ///
    /// # Errors
    /// None, as long as it wasn't given back.
    pub fn live(&mut self) -> Result<&mut Live, Failure> {
        self.live.as_mut().ok_or_else(|| Failure::new(Outcome::Unknown, "pool: no connection"))
    }

    /// Puts the connection back for the next, if it can be used.
    pub fn give_back(mut self) {
        if let Some(live) = self.live.take_if(|live| live.is_idle()) {
            self.pool.state().idle.push((self.worker, live));
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            self.pool.state().open -= 1;
            drop(live);
        }
    }
}
