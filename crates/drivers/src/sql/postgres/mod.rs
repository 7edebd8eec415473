//! PostgreSQL's protocol, version 3, as far as statements need it.
//!
//! The messages and the proofs are those of `postgres-protocol`; reading is done here, because what a server says is
//! bounded before it is kept, values and answers are texts as the server spells them, and the session is left as the
//! server makes it. Clients set formats and time zones of their own.

mod connection;
mod frames;
mod message;
mod startup;
mod stream;

pub use connection::Connection;
pub use message::Column;
pub use startup::{Host, Login, Tls};

/// The kind of error of a server that has no place for another connection.
pub const FULL: &str = "connect: too many connections";

/// The body of a message, whatever it says.
#[cfg(any(fuzzing, feature = "readers"))]
pub fn fuzz(bytes: &[u8]) {
    drop(message::ServerError::read(bytes));
    drop(message::columns(bytes));
    message::affected(bytes);
    message::key(&bytes::Bytes::copy_from_slice(bytes));
}
