//! Why a command did not work: outcome, kind, and whether its connection can still be used.

use std::sync::Arc;

use redis::{ErrorKind, RedisError};

use crate::model::Outcome;

/// Why a command or a connection did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the operation ends.
    pub outcome: Outcome,
    /// What it is counted as.
    pub kind: String,
    /// For people: what the server or the network said. Only health checks show it.
    pub detail: String,
    /// Whether the connection must be remade.
    pub broken: bool,
}

impl Failure {
    /// One without more words than its kind; the connection stays good.
    pub fn new(outcome: Outcome, kind: impl Into<String>) -> Self {
        let kind = kind.into();
        Self { outcome, detail: kind.clone(), kind, broken: false }
    }

    /// The same, while connecting.
    pub fn connecting(mut self) -> Self {
        if let Some(rest) = self.kind.strip_prefix("connection: ") {
            self.kind = format!("connect: {rest}");
        }
        self.broken = true;
        self
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        let detail = error.to_string();
        let disconnected =
            |kind: String| Self { outcome: Outcome::Disconnected, kind, detail: detail.clone(), broken: true };
        let rejected = |kind: String| Self { outcome: Outcome::Rejected, kind, detail: detail.clone(), broken: false };
        match error.kind() {
            // The cluster client gave up on an answer before the operation did.
            ErrorKind::Io if error.is_timeout() => {
                Self { outcome: Outcome::TimedOut, kind: "reply: timed out".into(), detail, broken: true }
            }
            ErrorKind::Io => disconnected(match io_error(&error) {
                Some(io) => match tls_reason(io) {
                    Some(_) => "tls".to_owned(),
                    None => format!("connection: {}", io.kind()),
                },
                None => "connection: broken".to_owned(),
            }),
            ErrorKind::ClusterConnectionNotFound => disconnected("cluster: no node answers".into()),
            ErrorKind::Parse => disconnected("protocol".into()),
            ErrorKind::AuthenticationFailed => rejected("authentication failed".into()),
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
