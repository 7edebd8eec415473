//! The headers that every message carries, by which a workload recognises its own.

use std::borrow::Cow;

use uuid::Uuid;

use super::CompileContext;
use super::awaited::MessageId;
use super::identity::Identity;
use slatest_core::model::Nanos;

/// What the names of these headers start with; no header of a workload file may.
const PREFIX: &str = "slatest-";
/// Header with the name of the run.
pub(crate) const RUN: &str = "slatest-run";
/// Header with the name of the scenario.
const SCENARIO: &str = "slatest-scenario";
/// Header with the number of the arrival.
const SEQ: &str = "slatest-seq";
/// Header with the instant at which it was sent, in nanoseconds of the run.
const SENT: &str = "slatest-sent";
/// Header with the process and workload that sent it: other agents of the run send too.
const SOURCE: &str = "slatest-source";

/// Header with the identifier of a write in the ledger.
pub(crate) const WRITE: &str = "slatest-write";

/// Longest name of a source.
const SOURCE_BYTES_MAX: usize = 64;

/// Whether a header's name is one of those that only slatest gives.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Who sends: goes into every message's headers.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) identity: Identity,
    /// Differs between processes and workloads.
    source: String,
}

impl Sender {
    /// The sender of the workload that is being compiled.
    pub(crate) fn of(context: &CompileContext<'_>) -> Self {
        Self { identity: Identity::of(context), source: Uuid::new_v4().simple().to_string() }
    }

    /// The headers that a message carries. Those of one that is awaited back say whose it is.
    pub(crate) fn headers(&self, id: MessageId, awaited: bool) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let all = [
            (RUN, Cow::Borrowed(&*self.identity.run)),
            (SCENARIO, Cow::Borrowed(&*self.identity.scenario)),
            (SEQ, Cow::Owned(id.seq.to_string())),
            (SENT, Cow::Owned(id.sent.0.to_string())),
        ];
        all.into_iter().chain(awaited.then_some((SOURCE, Cow::Borrowed(self.source.as_str()))))
    }

    /// The source of another process or workload that awaits a message; `header` looks a header's text up
    /// by name. Consumers of one queue get each other's messages.
    pub(crate) fn foreign<'h>(&self, header: impl Fn(&str) -> Option<&'h str>) -> Option<&'h str> {
        let source = header(SOURCE).filter(|source| *source != self.source)?;
        (source.len() <= SOURCE_BYTES_MAX && source.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(source)
    }

    /// Where this process and workload is found by others.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Which of the awaited messages of this sender it is, if it is one; `header` looks a header's
    /// text up by name.
    pub(crate) fn recognise<'h>(&self, header: impl Fn(&str) -> Option<&'h str>) -> Option<MessageId> {
        if header(SOURCE)? != self.source {
            return None;
        }
        Some(MessageId { seq: header(SEQ)?.parse().ok()?, sent: Nanos(header(SENT)?.parse().ok()?) })
    }
}

/// Headers of a message, one a line as `name: value`: recognised or not.
#[cfg(any(fuzzing, feature = "readers"))]
pub fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let pairs: Vec<_> = text.lines().filter_map(|line| line.split_once(": ")).collect();
    let sender = Sender::named("fuzz");
    if let Some(id) = sender.recognise(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)) {
        let sent: Vec<_> = sender.headers(id, true).collect();
        let again = sender.recognise(|name| sent.iter().find(|(key, _)| *key == name).map(|(_, value)| &**value));
        assert_eq!(again, Some(id));
    }
}

#[cfg(any(test, fuzzing, feature = "readers"))]
impl Sender {
    /// One with a source of one's own.
    pub(crate) fn named(source: &str) -> Self {
        let identity = Identity { seed: 1, run: "run".into(), scenario: "events".into() };
        Self { identity, source: source.into() }
    }
}
