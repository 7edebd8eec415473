//! Frames of the broker, looked at before lapin reads them.
//!
//! lapin reads field tables by recursion, takes the broker's word for the length of a frame and of a message, and
//! keeps whatever comes until somebody asks for it. So each frame is held against what AMQP 0-9-1 lets a server send
//! and against bounds of our own. The check knows no socket: bytes go in, and what may be handed on comes out.

use std::collections::HashMap;

use super::tables;

/// Longest frame that is agreed on where the URI names none, in bytes, as RabbitMQ's own.
pub(super) const FRAME_MAX_DEFAULT: u32 = 131_072;
/// Longest frame that can be asked for. lapin keeps room for 64 of them.
pub(super) const FRAME_MAX: u32 = 1 << 20;
/// Shortest longest frame, by the protocol.
pub(super) const FRAME_MIN: u32 = 4_096;
/// Longest body of a message, in bytes.
pub(super) const BODY_BYTES_MAX_DEFAULT: u64 = 16 << 20;
/// Most bytes of messages that came back since the broker last confirmed something. A message comes back right
/// before its confirm.
const RETURNED_BYTES_MAX: u64 = 64 << 20;
/// Most frames until the connection is open: three are usual, a challenge or two may be among them.
const OPENING_FRAMES_MAX: u32 = 16;
/// Most orders to pause or to go on. Each is answered, and RabbitMQ gives none.
const FLOW_ORDERS_MAX: u32 = 1_000;

/// Bytes of a frame beside its payload.
const FRAMING: u32 = 8;
const HEAD: usize = 7;
const FRAME_END: u8 = 0xce;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// What the broker may not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    /// Not what a server of AMQP 0-9-1 sends.
    #[error("not AMQP 0-9-1")]
    NotAmqp,
    /// Longer than what was agreed on.
    #[error("frame too long")]
    FrameTooLong,
    /// A table or an array in too many others.
    #[error("field table too deep")]
    TooDeep,
    /// A table with too many fields.
    #[error("too many fields in a table")]
    TooManyFields,
    /// The longest frame would be too short for the protocol.
    #[error("frame_max too small")]
    FrameMaxTooSmall,
    /// A body beyond what the workload takes (`answer_max_mib`).
    #[error("message too long")]
    BodyTooLong,
    /// More came back than can have been sent.
    #[error("too many messages returned")]
    TooManyReturned,
    /// Orders or challenges without end.
    #[error("orders without end")]
    TooManyOrders,
}

/// What else a frame says, for who watches the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The broker takes no messages.
    Blocked,
    /// It takes messages again.
    Unblocked,
    /// A message comes, and takes about so many bytes of memory until somebody took it.
    Delivers(u64),
}

/// What follows a method that carries a message.
#[derive(Clone, Copy, Debug)]
enum Content {
    Delivered,
    Returned,
}

/// Checks the bytes of one connection.
#[derive(Debug)]
pub(super) struct FrameCheck {
    frame_max: u32,
    /// Longest body of a message.
    body_max: u64,
    head: [u8; HEAD],
    head_length: usize,
    /// Bytes of the payload that are still to come.
    left: u32,
    /// The payload of a method or of a header, so far.
    kept: Vec<u8>,
    /// Channels on which the header of a message must come next.
    contents: HashMap<u16, Content>,
    returned_bytes: u64,
    open: bool,
    opening_frames: u32,
    flow_orders: u32,
    /// The broker speaks another version: one byte more, and it is over.
    refused: Option<bool>,
}

impl FrameCheck {
    /// For a connection for which this longest frame is asked for, and on which no longer body is taken.
    pub(super) fn new(frame_max: u32, body_max: u64) -> Self {
        Self {
            frame_max,
            body_max,
            head: [0; HEAD],
            head_length: 0,
            left: 0,
            kept: Vec::new(),
            contents: HashMap::new(),
            returned_bytes: 0,
            open: false,
            opening_frames: 0,
            flow_orders: 0,
            refused: None,
        }
    }

    /// Looks at bytes that came; gives how many of them may be handed on, and why no more.
    pub(super) fn admit(&mut self, bytes: &[u8], notice: &mut impl FnMut(Notice)) -> (usize, Option<Violation>) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.step(rest, notice) {
                Ok(count) => at += count,
                Err(violation) => return (at, Some(violation)),
            }
        }
        (at, None)
    }

    /// Takes at least one byte.
    fn step(&mut self, bytes: &[u8], notice: &mut impl FnMut(Notice)) -> Result<usize, Violation> {
        if let Some(whole) = &mut self.refused {
            return if std::mem::replace(whole, true) { Err(Violation::NotAmqp) } else { Ok(1) };
        }
        if self.head_length < HEAD {
            let count = bytes.len().min(HEAD - self.head_length);
            self.head[self.head_length..self.head_length + count].copy_from_slice(&bytes[..count]);
            self.head_length += count;
            // The kind alone is enough to refuse what is no frame: the rest may never come.
            if !matches!(self.head[0], METHOD | HEADER | BODY | HEARTBEAT | b'A') {
                return Err(Violation::NotAmqp);
            }
            if self.head_length == HEAD {
                self.begin()?;
            }
            return Ok(count);
        }
        if self.left > 0 {
            let count = bytes.len().min(self.left as usize);
            if matches!(self.head[0], METHOD | HEADER) {
                self.kept.extend_from_slice(&bytes[..count]);
            }
            self.left -= u32::try_from(count).unwrap_or(self.left);
            return Ok(count);
        }
        if bytes[0] != FRAME_END {
            return Err(Violation::NotAmqp);
        }
        self.finish(notice)?;
        self.head_length = 0;
        self.kept.clear();
        Ok(1)
    }

    fn begin(&mut self) -> Result<(), Violation> {
        let [kind, _, _, length @ ..] = self.head;
        if kind == b'A' {
            if self.opening_frames > 0 || !self.head.starts_with(b"AMQP") {
                return Err(Violation::NotAmqp);
            }
            self.refused = Some(false);
            return Ok(());
        }
        self.left = u32::from_be_bytes(length);
        if kind == HEARTBEAT && self.left > 0 {
            return Err(Violation::NotAmqp);
        }
        // Before anything was agreed on, no more than what we ask for.
        if self.left > self.frame_max.saturating_sub(FRAMING) {
            return Err(Violation::FrameTooLong);
        }
        if !self.open {
            self.opening_frames += 1;
            if self.opening_frames > OPENING_FRAMES_MAX {
                return Err(Violation::TooManyOrders);
            }
        }
        Ok(())
    }

    fn finish(&mut self, notice: &mut impl FnMut(Notice)) -> Result<(), Violation> {
        let channel = u16::from_be_bytes([self.head[1], self.head[2]]);
        match self.head[0] {
            METHOD => self.method(channel, notice),
            HEADER => self.header(channel, notice),
            _ => Ok(()),
        }
    }

    /// A method: one that a server sends to clients that ask what we ask.
    fn method(&mut self, channel: u16, notice: &mut impl FnMut(Notice)) -> Result<(), Violation> {
        let number = |at: usize| match self.kept.get(at..at + 2) {
            Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
            _ => Err(Violation::NotAmqp),
        };
        match (number(0)?, number(2)?) {
            // Connection: start, whose properties are a table after the two bytes of the version.
            (10, 10) => tables::check(&self.kept, 6).map(drop),
            (10, 30) => self.tune(),
            (10, 41) => {
                self.open = true;
                Ok(())
            }
            (10, 60) => {
                notice(Notice::Blocked);
                Ok(())
            }
            (10, 61) => {
                notice(Notice::Unblocked);
                Ok(())
            }
            (10, 20 | 50 | 51) => Ok(()),
            (20, 20) => {
                self.flow_orders += 1;
                if self.flow_orders > FLOW_ORDERS_MAX { Err(Violation::TooManyOrders) } else { Ok(()) }
            }
            (20, 11 | 21 | 40 | 41) | (40 | 50, 11) | (60, 11 | 21 | 30 | 31) | (85, 11) => Ok(()),
            (60, 50) => self.expect(channel, Content::Returned),
            (60, 60) => self.expect(channel, Content::Delivered),
            (60, 80 | 120) => {
                self.returned_bytes = 0;
                Ok(())
            }
            _ => Err(Violation::NotAmqp),
        }
    }

    fn tune(&mut self) -> Result<(), Violation> {
        let Some(&[a, b, c, d]) = self.kept.get(6..10) else { return Err(Violation::NotAmqp) };
        // None named is none of the broker's: what we ask for holds.
        match u32::from_be_bytes([a, b, c, d]) {
            0 => {}
            max if max < FRAME_MIN => return Err(Violation::FrameMaxTooSmall),
            max => self.frame_max = self.frame_max.min(max),
        }
        Ok(())
    }

    fn expect(&mut self, channel: u16, content: Content) -> Result<(), Violation> {
        // One whose header never comes would wait in lapin for ever.
        match self.contents.insert(channel, content) {
            None => Ok(()),
            Some(_) => Err(Violation::NotAmqp),
        }
    }

    fn header(&mut self, channel: u16, notice: &mut impl FnMut(Notice)) -> Result<(), Violation> {
        let Some(content) = self.contents.remove(&channel) else { return Err(Violation::NotAmqp) };
        let Some(body) = self.kept.get(4..12).and_then(|body| <[u8; 8]>::try_from(body).ok()) else {
            return Err(Violation::NotAmqp);
        };
        let body = u64::from_be_bytes(body);
        if body > self.body_max {
            return Err(Violation::BodyTooLong);
        }
        let fields = tables::check_properties(&self.kept, 12)?;
        let bytes = body + self.kept.len() as u64 + tables::MEMORY_OF_FIELD * (fields as u64 + 4);
        match content {
            Content::Delivered => notice(Notice::Delivers(bytes)),
            Content::Returned => {
                self.returned_bytes += bytes;
                if self.returned_bytes > RETURNED_BYTES_MAX {
                    return Err(Violation::TooManyReturned);
                }
            }
        }
        Ok(())
    }
}

#[cfg(any(fuzzing, feature = "readers"))]
pub mod fuzz;
#[cfg(test)]
mod tests;
