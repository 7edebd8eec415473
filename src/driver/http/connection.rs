//! One connection: made, used for one request at a time, and ended with its task.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, JoinHandle};

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

#[derive(Debug)]
enum Sender {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

/// The tasks behind a connection; with it they end, also when the peer is silent.
#[derive(Debug)]
struct Behind {
    task: JoinHandle<()>,
    socket: Option<Arc<OnceLock<AbortHandle>>>,
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(socket) = self.socket.as_ref().and_then(|s| s.get()) {
            socket.abort();
        }
    }
}

/// An open connection. Dropping it closes the socket at once.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Sender,
    behind: Behind,
}

impl Connection {
    /// Speaks HTTP over an open stream.
    pub(super) async fn open<T>(stream: T, http2: bool, home: Home) -> hyper::Result<Self>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        if http2 {
            let socket = Arc::<OnceLock<AbortHandle>>::default();
            let tasks = Tasks { home, socket: Arc::clone(&socket) };
            let mut builder = http2::Builder::new(tasks);
            builder.max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
            let (sender, connection) = builder.handshake(io).await?;
            // How the connection ends is seen at the request that it breaks.
            let task = home.spawn(async move { drop(connection.await) });
            Ok(Self { sender: Sender::Two(sender), behind: Behind { task, socket: Some(socket) } })
        } else {
            let mut builder = http1::Builder::new();
            builder.max_buf_size(HEAD_BYTES_MAX);
            let (sender, connection) = builder.handshake(io).await?;
            let task = home.spawn(async move { drop(connection.await) });
            Ok(Self { sender: Sender::One(sender), behind: Behind { task, socket: None } })
        }
    }

    /// Whether it is HTTP/2.
    pub(super) const fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Two(_))
    }

    /// Waits until it takes a request; false when it was closed.
    pub(super) async fn is_ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::One(sender) => sender.is_ready() || sender.ready().await.is_ok(),
            Sender::Two(sender) => !sender.is_closed() && sender.ready().await.is_ok(),
        }
    }

    /// Sends a request and waits for the head of the answer. An error that has the request in it
    /// says that no byte of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Box<TrySendError<Request<Body>>>> {
        match &mut self.sender {
            Sender::One(sender) => sender.try_send_request(request).await.map_err(Box::new),
            Sender::Two(sender) => sender.try_send_request(request).await.map_err(Box::new),
        }
    }

    /// Says goodbye (GOAWAY, TLS close) and waits a moment for it to be sent.
    pub(super) async fn close(self) {
        let Self { sender, mut behind } = self;
        drop(sender);
        // The task that owns an HTTP/2 socket ends by itself, after the GOAWAY.
        behind.socket = None;
        // Whoever doesn't take the goodbye in time is left without.
        drop(tokio::time::timeout(GOODBYE, &mut behind.task).await);
    }
}
