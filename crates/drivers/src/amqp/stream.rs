//! The socket as lapin gets it: dialled and encrypted by us, each byte of the broker checked before it is handed on.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use futures_util::Stream;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};

use super::frames::{FrameCheck, Notice, Violation};
use crate::failure::Failure;
use slatest_core::model::Outcome;

/// Bytes of messages that lapin has and did not write yet, above which it is given no more.
const UNSENT_BYTES_MAX: usize = 16 << 20;
/// Bytes of messages beside the longest one that were delivered and that no consumer took yet, above which no more is
/// read: lapin would keep whatever comes.
const DELIVERED_BYTES_MORE: u64 = 8 << 20;

/// What is known of a connection beside what lapin says.
#[derive(Debug)]
pub(super) struct Inbound {
    /// Longest body of a message.
    body_max: u64,
    blocked: watch::Sender<bool>,
    delivered: Mutex<Delivered>,
    abandoned: AtomicBool,
    waker: AtomicWaker,
    /// Bytes of messages that lapin was given and did not write yet.
    unsent: AtomicUsize,
    sent: Notify,
}

/// A message that lapin has and did not write yet.
#[derive(Debug)]
pub(super) struct Handed {
    inbound: Arc<Inbound>,
    bytes: usize,
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.inbound.unsent.fetch_sub(self.bytes, Ordering::Relaxed);
        self.inbound.sent.notify_waiters();
    }
}

#[derive(Debug, Default)]
struct Delivered {
    /// Of each message that no consumer took yet.
    bytes: VecDeque<u64>,
    sum: u64,
}

impl Inbound {
    /// For a connection on which no longer body is taken.
    pub(super) fn new(body_max: u64) -> Self {
        Self {
            body_max,
            blocked: watch::Sender::default(),
            delivered: Mutex::default(),
            abandoned: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            unsent: AtomicUsize::new(0),
            sent: Notify::new(),
        }
    }

    /// Waits until lapin can be handed a message: while the broker takes none, or takes them slower than they come,
    /// they would pile up there, and be sent long after who sent them has given up.
    pub(super) async fn hand_over(self: &Arc<Self>, bytes: usize) -> Handed {
        let mut blocked = self.blocked.subscribe();
        loop {
            // Its sender lives as long as this.
            let _ = blocked.wait_for(|blocked| !blocked).await;
            let sent = self.sent.notified();
            if self.unsent.load(Ordering::Relaxed) <= UNSENT_BYTES_MAX {
                self.unsent.fetch_add(bytes, Ordering::Relaxed);
                return Handed { inbound: Arc::clone(self), bytes };
            }
            sent.await;
        }
    }

    /// Whether the broker takes no messages now.
    pub(super) fn is_blocked(&self) -> bool {
        *self.blocked.borrow()
    }

    /// What a timeout is counted as.
    pub(super) fn late(&self, kind: &str) -> Failure {
        Failure::new(Outcome::TimedOut, if self.is_blocked() { "connection blocked" } else { kind })
    }

    /// A consumer took a message.
    pub(super) fn took(&self) {
        let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = delivered.bytes.pop_front().unwrap_or(0);
        let full = self.body_max + DELIVERED_BYTES_MORE;
        let was_full = delivered.sum > full;
        delivered.sum -= bytes;
        if was_full && delivered.sum <= full {
            self.waker.wake();
        }
    }

    fn is_full(&self) -> bool {
        let delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        delivered.sum > self.body_max + DELIVERED_BYTES_MORE
    }

    /// Ends the connection whatever lapin waits for.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn note(&self, notice: Notice) {
        match notice {
            Notice::Blocked => drop(self.blocked.send_replace(true)),
            Notice::Unblocked => drop(self.blocked.send_replace(false)),
            Notice::Delivers(bytes) => {
                let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
                delivered.bytes.push_back(bytes);
                delivered.sum += bytes;
            }
        }
    }
}

/// A socket, plain or encrypted.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A socket whose bytes are checked.
pub(super) struct Checked {
    socket: Box<dyn Socket>,
    check: FrameCheck,
    inbound: Arc<Inbound>,
    violation: Option<Violation>,
}

impl Checked {
    pub(super) fn new(socket: Box<dyn Socket>, frame_max: u32, inbound: Arc<Inbound>) -> Self {
        Self { socket, check: FrameCheck::new(frame_max, inbound.body_max), inbound, violation: None }
    }
}

impl futures_util::AsyncRead for Checked {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.inbound.waker.register(context.waker());
        if this.inbound.abandoned.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Some(violation) = this.violation {
            return Poll::Ready(Err(io::Error::other(violation)));
        }
        if this.inbound.is_full() {
            return Poll::Pending;
        }
        let mut read = ReadBuf::new(buffer);
        match Pin::new(&mut this.socket).poll_read(context, &mut read) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let inbound = &this.inbound;
        let (admitted, violation) = this.check.admit(read.filled(), &mut |notice| inbound.note(notice));
        this.violation = violation;
        match violation {
            Some(violation) if admitted == 0 => Poll::Ready(Err(io::Error::other(violation))),
            _ => Poll::Ready(Ok(admitted)),
        }
    }
}

impl futures_util::AsyncWrite for Checked {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}

/// lapin takes its type of socket from the reactor that it is given. This one has ours, opens none itself, and
/// leaves timers to tokio.
#[derive(Clone, Debug)]
pub(super) struct Sockets(pub(super) async_rs::Tokio);

impl Reactor for Sockets {
    type TcpStream = Checked;
    type Sleep = <async_rs::Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl futures_util::AsyncRead + futures_util::AsyncWrite + Send + Unpin + 'static> {
        Err::<Checked, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Checked>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
