//! Why an execution was not ok: which outcome, and the kind that is counted.

use std::io;

use super::request::NotBuilt;
use crate::failure::{Failure, cause};
use slatest_core::model::Outcome;

impl Failure {
    pub(super) fn rejected(kind: impl Into<String>) -> Self {
        Self::new(Outcome::Rejected, kind)
    }

    pub(super) fn disconnected(kind: impl Into<String>) -> Self {
        Self::new(Outcome::Disconnected, kind)
    }

    pub(super) fn timed_out(kind: &'static str) -> Self {
        Self::new(Outcome::TimedOut, kind)
    }

    /// What the workload asks for can't be built: nothing was sent, and the target has no part in it.
    pub(super) fn of_workload(reason: NotBuilt) -> Self {
        Self::rejected(reason.to_string())
    }

    /// The same, on a kept connection that the server closed while the request was on its way: it can't be repeated.
    pub(super) fn stale(self) -> Self {
        let how = self.kind.strip_prefix("answer: ").unwrap_or(&self.kind);
        Self { kind: format!("stale connection: {how}"), ..self }
    }

    /// What hyper says between the request's first byte and the answer's head.
    pub(super) fn of_head(error: &hyper::Error) -> Self {
        Self::of(error, "answer")
    }

    /// What hyper says while the body comes.
    pub(super) fn of_body(error: &hyper::Error) -> Self {
        Self::of(error, "body")
    }

    /// An answer that breaks the protocol was given, so it is rejected; everything else means that
    /// the connection broke before the answer was whole. Only where a server ended one stream of HTTP/2 the connection
    /// is as good as before.
    fn of(error: &hyper::Error, part: &'static str) -> Self {
        if error.is_parse() {
            return Self::rejected(format!("{part}: malformed")).broken();
        }
        if error.is_incomplete_message() {
            return Self::disconnected(format!("{part}: connection closed")).broken();
        }
        if let Some(h2) = cause::<h2::Error>(error) {
            let Some(reason) = h2.reason() else {
                let how = h2.get_io().map_or_else(|| "http2 error".to_owned(), |io| io.kind().to_string());
                return Self::disconnected(format!("{part}: {how}")).broken();
            };
            let how = if h2.is_go_away() { "goaway" } else { "reset" };
            let failure = Self::disconnected(format!("{part}: http2 {how} {}", reason_name(reason)));
            return if is_reset_by_server(h2) { failure } else { failure.broken() };
        }
        if let Some(io) = cause::<io::Error>(error) {
            return match io.kind() {
                io::ErrorKind::UnexpectedEof => Self::disconnected(format!("{part}: truncated")),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    Self::rejected(format!("{part}: malformed"))
                }
                kind => Self::disconnected(format!("{part}: {kind}")),
            }
            .broken();
        }
        Self::disconnected(format!("{part}: connection closed")).broken()
    }
}

/// Whether the server ended one stream. What the client itself found wrong says nothing good of the server.
fn is_reset_by_server(error: &h2::Error) -> bool {
    error.is_reset() && error.is_remote()
}

/// Whether the server said that it did nothing for the request (REFUSED_STREAM).
pub(super) fn is_refused(error: &hyper::Error) -> bool {
    cause::<h2::Error>(error)
        .is_some_and(|h2| is_reset_by_server(h2) && h2.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// The names of RFC 9113, section 7; a reason that it doesn't have is one kind, not many.
fn reason_name(reason: h2::Reason) -> &'static str {
    use h2::Reason as R;
    match reason {
        R::NO_ERROR => "NO_ERROR",
        R::PROTOCOL_ERROR => "PROTOCOL_ERROR",
        R::INTERNAL_ERROR => "INTERNAL_ERROR",
        R::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
        R::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
        R::STREAM_CLOSED => "STREAM_CLOSED",
        R::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
        R::REFUSED_STREAM => "REFUSED_STREAM",
        R::CANCEL => "CANCEL",
        R::COMPRESSION_ERROR => "COMPRESSION_ERROR",
        R::CONNECT_ERROR => "CONNECT_ERROR",
        R::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
        R::INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
        R::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
        _ => "of an unknown reason",
    }
}
