//! One session: statements go out, answers come back within bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::frames::{FrameError, Frames};
use super::message::{Column, ServerError, affected, columns};
use super::startup::{Host, Login};
use super::stream::Stream;
use crate::failure::Failure;
use slatest_core::model::{Outcome, WORKLOAD_FAULT};

/// Longest goodbye.
const GOODBYE: Duration = Duration::from_millis(500);
/// Longest that a request to cancel may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);
/// Most requests to cancel at a time, over all sessions of the process; past it a connection is only closed.
const CANCELS_MAX: usize = 64;
static CANCELS: AtomicUsize = AtomicUsize::new(0);

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Rows that came back.
    pub rows: u64,
    /// Rows that commands say they touched.
    pub affected: u64,
    /// Columns of the last rows.
    pub columns: Arc<[Column]>,
    /// The first rows, as many as were wanted.
    pub kept: Vec<Vec<Option<String>>>,
}

/// What the answer to a request consists of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Parse,
    Parameters,
    Bind,
    Describe,
    /// What a prepared statement's answer is described by ends it.
    DescribeLast,
    Rows,
    Over,
}

/// A session of a server.
pub struct Connection {
    frames: Frames<Stream>,
    host: Arc<Host>,
    key: Option<(i32, i32)>,
    /// Whether an answer is owed.
    busy: bool,
    /// Whether it stands in a transaction.
    in_transaction: bool,
    answer_bytes_max: u64,
    out: BytesMut,
}

impl Connection {
    /// Opens one and signs in.
    ///
    /// # Errors
    /// What the server has against it, or the network's.
    pub async fn open(host: Arc<Host>, login: &Login, answer_bytes_max: u64) -> Result<Self, Failure> {
        let started = host.start(login).await?;
        let (frames, key, out) = (started.frames, started.key, BytesMut::new());
        Ok(Self { frames, host, key, busy: false, in_transaction: false, answer_bytes_max, out })
    }

    /// Whether the next may have it: nothing is owed, no transaction is open.
    pub const fn is_idle(&self) -> bool {
        !self.busy && !self.in_transaction
    }

    /// The process of the server, as it was told when the session began.
    pub fn process(&self) -> Option<i32> {
        self.key.map(|(process, _)| process)
    }

    /// Moves it to the current thread's runtime.
    ///
    /// # Errors
    /// The system's.
    pub fn settle(&mut self) -> Result<(), Failure> {
        self.frames.stream_mut().settle().map_err(|error| FrameError::Io(error).into())
    }

    /// Has the server look at a statement and keep it as `name`; without a name until the next one.
    ///
    /// # Errors
    /// What the server has against it.
    pub async fn prepare(&mut self, name: &str, text: &str, types: &[u32]) -> Result<Arc<[Column]>, Failure> {
        self.out.clear();
        frontend::parse(name, text, types.iter().copied(), &mut self.out).map_err(unsendable)?;
        frontend::describe(b'S', name, &mut self.out).map_err(unsendable)?;
        frontend::sync(&mut self.out);
        Ok(self.exchange(Stage::Parse, true, Arc::default(), 0).await?.columns)
    }

    /// Executes a prepared statement whose answer has these columns.
    ///
    /// # Errors
    /// What the server has against it.
    pub async fn execute(
        &mut self,
        name: &str,
        columns: Arc<[Column]>,
        values: &[String],
        kept: usize,
    ) -> Result<Reply, Failure> {
        self.out.clear();
        self.bind(name, values)?;
        frontend::execute("", 0, &mut self.out).map_err(unsendable)?;
        frontend::sync(&mut self.out);
        self.exchange(Stage::Bind, false, columns, kept).await
    }

    /// Executes a statement in one piece, which goes through poolers: nothing of it is kept.
    ///
    /// # Errors
    /// What the server has against it.
    pub async fn execute_once(
        &mut self,
        text: &str,
        types: &[u32],
        values: &[String],
        kept: usize,
    ) -> Result<Reply, Failure> {
        self.out.clear();
        frontend::parse("", text, types.iter().copied(), &mut self.out).map_err(unsendable)?;
        self.bind("", values)?;
        frontend::describe(b'P', "", &mut self.out).map_err(unsendable)?;
        frontend::execute("", 0, &mut self.out).map_err(unsendable)?;
        frontend::sync(&mut self.out);
        self.exchange(Stage::Parse, false, Arc::default(), kept).await
    }

    /// The first column of the first row of an answer.
    ///
    /// # Errors
    /// What the server has against it.
    pub async fn text(&mut self, query: &str) -> Result<Option<String>, Failure> {
        let reply = self.execute_once(query, &[], &[], 1).await?;
        Ok(reply.kept.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// Forgets a prepared statement.
    ///
    /// # Errors
    /// The connection's.
    pub async fn forget(&mut self, name: &str) -> Result<(), Failure> {
        self.out.clear();
        frontend::close(b'S', name, &mut self.out).map_err(unsendable)?;
        frontend::sync(&mut self.out);
        self.exchange(Stage::Over, false, Arc::default(), 0).await.map(|_| ())
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let mut bytes = BytesMut::new();
        frontend::terminate(&mut bytes);
        self.busy = false;
        let goodbye = async {
            self.frames.write(&bytes).await?;
            self.frames.stream_mut().shutdown().await?;
            // Until the server has closed it, it counts there.
            Ok::<_, FrameError>(self.frames.stream_mut().read(&mut [0; 16]).await?)
        };
        // A courtesy: a connection that can't say it is gone already.
        drop(tokio::time::timeout(GOODBYE, goodbye).await);
    }

    fn bind(&mut self, name: &str, values: &[String]) -> Result<(), Failure> {
        if values.iter().any(|value| value.contains('\0')) {
            let kind = format!("{WORKLOAD_FAULT}params: a value holds a NUL byte, which no text of PostgreSQL can");
            return Err(Failure::new(Outcome::Rejected, kind));
        }
        // Both values and answers are texts, as the server reads and spells them.
        let write = |value: &String, out: &mut BytesMut| {
            out.extend_from_slice(value.as_bytes());
            Ok(IsNull::No)
        };
        let bound = frontend::bind("", name, [0_i16], values, write, [0_i16], &mut self.out);
        bound.map_err(|_| {
            Failure::new(Outcome::Rejected, format!("{WORKLOAD_FAULT}params: the values are too long to be sent"))
        })
    }

    /// Sends what is written and reads its answer to the end.
    async fn exchange(
        &mut self,
        first: Stage,
        only_prepared: bool,
        columns: Arc<[Column]>,
        kept: usize,
    ) -> Result<Reply, Failure> {
        self.busy = true;
        self.frames.allow(self.answer_bytes_max);
        let out = self.out.split();
        self.frames.write(&out).await?;
        let mut reading =
            Reading { stage: first, only_prepared, error: None, reply: Reply { columns, ..Reply::default() } };
        loop {
            match self.next(&mut reading, kept).await {
                Ok(true) => {}
                Ok(false) => break,
                // What a server said before it closed the connection says more than that it did.
                Err(FrameError::Io(io)) => {
                    let lost = || FrameError::Io(io).into();
                    return Err(reading.error.map_or_else(lost, |error| Failure::from(error).broken()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.busy = false;
        match reading.error {
            Some(error) => Err(error.into()),
            None if reading.stage == Stage::Over => Ok(reading.reply),
            None => Err(FrameError::Malformed("ready before the command was complete").into()),
        }
    }

    /// Reads one message; whether there are more.
    async fn next(&mut self, reading: &mut Reading, kept: usize) -> Result<bool, FrameError> {
        let header = self.frames.header().await?;
        match header.tag {
            b'D' if reading.stage == Stage::Rows && reading.error.is_none() => {
                let wanted = reading.reply.kept.len() < kept;
                let row = self.frames.row(header.length, wanted).await?;
                if row.fields != reading.reply.columns.len() {
                    return Err(FrameError::Malformed("a row with other columns than were described"));
                }
                reading.reply.rows += 1;
                if wanted {
                    reading.reply.kept.push(row.texts);
                }
            }
            // What COPY TO sends.
            b'd' if reading.stage == Stage::Rows => self.frames.skip(header.length).await?,
            b'Z' => {
                let body = self.frames.body(header.length).await?;
                self.in_transaction = match &body[..] {
                    b"I" => false,
                    b"T" | b"E" => true,
                    _ => return Err(FrameError::Malformed("ready in no known state")),
                };
                return Ok(false);
            }
            // A statement that wants data gets none.
            b'G' => {
                self.frames.skip(header.length).await?;
                let mut out = BytesMut::new();
                frontend::copy_fail("no data is sent", &mut out)?;
                frontend::sync(&mut out);
                self.frames.write(&out).await?;
            }
            tag => {
                let body = self.frames.body(header.length).await?;
                reading.take(tag, &body)?;
            }
        }
        Ok(true)
    }
}

/// How far an answer has come.
struct Reading {
    stage: Stage,
    only_prepared: bool,
    error: Option<ServerError>,
    reply: Reply,
}

impl Reading {
    fn take(&mut self, tag: u8, body: &[u8]) -> Result<(), FrameError> {
        self.stage = match (tag, self.stage) {
            // Notices, settings and notifications may come at any time.
            (b'N' | b'S' | b'A', stage) => stage,
            (b'E', stage) => {
                self.error.get_or_insert_with(|| ServerError::read(body));
                stage
            }
            (b'1', Stage::Parse) if self.only_prepared => Stage::Parameters,
            (b'1', Stage::Parse) => Stage::Bind,
            (b't', Stage::Parameters) => Stage::DescribeLast,
            (b'2', Stage::Bind) if self.reply.columns.is_empty() => Stage::Describe,
            (b'2', Stage::Bind) => Stage::Rows,
            (b'T', Stage::DescribeLast) => self.described(body, Stage::Over)?,
            (b'T', Stage::Describe) => self.described(body, Stage::Rows)?,
            (b'n', Stage::DescribeLast) => Stage::Over,
            (b'n', Stage::Describe) => Stage::Rows,
            // COPY TO: what it sends, and its end.
            (b'H' | b'c', Stage::Describe | Stage::Rows) => Stage::Rows,
            // A prepared statement without rows isn't described again.
            (b'C', Stage::Describe | Stage::Rows) => {
                self.reply.affected += affected(body);
                Stage::Over
            }
            (b'I', Stage::Describe | Stage::Rows) => Stage::Over,
            (b'3', Stage::Over) => Stage::Over,
            _ => return Err(FrameError::Malformed("a message that has no place in an answer")),
        };
        Ok(())
    }

    fn described(&mut self, body: &[u8], next: Stage) -> Result<Stage, FrameError> {
        self.reply.columns = columns(body)?.into();
        Ok(next)
    }
}

/// A statement or a value that the protocol can't hold.
fn unsendable(_: std::io::Error) -> Failure {
    Failure::new(Outcome::Rejected, format!("{WORKLOAD_FAULT}the statement holds a NUL byte, or is too long"))
}

impl Drop for Connection {
    /// A statement whose operation has ended would go on at the server: it is cancelled, as clients do.
    fn drop(&mut self) {
        let (true, Some((process, key))) = (self.busy, self.key) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if CANCELS.fetch_add(1, Ordering::Relaxed) >= CANCELS_MAX {
            CANCELS.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let place = Place;
        let host = Arc::clone(&self.host);
        runtime.spawn(async move {
            let cancel = async {
                let mut stream = host.open().await?;
                let mut bytes = BytesMut::new();
                frontend::cancel_request(process, key, &mut bytes);
                let lost = |error| Failure::from(FrameError::Io(error));
                stream.write_all(&bytes).await.map_err(lost)?;
                stream.flush().await.map_err(lost)?;
                // The server closes it when it has passed the request on.
                stream.read(&mut [0; 16]).await.map_err(lost)
            };
            // A courtesy, too: whoever can't be asked has ended it already.
            drop(tokio::time::timeout(CANCEL_TIMEOUT, cancel).await);
            drop(place);
        });
    }
}

/// One of the places for requests to cancel.
struct Place;

impl Drop for Place {
    fn drop(&mut self) {
        CANCELS.fetch_sub(1, Ordering::Relaxed);
    }
}
