//! What an error of the client library stands for.

use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::failure::Failure;
use crate::generator::io_kind;
use slatest_core::model::Outcome;

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let of = |outcome, kind: String| Self::new(outcome, kind).with_detail(error.to_string());
        let disconnected = |kind: String| of(Outcome::Disconnected, kind).broken();
        let rejected = |kind: String| of(Outcome::Rejected, kind);
        match error.kind() {
            // The cluster client gave up on an answer before the operation did.
            ErrorKind::Io if error.is_timeout() => of(Outcome::TimedOut, "reply: timed out".into()).broken(),
            ErrorKind::Io => disconnected(match io_error(&error) {
                Some(io) => match tls_reason(io) {
                    Some(_) => "tls".to_owned(),
                    None => io_kind("connection", io),
                },
                // The cluster client hands on what it met in words.
                None => match os_error(&error.to_string()) {
                    Some(io) => io_kind("connection", &io),
                    None => "connection: broken".to_owned(),
                },
            }),
            ErrorKind::ClusterConnectionNotFound => disconnected("cluster: no node answers".into()),
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

/// The system's error that a text ends with, as the standard library writes it: `(os error 111)`.
fn os_error(text: &str) -> Option<std::io::Error> {
    let (_, rest) = text.rsplit_once("(os error ")?;
    let (code, _) = rest.split_once(')')?;
    code.parse().ok().map(std::io::Error::from_raw_os_error)
}

fn tls_reason(io: &std::io::Error) -> Option<&rustls::Error> {
    io.get_ref()?.downcast_ref::<rustls::Error>()
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

    #[test]
    fn an_error_of_the_system_is_known_by_its_words() {
        let kind = |text| os_error(text).map(|io| io.kind());
        assert_eq!(
            kind("connections - Io: Connection refused (os error 111)"),
            Some(std::io::ErrorKind::ConnectionRefused)
        );
        assert_eq!(kind("no (os error x)"), None);
        assert_eq!(kind("(os error 24"), None);
    }
}
