//! Reading a connection and keeping it alive, until it ends.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;
use futures_util::{Sink, StreamExt};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::tungstenite::protocol::Message;

use super::{Connection, Heard, Inbox, Phase};
use crate::failure::Failure;
use crate::websocket::failure;
use slatest_core::model::Outcome;

/// Messages taken in one go before other sessions get their turn.
const BURST: u32 = 32;

/// A message that is looked at.
type Hearing<'i> = LocalBoxFuture<'i, Result<Heard, Failure>>;

/// What the timer stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Ready,
    Ping,
    Pong,
}

impl Connection {
    /// Reads and keeps alive until the connection ends; says why it did.
    pub(super) async fn pump(&self, inbox: &dyn Inbox, opened_by: Instant) -> Failure {
        let mut due = if self.is_ready() { Due::Ping } else { Due::Ready };
        let first = if due == Due::Ping { Instant::now() + self.upkeep.ping } else { opened_by };
        let mut timer = pin!(sleep_until(first));
        let mut hearing = None;
        poll_fn(|cx| {
            if !self.reader.borrow().as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                *self.reader.borrow_mut() = Some(cx.waker().clone());
            }
            match self.drain(cx, inbox, &mut hearing, &mut due, timer.as_mut()) {
                Ok(()) => {}
                Err(reason) => return Poll::Ready(reason),
            }
            // While a message is looked at, nothing is read: what is awaited of the server may be there.
            while hearing.is_none() && timer.as_mut().poll(cx).is_ready() {
                let next = match due {
                    Due::Ready => return Poll::Ready(failure::timed_out("sync")),
                    Due::Pong => {
                        return Poll::Ready(Failure::new(Outcome::Disconnected, "ping: timed out"));
                    }
                    Due::Ping => self.upkeep.pong_timeout,
                };
                if let Err(reason) = self.send(Message::Ping(Vec::new().into())) {
                    return Poll::Ready(reason);
                }
                due = Due::Pong;
                timer.as_mut().reset(Instant::now() + next);
            }
            match self.with_socket(|socket| Pin::new(socket).poll_flush(cx)) {
                Some(Poll::Ready(Err(e))) => Poll::Ready(failure::stream(&e)),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Takes what has come, up to a burst.
    fn drain<'i>(
        &self,
        cx: &mut Context<'_>,
        inbox: &'i dyn Inbox,
        hearing: &mut Option<Hearing<'i>>,
        due: &mut Due,
        mut timer: Pin<&mut Sleep>,
    ) -> Result<(), Failure> {
        for _ in 0..BURST {
            if let Some(message) = hearing {
                let Poll::Ready(heard) = message.as_mut().poll(cx) else { return Ok(()) };
                *hearing = None;
                self.take(heard?, due, timer.as_mut())?;
            }
            let message = match self.with_socket(|socket| socket.poll_next_unpin(cx)) {
                Some(Poll::Pending) => return Ok(()),
                Some(Poll::Ready(Some(Ok(message)))) => message,
                Some(Poll::Ready(Some(Err(e)))) => return Err(failure::stream(&e)),
                Some(Poll::Ready(None)) | None => return Err(failure::closed(None)),
            };
            // Anything that comes is a sign of life.
            if *due == Due::Pong {
                *due = Due::Ping;
                timer.as_mut().reset(Instant::now() + self.upkeep.ping);
            }
            match message {
                Message::Close(frame) => {
                    // The answer to it (RFC 6455, 5.5.1) is made by the library and waits to be written; a server
                    // that takes nothing any more goes without.
                    drop(self.with_socket(|socket| Pin::new(socket).poll_flush(cx)));
                    return Err(failure::closed(frame.as_ref()));
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                Message::Text(_) | Message::Binary(_) => *hearing = Some(inbox.receive(message)),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Does what a message asks for.
    fn take(&self, heard: Heard, due: &mut Due, timer: Pin<&mut Sleep>) -> Result<(), Failure> {
        for reply in heard.replies {
            self.send(reply)?;
        }
        if heard.ready && *due == Due::Ready {
            *due = Due::Ping;
            timer.reset(Instant::now() + self.upkeep.ping);
            if let Phase::Up { ready, .. } = &mut *self.phase.borrow_mut() {
                *ready = true;
            }
            self.changed.notify_waiters();
        }
        Ok(())
    }
}
