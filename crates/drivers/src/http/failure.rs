//! Why an execution was not ok: which outcome, and the kind that is counted.

use std::borrow::Cow;
use std::error::Error;
use std::io;

use super::request::NotBuilt;
use slatest_core::model::Outcome;

/// An end that is not ok. Its kind has no variable part and no secret.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) outcome: Outcome,
    pub(super) kind: Cow<'static, str>,
    /// Whether only one stream of an HTTP/2 connection ended, and the connection is as good as before.
    pub(super) of_stream: bool,
    /// Whether the server said that it did nothing for the request (REFUSED_STREAM).
    pub(super) refused: bool,
}

impl Failure {
    pub(super) fn rejected(kind: impl Into<Cow<'static, str>>) -> Self {
        Self { outcome: Outcome::Rejected, kind: kind.into(), of_stream: false, refused: false }
    }

    pub(super) fn disconnected(kind: impl Into<Cow<'static, str>>) -> Self {
        Self { outcome: Outcome::Disconnected, kind: kind.into(), of_stream: false, refused: false }
    }

    /// What the workload asks for can't be built: nothing was sent, and the target has no part in it.
    pub(super) fn of_workload(reason: NotBuilt) -> Self {
        Self::rejected(reason.to_string())
    }

    /// The same, on a kept connection that the server closed while the request was on its way: it can't be repeated.
    pub(super) fn stale(self) -> Self {
        let how = self.kind.strip_prefix("answer: ").unwrap_or(&self.kind);
        Self { kind: format!("stale connection: {how}").into(), ..self }
    }

    pub(super) fn timed_out(kind: &'static str) -> Self {
        Self { outcome: Outcome::TimedOut, kind: Cow::Borrowed(kind), of_stream: false, refused: false }
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
    /// the connection broke before the answer was whole.
    fn of(error: &hyper::Error, part: &'static str) -> Self {
        if error.is_parse() {
            return Self::rejected(format!("{part}: malformed"));
        }
        if error.is_incomplete_message() {
            return Self::disconnected(format!("{part}: connection closed"));
        }
        if let Some(h2) = cause::<h2::Error>(error) {
            return match (h2.reason(), h2.get_io()) {
                (Some(reason), _) => {
                    let how = if h2.is_go_away() { "goaway" } else { "reset" };
                    // What the client itself found wrong says nothing good of the server.
                    let of_stream = h2.is_reset() && h2.is_remote();
                    let refused = of_stream && reason == h2::Reason::REFUSED_STREAM;
                    Self {
                        of_stream,
                        refused,
                        ..Self::disconnected(format!("{part}: http2 {how} {}", reason_name(reason)))
                    }
                }
                (None, Some(io)) => Self::disconnected(format!("{part}: {}", io.kind())),
                (None, None) => Self::disconnected(format!("{part}: http2 error")),
            };
        }
        if let Some(io) = cause::<io::Error>(error) {
            return match io.kind() {
                io::ErrorKind::UnexpectedEof => Self::disconnected(format!("{part}: truncated")),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    Self::rejected(format!("{part}: malformed"))
                }
                kind => Self::disconnected(format!("{part}: {kind}")),
            };
        }
        Self::disconnected(format!("{part}: connection closed"))
    }
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

/// The first error of a type in the chain of causes.
pub(super) fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
