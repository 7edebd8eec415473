//! Follows replies of a server through their bytes, in pieces of any size, without keeping them.

/// Most levels of one reply.
const DEPTH_MAX: usize = 32;
/// What each element of a reply takes in memory besides its bytes.
const ELEMENT_BYTES: usize = 64;
/// Longest line with a length or a count.
const NUMBER_BYTES_MAX: usize = 24;
/// Longest big number.
const BIG_NUMBER_BYTES_MAX: usize = 4096;
/// Longest other line: a simple string, or an error.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a server says, unasked, to a connection that it has no place for.
pub const NO_PLACE: &str = "ERR max number of clients";

/// What no reply may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Longer than the limit.
    #[error("reply too large")]
    TooLarge,
    /// More levels than anybody needs.
    #[error("reply too deep")]
    TooDeep,
    /// More elements than the limit has room for.
    #[error("too many elements")]
    TooManyElements,
    /// All replies that wait to be taken are too much together.
    #[error("replies too large together")]
    Together,
    /// No reply at all.
    #[error("no reply")]
    Malformed,
    /// The server says that it has no place for the connection.
    #[error("{}", NO_PLACE)]
    NoPlace,
}

/// How far it came with some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes that it used, at least one.
    pub consumed: usize,
    /// What they add to the memory that the reply takes.
    pub holds: usize,
    /// Whether a reply ended with them.
    pub is_end: bool,
}

/// Where it is within a reply.
#[derive(Debug, Default)]
pub struct Follower {
    at: At,
    /// The aggregates that are open.
    open: Vec<Aggregate>,
    /// Bytes of this reply, and elements that it announced.
    bytes: usize,
    elements: usize,
}

#[derive(Debug)]
struct Aggregate {
    left: u64,
    /// Attributes stand before the value that they are about.
    is_attribute: bool,
}

#[derive(Debug, Default)]
enum At {
    #[default]
    Type,
    Line {
        kind: u8,
        length: usize,
        number: Vec<u8>,
        is_return: bool,
    },
    Text {
        left: usize,
    },
}

impl Follower {
    /// Goes on with `bytes`, of which there is at least one; `limit`: most bytes of a reply.
    ///
    /// # Errors
    /// What no reply may be; then there is nothing to go on with.
    pub fn follow(&mut self, bytes: &[u8], limit: usize) -> Result<Step, ReplyError> {
        let elements = self.elements;
        let (consumed, is_end) = match &mut self.at {
            At::Type => {
                let kind = bytes.first().copied().unwrap_or_default();
                if !b"+-:_,#($=!*~>%|".contains(&kind) {
                    return Err(ReplyError::Malformed);
                }
                self.at = At::Line { kind, length: 0, number: Vec::new(), is_return: false };
                (1, false)
            }
            At::Line { kind, length, number, is_return } => {
                let end = bytes.iter().position(|b| *b == b'\n');
                let piece = end.map_or(bytes, |end| bytes.get(..end).unwrap_or_default());
                *length += piece.len();
                let longest = match kind {
                    b'+' | b'-' => LINE_BYTES_MAX,
                    b'(' => BIG_NUMBER_BYTES_MAX,
                    b',' => 128,
                    _ => NUMBER_BYTES_MAX,
                };
                if *length > longest {
                    return Err(ReplyError::TooLarge);
                }
                if longest == NUMBER_BYTES_MAX {
                    number.extend_from_slice(piece);
                }
                *is_return = piece.last().map_or(*is_return, |last| *last == b'\r');
                let consumed = piece.len() + usize::from(end.is_some());
                if end.is_none() || !*is_return {
                    // A line feed alone is part of the line.
                    *is_return &= end.is_none();
                    *length += usize::from(end.is_some());
                    (consumed, false)
                } else {
                    let (kind, number) = (*kind, std::mem::take(number));
                    (consumed, self.line_ended(kind, &number, limit)?)
                }
            }
            At::Text { left } => {
                let consumed = bytes.len().min(*left);
                *left -= consumed;
                let is_over = *left == 0;
                (consumed, is_over && self.value_ended())
            }
        };
        self.bytes += consumed;
        if self.bytes > limit.saturating_add(LINE_BYTES_MAX) {
            return Err(ReplyError::TooLarge);
        }
        let mut holds = consumed + (self.elements - elements) * ELEMENT_BYTES;
        if is_end {
            (self.bytes, self.elements) = (0, 0);
            holds += ELEMENT_BYTES;
        }
        Ok(Step { consumed, holds, is_end })
    }

    /// Whether a reply ended with it.
    fn line_ended(&mut self, kind: u8, number: &[u8], limit: usize) -> Result<bool, ReplyError> {
        let count = || -> Result<i64, ReplyError> {
            let text = std::str::from_utf8(number).map_err(|_| ReplyError::Malformed)?;
            text.trim().parse().map_err(|_| ReplyError::Malformed)
        };
        let per_entry = match kind {
            b'$' | b'=' | b'!' => {
                // Minus one stands for nothing.
                let Ok(length) = usize::try_from(count()?) else { return Ok(self.value_ended()) };
                if length > limit || self.bytes.saturating_add(length) > limit.saturating_add(LINE_BYTES_MAX) {
                    return Err(ReplyError::TooLarge);
                }
                self.at = At::Text { left: length + 2 };
                return Ok(false);
            }
            b'*' | b'~' | b'>' => 1,
            b'%' | b'|' => 2,
            _ => return Ok(self.value_ended()),
        };
        let entries = usize::try_from(count()?).unwrap_or(0);
        let left = entries.saturating_mul(per_entry);
        self.elements = self.elements.saturating_add(left);
        if self.elements > limit / ELEMENT_BYTES {
            return Err(ReplyError::TooManyElements);
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(ReplyError::TooDeep);
        }
        self.at = At::Type;
        let is_attribute = kind == b'|';
        match (left, is_attribute) {
            (0, true) => Ok(false),
            (0, false) => Ok(self.value_ended()),
            _ => {
                self.open.push(Aggregate { left: left as u64, is_attribute });
                Ok(false)
            }
        }
    }

    /// A value is whole, and with it the aggregates that it was the last of. Whether all of the reply is.
    fn value_ended(&mut self) -> bool {
        self.at = At::Type;
        while let Some(aggregate) = self.open.last_mut() {
            aggregate.left -= 1;
            if aggregate.left > 0 {
                return false;
            }
            let is_attribute = aggregate.is_attribute;
            self.open.pop();
            if is_attribute {
                return false;
            }
        }
        true
    }
}

/// Replies as a server may send them: followed to their end or refused, whatever the pieces.
#[cfg(any(test, fuzzing, feature = "readers"))]
pub fn replies(bytes: &[u8], piece: usize, limit: usize) -> Result<usize, ReplyError> {
    let mut follower = Follower::default();
    let mut ends = 0;
    for mut piece in bytes.chunks(piece.max(1)) {
        while !piece.is_empty() {
            let step = follower.follow(piece, limit)?;
            piece = &piece[step.consumed..];
            ends += usize::from(step.is_end);
        }
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 64 * 1024;

    #[test]
    fn whole_replies_are_counted_in_pieces_of_any_size() {
        let all = "+OK\r\n-ERR a\nb\r\n:1\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n*1\r\n:1\r\n$0\r\n\r\n_\r\n,1.5\r\n\
                   #t\r\n(123\r\n=7\r\ntxt:abc\r\n%1\r\n+k\r\n:2\r\n~1\r\n:1\r\n|1\r\n+a\r\n+b\r\n:5\r\n>1\r\n+p\r\n";
        for piece in 1..all.len() {
            assert_eq!(replies(all.as_bytes(), piece, LIMIT), Ok(17), "in pieces of {piece}");
        }
    }

    #[test]
    fn lengths_counts_and_depths_are_refused_when_they_are_said() {
        use ReplyError::{Malformed, TooDeep, TooLarge, TooManyElements};
        let nested = "*1\r\n".repeat(40);
        let line = format!("+{}", "a".repeat(LINE_BYTES_MAX + 1));
        let big = format!("({}", "1".repeat(BIG_NUMBER_BYTES_MAX + 1));
        let sums = "*9\r\n".to_owned() + &format!("${LIMIT}\r\n{}\r\n", "x".repeat(LIMIT)).repeat(3);
        for (said, error) in [
            ("$999999999999\r\n", TooLarge),
            ("=999999999999\r\n", TooLarge),
            ("$99999999999999999999999999", TooLarge),
            ("$99999999999999999999\r\n", Malformed),
            ("*999999999999\r\n", TooManyElements),
            ("%9223372036854775807\r\n", TooManyElements),
            ("*900\r\n*900\r\n", TooManyElements),
            ("HTTP/1.1 400\r\n", Malformed),
            (&nested, TooDeep),
            (&line, TooLarge),
            (&big, TooLarge),
            (&sums, TooLarge),
        ] {
            assert_eq!(replies(said.as_bytes(), 4096, LIMIT), Err(error), "{}", &said[..said.len().min(40)]);
        }
    }

    fn has_a_reply(bytes: &[u8]) -> bool {
        let (mut follower, mut at) = (Follower::default(), 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match follower.follow(rest, LIMIT) {
                Ok(step) if step.is_end => return true,
                Ok(step) => at += step.consumed,
                Err(_) => return false,
            }
        }
        false
    }

    proptest! {
        #[test]
        fn the_size_of_the_pieces_changes_nothing(
            bytes in prop::collection::vec(prop::sample::select(b"+-:$*%|~>(\r\n019a".to_vec()), 0..200),
            piece in 1..50_usize,
        ) {
            let whole = replies(&bytes, usize::MAX, LIMIT);
            let pieces = replies(&bytes, piece, LIMIT);
            // Where a line ends decides which of two faults is met first.
            prop_assert_eq!(whole.is_ok(), pieces.is_ok());
            if whole.is_ok() {
                prop_assert_eq!(whole, pieces);
            }
        }

        /// What the library takes as a reply is followed to its end. What stands behind it is another's.
        #[test]
        fn the_library_and_the_follower_agree(
            bytes in prop::collection::vec(prop::sample::select(b"+-:$*\r\n01a".to_vec()), 0..40),
        ) {
            if redis::parse_redis_value(&bytes).is_ok() {
                prop_assert!(has_a_reply(&bytes), "{:?}", bytes);
            }
        }
    }
}
