//! The thread that appends to the ledger, and the channel to it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::record::Record;
use super::segment::{BLOCK_BYTES_MAX, Head, write_block};
use crate::model::WriteScope;

/// Where the ledger of a run lies, in the folder of its results.
pub const LEDGER_FOLDER: &str = "ledger";

/// Records that may wait for the disk: a second and a half of 20,000 writes a second.
const QUEUE: usize = 32 * 1024;
/// A block is written when it has this many bytes…
const BLOCK_BYTES: usize = 64 * 1024;
/// …or when its first record is this old: what a kill can lose.
const BLOCK_AGE: Duration = Duration::from_millis(20);
/// How long it listens on after the end was said.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// A file that has reached this length is followed by another.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// What workers write through. Recording never waits.
#[derive(Clone, Debug)]
pub struct LedgerSink {
    to_thread: SyncSender<Message>,
    missed: Arc<AtomicU64>,
    run: Arc<str>,
    finishing: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Message {
    Record(Record),
    /// Nothing counts any more.
    End,
}

impl LedgerSink {
    /// Records it, or counts it as missed when the disk can't follow: the run is void then. Gives whether it is
    /// recorded.
    pub fn record(&self, record: Record) -> bool {
        if self.finishing.load(Ordering::Acquire) {
            return false;
        }
        let recorded = self.to_thread.try_send(Message::Record(record)).is_ok();
        if !recorded {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        recorded
    }

    /// The writes of a scenario of the run.
    pub fn scope(&self, scenario: &str) -> WriteScope {
        WriteScope::of(&self.run, scenario)
    }
}

/// How the writing ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerEnd {
    /// Records on disk.
    pub written: u64,
    /// Records that are not: each one makes the run void, because nobody knows what it was.
    pub missed: u64,
    /// What the disk had against it.
    pub error: Option<String>,
}

impl LedgerEnd {
    /// Why the ledger can't be relied upon; `None` when it can.
    pub fn flaw(&self) -> Option<String> {
        let error = self.error.as_deref().unwrap_or("the disk could not follow");
        (self.missed > 0 || self.error.is_some())
            .then(|| format!("{} writes are missing from the ledger: {error}", self.missed))
    }
}

/// Writes a ledger until it is finished.
#[derive(Debug)]
pub struct LedgerWriter {
    sink: LedgerSink,
    thread: JoinHandle<()>,
    state: Arc<Mutex<LedgerEnd>>,
}

impl LedgerWriter {
    /// Begins the ledger of a run in `folder`, which is made. `begun`: the wall clock, in nanoseconds since 1970.
    ///
    /// # Errors
    /// A folder that can't be made, or already holds a ledger.
    pub fn begin(folder: &Path, run: &str, begun: i64) -> io::Result<Self> {
        Self::with_limits(folder, Head { run: run.to_owned(), begun }, QUEUE, SEGMENT_BYTES)
    }

    fn with_limits(folder: &Path, head: Head, queue: usize, segment_bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let run = head.run.as_str().into();
        let mut segments = Segments::new(folder.to_owned(), head, segment_bytes)?;
        let (to_thread, records) = sync_channel(queue);
        let state = Arc::<Mutex<LedgerEnd>>::default();
        let missed = Arc::<AtomicU64>::default();
        let (told, lost) = (Arc::clone(&state), Arc::clone(&missed));
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || {
            append(&records, &mut segments, &told, &lost);
        })?;
        Ok(Self { sink: LedgerSink { to_thread, missed, run, finishing: Arc::default() }, thread, state })
    }

    /// What workers write through.
    pub fn sink(&self) -> LedgerSink {
        self.sink.clone()
    }

    /// Writes what waits and ends. What a sink is given later is not recorded.
    pub fn finish(self) -> LedgerEnd {
        let Self { sink, thread, state } = self;
        let missed = Arc::clone(&sink.missed);
        sink.finishing.store(true, Ordering::Release);
        // A thread that is gone needs no word.
        let _ = sink.to_thread.send(Message::End);
        let broke = thread.join().is_err();
        let mut end = std::mem::take(&mut *state.lock().unwrap_or_else(PoisonError::into_inner));
        end.missed = missed.load(Ordering::Relaxed);
        if broke && end.error.is_none() {
            end.error = Some("the thread that writes it ended".into());
        }
        end
    }
}

/// Takes records until nobody can send any more. After an error it goes on counting.
fn append(records: &Receiver<Message>, segments: &mut Segments, state: &Mutex<LedgerEnd>, missed: &AtomicU64) {
    let mut block = Vec::with_capacity(BLOCK_BYTES * 2);
    let mut failed = false;
    let mut over = false;
    loop {
        // Who looked before the end was said may still be about to send.
        let first = if over { records.recv_timeout(LAST_WORDS).ok() } else { records.recv().ok() };
        let first = match first {
            Some(Message::Record(first)) => first,
            Some(Message::End) => {
                over = true;
                continue;
            }
            None => return,
        };
        let deadline = Instant::now() + BLOCK_AGE;
        let mut count = 1_u64;
        block.clear();
        first.encode(&mut block);
        while block.len() < BLOCK_BYTES {
            match records.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Message::Record(record)) => {
                    record.encode(&mut block);
                    count += 1;
                }
                Ok(Message::End) => {
                    over = true;
                    break;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let result = if failed { Ok(false) } else { segments.append(&block).map(|()| true) };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(true) => state.written += count,
            Ok(false) => drop(missed.fetch_add(count, Ordering::Relaxed)),
            Err(error) => {
                missed.fetch_add(count, Ordering::Relaxed);
                state.error = Some(error.to_string());
                failed = true;
            }
        }
    }
}

/// The name of the `number`th file.
pub(super) fn segment_name(number: u64) -> String {
    format!("writes-{number:06}.seg")
}

struct Segments {
    folder: PathBuf,
    head: Head,
    limit: u64,
    number: u64,
    open: File,
    length: u64,
}

impl Segments {
    fn new(folder: PathBuf, head: Head, limit: u64) -> io::Result<Self> {
        let open = Self::open(&folder, &head, 1)?;
        Ok(Self { folder, head, limit, number: 1, open, length: 0 })
    }

    fn open(folder: &Path, head: &Head, number: u64) -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(folder.join(segment_name(number)))?;
        head.write(&mut file)?;
        Ok(file)
    }

    fn append(&mut self, block: &[u8]) -> io::Result<()> {
        debug_assert!(block.len() <= BLOCK_BYTES_MAX, "a block is a little longer than its bound at most");
        if self.length >= self.limit {
            self.open = Self::open(&self.folder, &self.head, self.number + 1)?;
            self.number += 1;
            self.length = 0;
        }
        write_block(block, &mut self.open)?;
        self.length += block.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Nanos, WriteScope};
    use crate::writes::Ledger;
    use crate::writes::record::tests::any_record;
    use crate::writes::segment::HEAD_BYTES;
    use proptest::prelude::*;

    fn head(begun: i64) -> Head {
        Head { run: "run".into(), begun }
    }

    fn seen(seq: u64) -> Record {
        Record::Seen { id: WriteScope::of("run", "s").id(seq, 0), at: Nanos(seq) }
    }

    fn read(folder: &Path) -> (Vec<Record>, u64) {
        let ledger = Ledger::open(folder).unwrap();
        let mut records = ledger.records();
        let all = records.by_ref().collect::<Result<Vec<_>, _>>().unwrap();
        (all, records.torn_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn a_ledger_is_read_as_it_was_written_over_as_many_files_as_it_takes(
            records in proptest::collection::vec(any_record(), 0..300),
            segment_bytes in 1_u64..2000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let writer = LedgerWriter::with_limits(folder.path(), head(7), 1024, segment_bytes).unwrap();
            let sink = writer.sink();
            records.iter().for_each(|record| assert!(sink.record(record.clone())));
            drop(sink);
            let end = writer.finish();
            prop_assert_eq!(&end, &LedgerEnd { written: records.len() as u64, missed: 0, error: None });
            prop_assert_eq!(end.flaw(), None);
            prop_assert_eq!(Ledger::open(folder.path()).unwrap().begun(), 7);
            prop_assert_eq!(read(folder.path()), (records, 0));
        }
    }

    #[test]
    fn what_the_channel_cannot_hold_is_counted_and_flaws_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let (to_thread, records) = sync_channel(2);
        let sink = LedgerSink { to_thread, missed: Arc::default(), run: "run".into(), finishing: Arc::default() };
        (0..5).for_each(|seq| assert_eq!(sink.record(seen(seq)), seq < 2));
        assert_eq!(sink.missed.load(Ordering::Relaxed), 3);
        assert_eq!(records.try_iter().count(), 2);
        let end = LedgerEnd { written: 2, missed: 3, error: None };
        assert_eq!(end.flaw().unwrap(), "3 writes are missing from the ledger: the disk could not follow");
        drop(folder);
    }

    #[test]
    fn a_disk_that_fails_is_told_and_everything_after_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let writer = LedgerWriter::with_limits(folder.path(), head(0), 1024, 1).unwrap();
        // The second file can't be made: its name is taken.
        std::fs::write(folder.path().join(segment_name(2)), "").unwrap();
        let sink = writer.sink();
        let state = Arc::clone(&writer.state);
        sink.record(seen(0));
        while state.lock().unwrap().written == 0 {
            std::thread::yield_now();
        }
        for seq in 1..4 {
            sink.record(seen(seq));
        }
        drop(sink);
        let end = writer.finish();
        assert_eq!((end.written, end.missed), (1, 3));
        assert!(end.flaw().unwrap().contains("3 writes"), "{end:?}");
    }

    #[test]
    fn a_ledger_that_was_killed_is_read_up_to_where_it_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let writer = LedgerWriter::begin(folder.path(), "run", 0).unwrap();
        let sink = writer.sink();
        (0..1000).for_each(|seq| assert!(sink.record(seen(seq))));
        drop(sink);
        assert_eq!(writer.finish().written, 1000);
        let path = folder.path().join(segment_name(1));
        let whole = std::fs::read(&path).unwrap();
        let mut before = 0;
        let head = HEAD_BYTES + "run".len();
        for length in (head..whole.len()).step_by(97) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let (records, torn) = read(folder.path());
            assert!(records.len() >= before, "a longer file holds no less");
            assert!(records.iter().zip(0..).all(|(record, seq)| *record == seen(seq)), "what is there is right");
            assert!(torn > 0 || length == head || !records.is_empty());
            before = records.len();
        }
    }

    /// Two files of several blocks each, every bit turned: what is wrong is said with the file, and nothing of what
    /// follows is left out in silence.
    #[test]
    fn each_bit_that_turns_is_told_with_its_file_and_the_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = [1, 2].map(|number| folder.path().join(segment_name(number)));
        for path in [&first, &second] {
            let mut bytes = Vec::new();
            head(7).write(&mut bytes).unwrap();
            for block in 0..3 {
                let mut payload = Vec::new();
                (0..4).for_each(|seq| seen(block * 4 + seq).encode(&mut payload));
                write_block(&payload, &mut bytes).unwrap();
            }
            std::fs::write(path, bytes).unwrap();
        }
        assert_eq!((read(folder.path()).0.len(), read(folder.path()).1), (24, 0));
        let whole = std::fs::read(&first).unwrap();
        for path in [&first, &second] {
            for bit in 0..whole.len() * 8 {
                let mut turned = whole.clone();
                turned[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(path, &turned).unwrap();
                let result =
                    Ledger::open(folder.path()).and_then(|ledger| ledger.records().collect::<Result<Vec<_>, _>>());
                let error = result.expect_err("it is not what was written").to_string();
                assert!(error.contains(path.to_str().unwrap()), "bit {bit}: {error}");
                assert_eq!(std::fs::read(path).unwrap(), turned, "the file was left");
            }
            std::fs::write(path, &whole).unwrap();
        }
    }

    #[test]
    fn room_that_was_made_and_not_written_is_a_torn_end_and_zeros_in_the_middle_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(segment_name(1));
        let (mut bytes, mut payload) = (Vec::new(), Vec::new());
        head(7).write(&mut bytes).unwrap();
        seen(0).encode(&mut payload);
        write_block(&payload, &mut bytes).unwrap();
        bytes.extend([0; 5000]);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(folder.path()), (vec![seen(0)], 5000));
        write_block(&payload, &mut bytes).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let error = Ledger::open(folder.path()).unwrap().records().nth(1).unwrap().unwrap_err().to_string();
        assert!(error.contains("a block of no bytes"), "{error}");
    }
}
