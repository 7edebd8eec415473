//! What an error of the client library stands for.

use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::resp::ReplyError;
use crate::failure::Failure;
use crate::generator::io_kind;
use slatest_core::model::Outcome;

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        if io_error(&error).and_then(reply_error) == Some(ReplyError::NoPlace) {
            return Self::full("ERR max number of clients reached");
        }
        let of = |outcome, kind: String| Self::new(outcome, kind).with_detail(error.to_string());
        let disconnected = |kind: String| of(Outcome::Disconnected, kind).broken();
        let rejected = |kind: String| of(Outcome::Rejected, kind);
        match error.kind() {
            ErrorKind::Io => disconnected(match io_error(&error) {
                Some(io) => match (tls_reason(io), reply_error(io)) {
                    (Some(_), _) => "tls".to_owned(),
                    (None, Some(ReplyError::Malformed)) => "protocol".to_owned(),
                    (None, Some(reply)) => format!("protocol: {reply}"),
                    (None, None) => io_kind("connection", io),
                },
                None => "connection: broken".to_owned(),
            }),
            ErrorKind::Parse => disconnected("protocol".into()),
            ErrorKind::AuthenticationFailed => rejected("authentication failed".into()),
            // A primary that became a replica stays one: only a new connection finds the new primary.
            ErrorKind::Server(ServerErrorKind::ReadOnly) => rejected("READONLY".into()).broken(),
            ErrorKind::Server(kind) => rejected(server_code(&error).unwrap_or_else(|| format!("{kind:?}"))),
            ErrorKind::Extension => rejected(server_code(&error).unwrap_or_else(|| "server error".into())),
            _ => rejected("client".into()),
        }
    }
}

/// The code that the server's error starts with, like `LOADING` or `OOM`.
fn server_code(error: &RedisError) -> Option<String> {
    if let Some(code) = error.code() {
        return Some(code.to_owned());
    }
    let errors = error.clone().into_server_errors()?;
    errors.first().map(|(_, error)| error.code().to_owned())
}

/// The I/O error within. The client names as its source the `Arc` that it keeps the error in.
fn io_error(error: &RedisError) -> Option<&std::io::Error> {
    let source = std::error::Error::source(error)?;
    match source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>() {
        Some(kept) => kept.downcast_ref(),
        None => source.downcast_ref(),
    }
}

fn tls_reason(io: &std::io::Error) -> Option<&rustls::Error> {
    io.get_ref()?.downcast_ref::<rustls::Error>()
}

fn reply_error(io: &std::io::Error) -> Option<ReplyError> {
    io.get_ref()?.downcast_ref::<ReplyError>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_counted_by_its_code() {
        let said = |code: &str| redis::make_extension_error(code.into(), Some("used memory > 'maxmemory'".into()));
        let failure = Failure::from(said("OOM"));
        assert_eq!((failure.outcome, failure.kind.as_str(), failure.broken), (Outcome::Rejected, "OOM", false));
        let io = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let failure = Failure::from(RedisError::from(io)).connecting();
        assert_eq!((failure.outcome, failure.kind.as_str()), (Outcome::Disconnected, "connect: connection refused"));
    }
}
