//! What the coordinator has not acknowledged yet.

mod spill;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message as _;

use self::spill::{Place, Spill};
use crate::wire::Interval;

/// Bytes of intervals that stay in memory while the coordinator is there.
pub const MEMORY_MAX: usize = 64 * 1024 * 1024;
/// Bytes of intervals that are kept on disk at most: half an hour of intervals of 2 MiB.
pub const DISK_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Which part of which run the intervals belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The run.
    pub run: String,
    /// The agent's name.
    pub agent: String,
    /// Its number.
    pub index: u64,
    /// Of how many.
    pub of: u64,
    /// What tells the agent's process from others of the same name.
    pub incarnation: Bytes,
}

/// Why an interval can't be kept, or found again.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The file can't be written or read.
    #[error("intervals that the coordinator has not got yet can't be kept in {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is full.
    #[error("{path} holds {} MiB of intervals that the coordinator has not got yet; no more are kept", .bytes / 1024 / 1024)]
    Full {
        /// The file.
        path: PathBuf,
        /// Its bytes.
        bytes: u64,
    },
    /// What was written is not what is read.
    #[error(
        "{path} has changed at byte {at} since it was written: what it holds of the run after interval {last} can't be \
         known; the file was left as it is, move it away to go on without it"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// The last interval that stands before it.
        last: u64,
    },
    /// The coordinator knows of more than there ever was.
    #[error("the coordinator acknowledges interval {through}, and only {made} were made: it belongs to another run")]
    NeverMade {
        /// What it acknowledges.
        through: u64,
        /// What there is.
        made: u64,
    },
}

#[derive(Debug)]
struct Held {
    number: u64,
    place: Place,
}

/// Unacknowledged intervals in order: the older ones on disk, the newer ones in memory. Once the memory
/// is full or the coordinator is gone, everything goes to disk.
#[derive(Debug)]
pub struct Outbox {
    /// Those on disk come first.
    held: VecDeque<Held>,
    memory: usize,
    memory_max: usize,
    /// Number of the last interval made.
    made: u64,
    acknowledged: u64,
    /// Number of the next interval to be sent on this connection.
    next: u64,
    /// Whether the coordinator is gone: what is made goes to disk at once.
    alone: bool,
    /// Whether it was found on disk: the coordinator may know of intervals that never got there.
    reopened: bool,
    spill: Spill,
}

impl Outbox {
    /// An empty one, whose file lies in `folder` as soon as there is one.
    pub fn new(folder: &Path, membership: Membership, memory_max: usize, disk_max: u64) -> Self {
        Self::with(Spill::new(folder, membership, disk_max), memory_max)
    }

    fn with(spill: Spill, memory_max: usize) -> Self {
        let held = VecDeque::new();
        Self { held, memory: 0, memory_max, made: 0, acknowledged: 0, next: 1, alone: false, reopened: false, spill }
    }

    /// What an agent left in `folder` that ended before everything was acknowledged; `None` where there
    /// is nothing. An interval that it was writing when it ended is cut off.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn reopen(folder: &Path, memory_max: usize, disk_max: u64) -> Result<Option<Self>, OutboxError> {
        let Some((spill, found)) = Spill::reopen(folder, disk_max)? else { return Ok(None) };
        let mut outbox = Self::with(spill, memory_max);
        outbox.acknowledged = found.acknowledged;
        outbox.made = found.places.last().map_or(found.acknowledged, |(number, _)| *number);
        outbox.next = outbox.acknowledged + 1;
        (outbox.alone, outbox.reopened) = (true, true);
        outbox.held = found.places.into_iter().map(|(number, place)| Held { number, place }).collect();
        Ok(Some(outbox))
    }

    /// To whom they belong.
    pub fn membership(&self) -> &Membership {
        self.spill.membership()
    }

    /// Number of the last interval that was made; 0 before the first.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// Whether everything that was made is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many are not acknowledged.
    pub fn waiting(&self) -> usize {
        self.held.len()
    }

    /// Bytes in memory and on disk.
    pub const fn bytes(&self) -> (usize, u64) {
        (self.memory, self.spill.bytes())
    }

    /// The file in which intervals lie while the coordinator is gone.
    pub fn path(&self) -> &Path {
        self.spill.path()
    }

    /// Keeps an interval and gives it its number.
    ///
    /// # Errors
    /// When it can't be kept; then it has no number, and those before it are not touched.
    pub fn push(&mut self, mut interval: Interval) -> Result<u64, OutboxError> {
        interval.number = self.made + 1;
        let bytes = Bytes::from(interval.encode_to_vec());
        if self.alone || self.memory + bytes.len() > self.memory_max {
            self.write_out()?;
            let place = self.spill.append(self.acknowledged, &bytes)?;
            if self.alone {
                self.spill.sync()?;
            }
            self.held.push_back(Held { number: interval.number, place });
        } else {
            self.memory += bytes.len();
            self.held.push_back(Held { number: interval.number, place: Place::Memory(bytes) });
        }
        self.made = interval.number;
        Ok(interval.number)
    }

    /// Whether something has not been sent on this connection.
    pub const fn has_next(&self) -> bool {
        self.next <= self.made
    }

    /// The next interval to be sent on this connection. It is kept until it is acknowledged.
    ///
    /// # Errors
    /// When it lies on disk and can't be read.
    pub fn take_next(&mut self) -> Result<Option<Interval>, OutboxError> {
        let Some(first) = self.held.front() else { return Ok(None) };
        let number = self.next.max(first.number);
        let at = usize::try_from(number - first.number).unwrap_or(usize::MAX);
        let Some(held) = self.held.get(at) else { return Ok(None) };
        let interval = self.spill.read(number, &held.place)?;
        self.next = number + 1;
        Ok(Some(interval))
    }

    /// The coordinator has everything up to this number.
    ///
    /// # Errors
    /// When there never was so much; when the file can't be shortened.
    pub fn acknowledge(&mut self, through: u64) -> Result<(), OutboxError> {
        if through > self.made && self.reopened {
            self.made = through;
        }
        if through > self.made {
            return Err(OutboxError::NeverMade { through, made: self.made });
        }
        self.acknowledged = self.acknowledged.max(through);
        while self.held.front().is_some_and(|held| held.number <= through) {
            match self.held.pop_front().map(|held| held.place) {
                Some(Place::Memory(bytes)) => self.memory -= bytes.len(),
                Some(Place::Disk { length, .. }) => self.spill.drop_front(length),
                None => {}
            }
        }
        let live = self.held.iter_mut().map(|held| &mut held.place);
        self.spill.shorten(self.acknowledged, live)
    }

    /// There is a connection again, and the coordinator has everything up to this number: what comes
    /// after it is sent again, in order.
    ///
    /// # Errors
    /// As [`Outbox::acknowledge`].
    pub fn reconnected(&mut self, acknowledged: u64) -> Result<(), OutboxError> {
        self.acknowledge(acknowledged)?;
        self.resend();
        self.alone = false;
        Ok(())
    }

    /// Sends everything again that is not acknowledged.
    pub const fn resend(&mut self) {
        self.next = self.acknowledged + 1;
    }

    /// The connection is gone: everything that is not acknowledged goes to disk, and so does what is
    /// made from now on.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn disconnected(&mut self) -> Result<(), OutboxError> {
        self.alone = true;
        self.write_out()?;
        self.spill.sync()
    }

    /// Removes the file: everything has arrived.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn discard(mut self) -> Result<(), OutboxError> {
        self.spill.discard()
    }

    fn write_out(&mut self) -> Result<(), OutboxError> {
        // From the first in memory on: those before are on disk already.
        let on_disk = self.held.partition_point(|held| matches!(held.place, Place::Disk { .. }));
        for held in self.held.range_mut(on_disk..) {
            if let Place::Memory(bytes) = &held.place {
                let length = bytes.len();
                held.place = self.spill.append(self.acknowledged, bytes)?;
                self.memory -= length;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
