//! What brokers answer, by kind of question and version: the definitions of Kafka's own protocol
//! (`clients/src/main/resources/common/message/*Response.json`, Kafka 4.0), as far as librdkafka asks.

use super::reader::{Checked, Malformed, Reader};
use super::records;

/// What a field is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A number or a group of bytes of so many bytes.
    Fixed(usize),
    /// Text.
    Text,
    /// Text, or nothing.
    NullableText,
    /// Bytes, or nothing.
    Bytes,
    /// Elements.
    Array(&'static [Field]),
    /// Elements, or nothing.
    NullableArray(&'static [Field]),
    /// The number of an error.
    Error,
    /// The number of a partition: not below zero.
    Partition,
    /// A port.
    Port,
    /// Batches of records.
    Records,
    /// What a consumer is given, in bytes of their own.
    Assignment,
    /// What a consumer asks for, in bytes of their own.
    Subscription,
}

/// A field, and the versions that have it.
#[derive(Clone, Copy)]
pub(super) struct Field {
    kind: Kind,
    first: i16,
    last: i16,
}

const fn field(kind: Kind) -> Field {
    Field { kind, first: 0, last: i16::MAX }
}

impl Field {
    const fn since(self, first: i16) -> Self {
        Self { first, ..self }
    }

    const fn until(self, last: i16) -> Self {
        Self { last, ..self }
    }
}

const BYTE: Field = field(Kind::Fixed(1));
const SHORT: Field = field(Kind::Fixed(2));
const INT: Field = field(Kind::Fixed(4));
const LONG: Field = field(Kind::Fixed(8));
const UUID: Field = field(Kind::Fixed(16));
const TEXT: Field = field(Kind::Text);
const MAYBE_TEXT: Field = field(Kind::NullableText);
const BYTES: Field = field(Kind::Bytes);
const ERROR: Field = field(Kind::Error);
const PARTITION: Field = field(Kind::Partition);

const fn array(fields: &'static [Field]) -> Field {
    field(Kind::Array(fields))
}

/// What a consumer is given: partitions of topics, and what its strategy adds.
const ASSIGNMENT: [Field; 2] = [array(&[TEXT, array(&[PARTITION])]), BYTES];
/// What a consumer asks for: topics, what its strategy adds, what it has, of which generation, where it stands.
const SUBSCRIPTION: [Field; 5] =
    [array(&[TEXT]), BYTES, array(&[TEXT, array(&[PARTITION])]).since(1), INT.since(2), MAYBE_TEXT.since(3)];

/// A kind of answer.
pub(super) struct Answer {
    /// Number of the question.
    pub(super) key: i16,
    /// Its name, for people.
    pub(super) name: &'static str,
    /// Highest version that is known here.
    last: i16,
    /// First version whose texts and arrays have lengths of variable size, and whose groups have tags.
    flexible: i16,
    fields: &'static [Field],
}

const NEVER: i16 = i16::MAX;

/// Every answer that is let through.
static ANSWERS: [Answer; 19] = [
    Answer {
        key: 0,
        name: "Produce",
        last: 12,
        flexible: 9,
        fields: &[
            array(&[
                TEXT,
                array(&[
                    PARTITION,
                    ERROR,
                    LONG,
                    LONG.since(2),
                    LONG.since(5),
                    array(&[INT, MAYBE_TEXT]).since(8),
                    MAYBE_TEXT.since(8),
                ]),
            ]),
            INT.since(1),
        ],
    },
    Answer {
        key: 1,
        name: "Fetch",
        last: 17,
        flexible: 12,
        fields: &[
            INT.since(1),
            ERROR.since(7),
            INT.since(7),
            array(&[
                TEXT.until(12),
                UUID.since(13),
                array(&[
                    PARTITION,
                    ERROR,
                    LONG,
                    LONG.since(4),
                    LONG.since(5),
                    field(Kind::NullableArray(&[LONG, LONG])).since(4),
                    INT.since(11),
                    field(Kind::Records),
                ]),
            ]),
        ],
    },
    Answer {
        key: 2,
        name: "ListOffsets",
        last: 7,
        flexible: 6,
        fields: &[
            INT.since(2),
            array(&[
                TEXT,
                array(&[PARTITION, ERROR, array(&[LONG]).until(0), LONG.since(1), LONG.since(1), INT.since(4)]),
            ]),
        ],
    },
    Answer {
        key: 3,
        name: "Metadata",
        last: 13,
        flexible: 9,
        fields: &[
            INT.since(3),
            array(&[INT, TEXT, field(Kind::Port), MAYBE_TEXT.since(1)]),
            MAYBE_TEXT.since(2),
            INT.since(1),
            array(&[
                ERROR,
                TEXT.until(11),
                MAYBE_TEXT.since(12),
                UUID.since(10),
                BYTE.since(1),
                array(&[ERROR, PARTITION, INT, INT.since(7), array(&[INT]), array(&[INT]), array(&[INT]).since(5)]),
                INT.since(8),
            ]),
            INT.since(8).until(10),
            ERROR.since(13),
        ],
    },
    Answer {
        key: 8,
        name: "OffsetCommit",
        last: 9,
        flexible: 8,
        fields: &[INT.since(3), array(&[TEXT, array(&[PARTITION, ERROR])])],
    },
    Answer {
        key: 9,
        name: "OffsetFetch",
        last: 9,
        flexible: 6,
        fields: &[
            INT.since(3),
            array(&[TEXT, array(&[PARTITION, LONG, INT.since(5), MAYBE_TEXT, ERROR])]).until(7),
            ERROR.since(2).until(7),
            array(&[TEXT, array(&[TEXT, array(&[PARTITION, LONG, INT, MAYBE_TEXT, ERROR])]), ERROR]).since(8),
        ],
    },
    Answer {
        key: 10,
        name: "FindCoordinator",
        last: 2,
        flexible: NEVER,
        fields: &[INT.since(1), ERROR, MAYBE_TEXT.since(1), INT, TEXT, field(Kind::Port)],
    },
    Answer {
        key: 11,
        name: "JoinGroup",
        last: 5,
        flexible: NEVER,
        fields: &[
            INT.since(2),
            ERROR,
            INT,
            TEXT,
            TEXT,
            TEXT,
            array(&[TEXT, MAYBE_TEXT.since(5), field(Kind::Subscription)]),
        ],
    },
    Answer { key: 12, name: "Heartbeat", last: 3, flexible: NEVER, fields: &[INT.since(1), ERROR] },
    Answer { key: 13, name: "LeaveGroup", last: 1, flexible: NEVER, fields: &[INT.since(1), ERROR] },
    Answer {
        key: 14,
        name: "SyncGroup",
        last: 3,
        flexible: NEVER,
        fields: &[INT.since(1), ERROR, field(Kind::Assignment)],
    },
    Answer { key: 17, name: "SaslHandshake", last: 1, flexible: NEVER, fields: &[ERROR, array(&[TEXT])] },
    Answer {
        key: 18,
        name: "ApiVersions",
        last: 4,
        flexible: 3,
        fields: &[ERROR, array(&[SHORT, SHORT, SHORT]), INT.since(1)],
    },
    Answer { key: 22, name: "InitProducerId", last: 4, flexible: 2, fields: &[INT, ERROR, LONG, SHORT] },
    Answer {
        key: 23,
        name: "OffsetForLeaderEpoch",
        last: 3,
        flexible: 4,
        fields: &[INT.since(2), array(&[TEXT, array(&[ERROR, PARTITION, INT.since(1), LONG])])],
    },
    Answer {
        key: 32,
        name: "DescribeConfigs",
        last: 1,
        flexible: 4,
        fields: &[
            INT,
            array(&[
                ERROR,
                MAYBE_TEXT,
                BYTE,
                TEXT,
                array(&[
                    TEXT,
                    MAYBE_TEXT,
                    BYTE,
                    BYTE.until(0),
                    BYTE.since(1),
                    BYTE,
                    array(&[TEXT, MAYBE_TEXT, BYTE]).since(1),
                ]),
            ]),
        ],
    },
    Answer {
        key: 36,
        name: "SaslAuthenticate",
        last: 1,
        flexible: 2,
        fields: &[ERROR, MAYBE_TEXT, BYTES, LONG.since(1)],
    },
    Answer {
        key: 71,
        name: "GetTelemetrySubscriptions",
        last: 0,
        flexible: 0,
        fields: &[INT, ERROR, UUID, INT, array(&[BYTE]), INT, INT, BYTE, array(&[TEXT])],
    },
    Answer { key: 72, name: "PushTelemetry", last: 0, flexible: 0, fields: &[INT, ERROR] },
];

/// Whether an error's number is one that the bindings to librdkafka 2.12 know (`rd_kafka_resp_err_t`). They make an
/// enumeration of Rust of whatever number a broker gives, and the process ends by one that is no member of it.
const fn is_known(error: i16) -> bool {
    matches!(error, -1..=97 | 100 | 110..=113 | 117 | 118 | 129)
}

/// Most bytes after the end of an answer. librdkafka doesn't read them; its mock brokers write a few.
const SURPLUS_BYTES_MAX: usize = 16;
/// What a broker answers that doesn't know the version of ApiVersions: in version 0.
const UNSUPPORTED_VERSION: i16 = 35;
const API_VERSIONS: i16 = 18;
/// The same as librdkafka's own mock brokers say it, which the embedded platform has: it belongs to no version.
const MOCK_REFUSAL: &[u8] = &[0, 35, 1, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0];

/// The answer to a question of this number.
pub(super) fn answer(key: i16) -> Option<&'static Answer> {
    ANSWERS.iter().find(|answer| answer.key == key)
}

impl Answer {
    /// Holds what follows the correlation id of an answer against its definition.
    ///
    /// # Errors
    /// The first thing that no broker says.
    pub(super) fn check(&self, body: &[u8], version: i16) -> Checked<()> {
        if version > self.last {
            return Err(Malformed("it is in a version that is not read here"));
        }
        let refused = self.key == API_VERSIONS && Reader(body).i16() == Ok(UNSUPPORTED_VERSION);
        if refused && (body == MOCK_REFUSAL || self.check_as(body, 0).is_ok()) {
            return Ok(());
        }
        self.check_as(body, version)
    }

    fn check_as(&self, body: &[u8], version: i16) -> Checked<()> {
        let mut reader = Reader(body);
        let flexible = version >= self.flexible;
        // The header of ApiVersions stays as it was: the client doesn't know yet what the broker knows.
        if flexible && self.key != API_VERSIONS {
            reader.tags()?;
        }
        group(&mut reader, self.fields, version, flexible)?;
        if reader.left() <= SURPLUS_BYTES_MAX { Ok(()) } else { Err(Malformed("more follows than belongs to it")) }
    }
}

/// One group of fields.
fn group(reader: &mut Reader<'_>, fields: &[Field], version: i16, flexible: bool) -> Checked<()> {
    for field in fields.iter().filter(|field| field.first <= version && version <= field.last) {
        one(reader, field.kind, version, flexible)?;
    }
    if flexible { reader.tags() } else { Ok(()) }
}

/// A length as this version writes it.
fn length(reader: &mut Reader<'_>, short: bool, nullable: bool, flexible: bool) -> Checked<Option<usize>> {
    let written = match (flexible, short) {
        // One more than the length; nothing is 0.
        (true, _) => i64::try_from(reader.varint()?).unwrap_or(i64::MAX).saturating_sub(1),
        (false, true) => i64::from(reader.i16()?),
        (false, false) => i64::from(reader.i32()?),
    };
    reader.length(written, nullable)
}

fn one(reader: &mut Reader<'_>, kind: Kind, version: i16, flexible: bool) -> Checked<()> {
    match kind {
        Kind::Fixed(bytes) => reader.take(bytes).map(drop),
        Kind::Text | Kind::NullableText => {
            let nullable = matches!(kind, Kind::NullableText);
            text(reader, nullable, flexible)
        }
        Kind::Bytes => {
            let length = length(reader, false, true, flexible)?.unwrap_or(0);
            reader.take(length).map(drop)
        }
        Kind::Array(fields) | Kind::NullableArray(fields) => {
            let nullable = matches!(kind, Kind::NullableArray(_));
            // Each element has a byte at least, so there are no more of them than bytes.
            let count = length(reader, false, nullable, flexible)?.unwrap_or(0);
            for _ in 0..count {
                match fields {
                    // The elements of an array of one kind are no groups.
                    [element] => one(reader, element.kind, version, flexible)?,
                    fields => group(reader, fields, version, flexible)?,
                }
            }
            Ok(())
        }
        Kind::Error if is_known(reader.i16()?) => Ok(()),
        Kind::Error => Err(Malformed("an error has a number that is not known here")),
        Kind::Partition => match reader.i32()? {
            0.. => Ok(()),
            _ => Err(Malformed("a partition has a number below zero")),
        },
        Kind::Port => match reader.i32()? {
            // -1 where there is no coordinator.
            -1..=65535 => Ok(()),
            _ => Err(Malformed("a port is out of range")),
        },
        Kind::Records => {
            let length = length(reader, false, true, flexible)?.unwrap_or(0);
            records::check(reader.take(length)?)
        }
        Kind::Assignment => {
            let mut inner = embedded(reader)?;
            if inner.is_empty() {
                return Ok(());
            }
            inner.i16()?;
            group(&mut inner, &ASSIGNMENT, 0, false)
        }
        Kind::Subscription => {
            let mut inner = embedded(reader)?;
            if inner.is_empty() {
                return Ok(());
            }
            let version = inner.i16()?;
            group(&mut inner, &SUBSCRIPTION, version, false)
        }
    }
}

fn text(reader: &mut Reader<'_>, nullable: bool, flexible: bool) -> Checked<()> {
    let length = length(reader, true, nullable, flexible)?.unwrap_or(0);
    let text = reader.take(length)?;
    if std::str::from_utf8(text).is_ok() { Ok(()) } else { Err(Malformed("a text is none")) }
}

/// Bytes that hold fields of their own; these never have lengths of variable size.
fn embedded<'a>(reader: &mut Reader<'a>) -> Checked<Reader<'a>> {
    let length = length(reader, false, true, false)?.unwrap_or(0);
    reader.take(length).map(Reader)
}
