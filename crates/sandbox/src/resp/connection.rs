//! One connection: commands in, answers out, in order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, SinkExt, StreamExt};
use redis_protocol::codec::Resp2;
use redis_protocol::error::{RedisProtocolError, RedisProtocolErrorKind};
use redis_protocol::resp2::types::BytesFrame;
use tokio::net::TcpStream;
use tokio_util::codec::{Decoder, Encoder, Framed};

use super::command::execute;
use super::keyspace::{Keyspace, lock};
use crate::behaviour::{Behaviours, Ending};

/// The largest command, in bytes.
const LARGEST_COMMAND: usize = 64 << 20;
/// Answers that wait on a connection; then no more commands are read from it.
const MOST_WAITING: usize = 1_024;

/// The crate's codec with a bound on what it buffers, and no arrays within arrays: its parser
/// recurses.
struct Bounded(Resp2);

impl Decoder for Bounded {
    type Item = BytesFrame;
    type Error = RedisProtocolError;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<BytesFrame>, RedisProtocolError> {
        let refuse = |reason| Err(RedisProtocolError::new(RedisProtocolErrorKind::DecodeError, reason));
        match source.first() {
            None => return Ok(None),
            Some(b'*') => {}
            Some(_) => return refuse("only arrays of bulk strings are commands"),
        }
        if nested(source) {
            return refuse("only arrays of bulk strings are commands");
        }
        match self.0.decode(source)? {
            Some(frame) => Ok(Some(frame)),
            None if source.len() > LARGEST_COMMAND => refuse("the command is too large"),
            None => Ok(None),
        }
    }
}

/// Whether an element of the array at the start is anything but a bulk string.
fn nested(source: &[u8]) -> bool {
    let line = |from: usize| {
        let rest = source.get(from..)?;
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let number: usize = std::str::from_utf8(rest.get(1..end)?).ok()?.trim_end().parse().ok()?;
        Some((number, from + end + 1))
    };
    let Some((count, mut at)) = line(0) else { return false };
    for _ in 0..count {
        match source.get(at) {
            None => return false,
            Some(b'$') => {}
            Some(_) => return true,
        }
        let Some((length, start)) = line(at) else { return false };
        at = start.saturating_add(length).saturating_add(2);
    }
    false
}

impl Encoder<BytesFrame> for Bounded {
    type Error = RedisProtocolError;

    fn encode(&mut self, frame: BytesFrame, destination: &mut BytesMut) -> Result<(), RedisProtocolError> {
        self.0.encode(frame, destination)
    }
}

/// Serves until the client goes, says `QUIT`, or sends what is no command.
pub async fn serve(
    stream: TcpStream,
    keyspace: Arc<Mutex<Keyspace>>,
    behaviours: Behaviours,
) -> Result<(), RedisProtocolError> {
    stream.set_nodelay(true)?;
    let mut frames = Framed::new(stream, Bounded(Resp2::default()));
    // Added latency is a longer way, not a slower server: each answer has its own due time, and
    // answers behind it only wait for their turn.
    let mut waiting: VecDeque<(tokio::time::Instant, BytesFrame)> = VecDeque::new();
    loop {
        if waiting.is_empty() {
            // Everything that has arrived is answered in one write: pipelines stay pipelines.
            let next = match frames.next().now_or_never() {
                Some(next) => next,
                None => {
                    frames.flush().await?;
                    frames.next().await
                }
            };
            match take_in(next, &mut frames, &keyspace, &behaviours, &mut waiting).await? {
                Turn::Last => return Ok(()),
                Turn::Next => continue,
            }
        }
        frames.flush().await?;
        let due = waiting.front().map_or_else(tokio::time::Instant::now, |(due, _)| *due);
        tokio::select! {
            () = until(due) => {
                behaviours.thaw("redis").await;
                if let Some((_, answer)) = waiting.pop_front() {
                    frames.feed(answer).await?;
                }
            }
            next = frames.next(), if waiting.len() < MOST_WAITING => {
                if matches!(take_in(next, &mut frames, &keyspace, &behaviours, &mut waiting).await?, Turn::Last) {
                    return Ok(());
                }
            }
        }
    }
}

enum Turn {
    Next,
    Last,
}

async fn take_in(
    next: Option<Result<BytesFrame, RedisProtocolError>>,
    frames: &mut Framed<TcpStream, Bounded>,
    keyspace: &Mutex<Keyspace>,
    behaviours: &Behaviours,
    waiting: &mut VecDeque<(tokio::time::Instant, BytesFrame)>,
) -> Result<Turn, RedisProtocolError> {
    let frame = match next {
        None => return Ok(Turn::Last),
        Some(Ok(frame)) => frame,
        Some(Err(error)) => {
            frames.send(BytesFrame::Error("ERR Protocol error".into())).await?;
            return Err(error);
        }
    };
    let Some(arguments) = arguments(frame) else { return Ok(Turn::Next) };
    let quit = arguments[0].eq_ignore_ascii_case(b"QUIT");
    let drawn = behaviours.draw("redis");
    let answer = match drawn.map(|drawn| drawn.ending) {
        None | Some(Ending::Work) => execute(&mut lock(keyspace), &arguments, Instant::now()),
        Some(Ending::Error(_) | Ending::Blocked) => BytesFrame::Error("ERR misbehaviour on request".into()),
    };
    match drawn {
        None if waiting.is_empty() => frames.feed(answer).await?,
        _ => {
            let delay = drawn.map(|drawn| drawn.delay).unwrap_or_default();
            waiting.push_back((tokio::time::Instant::now() + delay, answer));
        }
    }
    if quit {
        while let Some((due, answer)) = waiting.pop_front() {
            until(due).await;
            frames.feed(answer).await?;
        }
        frames.flush().await?;
        return Ok(Turn::Last);
    }
    Ok(Turn::Next)
}

/// What is due is due: the timer would round it up to the next millisecond.
async fn until(due: tokio::time::Instant) {
    if due > tokio::time::Instant::now() {
        tokio::time::sleep_until(due).await;
    }
}

/// The words of a command; `None` for an empty array, which Redis skips too.
fn arguments(frame: BytesFrame) -> Option<Vec<Bytes>> {
    let BytesFrame::Array(words) = frame else { return None };
    let words: Vec<Bytes> = words
        .into_iter()
        .filter_map(|word| match word {
            BytesFrame::BulkString(text) => Some(text),
            _ => None,
        })
        .collect();
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<BytesFrame>, RedisProtocolError> {
        Bounded(Resp2::default()).decode(&mut BytesMut::from(bytes))
    }

    #[test]
    fn commands_are_arrays_of_bulk_strings_and_nothing_else() {
        assert!(decode(b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n").unwrap().is_some());
        assert!(decode(b"*2\r\n$3\r\nGET\r\n$1\r\n").unwrap().is_none());
        assert!(decode(b"PING\r\n").is_err());
        assert!(decode(b"*1\r\n*1\r\n*1\r\n").is_err());
        assert!(decode(b"*2\r\n$1\r\na\r\n*1\r\n").is_err());
    }
}
