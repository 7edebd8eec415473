//! Writes that are remembered one by one: who each is, how it ended, where it went.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::{Nanos, OperationId};

/// Bits of a [`WriteId`] that number the step of a flow.
const STEP_BITS: u32 = 12;
/// Bits of a [`WriteId`] that number the arrival.
const SEQ_BITS: u32 = 62;
/// The version nibble of an identifier of one's own design (RFC 9562, section 5.8).
const VERSION: u128 = 0x8 << 76;
/// The variant bits of RFC 9562.
const VARIANT: u128 = 0b10 << 62;

/// The writes of one scenario in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WriteScope(u64);

impl WriteScope {
    /// That of a scenario in a run: 48 bits of a SHA-256, so that two of 10,000 scopes meet in less than one
    /// case in five million.
    pub fn of(run: &str, scenario: &str) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, format!("{run}\0{scenario}").as_bytes());
        let tag = digest.as_ref().iter().take(6).fold(0_u64, |tag, byte| tag << 8 | u64::from(*byte));
        Self(tag)
    }

    /// The write of one execution: the number of its arrival and of its step in a flow. Numbers beyond 62 and 12
    /// bits don't exist in a plan (a flow has at most 1000 steps).
    pub const fn id(self, seq: u64, step: u32) -> WriteId {
        let step = (step as u128) & ((1 << STEP_BITS) - 1);
        let seq = (seq as u128) & ((1 << SEQ_BITS) - 1);
        WriteId((self.0 as u128) << 80 | VERSION | step << 64 | VARIANT | seq)
    }

    /// The least and the greatest identifier that it can give: all of its writes lie between, also as text.
    pub const fn range(self) -> (WriteId, WriteId) {
        (self.id(0, 0), self.id((1 << SEQ_BITS) - 1, (1 << STEP_BITS) - 1))
    }
}

/// The identifier of one write. It is a UUID of version 8, so that every store takes it as a key and every table
/// has a type for it, and it says which scenario, arrival and step it is, so that nothing has to be looked up.
/// Written out, identifiers sort as they do as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(u128);

impl WriteId {
    /// From the 128 bits, where they are an identifier of a write.
    pub const fn from_bits(bits: u128) -> Option<Self> {
        let marks = (0xf << 76) | (0b11 << 62);
        if bits & marks == VERSION | VARIANT { Some(Self(bits)) } else { None }
    }

    /// The 128 bits.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Whose write it is.
    pub const fn scope(self) -> WriteScope {
        WriteScope((self.0 >> 80) as u64)
    }

    /// The number of the arrival.
    pub const fn seq(self) -> u64 {
        (self.0 & ((1 << SEQ_BITS) - 1)) as u64
    }

    /// The place in the arrival's flow.
    pub const fn step(self) -> u32 {
        ((self.0 >> 64) & ((1 << STEP_BITS) - 1)) as u32
    }
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = Uuid::encode_buffer();
        f.pad(Uuid::from_u128(self.0).hyphenated().encode_lower(&mut buffer))
    }
}

/// What is no identifier of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no identifier of a write (a UUID of version 8)")]
pub struct NoWriteId;

impl FromStr for WriteId {
    type Err = NoWriteId;
    fn from_str(text: &str) -> Result<Self, NoWriteId> {
        let uuid = Uuid::try_parse(text).map_err(|_| NoWriteId)?;
        Self::from_bits(uuid.as_u128()).ok_or(NoWriteId)
    }
}

impl Serialize for WriteId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WriteId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What the one who wrote knows of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteOutcome {
    /// The store said that it has it: it must be there.
    Acknowledged,
    /// The store said that it won't have it, or it was never sent: it needn't be there.
    Rejected,
    /// Nobody said: it may be there or not, and is never counted as lost.
    Unknown,
}

/// Where a store put a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WritePlace {
    /// In a log.
    Offset {
        /// Which log, as the driver numbers its topics.
        log: u16,
        /// Partition of it.
        partition: i32,
        /// Place in the partition.
        offset: i64,
    },
    /// Under a key.
    Key(Box<str>),
}

impl fmt::Display for WritePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset { log: 0, partition, offset } => write!(f, "partition {partition} offset {offset}"),
            Self::Offset { log, partition, offset } => write!(f, "log {log} partition {partition} offset {offset}"),
            Self::Key(key) => write!(f, "key {key}"),
        }
    }
}

/// What a session says of a write beyond the outcome of its operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// How the write ended, where that doesn't follow from the operation's outcome.
    pub outcome: Option<WriteOutcome>,
    /// When it was acknowledged, where that is not the end of the operation.
    pub acknowledged: Option<Nanos>,
    /// Where it went, where the store said so.
    pub place: Option<WritePlace>,
    /// Digest of the value, where the store gives the value back.
    pub value: Option<u64>,
}

/// One write in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Which write.
    pub id: WriteId,
    /// The operation that wrote.
    pub operation: OperationId,
    /// When it was meant to start.
    pub intended: Nanos,
    /// When it was handed to the wire; `None`: never.
    pub sent: Option<Nanos>,
    /// When the answer came; for an unknown outcome, when it was given up.
    pub done: Nanos,
    /// What is known of it.
    pub outcome: WriteOutcome,
    /// Where the store put it.
    pub place: Option<WritePlace>,
    /// Digest of its value.
    pub value: Option<u64>,
}

/// The digest of a written value: the first 64 bits of its SHA-256.
pub fn value_digest(value: &[u8]) -> u64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, value);
    digest.as_ref().iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_identifier_says_who_it_is_and_sorts_as_its_text(
            a in (0_u64..1 << 62, 0_u32..4096),
            b in (0_u64..1 << 62, 0_u32..4096),
        ) {
            let scope = WriteScope::of("20261121-peak-1a2b", "api");
            let (x, y) = (scope.id(a.0, a.1), scope.id(b.0, b.1));
            prop_assert_eq!((x.scope(), x.seq(), x.step()), (scope, a.0, a.1));
            prop_assert_eq!(x.to_string().parse(), Ok(x));
            prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
            let (least, greatest) = scope.range();
            prop_assert!(least <= x && x <= greatest);
        }
    }

    #[test]
    fn it_is_a_uuid_of_version_8_and_others_are_none_of_ours() {
        let id = WriteScope::of("run", "api").id(7, 1);
        let uuid = Uuid::parse_str(&id.to_string()).unwrap();
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (8, uuid::Variant::RFC4122));
        for other in [Uuid::new_v4().to_string(), "task-17".into(), String::new()] {
            assert_eq!(other.parse::<WriteId>(), Err(NoWriteId));
        }
    }

    #[test]
    fn scenarios_and_runs_have_scopes_of_their_own() {
        let scopes = [("a", "bc"), ("ab", "c"), ("a", "b")].map(|(run, scenario)| WriteScope::of(run, scenario));
        assert!(scopes[0] != scopes[1] && scopes[1] != scopes[2] && scopes[0] != scopes[2]);
    }
}
