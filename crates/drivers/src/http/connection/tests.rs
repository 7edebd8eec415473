//! How much one turn of an operation takes, counted: a worker has other sessions to serve.

use std::io;
use std::pin::pin;

use tokio::io::ReadBuf;

use super::super::body;
use super::super::metered::TURN_BYTES;
use super::*;

/// Turns that are looked at.
const TURNS: usize = 300;

/// A server that always has something ready: `head`, then `piece` without end.
struct Endless {
    head: &'static [u8],
    piece: Vec<u8>,
    at: usize,
    /// It answers when it was asked, and wakes who waits for that.
    asked: bool,
    waiting: Option<Waker>,
}

impl AsyncRead for Endless {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            self.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        while into.remaining() > 0 {
            let Self { head, piece, at, .. } = &mut *self;
            let rest = if *at < head.len() { &head[*at..] } else { &piece[(*at - head.len()) % piece.len()..] };
            let length = rest.len().min(into.remaining());
            into.put_slice(&rest[..length]);
            *at += length;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The most bytes that one turn of an exchange takes, and those of all.
async fn turns(head: &'static str, piece: Vec<u8>) -> (u64, u64) {
    let server = Endless { head: head.as_bytes(), piece, at: 0, asked: false, waiting: None };
    let mut connection = Connection::open(server, false, Home::Worker).await.expect("a connection");
    let meter = Arc::clone(&connection.meter);
    let mut exchange = pin!(async {
        let request = Request::builder().header("host", "a").body(Body::default()).expect("a request");
        let Ok(response) = connection.send(request).await else { return };
        drop(body::read(&mut connection, response.into_body(), false, u64::MAX).await);
    });
    let (mut longest, mut left) = (0, TURNS);
    poll_fn(|context| {
        let before = meter.bytes();
        assert!(exchange.as_mut().poll(context).is_pending(), "it never ends");
        longest = longest.max(meter.bytes() - before);
        left -= 1;
        if left == 0 {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    (longest, meter.bytes())
}

#[tokio::test]
async fn no_turn_takes_more_than_its_bytes_however_busy_the_server_is() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (what, head, piece) in [
        ("chunks of one byte", CHUNKED, b"1\r\na\r\n".to_vec()),
        ("100 Continue", "", b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        ("early hints", "", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".to_vec()),
    ] {
        let (longest, all) = turns(head, piece).await;
        assert!(longest <= 2 * TURN_BYTES as u64, "{what}: {longest} bytes in one turn");
        assert!(all >= TURN_BYTES as u64, "{what}: it goes on, {all} bytes");
    }
}

/// What is large is copied and no more: a turn ends with the task's budget.
#[tokio::test]
async fn a_turn_of_a_fast_download_is_bounded_by_the_budget_of_its_task() {
    const BUDGET: u64 = 128;
    let piece = [b"10000\r\n".to_vec(), vec![b'a'; 0x10000], b"\r\n".to_vec()].concat();
    let (longest, all) = turns("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", piece).await;
    assert!(longest <= (BUDGET + 2) * TURN_BYTES as u64, "{longest} bytes in one turn");
    assert!(all > longest, "it goes on");
}
