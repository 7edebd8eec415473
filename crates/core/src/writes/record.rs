//! Records as bytes: varints, so that an entry takes some 40 bytes.

use crate::model::{LedgerEntry, Nanos, OperationId, WriteId, WriteOutcome, WritePlace};

/// Longest key of a store that is kept; a longer one is left out, and its write can't be looked up by it.
pub(super) const KEY_BYTES_MAX: usize = 4096;

/// Something that the ledger keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A write and how it ended.
    Write(LedgerEntry),
    /// A write that was seen in the store while the run went on, by whoever takes it out of there: a message that
    /// was consumed is in no queue any more.
    Seen {
        /// Which write.
        id: WriteId,
        /// When.
        at: Nanos,
    },
}

const WRITE: u8 = 1;
const SEEN: u8 = 2;

const HAS_SENT: u8 = 1;
const HAS_VALUE: u8 = 2;
const HAS_OFFSET: u8 = 4;
const HAS_KEY: u8 = 8;

impl Record {
    /// Appends it to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Seen { id, at } => {
                out.push(SEEN);
                out.extend_from_slice(&id.bits().to_le_bytes());
                varint(at.0, out);
            }
            Self::Write(entry) => {
                out.push(WRITE);
                encode_entry(entry, out);
            }
        }
    }

    /// Takes the first record off `bytes`; `None` when they hold none.
    pub(super) fn decode(bytes: &mut &[u8]) -> Option<Self> {
        match take::<1>(bytes)? {
            [SEEN] => Some(Self::Seen { id: identifier(bytes)?, at: Nanos(unvarint(bytes)?) }),
            [WRITE] => decode_entry(bytes).map(Self::Write),
            _ => None,
        }
    }
}

fn encode_entry(entry: &LedgerEntry, out: &mut Vec<u8>) {
    let (place_flag, key) = match &entry.place {
        None => (0, None),
        Some(WritePlace::Offset { .. }) => (HAS_OFFSET, None),
        Some(WritePlace::Key(key)) if key.len() <= KEY_BYTES_MAX => (HAS_KEY, Some(key)),
        Some(WritePlace::Key(_)) => (0, None),
    };
    let sent = if entry.sent.is_some() { HAS_SENT } else { 0 };
    let value = if entry.value.is_some() { HAS_VALUE } else { 0 };
    let outcome = match entry.outcome {
        WriteOutcome::Acknowledged => 0,
        WriteOutcome::Rejected => 1,
        WriteOutcome::Unknown => 2,
    };
    out.push(outcome << 4 | place_flag | sent | value);
    out.extend_from_slice(&entry.id.bits().to_le_bytes());
    varint(entry.operation.0.into(), out);
    varint(entry.intended.0, out);
    // Nothing is sent before it is meant to be by more than a tick; differences are short either way.
    if let Some(sent) = entry.sent {
        signed(sent.0.wrapping_sub(entry.intended.0).cast_signed(), out);
    }
    signed(entry.done.0.wrapping_sub(entry.intended.0).cast_signed(), out);
    if let Some(value) = entry.value {
        out.extend_from_slice(&value.to_le_bytes());
    }
    if let Some(WritePlace::Offset { log, partition, offset }) = entry.place {
        varint(log.into(), out);
        signed(partition.into(), out);
        signed(offset, out);
    }
    if let Some(key) = key {
        varint(key.len() as u64, out);
        out.extend_from_slice(key.as_bytes());
    }
}

fn decode_entry(bytes: &mut &[u8]) -> Option<LedgerEntry> {
    let [flags] = take::<1>(bytes)?;
    let outcome = match flags >> 4 {
        0 => WriteOutcome::Acknowledged,
        1 => WriteOutcome::Rejected,
        2 => WriteOutcome::Unknown,
        _ => return None,
    };
    let has = |flag: u8| flags & flag != 0;
    let id = identifier(bytes)?;
    let operation = OperationId(unvarint(bytes)?.try_into().ok()?);
    let intended = Nanos(unvarint(bytes)?);
    let later = |difference: i64| Nanos(intended.0.wrapping_add(difference.cast_unsigned()));
    let sent = if has(HAS_SENT) { Some(later(unsigned(bytes)?)) } else { None };
    let done = later(unsigned(bytes)?);
    let value = if has(HAS_VALUE) { Some(u64::from_le_bytes(take(bytes)?)) } else { None };
    let place = if has(HAS_OFFSET) {
        let log = unvarint(bytes)?.try_into().ok()?;
        let partition = unsigned(bytes)?.try_into().ok()?;
        Some(WritePlace::Offset { log, partition, offset: unsigned(bytes)? })
    } else if has(HAS_KEY) {
        let length = usize::try_from(unvarint(bytes)?).ok().filter(|length| *length <= bytes.len())?;
        let (key, rest) = bytes.split_at(length);
        *bytes = rest;
        Some(WritePlace::Key(std::str::from_utf8(key).ok()?.into()))
    } else {
        None
    };
    Some(LedgerEntry { id, operation, intended, sent, done, outcome, place, value })
}

fn identifier(bytes: &mut &[u8]) -> Option<WriteId> {
    WriteId::from_bits(u128::from_le_bytes(take(bytes)?))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// LEB128.
fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn unvarint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take::<1>(bytes)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Zigzag, so that small negative numbers are short too.
fn signed(number: i64, out: &mut Vec<u8>) {
    varint((number << 1 ^ number >> 63).cast_unsigned(), out);
}

fn unsigned(bytes: &mut &[u8]) -> Option<i64> {
    let number = unvarint(bytes)?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::WriteScope;
    use proptest::prelude::*;

    pub(in crate::writes) fn any_record() -> impl Strategy<Value = Record> {
        let place = prop_oneof![
            Just(None),
            any::<(u16, i32, i64)>().prop_map(|(log, partition, offset)| Some(WritePlace::Offset {
                log,
                partition,
                offset
            })),
            "\\PC{0,40}".prop_map(|key| Some(WritePlace::Key(key.into()))),
        ];
        let outcome =
            prop_oneof![Just(WriteOutcome::Acknowledged), Just(WriteOutcome::Rejected), Just(WriteOutcome::Unknown)];
        let times = (any::<u64>(), any::<Option<u64>>(), any::<u64>());
        let who = (0_u64..1 << 62, 0_u32..4096, any::<u16>());
        (any::<bool>(), who, times, outcome, place, any::<Option<u64>>()).prop_map(
            |(seen, (seq, step, operation), (intended, sent, done), outcome, place, value)| {
                let id = WriteScope::of("run", "scenario").id(seq, step);
                if seen {
                    return Record::Seen { id, at: Nanos(done) };
                }
                Record::Write(LedgerEntry {
                    id,
                    operation: OperationId(operation),
                    intended: Nanos(intended),
                    sent: sent.map(Nanos),
                    done: Nanos(done),
                    outcome,
                    place,
                    value,
                })
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(records in proptest::collection::vec(any_record(), 0..20)) {
            let mut bytes = Vec::new();
            records.iter().for_each(|record| record.encode(&mut bytes));
            let mut rest = bytes.as_slice();
            let read: Vec<_> = std::iter::from_fn(|| Record::decode(&mut rest)).collect();
            prop_assert_eq!(read, records);
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn whatever_the_bytes_say_nothing_breaks(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = bytes.as_slice();
            while Record::decode(&mut rest).is_some() {}
        }
    }

    #[test]
    fn an_entry_of_a_usual_run_takes_little() {
        let id = WriteScope::of("run", "scenario").id(1_234_567, 0);
        let entry = LedgerEntry {
            id,
            operation: OperationId(11),
            intended: Nanos::from_secs(600),
            sent: Some(Nanos::from_secs(600) + Nanos(40_000)),
            done: Nanos::from_secs(600) + Nanos::from_millis(3),
            outcome: WriteOutcome::Acknowledged,
            place: Some(WritePlace::Offset { log: 1, partition: 11, offset: 4_000_000 }),
            value: None,
        };
        let mut bytes = Vec::new();
        Record::Write(entry).encode(&mut bytes);
        assert!(bytes.len() <= 44, "{}", bytes.len());
    }
}
