//! One session's connection: a task that opens it, reads it, keeps it alive and opens it again,
//! and a handle through which the session writes.
//!
//! The session writes to the socket itself, without a hop to the task, so that `sent` is the
//! instant at which the kernel had the bytes. Everything is on one thread: the socket is borrowed
//! only while it is polled.

mod pump;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Sink;
use futures_util::future::LocalBoxFuture;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use super::dial::{Dialer, Socket};
use super::failure;
use super::text::mix;
use crate::failure::Failure;

/// First and longest pause before a connection is opened again.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the server's goodbye.
pub(super) const GOODBYE: Duration = Duration::from_secs(1);

/// What is done with the messages of one session.
pub(super) trait Inbox {
    /// The first message on a new connection; without one, the connection is ready at once, else
    /// when [`Heard::ready`] says so.
    fn greeting(&self) -> Option<Message>;

    /// Takes one message; a large one off the worker. The next is read when this is over. Fails when the connection can't
    /// be used any more.
    fn receive(&self, message: Message) -> LocalBoxFuture<'_, Result<Heard, Failure>>;

    /// The connection is gone; what was in flight on it has failed.
    fn lost(&self, reason: &Failure);
}

/// What came of one message.
#[derive(Default)]
pub(super) struct Heard {
    /// What to send back.
    pub(super) replies: Vec<Message>,
    /// Whether the connection can be used from here on.
    pub(super) ready: bool,
}

/// Counters that all sessions of a workload share.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) open_sessions: AtomicU64,
    pub(super) reconnects: AtomicU64,
}

/// How a connection is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upkeep {
    /// Time between pings.
    pub(super) ping: Duration,
    /// Longest wait for a sign of life after one.
    pub(super) pong_timeout: Duration,
    /// Whether a lost connection is opened again before somebody needs it.
    pub(super) eager: bool,
    /// Seeds the jitter of the pauses before that.
    pub(super) seed: u64,
}

enum Phase {
    Opening,
    Up { socket: Box<Socket>, ready: bool },
    Down(Failure),
}

/// One session's connection.
pub(super) struct Connection {
    dialer: Arc<Dialer>,
    path: String,
    upkeep: Upkeep,
    gauges: Arc<Gauges>,
    phase: RefCell<Phase>,
    /// How often it has gone down.
    downs: Cell<u64>,
    leaving: Cell<bool>,
    changed: Notify,
    wanted: Notify,
    reader: RefCell<Option<Waker>>,
}

/// Ends the task with the session.
pub(super) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Open(Arc<Gauges>);

impl Open {
    fn count(gauges: &Arc<Gauges>) -> Self {
        gauges.open_sessions.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(gauges))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open_sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// Starts to open it; `inbox` gets what comes.
    pub(super) fn start(
        dialer: Arc<Dialer>,
        path: String,
        upkeep: Upkeep,
        gauges: Arc<Gauges>,
        inbox: Rc<dyn Inbox>,
    ) -> (Rc<Self>, Task) {
        let connection = Rc::new(Self {
            dialer,
            path,
            upkeep,
            gauges,
            phase: RefCell::new(Phase::Opening),
            downs: Cell::new(0),
            leaving: Cell::new(false),
            changed: Notify::new(),
            wanted: Notify::new(),
            reader: RefCell::new(None),
        });
        let task = tokio::task::spawn_local(Rc::clone(&connection).live(inbox));
        (connection, Task(task.abort_handle()))
    }

    /// Waits until it can be used; opens it where it was lost.
    ///
    /// # Errors
    /// Why the attempt failed that was under way or that this call caused.
    pub(super) async fn ready(&self) -> Result<(), Failure> {
        let downs = self.downs.get();
        loop {
            let changed = self.changed.notified();
            match &*self.phase.borrow() {
                Phase::Up { ready: true, .. } => return Ok(()),
                Phase::Down(reason) if self.downs.get() > downs => return Err(reason.clone()),
                Phase::Down(_) => self.wanted.notify_one(),
                Phase::Opening | Phase::Up { .. } => {}
            }
            changed.await;
        }
    }

    /// Whether it can be used now.
    pub(super) fn is_ready(&self) -> bool {
        matches!(&*self.phase.borrow(), Phase::Up { ready: true, .. })
    }

    /// Hands a message to the wire.
    ///
    /// # Errors
    /// When it is not open, or breaks here.
    pub(super) fn send(&self, message: Message) -> Result<(), Failure> {
        let mut phase = self.phase.borrow_mut();
        let socket = match &mut *phase {
            Phase::Up { socket, .. } => socket,
            Phase::Down(reason) => return Err(reason.clone()),
            Phase::Opening => {
                return Err(Failure::new(slatest_core::model::Outcome::Disconnected, "connection: not open"));
            }
        };
        // The write buffer is empty by configuration: this writes to the kernel as far as it takes.
        Pin::new(&mut **socket).start_send(message).map_err(|e| failure::stream(&e))?;
        let mut nobody = Context::from_waker(Waker::noop());
        match Pin::new(&mut **socket).poll_flush(&mut nobody) {
            Poll::Ready(done) => done.map_err(|e| failure::stream(&e)),
            // The kernel's buffer is full: the task goes on when it empties.
            Poll::Pending => {
                if let Some(reader) = &*self.reader.borrow() {
                    reader.wake_by_ref();
                }
                Ok(())
            }
        }
    }

    /// Says goodbye and waits for the answer, at most a second.
    pub(super) async fn close(&self) {
        self.leaving.set(true);
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        if self.send(Message::Close(Some(frame))).is_err() {
            return;
        }
        let gone = async {
            loop {
                let changed = self.changed.notified();
                if !matches!(&*self.phase.borrow(), Phase::Up { .. }) {
                    return;
                }
                changed.await;
            }
        };
        // A server that doesn't answer in time has been told all the same.
        let _ = timeout(GOODBYE, gone).await;
    }

    fn enter(&self, phase: Phase) {
        if matches!(phase, Phase::Down(_)) {
            self.downs.set(self.downs.get() + 1);
        }
        *self.phase.borrow_mut() = phase;
        self.changed.notify_waiters();
    }

    async fn live(self: Rc<Self>, inbox: Rc<dyn Inbox>) {
        let mut failures = 0u32;
        let mut opened_before = false;
        loop {
            let opened_by = Instant::now() + self.dialer.timeout;
            // Boxed, because an idle session shouldn't carry the room that a handshake takes.
            match Box::pin(self.dialer.dial(&self.path)).await {
                Ok(socket) => {
                    let open = Open::count(&self.gauges);
                    if std::mem::replace(&mut opened_before, true) {
                        self.gauges.reconnects.fetch_add(1, Ordering::Relaxed);
                    }
                    let greeting = inbox.greeting();
                    self.enter(Phase::Up { socket: Box::new(socket), ready: greeting.is_none() });
                    let reason = match greeting.map_or(Ok(()), |g| self.send(g)) {
                        Ok(()) => self.pump(&*inbox, opened_by).await,
                        Err(reason) => reason,
                    };
                    drop(open);
                    failures = if self.is_ready() { 0 } else { failures.saturating_add(1) };
                    inbox.lost(&reason);
                    self.enter(Phase::Down(reason));
                }
                Err(reason) => {
                    failures = failures.saturating_add(1);
                    self.enter(Phase::Down(reason));
                }
            }
            if self.leaving.get() {
                return;
            }
            if self.upkeep.eager {
                // Somebody who needs it now doesn't wait for the pause.
                let _ = timeout(self.pause(failures), self.wanted.notified()).await;
            } else {
                self.wanted.notified().await;
            }
            self.enter(Phase::Opening);
        }
    }

    /// Doubles with every failure; jittered so that sessions don't come back in step.
    fn pause(&self, failures: u32) -> Duration {
        let full = BACKOFF_FIRST.saturating_mul(1 << failures.min(10)).min(BACKOFF_MAX);
        let share = mix(self.upkeep.seed ^ self.downs.get()) as f64 / u64::MAX as f64;
        full.mul_f64(0.5 + share / 2.0)
    }

    fn with_socket<T>(&self, work: impl FnOnce(&mut Socket) -> T) -> Option<T> {
        match &mut *self.phase.borrow_mut() {
            Phase::Up { socket, .. } => Some(work(socket)),
            Phase::Opening | Phase::Down(_) => None,
        }
    }
}
