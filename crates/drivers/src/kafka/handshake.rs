//! A first exchange of our own with a broker, before librdkafka is let in: it takes arrays that aren't there for very
//! long ones and ends the process. Reads what is said with a bound on every length.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::dial::{Dial, DialError};

/// Largest answer to the first questions: that of ApiVersions takes a few hundred bytes, metadata about 100 a
/// partition.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Most brokers, and most topics or partitions of one: librdkafka's own bounds.
const BROKERS_MAX: i32 = 10_000;
const TOPICS_MAX: i32 = 1_000_000;
const PARTITIONS_MAX: i32 = 100_000;
const APIS_MAX: u64 = 1_000;
/// What a broker answers that doesn't know the version of ApiVersions.
const UNSUPPORTED_VERSION: i16 = 35;

/// ApiVersions, version 3, with which librdkafka begins.
const API_VERSIONS: &[u8] = b"\0\x12\0\x03\0\0\0\x01\0\x07slatest\0\x08slatest\x021\0";
/// Metadata of all topics, version 1.
const METADATA: &[u8] = b"\0\x03\0\x01\0\0\0\x02\0\x07slatest\xff\xff\xff\xff";

/// Why a broker is not talked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// There is no connection; librdkafka finds its own words for it.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// It closed, or was silent.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It was silent for too long.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// It answered what no broker says.
    #[error("the answer to {question} is none that a Kafka broker gives: {reason}")]
    Broken {
        /// What was asked.
        question: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Asks a broker that speaks plain text for its versions and, unless it wants SASL first, for its metadata.
///
/// # Errors
/// When it can't be reached, or answers what no broker says.
pub(super) async fn greet(
    dial: &Dial,
    (host, port): (&str, u16),
    metadata: bool,
    within: Duration,
) -> Result<(), HandshakeError> {
    let talk = async {
        let mut stream = dial.connect(host, port, within).await?;
        let broken = |question, reason| HandshakeError::Broken { question, reason };
        let answer = ask(&mut stream, API_VERSIONS, "ApiVersions").await?;
        api_versions(&mut Reader(&answer)).map_err(|reason| broken("ApiVersions", reason))?;
        if metadata {
            let answer = ask(&mut stream, METADATA, "Metadata").await?;
            all_topics(&mut Reader(&answer)).map_err(|reason| broken("Metadata", reason))?;
        }
        Ok(())
    };
    tokio::time::timeout(within, talk).await.map_err(|_| HandshakeError::Silent(within))?
}

/// One question, and its answer without its header.
async fn ask(stream: &mut TcpStream, request: &[u8], question: &'static str) -> Result<Vec<u8>, HandshakeError> {
    let length = u32::try_from(request.len()).unwrap_or(0).to_be_bytes();
    stream.write_all(&[&length, request].concat()).await?;
    let length = stream.read_i32().await?;
    let length = usize::try_from(length).ok().filter(|length| (4..=ANSWER_BYTES_MAX).contains(length));
    let length = length.ok_or(HandshakeError::Broken { question, reason: "its length is out of range" })?;
    let mut answer = Vec::new();
    // Takes memory as bytes come, not as they are announced.
    let read = stream.take(length as u64).read_to_end(&mut answer).await?;
    match answer.get(4..) {
        Some(body) if read == length && answer.get(..4) == request.get(4..8) => Ok(body.to_vec()),
        _ if read < length => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
        _ => Err(HandshakeError::Broken { question, reason: "it belongs to another question" }),
    }
}

type Checked<T> = Result<T, &'static str>;

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn skip(&mut self, length: usize) -> Checked<()> {
        self.0 = self.0.get(length..).ok_or("it ends too early")?;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let bytes = *self.0.first_chunk::<N>().ok_or("it ends too early")?;
        self.skip(N)?;
        Ok(bytes)
    }

    fn i16(&mut self) -> Checked<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn varint(&mut self) -> Checked<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is too long")
    }

    fn tags(&mut self) -> Checked<()> {
        for _ in 0..self.varint()?.min(APIS_MAX) {
            self.varint()?;
            let length = self.varint()?;
            self.skip(usize::try_from(length).map_err(|_| "a length is out of range")?)?;
        }
        Ok(())
    }

    /// The number of elements.
    fn count(&mut self, most: i32) -> Checked<i32> {
        let count = self.array().map(i32::from_be_bytes)?;
        if (0..=most).contains(&count) { Ok(count) } else { Err("a number of elements is out of range") }
    }

    fn text(&mut self, nullable: bool) -> Checked<()> {
        match self.i16()? {
            -1 if nullable => Ok(()),
            length => self.skip(usize::try_from(length).map_err(|_| "the length of a text is out of range")?),
        }
    }
}

fn api_versions(answer: &mut Reader<'_>) -> Checked<()> {
    if answer.i16()? == UNSUPPORTED_VERSION {
        return Ok(());
    }
    let count = answer.varint()?;
    if !(2..=APIS_MAX).contains(&count) {
        return Err("it names no request, or too many");
    }
    for _ in 1..count {
        answer.skip(6)?;
        answer.tags()?;
    }
    answer.skip(4)?;
    answer.tags()
}

fn all_topics(answer: &mut Reader<'_>) -> Checked<()> {
    for _ in 0..answer.count(BROKERS_MAX)? {
        answer.skip(4)?;
        answer.text(false)?;
        answer.skip(4)?;
        answer.text(true)?;
    }
    answer.skip(4)?;
    for _ in 0..answer.count(TOPICS_MAX)? {
        answer.skip(2)?;
        answer.text(false)?;
        answer.skip(1)?;
        for _ in 0..answer.count(PARTITIONS_MAX)? {
            answer.skip(10)?;
            for _replicas_and_isrs in 0..2 {
                let nodes = answer.count(BROKERS_MAX)?;
                answer.skip(4 * usize::try_from(nodes).unwrap_or(0))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn answers_that_librdkafka_dies_of_are_none() {
        assert!(api_versions(&mut Reader(&[0; 64])).is_err(), "no array at all");
        assert!(api_versions(&mut Reader(&[0, 0, 3, 0, 18])).is_err(), "cut");
        assert!(api_versions(&mut Reader(&[0, 0, 2, 0, 18, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0])).is_ok());
        assert!(all_topics(&mut Reader(&[0xff; 64])).is_err(), "arrays of -1");
        assert!(all_topics(&mut Reader(&[0; 12])).is_ok(), "no broker and no topic");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes: Vec<u8>) {
            let _ = api_versions(&mut Reader(&bytes));
            let _ = all_topics(&mut Reader(&bytes));
        }
    }
}
