//! What is counted when something went wrong: an outcome, and a kind without variable parts.

use rdkafka::error::RDKafkaErrorCode;

use super::context::Troubles;
use slatest_core::model::{GENERATOR_FAULT, Outcome};

/// The outcome and kind of an error with which our own client didn't take a record: it was never sent.
pub(super) fn refused(troubles: &Troubles, code: RDKafkaErrorCode) -> (Outcome, String) {
    match code {
        RDKafkaErrorCode::MessageSizeTooLarge => {
            (Outcome::Rejected, format!("{GENERATOR_FAULT}record too large; raise settings.message_max_bytes"))
        }
        RDKafkaErrorCode::QueueFull => {
            (Outcome::Rejected, format!("{GENERATOR_FAULT}record larger than a producer's queue of 64 MiB"))
        }
        code => judge(troubles, code),
    }
}

/// The outcome and kind that an error stands for.
pub(super) fn judge(troubles: &Troubles, code: RDKafkaErrorCode) -> (Outcome, String) {
    use RDKafkaErrorCode as Code;
    let outcome = match code {
        Code::MessageTimedOut | Code::TimedOutQueue | Code::OperationTimedOut | Code::RequestTimedOut => {
            return overdue(troubles, &format!("{code:?}"));
        }
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::SSL
        | Code::Authentication
        | Code::NetworkException
        | Code::Fatal => Outcome::Disconnected,
        Code::PurgeQueue | Code::PurgeInflight | Code::BrokerDestroy => Outcome::Unknown,
        _ => Outcome::Rejected,
    };
    (outcome, format!("{code:?}"))
}

/// The same where time ran out: with no broker reachable, that is why.
pub(super) fn overdue(troubles: &Troubles, kind: &str) -> (Outcome, String) {
    if troubles.refused().is_some() {
        (Outcome::Disconnected, "guard: host not allowed".into())
    } else if troubles.down() {
        (Outcome::Disconnected, "AllBrokersDown".into())
    } else {
        (Outcome::TimedOut, kind.to_owned())
    }
}
