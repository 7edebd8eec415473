//! The file in which intervals lie that have no place in memory.
//!
//! A line that says what it is, then frames: length (4 bytes), CRC-32 of what follows (4 bytes), both
//! little-endian, then a message. The first message says whose the intervals are, the others are
//! intervals in order. A frame that was being written ends the file and is cut off. One that has changed since is
//! damage: the file is left as it is, and the words say which intervals can still be had.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use super::{Membership, OutboxError};
use crate::wire::Interval;
use slatest_core::intact::{checksum, frame_head, is_torn};

/// What the file begins with.
const BEGINNING: &[u8] = b"slatest outbox 1\n";
/// Length and checksum.
const FRAME: u64 = 8;
/// No interval is longer; a frame that says so is none.
const MESSAGE_MAX: u64 = 64 * 1024 * 1024;
/// A file is written anew when so much of it is not needed any more, and more than is.
const DEAD_MAX: u64 = 16 * 1024 * 1024;
const NAME: &str = "outbox";
const NAME_NEW: &str = "outbox.new";

/// The first message of the file.
#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(string, tag = "1")]
    run: String,
    #[prost(string, tag = "2")]
    agent: String,
    #[prost(uint64, tag = "3")]
    index: u64,
    #[prost(uint64, tag = "4")]
    of: u64,
    /// Intervals up to this number were acknowledged when the file was begun.
    #[prost(uint64, tag = "5")]
    acknowledged: u64,
    #[prost(bytes = "bytes", tag = "6")]
    incarnation: Bytes,
}

/// Where an interval is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Memory(Bytes),
    /// Where its message begins, and how long that is.
    Disk {
        at: u64,
        length: u64,
    },
}

/// What a file held.
pub(super) struct Found {
    pub(super) acknowledged: u64,
    pub(super) places: Vec<(u64, Place)>,
}

/// A file that was written anew: what has which new place in it.
struct Moved<'a> {
    file: File,
    first: u64,
    end: u64,
    places: Vec<(&'a mut Place, Place)>,
}

#[derive(Debug)]
pub(super) struct Spill {
    membership: Membership,
    folder: PathBuf,
    path: PathBuf,
    disk_max: u64,
    file: Option<File>,
    /// Where its first interval begins.
    first: u64,
    /// Length of the file.
    end: u64,
    /// Bytes of it that hold what is not acknowledged, frames included.
    live: u64,
}

fn frame(message: &[u8]) -> Vec<u8> {
    // No message is longer than MESSAGE_MAX.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(message.len() + 8);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&checksum(message).to_le_bytes());
    frame.extend_from_slice(message);
    frame
}

/// Whether what lies from `at` on is the beginning of a frame, left by an agent that was killed while it wrote.
fn ends_torn(file: &File, at: u64, end: u64) -> std::io::Result<bool> {
    let left = end.saturating_sub(at);
    if left > FRAME + MESSAGE_MAX {
        return Ok(false);
    }
    let mut rest = vec![0; usize::try_from(left).unwrap_or_default()];
    file.read_exact_at(&mut rest, at)?;
    Ok(is_torn(&rest, MESSAGE_MAX as usize))
}

/// The message of the frame at `at`, where that is whole; and where it ends.
fn read_frame(file: &File, at: u64, end: u64) -> std::io::Result<Option<(Vec<u8>, u64)>> {
    if at + FRAME > end {
        return Ok(None);
    }
    let mut head = [0; 8];
    file.read_exact_at(&mut head, at)?;
    let (length, sum) = frame_head(head);
    let length = length as u64;
    if length > MESSAGE_MAX || at + FRAME + length > end {
        return Ok(None);
    }
    let mut message = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut message, at + FRAME)?;
    let whole = checksum(&message) == sum;
    Ok(whole.then_some((message, at + FRAME + length)))
}

impl Spill {
    pub(super) fn new(folder: &Path, membership: Membership, disk_max: u64) -> Self {
        let path = folder.join(NAME);
        Self { membership, folder: folder.to_owned(), path, disk_max, file: None, first: 0, end: 0, live: 0 }
    }

    pub(super) fn reopen(folder: &Path, disk_max: u64) -> Result<Option<(Self, Found)>, OutboxError> {
        let mut spill = Self::new(folder, Membership::default(), disk_max);
        let failed = |error| OutboxError::File { path: folder.join(NAME), error };
        let file = match OpenOptions::new().read(true).write(true).open(&spill.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let end = file.metadata().map_err(failed)?.len();
        let mut beginning = Vec::with_capacity(BEGINNING.len());
        (&file).take(BEGINNING.len() as u64).read_to_end(&mut beginning).map_err(failed)?;
        let mut at = BEGINNING.len() as u64;
        let header = if beginning == BEGINNING { read_frame(&file, at, end).map_err(failed)? } else { None };
        let header = header.and_then(|(message, next)| Some((Header::decode(message.as_slice()).ok()?, next)));
        let Some((header, first)) = header else {
            return Err(OutboxError::Damaged { path: spill.path, at: 0, last: 0 });
        };
        at = first;
        let mut places: Vec<(u64, Place)> = Vec::new();
        while let Some((message, next)) = read_frame(&file, at, end).map_err(failed)? {
            let number = Interval::decode(message.as_slice()).map(|interval| interval.number);
            let follows = |number: u64| {
                places.last().map_or(number >= 1 && number <= header.acknowledged + 1, |(last, _)| number == last + 1)
            };
            let Some(number) = number.ok().filter(|number| follows(*number)) else { break };
            places.push((number, Place::Disk { at: at + FRAME, length: message.len() as u64 }));
            at = next;
        }
        if at < end {
            if !ends_torn(&file, at, end).map_err(failed)? {
                let last = places.last().map_or(header.acknowledged, |(number, _)| *number);
                return Err(OutboxError::Damaged { path: spill.path, at, last });
            }
            file.set_len(at).map_err(failed)?;
        }
        places.retain(|(number, _)| *number > header.acknowledged);
        let Header { run, agent, index, of, acknowledged, incarnation } = header;
        spill.membership = Membership { run, agent, index, of, incarnation };
        spill.file = Some(file);
        (spill.first, spill.end) = (first, at);
        spill.live = places.iter().map(|(_, place)| place.framed()).sum();
        Ok(Some((spill, Found { acknowledged, places })))
    }

    pub(super) const fn membership(&self) -> &Membership {
        &self.membership
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.end
    }

    fn failed(&self, error: std::io::Error) -> OutboxError {
        OutboxError::File { path: self.path.clone(), error }
    }

    /// Begins a file under a name of its own; gives it with its length.
    fn begin(&self, name: &str, acknowledged: u64) -> std::io::Result<(File, u64)> {
        std::fs::create_dir_all(&self.folder)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(self.folder.join(name))?;
        let Membership { run, agent, index, of, incarnation } = self.membership.clone();
        let mut beginning = BEGINNING.to_vec();
        beginning.extend(frame(&Header { run, agent, index, of, acknowledged, incarnation }.encode_to_vec()));
        file.write_all(&beginning)?;
        Ok((file, beginning.len() as u64))
    }

    /// Writes an interval behind the others.
    pub(super) fn append(&mut self, acknowledged: u64, message: &Bytes) -> Result<Place, OutboxError> {
        // What nobody needs any more would leave a gap before what comes now.
        if self.live == 0 {
            let (file, first) = self.begin(NAME, acknowledged).map_err(|e| self.failed(e))?;
            (self.file, self.first, self.end) = (Some(file), first, first);
        }
        if self.end + FRAME + message.len() as u64 > self.disk_max {
            return Err(OutboxError::Full { path: self.path.clone(), bytes: self.end });
        }
        let frame = frame(message);
        let place = Place::Disk { at: self.end + FRAME, length: message.len() as u64 };
        if let Some(file) = &self.file {
            // At its place, so that what a full disk cut short is written over by the next.
            file.write_all_at(&frame, self.end).map_err(|e| self.failed(e))?;
        }
        self.end += frame.len() as u64;
        self.live += frame.len() as u64;
        Ok(place)
    }

    pub(super) fn sync(&self) -> Result<(), OutboxError> {
        self.file.as_ref().map_or(Ok(()), File::sync_data).map_err(|e| self.failed(e))
    }

    pub(super) fn read(&self, number: u64, place: &Place) -> Result<Interval, OutboxError> {
        let damaged = |at| OutboxError::Damaged { path: self.path.clone(), at, last: number.saturating_sub(1) };
        match place {
            Place::Memory(bytes) => Interval::decode(bytes.clone()).map_err(|_| damaged(0)),
            Place::Disk { at, .. } => {
                let file = self.file.as_ref().ok_or_else(|| damaged(*at))?;
                let (message, _) =
                    read_frame(file, at - FRAME, self.end).map_err(|e| self.failed(e))?.ok_or_else(|| damaged(*at))?;
                Interval::decode(message.as_slice()).map_err(|_| damaged(*at))
            }
        }
    }

    /// The oldest interval on disk is not needed any more.
    pub(super) const fn drop_front(&mut self, length: u64) {
        self.live = self.live.saturating_sub(length + FRAME);
    }

    /// Writes the file anew where most of it is not needed any more. `held` are the places of all that
    /// is, in order.
    pub(super) fn shorten<'a>(
        &mut self,
        acknowledged: u64,
        held: impl Iterator<Item = &'a mut Place>,
    ) -> Result<(), OutboxError> {
        let dead = self.end - self.first - self.live;
        let Some(old) = &self.file else { return Ok(()) };
        let worth_it = if self.live == 0 { dead > 0 } else { dead > DEAD_MAX && dead > self.live };
        if !worth_it {
            return Ok(());
        }
        let moved = || -> std::io::Result<Moved<'a>> {
            let (file, first) = self.begin(NAME_NEW, acknowledged)?;
            let mut end = first;
            let mut moved = Vec::new();
            for place in held {
                let Place::Disk { at, length } = *place else { continue };
                let mut bytes = vec![0; usize::try_from(length + FRAME).unwrap_or_default()];
                old.read_exact_at(&mut bytes, at - FRAME)?;
                file.write_all_at(&bytes, end)?;
                moved.push((place, Place::Disk { at: end + FRAME, length }));
                end += bytes.len() as u64;
            }
            file.sync_data()?;
            std::fs::rename(self.folder.join(NAME_NEW), &self.path)?;
            Ok(Moved { file, first, end, places: moved })
        };
        // Nothing has changed its place until everything has.
        let Moved { file, first, end, places } = moved().map_err(|e| self.failed(e))?;
        for (place, new) in places {
            *place = new;
        }
        (self.file, self.first, self.end) = (Some(file), first, end);
        Ok(())
    }

    pub(super) fn discard(&mut self) -> Result<(), OutboxError> {
        if self.file.take().is_some() {
            std::fs::remove_file(&self.path).map_err(|e| self.failed(e))?;
        }
        Ok(())
    }
}

impl Place {
    /// Bytes that it takes on disk.
    const fn framed(&self) -> u64 {
        match self {
            Self::Memory(_) => 0,
            Self::Disk { length, .. } => *length + FRAME,
        }
    }
}
