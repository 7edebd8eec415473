//! What the bodies of a server's messages say.

use bytes::Bytes;

use super::frames::FrameError;
use crate::failure::Failure;
use slatest_core::model::Outcome;

/// Most of an error's text that is kept.
const TEXT_BYTES_MAX: usize = 1024;
/// Most columns of an answer, and most bytes of the name of one; the server's own limits are 1664 and 63. They are kept
/// for each statement on each connection.
const COLUMNS_MAX: usize = 2048;
const NAME_BYTES_MAX: usize = 256;

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The number of its type.
    pub oid: u32,
}

/// What a server has against something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// Five letters and digits; empty where the server says none.
    pub code: String,
    /// In its words.
    pub message: String,
    /// Whether it closes the connection.
    pub fatal: bool,
}

impl ServerError {
    /// From the body of an `ErrorResponse`.
    pub fn read(body: &[u8]) -> Self {
        let mut error = Self::default();
        let mut severity = String::new();
        for field in body.split(|byte| *byte == 0) {
            let Some((kind, text)) = field.split_first() else { continue };
            let text = || {
                let text = text.get(..TEXT_BYTES_MAX).unwrap_or(text);
                String::from_utf8_lossy(text).into_owned()
            };
            match kind {
                b'C' => error.code = text().chars().filter(char::is_ascii_alphanumeric).take(5).collect(),
                b'M' => error.message = text(),
                // In the server's language, unless it says it in English too.
                b'S' if severity.is_empty() => severity = text(),
                b'V' => severity = text(),
                _ => {}
            }
        }
        error.fatal = matches!(severity.as_str(), "FATAL" | "PANIC");
        error
    }

    /// Whether it has no place for another connection; by its code, or as poolers say it.
    pub fn is_full(&self) -> bool {
        let says = |words| self.message.contains(words);
        self.code == "53300" || (self.fatal && says("no more connections allowed")) || says("too many connections")
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let kind = format!("sqlstate {}", error.code);
        let lost = matches!(&*error.code, "57P01" | "57P02" | "57P03" | "57P05") || error.code.starts_with("08");
        let failure = match &*error.code {
            // The server or the pooler in front of it is going away or lost its peer.
            _ if lost => Self::new(Outcome::Disconnected, kind).broken(),
            // The server's own limit, or somebody who cancelled it.
            "57014" => Self::new(Outcome::TimedOut, kind),
            // A primary that became a standby: the next connection looks for the new one.
            "25006" => Self::new(Outcome::Rejected, kind).broken(),
            _ => Self::new(Outcome::Rejected, kind),
        };
        let failure = if error.fatal { failure.broken() } else { failure };
        failure.with_detail(error.message)
    }
}

/// Columns from the body of a `RowDescription`.
///
/// # Errors
/// One that isn't.
pub fn columns(body: &[u8]) -> Result<Vec<Column>, FrameError> {
    const BAD: FrameError = FrameError::Malformed("a description of rows that can't be read");
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or(BAD)?;
    let count = usize::from(u16::from_be_bytes(*count));
    if count > COLUMNS_MAX {
        return Err(BAD);
    }
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        let end = rest.iter().position(|byte| *byte == 0).filter(|end| *end <= NAME_BYTES_MAX).ok_or(BAD)?;
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        // Table, column, type, its size, its modifier, the format.
        let (fixed, after) = rest[end + 1..].split_first_chunk::<18>().ok_or(BAD)?;
        columns.push(Column { name, oid: u32::from_be_bytes([fixed[6], fixed[7], fixed[8], fixed[9]]) });
        rest = after;
    }
    if rest.is_empty() { Ok(columns) } else { Err(BAD) }
}

/// Rows that a command touched, from its `CommandComplete`: `INSERT 0 5`, `UPDATE 3`, `BEGIN`.
pub fn affected(body: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(body.strip_suffix(&[0]).unwrap_or(body));
    text.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Process and key of a `BackendKeyData`.
pub fn key(body: &Bytes) -> Option<(i32, i32)> {
    let (process, rest) = body.split_first_chunk::<4>()?;
    let key = rest.first_chunk::<4>()?;
    (rest.len() == 4).then(|| (i32::from_be_bytes(*process), i32::from_be_bytes(*key)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_are_read_within_bounds() {
        let body = [b"SFATALE\0VFATAL\0C53300\0M".as_slice(), &vec![b'x'; 1 << 20], b"\0\0"].concat();
        let error = ServerError::read(&body);
        assert!(error.is_full() && error.fatal, "{}", error.code);
        assert_eq!(error.message.len(), TEXT_BYTES_MAX);
        let pooler = b"SFATAL\0C08P01\0Mno more connections allowed (max_client_conn)\0\0";
        assert!(ServerError::read(pooler).is_full());
        let failure = Failure::from(ServerError::read(b"SERROR\0C57014\0Mcanceling statement\0\0"));
        assert_eq!((failure.outcome, failure.kind.as_str()), (Outcome::TimedOut, "sqlstate 57014"));
        assert!(!failure.broken);
        // What the server sends as a code is counted, so it is letters and digits.
        assert_eq!(ServerError::read(b"C\x1b[31mred and more\0").code, "31mre");
    }

    #[test]
    fn commands_say_what_they_touched() {
        for (tag, rows) in [("INSERT 0 5", 5), ("UPDATE 3", 3), ("BEGIN", 0), ("", 0), ("COPY 99999999999999999999", 0)]
        {
            assert_eq!(affected(&[tag.as_bytes(), &[0]].concat()), rows, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_words(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = ServerError::read(&bytes);
            let _ = columns(&bytes);
            let _ = affected(&bytes);
            let _ = key(&Bytes::from(bytes));
        }
    }
}
