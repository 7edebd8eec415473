//! Encrypted connections between coordinator and agents, over whatever carries bytes: sockets, or the
//! simulated network of a test.
//!
//! TLS 1.3 alone. The coordinator shows a certificate with the name [`super::identity::COORDINATOR_NAME`];
//! the agent knows its authority by a file or by the fingerprint in its token. An agent's certificate is
//! asked for and may be missing: exchanging a token for one is the one thing that can be done without.

mod dial;
mod tcp;
mod tls;
mod watched;

pub use dial::{Calls, Link, dial};
pub use tcp::{connect, listen};
pub use tls::{TransportError, Trust};
pub(super) use tls::{certificate_refused, server};

use std::time::Duration;

/// How long a handshake may take.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Longest message of an agent, in bytes.
pub const AGENT_MESSAGE_MAX: usize = 16 << 20;
/// Longest message of the coordinator, in bytes: the plan's files are one.
pub const COORDINATOR_MESSAGE_MAX: usize = 64 << 20;

/// Bytes of one conversation that may be under way unread; what a peer that is not listened to can make
/// the other side keep.
pub(super) const STREAM_WINDOW: u32 = 256 << 10;
/// The same for a connection.
pub(super) const CONNECTION_WINDOW: u32 = 512 << 10;
/// Bytes that may wait to be sent to a peer.
pub(super) const SEND_BUFFER: usize = 256 << 10;
/// Bytes of a request's headers.
pub(super) const HEADERS_MAX: u32 = 16 << 10;
/// How often either side asks whether the other is there.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long it has for an answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Anything that carries bytes both ways.
pub trait Carrier: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static {}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static> Carrier for S {}
