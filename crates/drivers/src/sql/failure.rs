//! What an error of SQLite's library stands for.

use sqlx::Error;

use crate::failure::Failure;
use crate::generator::io_kind;
use slatest_core::model::Outcome;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let disconnected = |kind: String| Self::new(Outcome::Disconnected, kind).broken();
        match &error {
            Error::Database(answer) => sqlite(&answer.code().unwrap_or_default()).with_detail(answer.message()),
            Error::Io(io) => disconnected(io_kind("connection", io)).with_detail(io.to_string()),
            Error::WorkerCrashed => disconnected("sqlite worker".into()).with_detail(error.to_string()),
            other => Self::new(Outcome::Rejected, "client").broken().with_detail(other.to_string()),
        }
    }
}

/// By SQLite's primary result code, the lower byte of the extended one.
fn sqlite(code: &str) -> Failure {
    let primary = code.parse::<u32>().unwrap_or(1) & 0xff;
    let kind = match primary {
        5 | 6 => "sqlite busy".to_owned(),
        8 => "sqlite read-only".to_owned(),
        9 => return Failure::new(Outcome::TimedOut, "sqlite interrupted"),
        13 => "sqlite full".to_owned(),
        19 => "sqlite constraint".to_owned(),
        other => format!("sqlite error {other}"),
    };
    Failure::new(Outcome::Rejected, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_told_from_an_answer() {
        let lost = Failure::from(Error::Io(std::io::ErrorKind::ConnectionRefused.into()));
        assert_eq!(
            (lost.outcome, lost.kind.as_str(), lost.broken),
            (Outcome::Disconnected, "connection: connection refused", true)
        );
        assert_eq!(sqlite("5").kind, "sqlite busy");
        assert_eq!(sqlite("2067").kind, "sqlite constraint");
        assert_eq!(sqlite("9").outcome, Outcome::TimedOut);
    }
}
