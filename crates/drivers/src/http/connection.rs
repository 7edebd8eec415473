//! One connection: made, used for one request at a time, and ended when it is dropped.
//!
//! HTTP/1.1 has no task of its own: whoever waits for an answer moves its connection along, which
//! saves two switches between tasks for every request. What the server does to an idle connection is
//! seen when it is used next. HTTP/2 has a task, because its pings want an answer at any time.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, JoinHandle};

use super::metered::{Meter, Metered};

/// Largest head of an answer.
const HEAD_BYTES_MAX: usize = 256 * 1024;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(900);

/// What every request of this driver carries.
pub(super) type Body = Full<Bytes>;

/// Where the connection's task lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// In the local set of the worker.
    Worker,
    /// Wherever the runtime likes.
    Runtime,
}

impl Home {
    fn spawn<F: Future<Output = ()> + Send + 'static>(self, task: F) -> JoinHandle<()> {
        match self {
            Self::Worker => tokio::task::spawn_local(task),
            Self::Runtime => tokio::spawn(task),
        }
    }
}

/// Spawns what HTTP/2 wants to have spawned. The first of these owns the socket.
#[derive(Clone, Debug)]
struct Tasks {
    home: Home,
    socket: Arc<OnceLock<AbortHandle>>,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let task = self.home.spawn(task);
        self.socket.get_or_init(|| task.abort_handle());
    }
}

/// The tasks behind an HTTP/2 connection; with it they end, also when the peer is silent.
#[derive(Debug)]
struct Behind {
    task: JoinHandle<()>,
    socket: Arc<OnceLock<AbortHandle>>,
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(socket) = self.socket.get() {
            socket.abort();
        }
    }
}

/// The socket of an HTTP/1.1 connection with hyper's state of it.
struct Socket {
    /// Absent when it has ended: how is seen at the request that it breaks.
    open: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
}

impl Socket {
    fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Reads and writes what can be read and written now.
    fn advance(&mut self, context: &mut Context<'_>) {
        if let Some(open) = &mut self.open
            && open.as_mut().poll(context).is_ready()
        {
            self.open = None;
        }
    }

    /// Waits for what comes of the socket's progress and of nothing else, so that there is no need
    /// to be woken for it: the socket wakes.
    fn poll_with<T>(&mut self, context: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.advance(context);
        poll(&mut Context::from_waker(Waker::noop()))
    }
}

enum Link {
    One { sender: http1::SendRequest<Body>, socket: Socket },
    Two { sender: http2::SendRequest<Body>, behind: Behind },
}

/// An open connection. Dropping it closes the socket at once.
pub(super) struct Connection {
    link: Link,
    meter: Arc<Meter>,
    /// Requests that were handed to it: HTTP/2 numbers its streams by them.
    requests: u32,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("http2", &self.is_http2()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Speaks HTTP over an open stream.
    pub(super) async fn open<T>(stream: T, http2: bool, home: Home) -> hyper::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (stream, meter) = Metered::new(stream, http2);
        let io = TokioIo::new(stream);
        if http2 {
            let socket = Arc::<OnceLock<AbortHandle>>::default();
            let tasks = Tasks { home, socket: Arc::clone(&socket) };
            let mut builder = http2::Builder::new(tasks);
            builder.max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
            let (sender, connection) = builder.handshake(io).await?;
            // How the connection ends is seen at the request that it breaks.
            let task = home.spawn(async move { drop(connection.await) });
            Ok(Self { link: Link::Two { sender, behind: Behind { task, socket } }, meter, requests: 0 })
        } else {
            let mut builder = http1::Builder::new();
            builder.max_buf_size(HEAD_BYTES_MAX);
            // A small body goes with the head in one plain write, which costs the kernel less.
            builder.writev(false);
            let (sender, connection) = builder.handshake(io).await?;
            let link = Link::One { sender, socket: Socket { open: Some(Box::pin(connection)) } };
            Ok(Self { link, meter, requests: 0 })
        }
    }

    /// Whether it is HTTP/2.
    pub(super) const fn is_http2(&self) -> bool {
        matches!(self.link, Link::Two { .. })
    }

    /// Bytes that the server has sent on it.
    pub(super) fn bytes(&self) -> u64 {
        self.meter.bytes()
    }

    /// What counts its bytes.
    pub(super) const fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Whether the server said in its GOAWAY that it did nothing for the last request.
    pub(super) fn was_passed_over(&self) -> bool {
        // The nth request of a client is stream 2n - 1.
        self.is_http2() && self.requests > 0 && u64::from(self.meter.last_stream()) < u64::from(self.requests) * 2 - 1
    }

    /// Whether it takes a request at once, as nearly every kept connection does.
    pub(super) fn is_ready_now(&mut self) -> bool {
        match &mut self.link {
            Link::One { sender, socket } => {
                // Nobody is to be woken by what this does: sending comes next.
                socket.advance(&mut Context::from_waker(Waker::noop()));
                socket.is_open() && sender.is_ready()
            }
            Link::Two { sender, .. } => !sender.is_closed() && sender.is_ready(),
        }
    }

    /// Waits until it takes a request; false when it was closed.
    pub(super) async fn is_ready(&mut self) -> bool {
        match &mut self.link {
            Link::One { sender, socket } => {
                poll_fn(|context| {
                    socket.advance(context);
                    if socket.is_open() { sender.poll_ready(context).map(|r| r.is_ok()) } else { Poll::Ready(false) }
                })
                .await
            }
            Link::Two { sender, .. } => !sender.is_closed() && sender.ready().await.is_ok(),
        }
    }

    /// Sends a request and waits for the head of the answer. An error that has the request in it
    /// says that no byte of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Box<TrySendError<Request<Body>>>> {
        self.requests = self.requests.saturating_add(1);
        match &mut self.link {
            Link::One { sender, socket } => {
                let mut answer = pin!(sender.try_send_request(request));
                poll_fn(|context| socket.poll_with(context, |c| answer.as_mut().poll(c))).await.map_err(Box::new)
            }
            Link::Two { sender, .. } => sender.try_send_request(request).await.map_err(Box::new),
        }
    }

    /// The next frame of an answer's body; nothing at its end.
    pub(super) async fn frame(&mut self, body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
        if body.is_end_stream() {
            return None;
        }
        let mut body = Pin::new(body);
        match &mut self.link {
            Link::One { socket, .. } => {
                poll_fn(|context| {
                    // The socket is read only when somebody wants the body: this says so.
                    let had = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
                    if had.is_ready() { had } else { socket.poll_with(context, |c| body.as_mut().poll_frame(c)) }
                })
                .await
            }
            Link::Two { .. } => poll_fn(|context| body.as_mut().poll_frame(context)).await,
        }
    }

    /// Says goodbye (GOAWAY, TLS close) and waits a moment for it to be sent.
    pub(super) async fn close(self) {
        // Whoever doesn't take the goodbye in time is left without.
        match self.link {
            Link::One { sender, socket } => {
                drop(sender);
                if let Some(open) = socket.open {
                    drop(tokio::time::timeout(GOODBYE, open).await);
                }
            }
            Link::Two { sender, mut behind } => {
                drop(sender);
                // The task that owns the socket ends by itself, after the GOAWAY.
                behind.socket = Arc::default();
                drop(tokio::time::timeout(GOODBYE, &mut behind.task).await);
            }
        }
    }
}

#[cfg(test)]
mod tests;
