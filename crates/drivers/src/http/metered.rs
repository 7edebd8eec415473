//! A stream that counts what it reads and writes, and lets others have their turn.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that are read before other tasks get a turn. What a peer can make of so many bytes (heads of
/// `100 Continue`, chunks of one byte) takes a worker less than a millisecond.
pub(super) const TURN_BYTES: usize = 16 * 1024;

/// What was read and written of one connection.
#[derive(Debug)]
pub(super) struct Meter {
    bytes: AtomicU64,
    sent: AtomicU64,
    /// The last stream that the peer's GOAWAY says it may have done something for; all, before there is one.
    last_stream: AtomicU32,
}

impl Default for Meter {
    fn default() -> Self {
        Self { bytes: AtomicU64::new(0), sent: AtomicU64::new(0), last_stream: AtomicU32::new(u32::MAX) }
    }
}

impl Meter {
    /// Bytes that were read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that were written so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(length)) = written {
            self.sent.fetch_add(*length as u64, Ordering::Relaxed);
        }
    }

    /// The last HTTP/2 stream that the peer may have done something for.
    pub(super) fn last_stream(&self) -> u32 {
        self.last_stream.load(Ordering::Relaxed)
    }
}

/// A stream with its meter.
pub(super) struct Metered<T> {
    stream: T,
    meter: Arc<Meter>,
    /// Set where HTTP/2 is spoken.
    frames: Option<Frames>,
    /// Bytes that were read in this turn.
    turn: usize,
}

impl<T> Metered<T> {
    pub(super) fn new(stream: T, http2: bool) -> (Self, Arc<Meter>) {
        let meter = Arc::<Meter>::default();
        let frames = http2.then(Frames::default);
        (Self { stream, meter: Arc::clone(&meter), frames, turn: 0 }, meter)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.turn >= TURN_BYTES {
            self.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Self { stream, meter, frames, turn } = &mut *self;
        // The reader's buffer may take far more than a turn.
        let room = buf.remaining().min(TURN_BYTES - *turn);
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
        let read = Pin::new(stream).poll_read(context, &mut part);
        if read.is_pending() {
            *turn = 0;
        }
        let new = part.filled();
        let length = new.len();
        *turn += length;
        meter.bytes.fetch_add(length as u64, Ordering::Relaxed);
        if let Some(last) = frames.as_mut().and_then(|frames| frames.goaway(new)) {
            meter.last_stream.fetch_min(last, Ordering::Relaxed);
        }
        buf.advance(length);
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, buf);
        self.meter.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bufs);
        self.meter.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Follows the frames of HTTP/2 (RFC 9113, section 4.1) as far as the GOAWAY: the library keeps its number of the last
/// stream to itself, and by it alone is known which requests were never looked at.
#[derive(Debug, Default)]
struct Frames {
    /// The head of the frame that is being read, and behind it, of a GOAWAY, the number of the stream.
    kept: Vec<u8>,
    /// Bytes of the frame that are passed over.
    skip: u64,
}

const HEAD_BYTES: usize = 9;
const STREAM_BYTES: usize = 4;
const GOAWAY: u8 = 7;

impl Frames {
    /// The smallest number of a last stream that stands in these bytes, which follow those before.
    fn goaway(&mut self, mut bytes: &[u8]) -> Option<u32> {
        let mut found: Option<u32> = None;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
                self.skip -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            self.kept.push(bytes[0]);
            bytes = &bytes[1..];
            let Some(&[a, b, c, kind, ..]) = self.kept.get(..HEAD_BYTES) else { continue };
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if kind == GOAWAY && length >= STREAM_BYTES {
                let Some(&[a, b, c, d]) = self.kept.get(HEAD_BYTES..HEAD_BYTES + STREAM_BYTES) else { continue };
                let last = u32::from_be_bytes([a & 0x7f, b, c, d]);
                found = Some(found.map_or(last, |before| before.min(last)));
            }
            self.skip = (length - (self.kept.len() - HEAD_BYTES)) as u64;
            self.kept.clear();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, 0, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    proptest! {
        #[test]
        fn a_goaway_is_found_wherever_reads_end(
            before in prop::collection::vec((0_u8..7, prop::collection::vec(any::<u8>(), 0..40)), 0..5),
            last in 0_u32..1 << 31,
            debug in prop::collection::vec(any::<u8>(), 4..30),
            piece in 1_usize..50,
        ) {
            let mut bytes: Vec<u8> = before.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect();
            bytes.extend(frame(GOAWAY, &[&last.to_be_bytes()[..], &debug].concat()));
            bytes.extend(frame(0, b"data"));
            let mut frames = Frames::default();
            let found: Vec<u32> = bytes.chunks(piece).filter_map(|piece| frames.goaway(piece)).collect();
            prop_assert_eq!(found, vec![last]);
        }

        #[test]
        fn no_bytes_panic_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            Frames::default().goaway(&bytes);
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_always_ready_lets_others_have_their_turn() {
        let (mut metered, meter) = Metered::new(tokio::io::repeat(b'x'), false);
        let mut turns = 0_u32;
        let mut buf = [0; 4096];
        tokio::select! {
            biased;
            () = async { loop { metered.read_exact(&mut buf).await.unwrap(); } } => {}
            () = async { for _ in 0..10 { tokio::task::yield_now().await; turns += 1; } } => {}
        }
        assert_eq!(turns, 10);
        assert!(meter.bytes() <= 12 * TURN_BYTES as u64, "{}", meter.bytes());
    }
}
