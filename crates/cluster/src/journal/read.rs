//! Reading a journal back.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;
use prost::Message as _;

use super::{BATCH_BYTES_MAX, Entry, Head, JOURNAL_FILE, JournalError, Record, RecordBody, VERSION};
use slatest_core::files::open_regular;
use slatest_core::intact::{FRAME_BYTES, checksum, frame_head, is_torn};

/// Agents that are named where intervals are missing.
const AGENTS_NAMED_MAX: usize = 20;

/// What lay behind the last whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the last {bytes} bytes of the journal are no whole batch and were cut off; whoever sent them sends them again"
)]
pub struct Torn {
    /// How many bytes.
    pub bytes: u64,
}

/// The records of a journal, one at a time.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    file: BufReader<File>,
    /// Records of the latest batch that are still to be given.
    batch: VecDeque<Record>,
    /// Bytes of whole batches so far.
    whole: u64,
    length: u64,
}

impl JournalReader {
    /// Opens the journal of the run in this folder.
    ///
    /// # Errors
    /// When there is none, or one of another version.
    pub fn open(folder: &Path) -> Result<(Head, Self), JournalError> {
        let path = folder.join(JOURNAL_FILE);
        let file = open_regular(&path).map_err(JournalError::io(&path, "read"))?;
        let length = file.metadata().map_err(JournalError::io(&path, "read"))?.len();
        let mut reader =
            Self { path, file: BufReader::with_capacity(1 << 20, file), batch: VecDeque::new(), whole: 0, length };
        let unreadable =
            |path: &Path, reason: &str| JournalError::Unreadable { path: path.to_owned(), reason: reason.into() };
        let head = match reader.record()? {
            Some(Record { body: Some(RecordBody::Head(head)), .. }) => head,
            _ => return Err(unreadable(&reader.path, "it does not begin as one; the run was killed before it began")),
        };
        if head.version != VERSION {
            return Err(unreadable(&reader.path, &format!("it is of version {}, not {VERSION}", head.version)));
        }
        Ok((head, reader))
    }

    /// The next entry; `None` after the last whole one.
    ///
    /// # Errors
    /// When the file system says no, or the journal is damaged: only a batch that was not written to its end is left
    /// out in silence.
    pub fn read(&mut self) -> Result<Option<Entry>, JournalError> {
        while let Some(Record { agent, body }) = self.record()? {
            match body {
                Some(RecordBody::Note(note)) => return Ok(Some(Entry::Note(note))),
                Some(RecordBody::Interval(interval)) => return Ok(Some(Entry::Interval { agent, interval })),
                Some(RecordBody::End(finished)) => return Ok(Some(Entry::End { agent, finished })),
                // A kind of record that a later version may add, or a head where none belongs.
                Some(RecordBody::Head(_)) | None => {}
            }
        }
        Ok(None)
    }

    /// Bytes up to the end of the last whole batch, and what lies behind them.
    pub fn end(&self) -> (u64, Option<Torn>) {
        let bytes = self.length.saturating_sub(self.whole);
        (self.whole, (bytes > 0).then_some(Torn { bytes }))
    }

    fn record(&mut self) -> Result<Option<Record>, JournalError> {
        while self.batch.is_empty() {
            let Some(bytes) = self.frame()? else { return self.torn_or_damaged() };
            let Some(records) = unpack(&bytes) else { return Err(self.damaged()) };
            self.whole += (FRAME_BYTES + bytes.len()) as u64;
            self.batch = records;
        }
        Ok(self.batch.pop_front())
    }

    /// What lies behind the last good batch: nothing, the beginning of one that was being written (`None`), or damage.
    fn torn_or_damaged(&mut self) -> Result<Option<Record>, JournalError> {
        let left = self.length.saturating_sub(self.whole);
        if left == 0 {
            return Ok(None);
        }
        if left > (FRAME_BYTES + BATCH_BYTES_MAX) as u64 {
            return Err(self.damaged());
        }
        let mut rest = Vec::new();
        self.file.seek(SeekFrom::Start(self.whole)).map_err(JournalError::io(&self.path, "read"))?;
        (&mut self.file).take(left).read_to_end(&mut rest).map_err(JournalError::io(&self.path, "read"))?;
        if is_torn(&rest, BATCH_BYTES_MAX) { Ok(None) } else { Err(self.damaged()) }
    }

    fn damaged(&self) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), at: self.whole, length: self.length, kept: String::new() }
    }

    /// The bytes of the next batch; `None` where there is no whole one.
    fn frame(&mut self) -> Result<Option<Vec<u8>>, JournalError> {
        let left = self.length.saturating_sub(self.whole);
        let mut frame = [0; FRAME_BYTES];
        if left < FRAME_BYTES as u64 {
            return Ok(None);
        }
        self.file.read_exact(&mut frame).map_err(JournalError::io(&self.path, "read"))?;
        let (length, sum) = frame_head(frame);
        if length > BATCH_BYTES_MAX || length as u64 > left - FRAME_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes).map_err(JournalError::io(&self.path, "read"))?;
        Ok((checksum(&bytes) == sum).then_some(bytes))
    }
}

/// The records of a batch; `None` where they are none.
fn unpack(bytes: &[u8]) -> Option<VecDeque<Record>> {
    let mut plain = Vec::new();
    DeflateDecoder::new(bytes).take(BATCH_BYTES_MAX as u64).read_to_end(&mut plain).ok()?;
    let mut left = plain.as_slice();
    let mut records = VecDeque::new();
    while !left.is_empty() {
        records.push_back(Record::decode_length_delimited(&mut left).ok()?);
    }
    Some(records)
}

/// Reads the journal of the run in this folder to its end, to know that all of it can be read.
///
/// # Errors
/// When there is none, it is damaged, or the file system says no. What is missing is told by agent.
pub fn check(folder: &Path) -> Result<(), JournalError> {
    let (_, mut reader) = JournalReader::open(folder)?;
    let mut kept: BTreeMap<u64, u64> = BTreeMap::new();
    loop {
        match reader.read() {
            Ok(Some(Entry::Interval { agent, interval })) => {
                let last = kept.entry(agent).or_default();
                *last = interval.number.max(*last);
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(JournalError::Damaged { path, at, length, .. }) => {
                let named = kept.iter().take(AGENTS_NAMED_MAX);
                let named: Vec<String> = named.map(|(agent, last)| format!("agent {agent} through {last}")).collect();
                let kept = if named.is_empty() { "none".to_owned() } else { named.join(", ") };
                return Err(JournalError::Damaged { path, at, length, kept });
            }
            Err(error) => return Err(error),
        }
    }
}
