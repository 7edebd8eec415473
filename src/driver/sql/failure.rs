//! Why a statement did not work: outcome, kind, and whether its connection can still be used.

use sqlx::Error;

use crate::model::Outcome;

/// Why a statement or a connection did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How the operation ends.
    pub outcome: Outcome,
    /// What it is counted as.
    pub kind: String,
    /// For people: what the server or the network said. Only health checks show it.
    pub detail: String,
    /// Whether the connection must not be used again.
    pub broken: bool,
}

impl Failure {
    /// One without more words than its kind; the connection stays good.
    pub fn new(outcome: Outcome, kind: impl Into<String>) -> Self {
        let kind = kind.into();
        Self { outcome, detail: kind.clone(), kind, broken: false }
    }

    /// Nothing came in time; the connection still owes an answer.
    pub fn timed_out(kind: &str) -> Self {
        Self { broken: true, ..Self::new(Outcome::TimedOut, kind) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let disconnected =
            |kind: String, detail: String| Self { outcome: Outcome::Disconnected, kind, detail, broken: true };
        match &error {
            Error::Database(answer) => {
                let code = answer.code().unwrap_or_default();
                let detail = answer.message().to_owned();
                if answer.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                    return sqlite(&code, detail);
                }
                let kind = format!("sqlstate {code}");
                match &*code {
                    // The server or the pooler in front of it is going away or lost its peer.
                    "57P01" | "57P02" | "57P03" | "57P05" => disconnected(kind, detail),
                    code if code.starts_with("08") => disconnected(kind, detail),
                    // The server's own statement timeout, set to the operation's.
                    "57014" => Self { detail, ..Self::new(Outcome::TimedOut, kind) },
                    // A primary that became a standby: the next connection looks for the new one.
                    "25006" => Self { detail, broken: true, ..Self::new(Outcome::Rejected, kind) },
                    _ => Self { detail, ..Self::new(Outcome::Rejected, kind) },
                }
            }
            Error::Io(io) => disconnected(format!("connection: {}", io.kind()), io.to_string()),
            Error::Tls(why) => disconnected("tls".into(), format!("TLS: {why}")),
            Error::Protocol(why) => disconnected("protocol".into(), why.clone()),
            Error::WorkerCrashed => disconnected("sqlite worker".into(), error.to_string()),
            other => Self { detail: other.to_string(), broken: true, ..Self::new(Outcome::Rejected, "client") },
        }
    }
}

/// By SQLite's primary result code, the lower byte of the extended one.
fn sqlite(code: &str, detail: String) -> Failure {
    let primary = code.parse::<u32>().unwrap_or(1) & 0xff;
    let kind = match primary {
        5 | 6 => "sqlite busy".to_owned(),
        8 => "sqlite read-only".to_owned(),
        9 => return Failure { detail, ..Failure::new(Outcome::TimedOut, "sqlite interrupted") },
        13 => "sqlite full".to_owned(),
        19 => "sqlite constraint".to_owned(),
        other => format!("sqlite error {other}"),
    };
    Failure { detail, ..Failure::new(Outcome::Rejected, kind) }
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
        assert_eq!(sqlite("5", String::new()).kind, "sqlite busy");
        assert_eq!(sqlite("2067", String::new()).kind, "sqlite constraint");
        assert_eq!(sqlite("9", String::new()).outcome, Outcome::TimedOut);
    }
}
