//! The rows that are sorted on disk. Numbers are big-endian, so that bytes sort as what they stand for.

use crate::model::{LedgerEntry, Nanos, OperationId, WriteId, WriteOutcome, WritePlace};

/// Length of a row that is sorted by identifier.
pub(super) const ID_ROW: usize = 70;
/// Length of a row that is sorted by place in a log.
pub(super) const LOG_ROW: usize = 47;

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Position {
    pub(super) log: u16,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl Position {
    pub(super) const fn of(place: Option<&WritePlace>) -> Option<Self> {
        match place {
            Some(&WritePlace::Offset { log, partition, offset }) => Some(Self { log, partition, offset }),
            _ => None,
        }
    }

    pub(super) const fn place(self) -> WritePlace {
        WritePlace::Offset { log: self.log, partition: self.partition, offset: self.offset }
    }

    /// The partition that it is in.
    pub(super) const fn partition(self) -> (u16, i32) {
        (self.log, self.partition)
    }
}

/// What is written in a fixed length, in turn.
struct Pen<const N: usize> {
    row: [u8; N],
    at: usize,
}

impl<const N: usize> Pen<N> {
    const fn new() -> Self {
        Self { row: [0; N], at: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.row[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn position(&mut self, position: Position) {
        self.put(&position.log.to_be_bytes());
        // The sign bit turned over: negative numbers sort before the others.
        self.put(&(position.partition.cast_unsigned() ^ 1 << 31).to_be_bytes());
        self.put(&(position.offset.cast_unsigned() ^ 1 << 63).to_be_bytes());
    }
}

struct Eye<'r>(&'r [u8]);

impl Eye<'_> {
    fn take<const M: usize>(&mut self) -> [u8; M] {
        match self.0.split_first_chunk() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => [0; M],
        }
    }

    fn position(&mut self) -> Position {
        let log = u16::from_be_bytes(self.take());
        let partition = (u32::from_be_bytes(self.take()) ^ 1 << 31).cast_signed();
        let offset = (u64::from_be_bytes(self.take()) ^ 1 << 63).cast_signed();
        Position { log, partition, offset }
    }

    fn optional<T>(&mut self, value: T) -> Option<T> {
        let [flag] = self.take();
        (flag == 1).then_some(value)
    }
}

/// A row of one write: what was expected of it stands before what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdRow {
    Expected { id: WriteId, entry: Expected },
    Found { id: WriteId, sighting: Sighting },
}

/// What the ledger says of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) outcome: WriteOutcome,
    pub(super) operation: OperationId,
    pub(super) intended: Nanos,
    pub(super) sent: Option<Nanos>,
    pub(super) done: Nanos,
    pub(super) position: Option<Position>,
    pub(super) value: Option<u64>,
}

impl Expected {
    pub(super) const fn of(entry: &LedgerEntry) -> Self {
        Self {
            outcome: entry.outcome,
            operation: entry.operation,
            intended: entry.intended,
            sent: entry.sent,
            done: entry.done,
            position: Position::of(entry.place.as_ref()),
            value: entry.value,
        }
    }
}

/// What a store says of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    /// Who read: 0 the primary, then the replicas.
    pub(super) reader: u8,
    /// False: it could not be asked for.
    pub(super) present: bool,
    pub(super) position: Option<Position>,
    pub(super) value: Option<u64>,
}

const NO_POSITION: Position = Position { log: 0, partition: 0, offset: 0 };

impl IdRow {
    pub(super) fn to_bytes(self) -> [u8; ID_ROW] {
        let mut pen = Pen::new();
        let (Self::Expected { id, .. } | Self::Found { id, .. }) = self;
        pen.put(&id.bits().to_be_bytes());
        let (position, value) = match self {
            Self::Expected { entry, .. } => {
                pen.put(&[0]);
                let outcome = match entry.outcome {
                    WriteOutcome::Acknowledged => 0,
                    WriteOutcome::Rejected => 1,
                    WriteOutcome::Unknown => 2,
                };
                pen.put(&[outcome, 0]);
                (entry.position, entry.value)
            }
            Self::Found { sighting, .. } => {
                pen.put(&[1, sighting.reader, u8::from(sighting.present)]);
                (sighting.position, sighting.value)
            }
        };
        pen.position(position.unwrap_or(NO_POSITION));
        pen.put(&[u8::from(position.is_some())]);
        pen.put(&value.unwrap_or(0).to_be_bytes());
        pen.put(&[u8::from(value.is_some())]);
        if let Self::Expected { entry, .. } = self {
            pen.put(&entry.operation.0.to_be_bytes());
            pen.put(&entry.intended.0.to_be_bytes());
            pen.put(&entry.done.0.to_be_bytes());
            pen.put(&entry.sent.unwrap_or_default().0.to_be_bytes());
            pen.put(&[u8::from(entry.sent.is_some())]);
        }
        pen.row
    }

    /// `None` for bytes that no row has.
    pub(super) fn from_bytes(row: &[u8; ID_ROW]) -> Option<Self> {
        let mut eye = Eye(row);
        let id = WriteId::from_bits(u128::from_be_bytes(eye.take()))?;
        let [kind, first, second] = eye.take();
        let position = eye.position();
        let position = eye.optional(position);
        let value = u64::from_be_bytes(eye.take());
        let value = eye.optional(value);
        if kind == 1 {
            return Some(Self::Found {
                id,
                sighting: Sighting { reader: first, present: second == 1, position, value },
            });
        }
        let outcome = match first {
            0 => WriteOutcome::Acknowledged,
            1 => WriteOutcome::Rejected,
            _ => WriteOutcome::Unknown,
        };
        let operation = OperationId(u16::from_be_bytes(eye.take()));
        let intended = Nanos(u64::from_be_bytes(eye.take()));
        let done = Nanos(u64::from_be_bytes(eye.take()));
        let sent = Nanos(u64::from_be_bytes(eye.take()));
        let sent = eye.optional(sent);
        Some(Self::Expected { id, entry: Expected { outcome, operation, intended, sent, done, position, value } })
    }
}

/// A row of one place in a log: what was acknowledged there stands before what was polled there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogRow {
    pub(super) position: Position,
    pub(super) polled: bool,
    /// The write; 0 for a record of somebody else.
    pub(super) id: u128,
    /// When it was sent; 0 where nobody knows.
    pub(super) sent: Nanos,
    /// When it was acknowledged; the end of time where it was not, or where nobody knows.
    pub(super) acknowledged: Nanos,
}

impl LogRow {
    pub(super) fn to_bytes(self) -> [u8; LOG_ROW] {
        let mut pen = Pen::new();
        pen.position(self.position);
        pen.put(&[u8::from(self.polled)]);
        pen.put(&self.id.to_be_bytes());
        pen.put(&self.sent.0.to_be_bytes());
        pen.put(&self.acknowledged.0.to_be_bytes());
        pen.row
    }

    pub(super) fn from_bytes(row: &[u8; LOG_ROW]) -> Self {
        let mut eye = Eye(row);
        let position = eye.position();
        let [polled] = eye.take();
        let id = u128::from_be_bytes(eye.take());
        let sent = Nanos(u64::from_be_bytes(eye.take()));
        let acknowledged = Nanos(u64::from_be_bytes(eye.take()));
        Self { position, polled: polled == 1, id, sent, acknowledged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writes::Record;
    use crate::writes::record::tests::any_record;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_say_what_was_put_in(record in any_record(), reader: u8, present: bool) {
            let Record::Write(entry) = record else { return Ok(()) };
            let expected = IdRow::Expected { id: entry.id, entry: Expected::of(&entry) };
            let (position, value) = (Position::of(entry.place.as_ref()), entry.value);
            let found = IdRow::Found { id: entry.id, sighting: Sighting { reader, present, position, value } };
            prop_assert_eq!(IdRow::from_bytes(&expected.to_bytes()), Some(expected));
            prop_assert_eq!(IdRow::from_bytes(&found.to_bytes()), Some(found));
            prop_assert!(expected.to_bytes() < found.to_bytes(), "what was expected stands first");
            let log = LogRow {
                position: position.unwrap_or(NO_POSITION),
                polled: present,
                id: entry.id.bits(),
                sent: entry.intended,
                acknowledged: entry.done,
            };
            prop_assert_eq!(LogRow::from_bytes(&log.to_bytes()), log);
        }

        #[test]
        fn places_sort_as_they_follow(a: (u16, i32, i64), b: (u16, i32, i64)) {
            let [x, y] = [a, b].map(|(log, partition, offset)| {
                let position = Position { log, partition, offset };
                LogRow { position, polled: true, id: 0, sent: Nanos::ZERO, acknowledged: Nanos::ZERO }.to_bytes()
            });
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        }
    }
}
