//! What stands between librdkafka and a broker. librdkafka is written in C and ends the process, or worse, on many
//! answers that no broker gives. It gets one end of a pair of sockets; each answer is held against the protocol's
//! definition here before it reaches that end. TLS ends here, too, so that certificates are judged as those of every
//! other driver.

mod frames;
#[cfg(any(test, fuzzing, feature = "readers"))]
pub mod fuzz;
mod reader;
mod records;
mod schema;

#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::{Builder, Runtime};

use super::cluster::ANSWER_BYTES_MAX;
use super::context::Troubles;
use frames::{FrameError, Questions};

/// Bytes that are passed on at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Where the connections of one client live: a thread of its own, so that neither a worker nor librdkafka waits for it.
/// It begins with the first connection.
#[derive(Default)]
pub(super) struct Filter {
    runtime: Mutex<Option<Arc<Runtime>>>,
}

impl Filter {
    /// Runs this where the connections live, and waits for it. Only threads of librdkafka call this. `None` when there
    /// is no thread to be had.
    pub(super) fn wait<F: Future>(&self, future: F) -> Option<F::Output> {
        let runtime = {
            let mut runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
            if runtime.is_none() {
                let begun =
                    Builder::new_multi_thread().worker_threads(1).thread_name("kafka filter").enable_all().build();
                *runtime = Some(Arc::new(begun.ok()?));
            }
            Arc::clone(runtime.as_ref()?)
        };
        Some(runtime.block_on(future))
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // Nobody waits for connections to end: their sockets close with them.
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime.and_then(Arc::into_inner) {
            runtime.shutdown_background();
        }
    }
}

/// Begins to filter a connection, on the runtime that this is called on. What is returned is librdkafka's end.
///
/// # Errors
/// When there is no pair of sockets to be had.
pub(super) fn begin(
    broker: impl AsyncRead + AsyncWrite + Send + 'static,
    name: String,
    troubles: Arc<Troubles>,
) -> io::Result<StdUnixStream> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    let (from_client, to_client) = UnixStream::from_std(ours)?.into_split();
    let (from_broker, to_broker) = tokio::io::split(broker);
    let questions = Arc::<Mutex<Questions>>::default();
    let tell = Arc::new(move |error: &FrameError| troubles.break_off(format!("{name}: {error}")));
    let asking = ask(from_client, to_broker, Arc::clone(&questions));
    let answering = answer(from_broker, to_client, questions);
    tokio::spawn(async move {
        // Whichever ends first takes the other with it: both sockets close.
        let ended = tokio::select! {
            ended = asking => ended,
            ended = answering => ended,
        };
        if let Err(Ended::Broken(error)) = ended {
            tell(&error);
        }
    });
    Ok(theirs)
}

/// Why a connection ends.
enum Ended {
    /// One side closed it or it failed: librdkafka finds its own words for it.
    Closed,
    /// It is broken off.
    Broken(FrameError),
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

impl From<FrameError> for Ended {
    fn from(error: FrameError) -> Self {
        Self::Broken(error)
    }
}

/// Passes questions on.
async fn ask<B: AsyncWrite>(
    mut client: OwnedReadHalf,
    mut broker: WriteHalf<B>,
    questions: Arc<Mutex<Questions>>,
) -> Result<(), Ended> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = client.read(&mut chunk).await?;
        let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else { return Err(Ended::Closed) };
        // Before the broker has it, so that no answer comes first.
        questions.lock().unwrap_or_else(PoisonError::into_inner).sent(bytes)?;
        broker.write_all(bytes).await?;
        broker.flush().await?;
    }
}

/// Passes answers on that a broker may give.
async fn answer<B: AsyncRead>(
    broker: ReadHalf<B>,
    mut client: OwnedWriteHalf,
    questions: Arc<Mutex<Questions>>,
) -> Result<(), Ended> {
    let lock = || questions.lock().unwrap_or_else(PoisonError::into_inner);
    // A small answer is read at once, length and all.
    let mut broker = BufReader::with_capacity(CHUNK_BYTES, broker);
    let mut frame = Vec::new();
    loop {
        let length = broker.read_i32().await?;
        let unasked = FrameError::Broken { question: "nothing", reason: "nothing was asked" };
        let asked = lock().front().ok_or_else(|| unasked.clone())?;
        let length = usize::try_from(length).ok().filter(|length| (4..=ANSWER_BYTES_MAX).contains(length));
        let length = length.ok_or_else(|| asked.broken("its length is out of range"))?;
        frame.clear();
        frame.extend((length as u32).to_be_bytes());
        // Takes memory as bytes come, not as they are announced.
        let read = (&mut broker).take(length as u64).read_to_end(&mut frame).await?;
        if read < length {
            return Err(Ended::Closed);
        }
        let asked = lock().next().ok_or(unasked)?;
        asked.check(frame.get(4..).unwrap_or_default())?;
        client.write_all(&frame).await?;
        if frame.capacity() > CHUNK_BYTES {
            frame = Vec::new();
        }
    }
}
