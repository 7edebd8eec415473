//! What an error of the client library, or of the connection, stands for.

use std::io;

use lapin::protocol::{AMQPError, AMQPErrorKind};
use lapin::{Error, ErrorKind};

use super::frames::Violation;
use crate::dial::DialError;
use crate::failure::Failure;
use crate::generator_fault;
use slatest_core::model::{GENERATOR_FAULT, Outcome};

impl Failure {
    /// The same, met while doing something: `connect`, `queue declare`.
    pub(super) fn during(self, what: &str) -> Self {
        // What this machine ran out of stays countable, wherever it was met.
        if self.kind.starts_with(GENERATOR_FAULT) {
            return self;
        }
        Self { kind: format!("{what}: {}", self.kind), ..self }
    }

    /// Whether the broker has a limit below what was asked for, and said so.
    pub(super) fn is_limit(&self) -> bool {
        self.kind.ends_with("NOT_ALLOWED") || self.kind.ends_with("too many channels")
    }

    /// The same while signing in: a limit closes the connection, and is an answer all the same. Every node of the
    /// cluster would give it.
    pub(super) fn refused_at_the_door(self) -> Self {
        if self.is_limit() { Self { outcome: Outcome::Rejected, ..self } } else { self }
    }

    /// An error of the connection.
    pub(super) fn of_socket(error: &io::Error) -> Self {
        if let Some(violation) = error.get_ref().and_then(|inner| inner.downcast_ref::<Violation>()) {
            return Self::violation(*violation);
        }
        let kind = match error.kind() {
            // What rustls refuses; the kind of `InvalidData` would say nothing.
            io::ErrorKind::InvalidData => "tls".to_owned(),
            io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
            kind => generator_fault(error).map_or_else(|| kind.to_string(), str::to_owned),
        };
        let detail = match kind.as_str() {
            "tls" => format!(
                "TLS failed: {error}; set `ca` where the issuer is unknown, and use amqp:// where the port has no TLS"
            ),
            _ => error.to_string(),
        };
        Self::new(Outcome::Disconnected, kind).broken().with_detail(detail)
    }

    /// Why there is no socket.
    pub(super) fn dialling(error: DialError) -> Self {
        let outcome = match error {
            DialError::NotAllowed(_) => Outcome::Rejected,
            DialError::TimedOut(_) => Outcome::TimedOut,
            DialError::Lookup { .. } | DialError::Connect(_) => Outcome::Disconnected,
        };
        let kind = match error {
            DialError::NotAllowed(_) => "host not allowed".to_owned(),
            _ => error.kind(),
        };
        Self::new(outcome, kind).broken().with_detail(error.to_string())
    }

    /// What the broker may not say.
    fn violation(violation: Violation) -> Self {
        let detail = match violation {
            Violation::NotAmqp => {
                "what answers there is not plain AMQP 0-9-1; is it amqps:// (TLS), or another port?".into()
            }
            other => format!("the broker breaks a limit: {other}"),
        };
        Self::new(Outcome::Disconnected, violation.to_string()).broken().with_detail(detail)
    }

    /// An error that the broker answered.
    fn protocol(error: &AMQPError) -> Self {
        let name = reply_name(error.get_id());
        // A hard error takes the connection down; a soft one is an answer.
        let outcome = match error.kind() {
            AMQPErrorKind::Hard(_) => Outcome::Disconnected,
            AMQPErrorKind::Soft(_) => Outcome::Rejected,
        };
        // RabbitMQ begins its text with the name.
        let text = error.get_message().as_str();
        let detail = if text.starts_with(name) { text.to_owned() } else { format!("{name}: {text}") };
        let broken = outcome == Outcome::Disconnected;
        Self { outcome, kind: name.to_owned(), detail, broken }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::IOError(error) => Self::of_socket(error),
            ErrorKind::ProtocolError(error) => Self::protocol(error),
            ErrorKind::MissingHeartbeatError => Self::new(Outcome::Disconnected, "no heartbeat").broken(),
            ErrorKind::InvalidChannel(_)
            | ErrorKind::InvalidChannelState(..)
            | ErrorKind::InvalidConnectionState(_)
            | ErrorKind::RuntimeShutdownError(_) => Self::new(Outcome::Disconnected, "connection closed").broken(),
            ErrorKind::ParsingError(_) | ErrorKind::InvalidProtocolVersion(_) => Self::violation(Violation::NotAmqp),
            ErrorKind::ChannelsLimitReached => Self::new(Outcome::Rejected, "too many channels"),
            other => Self::new(Outcome::Rejected, "protocol").with_detail(format!("{other:?}")),
        }
    }
}

/// The name that AMQP 0-9-1 gives a reply code.
const fn reply_name(code: u16) -> &'static str {
    match code {
        311 => "CONTENT_TOO_LARGE",
        312 => "NO_ROUTE",
        313 => "NO_CONSUMERS",
        320 => "CONNECTION_FORCED",
        402 => "INVALID_PATH",
        403 => "ACCESS_REFUSED",
        404 => "NOT_FOUND",
        405 => "RESOURCE_LOCKED",
        406 => "PRECONDITION_FAILED",
        501 => "FRAME_ERROR",
        502 => "SYNTAX_ERROR",
        503 => "COMMAND_INVALID",
        504 => "CHANNEL_ERROR",
        505 => "UNEXPECTED_FRAME",
        506 => "RESOURCE_ERROR",
        530 => "NOT_ALLOWED",
        540 => "NOT_IMPLEMENTED",
        541 => "INTERNAL_ERROR",
        _ => "AMQP_ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: u16) -> Failure {
        let error = AMQPError::from_id(code, "no exchange 'x' in vhost '/'".into()).unwrap();
        Failure::from(&Error::from(ErrorKind::ProtocolError(error)))
    }

    #[test]
    fn an_answer_is_told_apart_from_a_lost_connection() {
        let missing = failure(404);
        assert_eq!((missing.outcome, missing.kind.as_str()), (Outcome::Rejected, "NOT_FOUND"));
        assert_eq!(missing.detail, "NOT_FOUND: no exchange 'x' in vhost '/'");
        let forced = failure(320);
        assert_eq!((forced.outcome, forced.kind.as_str()), (Outcome::Disconnected, "CONNECTION_FORCED"));
        let refused = Failure::from(&Error::from(io::Error::from(io::ErrorKind::ConnectionRefused)));
        let refused = refused.during("connect");
        assert_eq!((refused.outcome, refused.kind.as_str()), (Outcome::Disconnected, "connect: connection refused"));
    }
}
