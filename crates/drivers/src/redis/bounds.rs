//! Bounds on what a server may answer, checked on the bytes before the library reads them.
//!
//! A length, a count or a depth that a server announces costs nothing to send, and the library makes room for it.
//! So each reply is followed byte by byte here: its lengths, the elements and the depth that it announces, and what
//! all replies together hold that nobody has taken yet.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::resp::{Follower, NO_PLACE, ReplyError};

/// Most bytes of one reply, where nothing else is set.
pub const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many replies of that size a workload may hold at once, over all of its connections.
const REPLIES_HELD: usize = 4;

/// The bounds of one workload. Clones share what is held.
#[derive(Clone, Debug)]
pub struct ReplyLimits {
    /// Most bytes of one reply.
    bytes: usize,
    held: Arc<AtomicUsize>,
}

impl ReplyLimits {
    /// Replies of so many bytes at most.
    pub fn new(bytes: usize) -> Self {
        Self { bytes, held: Arc::default() }
    }

    fn hold(&self, bytes: usize) -> Result<(), ReplyError> {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.bytes.saturating_mul(REPLIES_HELD) {
            return Err(ReplyError::Together);
        }
        Ok(())
    }

    fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What one connection holds: replies that came, until whoever asked has taken them.
#[derive(Debug)]
pub struct Replies {
    limits: ReplyLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the reply that is coming holds so far.
    current: usize,
    /// What each reply holds that came and was not taken.
    came: VecDeque<usize>,
    /// Replies that are still to come and that nobody waits for.
    given_up: usize,
    /// Why the connection was given up.
    refusal: Option<ReplyError>,
}

impl Replies {
    fn new(limits: ReplyLimits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many replies were taken, or nobody waits for them any more.
    pub fn taken(&self, count: usize) {
        let mut state = self.state();
        for _ in 0..count {
            match state.came.pop_front() {
                Some(bytes) => self.limits.release(bytes),
                None => state.given_up += 1,
            }
        }
    }

    /// Why the connection was given up, where it was for what the server sent.
    pub fn refusal(&self) -> Option<io::Error> {
        self.state().refusal.map(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Everything that came so far was taken.
    pub fn all_taken(&self) {
        let count = self.state().came.len();
        self.taken(count);
    }

    fn follow(&self, follower: &mut Follower, mut bytes: &[u8]) -> Result<(), ReplyError> {
        let mut state = self.state();
        while !bytes.is_empty() {
            let step = follower.follow(bytes, self.limits.bytes)?;
            bytes = bytes.get(step.consumed..).unwrap_or_default();
            state.current += step.holds;
            self.limits.hold(step.holds)?;
            if step.is_end {
                let holds = std::mem::take(&mut state.current);
                if state.given_up > 0 {
                    state.given_up -= 1;
                    self.limits.release(holds);
                } else {
                    state.came.push_back(holds);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.limits.release(state.current + state.came.iter().sum::<usize>());
    }
}

/// A connection whose replies are bounded.
#[derive(Debug)]
pub struct Bounded<S> {
    stream: S,
    follower: Follower,
    replies: Arc<Replies>,
    /// The first bytes that came, until they are enough.
    first: Option<Vec<u8>>,
    /// Why nothing can be written any more.
    unwritten: Option<io::Error>,
}

impl<S> Bounded<S> {
    /// Bounds what comes from `stream`.
    pub fn new(stream: S, limits: ReplyLimits) -> Self {
        let replies = Arc::new(Replies::new(limits));
        Self { stream, follower: Follower::default(), replies, first: Some(Vec::new()), unwritten: None }
    }

    /// Whether the server has said, before anything else, that it has no place. It says so and closes, maybe before
    /// it was asked anything.
    fn is_turned_away(&mut self, came: &[u8]) -> bool {
        let Some(first) = &mut self.first else { return false };
        let wanted = 1 + NO_PLACE.len();
        first.extend(came.iter().take(wanted.saturating_sub(first.len())));
        let is_away = first.strip_prefix(b"-") == Some(NO_PLACE.as_bytes());
        if first.len() == wanted {
            self.first = None;
        }
        is_away
    }

    /// What it holds.
    pub fn replies(&self) -> Arc<Replies> {
        Arc::clone(&self.replies)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let this = &mut *self;
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let came = buffer.filled().get(before..).unwrap_or_default();
        if came.is_empty()
            && let Some(error) = this.unwritten.take()
        {
            return Poll::Ready(Err(error));
        }
        if this.is_turned_away(came) {
            buffer.set_filled(before);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, ReplyError::NoPlace)));
        }
        if let Err(error) = this.replies.follow(&mut this.follower, came) {
            this.replies.state().refusal = Some(error);
            // What was refused must not be read.
            buffer.set_filled(before);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stream).poll_write(cx, bytes)) {
            // Its last words, which came before it closed, say more: they are read first.
            Err(error) if self.first.is_some() => {
                self.unwritten = Some(error);
                Poll::Ready(Ok(bytes.len()))
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_that_nobody_takes_are_bounded_together() {
        let limits = ReplyLimits::new(10_000);
        let replies = Replies::new(limits.clone());
        let mut follower = Follower::default();
        let reply = [b"$9000\r\n".to_vec(), vec![b'x'; 9000], b"\r\n".to_vec()].concat();
        for _ in 0..4 {
            replies.follow(&mut follower, &reply).unwrap();
        }
        assert_eq!(replies.follow(&mut follower, &reply), Err(ReplyError::Together));
        drop(replies);
        assert_eq!(limits.held.load(Ordering::Relaxed), 0);
        let replies = Replies::new(limits.clone());
        for _ in 0..100 {
            replies.follow(&mut Follower::default(), &reply).unwrap();
            replies.taken(1);
        }
        // Taken before it came: by an operation that gave up.
        replies.taken(1);
        replies.follow(&mut Follower::default(), &reply).unwrap();
        assert_eq!(limits.held.load(Ordering::Relaxed), 0);
    }
}
