//! What is made of a whole answer: unpacked, held against the block signature and the checks, captured from.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::response::Parts;
use serde_json::Value;

use super::body;
use super::encoding::{self, NotDecoded};
use super::file::{Answer, Request};
use super::plan::{Exchange, Http};
use super::read_back::LedgerPlan;
use super::session::{HttpSession, Progress};
use crate::failure::Failure;
use crate::large::{self, SMALL_BYTES, off_worker};
use slatest_core::model::{Problem, WriteOutcome, Written};
use slatest_core::source::{Located, Source};

/// What an answer said.
#[derive(Default)]
struct Judged {
    written: Option<Box<Written>>,
    captured: BTreeMap<String, String>,
}

impl HttpSession {
    /// Holds the whole answer against the block signature and the checks, and takes the captures.
    pub(super) async fn judge(
        &mut self,
        http: &Arc<Http>,
        operation: usize,
        head: Parts,
        body: Bytes,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let Some(exchange) = http.exchanges.get(operation) else { return Ok(()) };
        let wanted = http.server.needs_body(&head) || exchange.needs_body();
        let small = match unpacked(exchange, &head, &body, wanted, SMALL_BYTES) {
            Err(NotDecoded::TooLarge) => None,
            Err(NotDecoded::Failed(failure)) => Some(Err(failure)),
            Ok(bytes) => Some(Ok(bytes)),
        };
        let mut judged = Judged::default();
        let result = match small {
            Some(decoded) => judged.look(http, exchange, &head, decoded),
            None => {
                let http = Arc::clone(http);
                let looking = off_worker(move || {
                    let mut judged = Judged::default();
                    let result = match http.exchanges.get(operation) {
                        Some(exchange) => judged.look_at_large(&http, exchange, &head, &body),
                        None => Ok(()),
                    };
                    (judged, result)
                });
                match looking.await {
                    Some((large, result)) => {
                        judged = large;
                        result
                    }
                    None => Err(Failure::rejected("body: can't be read")),
                }
            }
        };
        progress.written = judged.written;
        self.captured.append(&mut judged.captured);
        result
    }
}

/// The body as it was before the server packed it.
fn unpacked(
    exchange: &Exchange,
    head: &Parts,
    body: &Bytes,
    wanted: bool,
    bytes_max: usize,
) -> Result<Bytes, NotDecoded> {
    if !wanted {
        return Ok(Bytes::new());
    }
    if body.len() > bytes_max {
        return Err(NotDecoded::TooLarge);
    }
    encoding::decode(&head.headers, exchange.request.accepted(), body.clone(), bytes_max)
}

impl Judged {
    fn look_at_large(&mut self, http: &Http, exchange: &Exchange, head: &Parts, body: &Bytes) -> Result<(), Failure> {
        let bytes_max = usize::try_from(http.bytes_max).unwrap_or(usize::MAX);
        let decoded = unpacked(exchange, head, body, true, bytes_max).map_err(|error| match error {
            NotDecoded::TooLarge => body::too_large(http.bytes_max),
            NotDecoded::Failed(failure) => failure,
        });
        self.look(http, exchange, head, decoded)
    }

    fn look(
        &mut self,
        http: &Http,
        exchange: &Exchange,
        head: &Parts,
        body: Result<Bytes, Failure>,
    ) -> Result<(), Failure> {
        if let Some(block) = &http.server.block {
            let bytes: &[u8] = body.as_ref().map_or(&[], |b| b);
            let tested = block.test(head.status.as_u16(), &head.headers, bytes);
            match (tested, exchange.checks.blocked) {
                (Ok(()), true) => return Err(Failure::rejected("check: not blocked")),
                (Err(blocked), false) => return Err(blocked),
                _ => {}
            }
        }
        if exchange.ledger.is_some() {
            let outcome = Some(LedgerPlan::outcome(head.status.as_u16()));
            self.written = Some(Box::new(Written { outcome, ..Written::default() }));
        }
        exchange.checks.head(head)?;
        if !exchange.needs_body() {
            self.keep_place(exchange, head, None)?;
            return self.capture(exchange, head, None);
        }
        let body = body?;
        let document = if exchange.needs_json() { Some(json(&body)?) } else { None };
        self.keep_place(exchange, head, document.as_ref())?;
        exchange.checks.body(&body, document.as_ref())?;
        self.capture(exchange, head, document.as_ref())
    }

    fn capture(&mut self, exchange: &Exchange, head: &Parts, document: Option<&Value>) -> Result<(), Failure> {
        if exchange.captures.is_empty() {
            return Ok(());
        }
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        exchange.captures.take(document, header, &mut self.captured).map_err(|e| Failure::rejected(e.to_string()))
    }

    /// Keeps where an acknowledged write went.
    fn keep_place(&mut self, exchange: &Exchange, head: &Parts, document: Option<&Value>) -> Result<(), Failure> {
        let (Some(ledger), Some(written)) = (&exchange.ledger, &mut self.written) else { return Ok(()) };
        if written.outcome == Some(WriteOutcome::Acknowledged) {
            written.place = ledger.place(head, document)?;
        }
        Ok(())
    }
}

/// A body as JSON.
fn json(body: &[u8]) -> Result<Value, Failure> {
    large::json(body).map_err(|error| Failure::rejected(format!("body: {error}")))
}

impl Exchange {
    /// What the parts of the operation ask of its answer that doesn't go together.
    pub(super) fn mistake(&self, source: &Source, request: &Located<Request>, key: &str) -> Option<Problem> {
        if let Some(answer) = request.answer.as_ref().filter(|answer| answer.value == Answer::Drain)
            && self.needs_body()
        {
            let message = "an answer that is drained can't be looked at: leave out its checks, captures and key";
            return Some(source.problem_at(answer, format!("{key}.answer"), message));
        }
        let accepted = self.request.accepted().and_then(|accepted| accepted.to_str().ok());
        let unknown = accepted.filter(|_| self.needs_body()).and_then(encoding::unknown)?;
        let message =
            format!("`accept-encoding` asks for `{unknown}`, which slatest can't unpack to look at the answer");
        let help = "it unpacks gzip, deflate, br and zstd";
        Some(source.problem_at(request, format!("{key}.headers"), message).with_help(help))
    }

    pub(super) fn needs_json(&self) -> bool {
        self.checks.needs_json()
            || self.captures.needs_json()
            || self.ledger.as_ref().is_some_and(LedgerPlan::needs_json)
    }

    pub(super) fn needs_body(&self) -> bool {
        self.checks.needs_body() || self.needs_json()
    }
}

impl super::plan::Server {
    pub(super) fn needs_body(&self, head: &Parts) -> bool {
        self.block.as_ref().is_some_and(|b| b.needs_body(head.status.as_u16()))
    }
}
