//! The connections of a scenario and their channels, for all of its workers. Sessions share them in turn. Whoever
//! finds one broken has it opened again, once for all who wait, whatever becomes of those.
//!
//! A broker may give fewer than were asked for. Then what it gave is shared, and the rest is asked for now and then.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use lapin::Channel;
use tokio::time::{Instant, timeout};

use super::broker::Broker;
use super::connection::{Connected, Purpose};
use super::shared::Opened;
use super::stream::Inbound;
use crate::failure::Failure;
use crate::{CONNECT_TIMEOUT, Finding};
use slatest_core::model::Outcome;

/// Youngest age at which a channel that refuses messages is given up. A queue that is full refuses them on any.
const RENEWED_AFTER: Duration = Duration::from_secs(1);
/// Longest time in which connections are opened for a look.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Pause after a failed try.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause after the broker said that it gives no more.
const PAUSE_LIMIT: Duration = Duration::from_secs(5);

/// A channel, and the connection that it is on.
#[derive(Clone)]
pub(super) struct PooledChannel {
    pub(super) channel: Channel,
    pub(super) inbound: Arc<Inbound>,
    at: Instant,
}

/// A connection with its channels.
struct PooledConnection {
    connection: Arc<Opened<Arc<Connected>>>,
    channels: Vec<Arc<Opened<PooledChannel>>>,
    /// How many channels the broker lets be open.
    allowed: AtomicUsize,
}

/// The connections of a scenario.
pub(super) struct Pool {
    broker: Arc<Broker>,
    purpose: Purpose,
    lines: Vec<PooledConnection>,
    /// How many of them are this process's: other agents have the rest.
    kept: AtomicUsize,
    /// Most connections that stood at a time.
    given: AtomicUsize,
    /// Why the broker gave no more, as it said first.
    refusal: OnceLock<String>,
    channel_refusal: Mutex<Option<String>>,
}

impl Pool {
    /// None is opened yet.
    pub(super) fn new(broker: Arc<Broker>, purpose: Purpose, connections: u32, channels: u32) -> Self {
        let line = |_| PooledConnection {
            connection: Arc::default(),
            channels: (0..channels).map(|_| Arc::default()).collect(),
            allowed: AtomicUsize::new(usize::MAX),
        };
        Self {
            broker,
            purpose,
            lines: (0..connections).map(line).collect(),
            kept: AtomicUsize::new(usize::MAX),
            given: AtomicUsize::new(0),
            refusal: OnceLock::new(),
            channel_refusal: Mutex::default(),
        }
    }

    /// Leaves to other agents what is beyond this process's share; what a look opened of it is closed.
    pub(super) fn keep(&self, count: usize) {
        self.kept.store(count.max(1), Ordering::Relaxed);
        for line in self.lines.get(count.max(1)..).unwrap_or_default() {
            line.connection.forget(|_| true);
        }
    }

    fn lines(&self) -> &[PooledConnection] {
        &self.lines[..self.lines.len().min(self.kept.load(Ordering::Relaxed))]
    }

    /// The channel of a session, open; opened again where it broke. One that the broker doesn't give is replaced by
    /// one that it gave.
    ///
    /// # Errors
    /// Why none can be opened.
    pub(super) async fn channel(&self, session: u64) -> Result<PooledChannel, Failure> {
        let lines = self.lines();
        let (first, turn) = (first(lines, session), session / lines.len().max(1) as u64);
        let mut refused = None;
        for line in lines[first..].iter().chain(&lines[..first]) {
            // Others are only asked where they stand or come up: they have sessions of their own that open them.
            if refused.is_some() && !self.stands(line) && !line.connection.is_opening() {
                continue;
            }
            match self.connection(line).await {
                Ok(connection) => match self.pooled_channel(line, &connection, turn).await {
                    Ok(pooled_channel) => return Ok(pooled_channel),
                    Err(failure) => refused = refused.or(Some(failure)),
                },
                Err(failure) => refused = refused.or(Some(failure)),
            }
        }
        Err(refused.unwrap_or_else(|| Failure::new(Outcome::Disconnected, "connect: no connection")))
    }

    /// One of the connections, opened where none stands.
    ///
    /// # Errors
    /// Why it can't be opened.
    pub(super) async fn any_connection(&self) -> Result<Arc<Connected>, Failure> {
        match self.lines().iter().find(|line| self.stands(line)).or(self.lines().first()) {
            Some(line) => self.connection(line).await,
            None => self.broker.connect().await.map(Arc::new),
        }
    }

    async fn connection(&self, line: &PooledConnection) -> Result<Arc<Connected>, Failure> {
        let broker = Arc::clone(&self.broker);
        let open = async move { broker.connect().await.map(Arc::new) };
        // A limit doesn't go away soon; what can't be reached may be back at once.
        let pause = |failure: &Failure| if failure.is_limit() { PAUSE_LIMIT } else { PAUSE };
        let opened = line.connection.get(|connected| connected.stands(), pause, open).await;
        self.given.fetch_max(self.standing(), Ordering::Relaxed);
        if let Err(failure) = &opened
            && failure.is_limit()
        {
            self.refusal.get_or_init(|| failure.detail.clone());
        }
        opened
    }

    async fn pooled_channel(
        &self,
        line: &PooledConnection,
        connection: &Arc<Connected>,
        turn: u64,
    ) -> Result<PooledChannel, Failure> {
        let count = line.channels.len().min(line.allowed.load(Ordering::Relaxed)).max(1);
        let place = usize::try_from(turn % count as u64).unwrap_or(0);
        let slot = &line.channels[place];
        let (connection, purpose) = (Arc::clone(connection), self.purpose);
        let open = async move {
            let failure = || Failure::new(Outcome::TimedOut, "channel: timed out");
            let channel = timeout(CONNECT_TIMEOUT.as_duration(), connection.channel(purpose)).await;
            let channel = channel.unwrap_or_else(|_| {
                // A broker that opens no channel in that time won't come back, unless it blocks who publishes.
                if !connection.inbound.is_blocked() {
                    connection.inbound.abandon();
                }
                Err(failure())
            })?;
            Ok(PooledChannel { channel, inbound: Arc::clone(&connection.inbound), at: Instant::now() })
        };
        let stands = |pooled_channel: &PooledChannel| pooled_channel.channel.status().connected();
        let opened = slot.get(stands, |_: &Failure| PAUSE, open).await;
        let Err(failure) = opened else { return opened };
        if !failure.is_limit() {
            return Err(failure);
        }
        // The broker has a limit below what was asked for: what it gave is shared from now on.
        let given =
            line.channels.iter().filter(|pooled_channel| pooled_channel.peek(|_| true).is_some()).count().max(1);
        line.allowed.fetch_min(given, Ordering::Relaxed);
        let said = format!("{given} of {} channels of a connection ({})", line.channels.len(), failure.detail);
        self.channel_refusal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(said);
        line.channels.iter().find_map(|pooled_channel| pooled_channel.peek(stands)).ok_or(failure)
    }

    /// Notes that the broker refused what was published on a channel: the next message has a channel of its own.
    /// While a quorum queue elects a leader, RabbitMQ 3.10 ties a channel that begins to publish to the old one, and
    /// refuses all that comes on it for as long as that node is down; on a new channel it asks the new leader.
    /// Messages under way on the old one are not touched: it is closed when the last of them has ended.
    pub(super) fn refused(&self, pooled_channel: &PooledChannel) {
        if pooled_channel.at.elapsed() < RENEWED_AFTER {
            return;
        }
        for slot in self.lines().iter().flat_map(|line| &line.channels) {
            let same = |held: &PooledChannel| {
                held.channel.id() == pooled_channel.channel.id() && Arc::ptr_eq(&held.inbound, &pooled_channel.inbound)
            };
            slot.forget(same);
        }
    }

    /// What waiting too long for a session's channel is counted as.
    pub(super) fn late(&self, session: u64) -> Failure {
        let lines = self.lines();
        let connection = lines[first(lines, session)].connection.peek(|connected| connected.stands());
        let late = |connected: Arc<Connected>| connected.inbound.late("connect: timed out");
        connection.map_or_else(|| Failure::new(Outcome::TimedOut, "connect: timed out"), late)
    }

    /// Whether the broker let us in before, so that what waits for it can be an operation.
    pub(super) fn was_open(&self) -> bool {
        self.given.load(Ordering::Relaxed) > 0
    }

    /// Opens the connections, for a look, as many as it can in its time. One after another: RabbitMQ counts them
    /// a little later than it lets them in.
    pub(super) async fn open_all(&self) {
        let all = async {
            for line in self.lines() {
                if self.connection(line).await.is_err() {
                    return;
                }
            }
        };
        // A look that ends early has seen what it has seen.
        let _ = timeout(LOOK_MAX, all).await;
    }

    /// What the broker did not give.
    pub(super) fn shortage(&self) -> Option<String> {
        let given = self.given.load(Ordering::Relaxed);
        let connections = self.refusal.get().filter(|_| given > 0 && given < self.lines().len());
        let connections = connections.map(|said| format!("{given} of {} connections ({said})", self.lines().len()));
        let channels = self.channel_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said: Vec<_> = connections.into_iter().chain(channels).collect();
        (!said.is_empty()).then(|| format!("the server gave {}", said.join(", and ")))
    }

    /// The same, as what a run says in the end.
    pub(super) fn finding(&self) -> Option<Finding> {
        self.shortage().map(|detail| Finding { check: "connections".into(), holds: true, detail })
    }

    fn stands(&self, line: &PooledConnection) -> bool {
        line.connection.peek(|connected| connected.stands()).is_some()
    }

    fn standing(&self) -> usize {
        self.lines().iter().filter(|line| self.stands(line)).count()
    }
}

/// The place of a session's connection.
fn first(lines: &[PooledConnection], session: u64) -> usize {
    usize::try_from(session % lines.len().max(1) as u64).unwrap_or(0)
}
