//! The connections of a scenario in this process: each worker has its share, so that what it sends needs no other
//! thread. A server may give fewer than were asked for. Then sessions share what it gave, over all workers, and the
//! rest is asked for now and then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::client::Servers;
use super::link::{Link, Use};
use crate::failure::{Failure, shortage};
use crate::{CONNECT_TIMEOUT, Finding, SessionContext};

/// Longest wait until all connections are looked at again where none can be had.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The connections of this process.
pub struct Pool {
    servers: Arc<Servers>,
    /// Connections of the scenario in all.
    connections: usize,
    /// Per worker; they live as long as a session of it does.
    workers: Mutex<BTreeMap<usize, Weak<Links>>>,
    counts: Arc<Counts>,
}

/// What was asked for and what came of it.
#[derive(Default)]
pub struct Counts {
    /// Connections that the workers have, by worker.
    wanted: Mutex<BTreeMap<usize, usize>>,
    open: AtomicUsize,
    /// Most that were open at a time.
    most: AtomicUsize,
    refused: AtomicU64,
}

/// The connections of one worker.
pub struct Links {
    /// At least one.
    own: Vec<Arc<Link>>,
    turns: AtomicUsize,
}

impl Counts {
    /// One more is open.
    pub fn opened(&self) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(open, Ordering::Relaxed);
    }

    /// One less.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// The server had no place for one.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// None is opened yet.
    pub fn new(servers: Arc<Servers>, connections: usize) -> Self {
        Self { servers, connections, workers: Mutex::default(), counts: Arc::default() }
    }

    /// The connections of the worker, opened by the first of its sessions.
    ///
    /// # Errors
    /// The first failure, when none could be opened and no other worker has one.
    pub async fn links(&self, context: &SessionContext) -> Result<Arc<Links>, Failure> {
        let (links, is_new) = self.worker(context);
        if is_new && let Err(failure) = links.open().await {
            // What another worker was given serves this one, too.
            if !failure.has_no_place() {
                return Err(failure);
            }
            let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
            self.lend(&links, 0, deadline).await?;
        }
        Ok(links)
    }

    fn worker(&self, context: &SessionContext) -> (Arc<Links>, bool) {
        let mut workers = locked(&self.workers);
        if let Some(links) = workers.get(&context.worker).and_then(Weak::upgrade) {
            return (links, false);
        }
        let count = context.share_of(self.connections).max(1);
        let link = |_| Arc::new(Link::new(Arc::clone(&self.servers), Arc::clone(&self.counts)));
        let links = Arc::new(Links { own: (0..count).map(link).collect(), turns: AtomicUsize::new(0) });
        workers.insert(context.worker, Arc::downgrade(&links));
        locked(&self.counts.wanted).insert(context.worker, count);
        (links, true)
    }

    /// A connection for an operation: its own, or one of those that the server gave, of this worker first.
    ///
    /// # Errors
    /// It could not be made, or not before `deadline`.
    pub async fn lend(&self, links: &Links, turn: usize, deadline: Instant) -> Result<(Arc<Link>, Use), Failure> {
        loop {
            let own = &links.own[turn % links.own.len()];
            let refused = match own.connection(deadline).await {
                Ok(used) => return Ok((Arc::clone(own), used)),
                Err(failure) if failure.has_no_place() => failure,
                Err(failure) => return Err(failure),
            };
            let others = self.others(links, turn);
            for link in others.iter().filter(|link| link.stands()).chain(others.iter().filter(|link| link.is_opening()))
            {
                if let Ok(used) = link.connection(deadline).await {
                    return Ok((Arc::clone(link), used));
                }
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(refused);
            }
            sleep_until((now + LOOK_AGAIN).min(deadline)).await;
        }
    }

    /// All but the one whose turn it is, from the next on: those of the worker, then those of the others.
    pub fn others(&self, links: &Links, turn: usize) -> Vec<Arc<Link>> {
        let rotated = |all: &[Arc<Link>]| -> Vec<Arc<Link>> {
            let first = turn % all.len().max(1);
            all[first..].iter().chain(&all[..first]).cloned().collect()
        };
        let elsewhere = locked(&self.workers).values().filter_map(Weak::upgrade).collect::<Vec<_>>();
        let elsewhere = elsewhere.iter().filter(|other| !std::ptr::eq(&***other, links));
        rotated(&links.own).into_iter().skip(1).chain(elsewhere.flat_map(|other| rotated(&other.own))).collect()
    }

    /// What is said at the end of a server that gave fewer than were asked for.
    pub fn findings(&self) -> Vec<Finding> {
        let refused = self.counts.refused.load(Ordering::Relaxed);
        let wanted = locked(&self.counts.wanted).values().sum();
        let given = self.counts.most.load(Ordering::Relaxed).min(wanted);
        let detail = (refused > 0).then(|| shortage(given, wanted, refused, self.servers.addresses()));
        detail.map(|detail| Finding { check: "connections".into(), holds: true, detail }).into_iter().collect()
    }
}

impl Links {
    /// Opens all of them.
    ///
    /// # Errors
    /// The first failure, when none could be opened.
    async fn open(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + CONNECT_TIMEOUT.as_duration();
        let opened = join_all(self.own.iter().map(|link| link.connection(deadline))).await;
        if opened.iter().any(Result::is_ok) {
            return Ok(());
        }
        let mut failures: Vec<Failure> = opened.into_iter().filter_map(Result::err).collect();
        // What others were given helps only where nothing else is wrong.
        let first = failures.iter().position(|failure| !failure.has_no_place()).unwrap_or(0);
        if failures.is_empty() { Ok(()) } else { Err(failures.swap_remove(first)) }
    }

    /// The turn of the next session.
    pub fn next_turn(&self) -> usize {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }
}
