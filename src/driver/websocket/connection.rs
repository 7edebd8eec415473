//! One session's connection: a task that opens it, reads it, keeps it alive and opens it again,
//! and a handle through which the session writes.
//!
//! The session writes to the socket itself, without a hop to the task, so that `sent` is the
//! instant at which the kernel had the bytes. Everything is on one thread: the socket is borrowed
//! only while it is polled.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::{Sink, StreamExt};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

use super::broken::Broken;
use super::dial::{Dialer, Socket};
use super::text::mix;

/// Messages taken in one go before other sessions get their turn.
const BURST: u32 = 32;
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

    /// Takes one message.
    ///
    /// # Errors
    /// When the connection can't be used any more.
    fn receive(&self, message: Message) -> Result<Heard, Broken>;

    /// The connection is gone; what was in flight on it has failed.
    fn lost(&self, why: &Broken);
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
    Down(Broken),
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Ready,
    Ping,
    Pong,
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
    pub(super) async fn ready(&self) -> Result<(), Broken> {
        let downs = self.downs.get();
        loop {
            let changed = self.changed.notified();
            match &*self.phase.borrow() {
                Phase::Up { ready: true, .. } => return Ok(()),
                Phase::Down(why) if self.downs.get() > downs => return Err(why.clone()),
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
    pub(super) fn send(&self, message: Message) -> Result<(), Broken> {
        let mut phase = self.phase.borrow_mut();
        let socket = match &mut *phase {
            Phase::Up { socket, .. } => socket,
            Phase::Down(why) => return Err(why.clone()),
            Phase::Opening => return Err(Broken::new(crate::model::Outcome::Disconnected, "connection: not open")),
        };
        // The write buffer is empty by configuration: this writes to the kernel as far as it takes.
        Pin::new(&mut **socket).start_send(message).map_err(|e| Broken::stream(&e))?;
        let mut nobody = Context::from_waker(Waker::noop());
        match Pin::new(&mut **socket).poll_flush(&mut nobody) {
            Poll::Ready(done) => done.map_err(|e| Broken::stream(&e)),
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
                    let why = match greeting.map_or(Ok(()), |g| self.send(g)) {
                        Ok(()) => self.pump(&*inbox, opened_by).await,
                        Err(why) => why,
                    };
                    drop(open);
                    failures = if self.is_ready() { 0 } else { failures.saturating_add(1) };
                    inbox.lost(&why);
                    self.enter(Phase::Down(why));
                }
                Err(why) => {
                    failures = failures.saturating_add(1);
                    self.enter(Phase::Down(why));
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

    /// Reads and keeps alive until the connection ends; says why it did.
    async fn pump(&self, inbox: &dyn Inbox, opened_by: Instant) -> Broken {
        let mut due = if self.is_ready() { Due::Ping } else { Due::Ready };
        let first = if due == Due::Ping { Instant::now() + self.upkeep.ping } else { opened_by };
        let mut timer = pin!(sleep_until(first));
        poll_fn(|cx| {
            if !self.reader.borrow().as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                *self.reader.borrow_mut() = Some(cx.waker().clone());
            }
            match self.drain(cx, inbox, &mut due, timer.as_mut()) {
                Ok(()) => {}
                Err(why) => return Poll::Ready(why),
            }
            while timer.as_mut().poll(cx).is_ready() {
                let next = match due {
                    Due::Ready => return Poll::Ready(Broken::timed_out("sync")),
                    Due::Pong => {
                        return Poll::Ready(Broken::new(crate::model::Outcome::Disconnected, "ping: timed out"));
                    }
                    Due::Ping => self.upkeep.pong_timeout,
                };
                if let Err(why) = self.send(Message::Ping(Vec::new().into())) {
                    return Poll::Ready(why);
                }
                due = Due::Pong;
                timer.as_mut().reset(Instant::now() + next);
            }
            match self.with_socket(|socket| Pin::new(socket).poll_flush(cx)) {
                Some(Poll::Ready(Err(e))) => Poll::Ready(Broken::stream(&e)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Takes what has come, up to a burst.
    fn drain(
        &self,
        cx: &mut Context<'_>,
        inbox: &dyn Inbox,
        due: &mut Due,
        mut timer: Pin<&mut Sleep>,
    ) -> Result<(), Broken> {
        for _ in 0..BURST {
            let message = match self.with_socket(|socket| socket.poll_next_unpin(cx)) {
                Some(Poll::Pending) => return Ok(()),
                Some(Poll::Ready(Some(Ok(message)))) => message,
                Some(Poll::Ready(Some(Err(e)))) => return Err(Broken::stream(&e)),
                Some(Poll::Ready(None)) | None => return Err(Broken::closed(None)),
            };
            // Anything that comes is a sign of life.
            if *due == Due::Pong {
                *due = Due::Ping;
                timer.as_mut().reset(Instant::now() + self.upkeep.ping);
            }
            match message {
                Message::Close(frame) => return Err(Broken::closed(frame.as_ref())),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                Message::Text(_) | Message::Binary(_) => {
                    let heard = inbox.receive(message)?;
                    for reply in heard.replies {
                        self.send(reply)?;
                    }
                    if heard.ready && *due == Due::Ready {
                        *due = Due::Ping;
                        timer.as_mut().reset(Instant::now() + self.upkeep.ping);
                        if let Phase::Up { ready, .. } = &mut *self.phase.borrow_mut() {
                            *ready = true;
                        }
                        self.changed.notify_waiters();
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn with_socket<T>(&self, work: impl FnOnce(&mut Socket) -> T) -> Option<T> {
        match &mut *self.phase.borrow_mut() {
            Phase::Up { socket, .. } => Some(work(socket)),
            Phase::Opening | Phase::Down(_) => None,
        }
    }
}
