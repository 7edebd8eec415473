//! Where questions and answers begin and end, and which answer belongs to which question.

use std::collections::VecDeque;

use super::reader::Reader;
use super::schema::{self, Answer};

/// Most bytes of a question that are looked at: as far as a Produce says who is to acknowledge it.
const HEAD_BYTES_MAX: usize = 300;
const PRODUCE: i16 = 0;
const SASL_HANDSHAKE: i16 = 17;
/// First version of Produce whose texts have lengths of variable size.
const PRODUCE_FLEXIBLE: i16 = 9;

/// Why a connection is broken off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// What no broker says.
    #[error("the answer to {question} is none that a Kafka broker gives: {reason}")]
    Broken {
        /// What was asked.
        question: &'static str,
        /// What is wrong with the answer.
        reason: &'static str,
    },
    /// librdkafka asked something that it has no reason to ask.
    #[error("librdkafka asks something whose answer is not read here (question {0})")]
    Unread(i16),
    /// A login that only brokers before 1.0 want.
    #[error("the broker wants SASL as brokers before 1.0 have it, which is not supported")]
    OldSasl,
}

/// A question that is not answered yet.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    answer: &'static Answer,
    version: i16,
    correlation: i32,
}

impl Asked {
    /// Holds an answer, without its length, against what was asked.
    ///
    /// # Errors
    /// What no broker says.
    pub(super) fn check(&self, answer: &[u8]) -> Result<(), FrameError> {
        let mut reader = Reader(answer);
        if reader.i32() != Ok(self.correlation) {
            return Err(self.broken("it belongs to another question"));
        }
        self.answer.check(reader.0, self.version).map_err(|reason| self.broken(reason.0))
    }

    /// The answer is broken for this reason.
    pub(super) fn broken(&self, reason: &'static str) -> FrameError {
        FrameError::Broken { question: self.answer.name, reason }
    }
}

/// Questions that are under way, in their order, which is that of their answers.
#[derive(Default)]
pub(super) struct Questions {
    asked: VecDeque<Asked>,
    /// What is known of the length of the question that is being sent.
    length: Vec<u8>,
    /// The beginning of that question.
    head: Vec<u8>,
    /// How much of it is still to come.
    left: usize,
}

impl Questions {
    /// librdkafka sends these bytes.
    ///
    /// # Errors
    /// A question that is not passed on.
    pub(super) fn sent(&mut self, mut bytes: &[u8]) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            if self.left == 0 {
                let (taken, rest) = bytes.split_at(bytes.len().min(4 - self.length.len()));
                self.length.extend(taken);
                bytes = rest;
                if let Ok(length) = <[u8; 4]>::try_from(self.length.as_slice()) {
                    self.left = u32::from_be_bytes(length) as usize;
                    self.length.clear();
                }
                continue;
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(self.left));
            let room = HEAD_BYTES_MAX.saturating_sub(self.head.len());
            self.head.extend(taken.iter().take(room));
            self.left -= taken.len();
            bytes = rest;
            if self.left == 0 {
                self.begun()?;
                self.head.clear();
            }
        }
        Ok(())
    }

    /// A question is whole.
    fn begun(&mut self) -> Result<(), FrameError> {
        let mut reader = Reader(&self.head);
        let (Ok(key), Ok(version), Ok(correlation)) = (reader.i16(), reader.i16(), reader.i32()) else {
            return Err(FrameError::Unread(-1));
        };
        if key == SASL_HANDSHAKE && version == 0 {
            return Err(FrameError::OldSasl);
        }
        if key == PRODUCE && unacknowledged(reader, version) {
            return Ok(());
        }
        let answer = schema::answer(key).ok_or(FrameError::Unread(key))?;
        self.asked.push_back(Asked { answer, version, correlation });
        Ok(())
    }

    /// The question to which the next answer belongs.
    pub(super) fn next(&mut self) -> Option<Asked> {
        self.asked.pop_front()
    }

    /// The same, which stays.
    pub(super) fn front(&self) -> Option<Asked> {
        self.asked.front().copied()
    }
}

/// Whether a Produce wants no answer: what follows its correlation id.
fn unacknowledged(mut reader: Reader<'_>, version: i16) -> bool {
    let mut acks = || {
        let client = i64::from(reader.i16()?);
        let length = reader.length(client, true)?.unwrap_or(0);
        reader.take(length)?;
        if version >= PRODUCE_FLEXIBLE {
            reader.tags()?;
            let transaction = i64::try_from(reader.varint()?).unwrap_or(i64::MAX) - 1;
            let length = reader.length(transaction, true)?.unwrap_or(0);
            reader.take(length)?;
        } else if version >= 3 {
            let transaction = i64::from(reader.i16()?);
            let length = reader.length(transaction, true)?.unwrap_or(0);
            reader.take(length)?;
        }
        reader.i16()
    };
    acks() == Ok(0)
}
