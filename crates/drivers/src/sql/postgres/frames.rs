//! Messages of a server, read within bounds: what a length claims is looked at before a byte of it is kept.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How a server of another protocol refuses what isn't TLS; no message of PostgreSQL begins so.
const TLS_ALERT: &[u8] = &[0x15, 3];
/// Bytes that are read at a time.
const READ_BYTES: usize = 16 * 1024;
/// Bytes of buffer that a connection keeps between answers.
const KEPT_BYTES: usize = 256 * 1024;
/// Longest message that isn't a row; the server's own are far shorter.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Longest row that is kept, whatever an answer may hold.
const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why a message can't be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The answer is larger than it may be.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
    /// It isn't PostgreSQL's protocol.
    #[error("{0}")]
    Malformed(&'static str),
}

/// The first bytes of a message: what it is, and how long the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub tag: u8,
    /// Bytes that follow.
    pub length: usize,
}

/// A row as it came by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// How many fields it has.
    pub fields: usize,
    /// Their texts, `None` where NULL; empty when nobody wanted them.
    pub texts: Vec<Option<String>>,
}

/// Reads messages off a stream.
#[derive(Debug)]
pub struct Frames<S> {
    stream: S,
    buffer: BytesMut,
    /// What may still come of this answer.
    left: u64,
    /// What it was allowed.
    allowed: u64,
}

impl<S> Frames<S> {
    /// Reads from `stream`; nothing may come until [`Self::allow`] says so.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new(), left: 0, allowed: 0 }
    }

    /// A new answer begins, of so many bytes at most.
    pub fn allow(&mut self, bytes: u64) {
        self.allowed = bytes;
        self.left = bytes;
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
            self.buffer = BytesMut::new();
        }
    }

    /// The stream beneath.
    pub const fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S: AsyncWrite + Unpin> Frames<S> {
    /// Writes messages.
    ///
    /// # Errors
    /// The connection's.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }
}

impl<S: AsyncRead + Unpin> Frames<S> {
    /// The header of the next message.
    ///
    /// # Errors
    /// A length that can't be, or more than the answer may hold.
    pub async fn header(&mut self) -> Result<Header, FrameError> {
        self.has(5).await?;
        if self.buffer.starts_with(TLS_ALERT) {
            return Err(FrameError::Malformed("TLS where PostgreSQL was expected; is the port right?"));
        }
        let tag = self.buffer.get_u8();
        let length = self.buffer.get_u32();
        let length = length.checked_sub(4).ok_or(FrameError::Malformed("a message shorter than its length"))?;
        self.left = self.left.checked_sub(u64::from(length) + 5).ok_or(FrameError::TooLarge(self.allowed))?;
        Ok(Header { tag, length: length as usize })
    }

    /// The rest of a message that is kept whole.
    ///
    /// # Errors
    /// One longer than messages of its kind are.
    pub async fn body(&mut self, length: usize) -> Result<Bytes, FrameError> {
        if length > MESSAGE_BYTES_MAX {
            return Err(FrameError::Malformed("a message longer than any of its kind"));
        }
        self.has(length).await?;
        Ok(self.buffer.split_to(length).freeze())
    }

    /// Reads the rest of a message and keeps nothing of it.
    ///
    /// # Errors
    /// The connection's.
    pub async fn skip(&mut self, length: usize) -> Result<(), FrameError> {
        let mut left = length;
        loop {
            let here = left.min(self.buffer.len());
            self.buffer.advance(here);
            left -= here;
            if left == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Reads a row. Its texts are kept if they are wanted, else it takes no memory, however large it is.
    ///
    /// # Errors
    /// Fields that don't fit the message; one that is wanted and too large to be kept.
    pub async fn row(&mut self, length: usize, wanted: bool) -> Result<Row, FrameError> {
        const MISFIT: FrameError = FrameError::Malformed("a row whose fields don't fit it");
        if wanted && length > ROW_BYTES_MAX {
            return Err(FrameError::TooLarge(ROW_BYTES_MAX as u64));
        }
        let mut left = length.checked_sub(2).ok_or(MISFIT)?;
        self.has(2).await?;
        let fields = usize::from(self.buffer.get_u16());
        let mut row = Row { fields, texts: Vec::new() };
        for _ in 0..fields {
            left = left.checked_sub(4).ok_or(MISFIT)?;
            self.has(4).await?;
            let size = self.buffer.get_i32();
            let text = if size == -1 {
                None
            } else {
                let size = usize::try_from(size).map_err(|_| MISFIT)?;
                left = left.checked_sub(size).ok_or(MISFIT)?;
                if wanted {
                    self.has(size).await?;
                    Some(String::from_utf8_lossy(&self.buffer.split_to(size)).into_owned())
                } else {
                    self.skip(size).await?;
                    None
                }
            };
            if wanted {
                row.texts.push(text);
            }
        }
        if left == 0 { Ok(row) } else { Err(MISFIT) }
    }

    async fn has(&mut self, length: usize) -> Result<(), FrameError> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), FrameError> {
        self.buffer.reserve(READ_BYTES);
        // In pieces, whatever the buffer has room for: the deadline is looked at in between.
        let mut piece = (&mut self.stream).take(READ_BYTES as u64);
        if piece.read_buf(&mut self.buffer).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads all messages as the driver does; what it kept.
    fn read(bytes: &[u8], allowed: u64, wanted: bool) -> (usize, FrameError) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut frames = Frames::new(bytes);
            frames.allow(allowed);
            let mut kept = 0;
            loop {
                let read = async {
                    let header = frames.header().await?;
                    match header.tag {
                        b'D' => {
                            let row = frames.row(header.length, wanted).await?;
                            Ok(row.texts.iter().flatten().map(String::len).sum())
                        }
                        b'd' => frames.skip(header.length).await.map(|()| 0),
                        _ => frames.body(header.length).await.map(|body| body.len()),
                    }
                };
                match read.await {
                    Ok(length) => kept += length,
                    Err(error) => return (kept, error),
                }
            }
        })
    }

    fn message(tag: u8, length: u32, rest: &[u8]) -> Vec<u8> {
        [&[tag][..], &length.to_be_bytes(), rest].concat()
    }

    #[test]
    fn lengths_that_can_not_be_are_refused_before_anything_is_kept() {
        for length in 0..4 {
            let (_, error) = read(&message(b'Z', length, &[0; 16]), 1 << 20, true);
            assert!(matches!(error, FrameError::Malformed(_)), "{length}: {error}");
        }
        let (_, error) = read(&message(b'D', 2 << 30, &[0; 64]), 16 << 20, true);
        assert!(matches!(error, FrameError::TooLarge(_)), "{error}");
        let (_, error) = read(&message(b'T', 8 << 20, &[0; 64]), 16 << 20, true);
        assert!(matches!(error, FrameError::Malformed(_)), "{error}");
        let huge_field = [&[0, 1][..], &i32::MAX.to_be_bytes(), b"abc"].concat();
        for wanted in [false, true] {
            let (_, error) = read(&message(b'D', 13, &huge_field), 1 << 20, wanted);
            assert!(matches!(error, FrameError::Malformed(_)), "{error}");
        }
    }

    #[test]
    fn an_answer_ends_at_its_bound_however_small_its_messages_are() {
        let notices = message(b'N', 5, b"x").repeat(1000);
        let (_, error) = read(&notices, 1000, true);
        assert!(matches!(error, FrameError::TooLarge(1000)), "{error}");
    }

    proptest! {
        #[test]
        fn whatever_comes_ends_and_keeps_no_more_than_came(
            bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(b'D'), any::<u8>()], 0..400),
            wanted in any::<bool>(),
        ) {
            let (kept, _) = read(&bytes, 1 << 20, wanted);
            // A byte that isn't UTF-8 becomes three.
            prop_assert!(kept <= 3 * bytes.len());
        }

        #[test]
        fn a_row_comes_back_as_it_was_written(
            fields in prop::collection::vec(prop::option::of("[a-zü]{0,40}"), 0..20),
        ) {
            let mut body = (fields.len() as u16).to_be_bytes().to_vec();
            for field in &fields {
                let length = field.as_ref().map_or(-1, |text| text.len() as i32);
                body.extend(length.to_be_bytes());
                body.extend(field.as_deref().unwrap_or_default().as_bytes());
            }
            let bytes = message(b'D', body.len() as u32 + 4, &body);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let row = runtime.block_on(async {
                let mut frames = Frames::new(&bytes[..]);
                frames.allow(1 << 20);
                let header = frames.header().await.unwrap();
                frames.row(header.length, true).await.unwrap()
            });
            prop_assert_eq!(row.texts, fields);
        }
    }
}
