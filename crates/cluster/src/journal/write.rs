//! Writing the journal, on a thread of its own: a disk that takes its time holds up acknowledgements,
//! never the signs of life that agents wait for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use prost::Message as _;

use super::{BATCH_BYTES, Entry, Head, JOURNAL_FILE, JournalError, RECORD_BYTES_MAX, Record, RecordBody};
use slatest_core::intact::{FRAME_BYTES, checksum};

/// How long records gather before they are brought to the disk together.
const GATHER: Duration = Duration::from_millis(100);
/// Entries that may wait for the thread; whoever writes more waits.
const QUEUE: usize = 4_096;

/// What is on disk: of an agent, everything through this number. An agent's end has the number after its
/// last interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The agent's number.
    pub agent: u64,
    /// The number of the interval.
    pub through: u64,
}

enum Order {
    Write(Box<Entry>),
    /// Write everything now, and say when that is done.
    Sync(SyncSender<()>),
}

/// The journal of a run, open for writing.
#[derive(Debug)]
pub struct Journal {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<Result<(), JournalError>>>,
}

impl Journal {
    /// Begins the journal of the run in this folder. `stored` is called from the journal's thread after each
    /// batch; it must not block for long.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn create(
        folder: &Path,
        head: Head,
        stored: impl FnMut(Vec<Stored>) + Send + 'static,
    ) -> Result<Self, JournalError> {
        let path = folder.join(JOURNAL_FILE);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(JournalError::io(parent, "created"))?;
        }
        let file = OpenOptions::new().create_new(true).append(true).open(&path);
        let file = file.map_err(JournalError::io(&path, "created"))?;
        let mut writer = Writer { path, file, batch: Vec::new(), told: Vec::new() };
        writer.push(&Record { agent: 0, body: Some(RecordBody::Head(head)) });
        writer.sync()?;
        // The name must be on disk too, or there is a file that nobody finds.
        for folder in [writer.path.parent(), Some(folder)].into_iter().flatten() {
            File::open(folder).and_then(|dir| dir.sync_all()).map_err(JournalError::io(folder, "written"))?;
        }
        Self::spawn(writer, stored)
    }

    /// Goes on with the journal of the run in this folder behind its first `whole` bytes; what lies behind
    /// them is cut off.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn go_on(
        folder: &Path,
        whole: u64,
        stored: impl FnMut(Vec<Stored>) + Send + 'static,
    ) -> Result<Self, JournalError> {
        let path = folder.join(JOURNAL_FILE);
        let file = OpenOptions::new().append(true).open(&path).map_err(JournalError::io(&path, "written"))?;
        file.set_len(whole).and_then(|()| file.sync_all()).map_err(JournalError::io(&path, "written"))?;
        Self::spawn(Writer { path, file, batch: Vec::new(), told: Vec::new() }, stored)
    }

    fn spawn(writer: Writer, stored: impl FnMut(Vec<Stored>) + Send + 'static) -> Result<Self, JournalError> {
        let path = writer.path.clone();
        let (orders, to_write) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run(&to_write, stored))
            .map_err(JournalError::io(&path, "written by a thread"))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Hands over an entry; it is on disk once `stored` was told so, or after [`Journal::sync`]. Waits while
    /// thousands wait to be written.
    ///
    /// # Errors
    /// When the thread is gone, because the file system said no.
    pub fn write(&mut self, entry: Entry) -> Result<(), JournalError> {
        self.order(Order::Write(Box::new(entry)))
    }

    /// Waits until everything that was handed over is on disk.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        let (done, is_done) = sync_channel(1);
        self.order(Order::Sync(done))?;
        if is_done.recv().is_ok() {
            return Ok(());
        }
        self.close()?;
        Err(JournalError::Closed)
    }

    /// Writes what is left, and ends.
    ///
    /// # Errors
    /// When the file system says no, now or earlier.
    pub fn close(&mut self) -> Result<(), JournalError> {
        self.orders = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            // A panic was told of by the panic hook.
            Some(Err(_)) | None => Ok(()),
        }
    }

    fn order(&mut self, order: Order) -> Result<(), JournalError> {
        if self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok()) {
            return Ok(());
        }
        self.close()?;
        Err(JournalError::Closed)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Whoever wants to know of errors closes it.
        let _ = self.close();
    }
}

struct Writer {
    path: PathBuf,
    file: File,
    batch: Vec<u8>,
    told: Vec<Stored>,
}

impl Writer {
    fn run(mut self, orders: &Receiver<Order>, mut stored: impl FnMut(Vec<Stored>)) -> Result<(), JournalError> {
        // The first of a batch waits for company only as long as others have come lately.
        let mut since: Option<Instant> = None;
        loop {
            let wait = since.map_or(GATHER, |since| GATHER.saturating_sub(since.elapsed()));
            match orders.recv_timeout(wait) {
                Ok(Order::Write(entry)) => {
                    self.take(*entry);
                    since.get_or_insert_with(Instant::now);
                    if self.batch.len() < BATCH_BYTES && since.is_some_and(|since| since.elapsed() < GATHER) {
                        continue;
                    }
                    self.flush(&mut stored)?;
                }
                Ok(Order::Sync(done)) => {
                    self.flush(&mut stored)?;
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.flush(&mut stored)?,
                Err(RecvTimeoutError::Disconnected) => return self.flush(&mut stored),
            }
            since = None;
        }
    }

    fn take(&mut self, entry: Entry) {
        let told = match &entry {
            Entry::Interval { agent, interval } => Some(Stored { agent: *agent, through: interval.number }),
            Entry::End { agent, finished } => {
                Some(Stored { agent: *agent, through: finished.last_interval.saturating_add(1) })
            }
            Entry::Note(_) => None,
        };
        // What is not written is not told.
        if self.push(&entry.into()) {
            self.told.extend(told);
        }
    }

    fn push(&mut self, record: &Record) -> bool {
        // Messages are bounded far below where they come in; one that is not has no place in a file. And
        // memory takes whatever is written to it.
        record.encoded_len() <= RECORD_BYTES_MAX && record.encode_length_delimited(&mut self.batch).is_ok()
    }

    fn flush(&mut self, stored: &mut impl FnMut(Vec<Stored>)) -> Result<(), JournalError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.sync()?;
        if !self.told.is_empty() {
            stored(std::mem::take(&mut self.told));
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        let written =
            pack(&self.batch).and_then(|packed| self.file.write_all(&packed)).and_then(|()| self.file.sync_data());
        written.map_err(JournalError::io(&self.path, "written"))?;
        self.batch.clear();
        self.batch.shrink_to(2 * BATCH_BYTES);
        Ok(())
    }
}

/// A batch as it lies on disk.
fn pack(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = DeflateEncoder::new(vec![0; FRAME_BYTES], Compression::fast());
    packed.write_all(records)?;
    let mut packed = packed.finish()?;
    let (frame, body) = packed.split_at_mut(FRAME_BYTES);
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let (length, sum) = (length.to_le_bytes(), checksum(body).to_le_bytes());
    frame.iter_mut().zip(length.iter().chain(&sum)).for_each(|(to, from)| *to = *from);
    Ok(packed)
}
