//! Writes of the ledger over HTTP: under which key each is found again, and the look whether it is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{Request, Uri};
use http_body_util::Full;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::form_urlencoded;

use super::connection::{Body, Connection, Home};
use super::file::HttpLedger;
use super::plan::Http;
use super::{body, path};
use crate::failure::Failure;
use crate::workload::Captures;
use crate::{ReadBack, ReadBackError};
use slatest_core::model::{MonotonicClock, Problem, WriteId, WriteOutcome, WritePlace};
use slatest_core::source::{Located, Source};
use slatest_core::writes::{Found, Presence};

/// Reads at a time.
const READS: usize = 8;
/// Wait before something is asked for again.
const AGAIN: Duration = Duration::from_millis(100);
/// How often the same is asked for while the server answers with an error of its own.
const ERRORS_MAX: u32 = 10;
/// What the answer's value is called in the path.
const KEY: &str = "key";

/// How the writes of an operation are found again.
#[derive(Debug)]
pub(super) struct LedgerPlan {
    key: Captures,
    path: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Key,
    WriteId,
}

impl LedgerPlan {
    /// Compiles what an operation says; `at` is where it stands.
    ///
    /// # Errors
    /// A path that names no write, or what is not known of one.
    pub(super) fn compile(source: &Source, ledger: &HttpLedger, at: &str) -> Result<Self, Problem> {
        let wrong = |message: String| source.problem_at(&ledger.get, format!("{at}.get"), message);
        if !ledger.get.starts_with('/') {
            return Err(wrong(format!("`{}` is no path: it must start with `/`", ledger.get)));
        }
        if ledger.get.contains('#') {
            return Err(wrong("the path has a `#`: a fragment is never sent; write %23".into()));
        }
        let key: BTreeMap<String, Located<String>> = ledger.key.iter().map(|k| (KEY.to_owned(), k.clone())).collect();
        let key = Captures::compile(source, &key, at)?;
        let mut path = Vec::new();
        let mut rest = ledger.get.as_str();
        while let Some((text, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err(wrong("`{{` is opened and never closed".into()));
            };
            path.push(Piece::Text(text.to_owned()));
            path.push(match name.trim() {
                KEY if key.is_empty() => {
                    return Err(wrong("`{{ key }}` needs `key`: where in the answer it stands, like \"$.id\"".into()));
                }
                KEY => Piece::Key,
                "write_id" => Piece::WriteId,
                other => {
                    return Err(wrong(format!("`{other}` is not known when a write is read back: {KEY}, write_id")));
                }
            });
            rest = after;
        }
        path.push(Piece::Text(rest.to_owned()));
        if !path.iter().any(|piece| !matches!(piece, Piece::Text(_))) {
            return Err(wrong("the path names no write: put `{{ key }}` or `{{ write_id }}` in it".into()));
        }
        Ok(Self { key, path })
    }

    /// Whether the answer's body is needed.
    pub(super) fn needs_json(&self) -> bool {
        self.key.needs_json()
    }

    /// Where an answer says that the write went; nothing where the write itself says it.
    ///
    /// # Errors
    /// The answer has no key where it should.
    pub(super) fn place(&self, head: &Parts, document: Option<&Value>) -> Result<Option<WritePlace>, Failure> {
        let mut found = BTreeMap::new();
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        self.key
            .take(document, header, &mut found)
            .map_err(|_| Failure::rejected("ledger: the answer has no key of the write"))?;
        Ok(found.remove(KEY).map(|key| WritePlace::Key(key.into())))
    }

    /// What an answer says of the write.
    pub(super) const fn outcome(status: u16) -> WriteOutcome {
        match status {
            200..300 => WriteOutcome::Acknowledged,
            // Sent again later it may have been done the first time.
            408 | 409 | 425 | 429 => WriteOutcome::Unknown,
            400..500 => WriteOutcome::Rejected,
            // A gateway that gives up doesn't know what the server behind it did.
            _ => WriteOutcome::Unknown,
        }
    }

    fn path(&self, prefix: &str, id: WriteId, place: Option<&WritePlace>) -> Option<PathAndQuery> {
        let mut path = prefix.to_owned();
        for piece in &self.path {
            match (piece, place) {
                (Piece::Text(text), _) => path.push_str(text),
                (Piece::WriteId, _) => path.push_str(&id.to_string()),
                (Piece::Key, Some(WritePlace::Key(key))) => {
                    path.extend(form_urlencoded::byte_serialize(key.as_bytes()).map(|part| part.replace('+', "%20")));
                }
                (Piece::Key, _) => return None,
            }
        }
        path::path(&path).ok()
    }
}

/// Asks for every write of the ledgered operations. `first`: the number of the workload's first operation in the run.
///
/// # Errors
/// A server that gives no answer at all within the patience.
pub(super) async fn read_back(http: &Http, reading: &mut ReadBack<'_>) -> Result<(), ReadBackError> {
    let asker = Asker {
        http,
        idle: RefCell::default(),
        clock: MonotonicClock::starting_at(std::time::Instant::now()),
        patience: reading.patience().as_duration(),
        answered: Cell::new(Instant::now()),
    };
    let first = reading.first_operation();
    let mut asked = FuturesUnordered::new();
    for write in reading.writes() {
        let write = write?;
        let operation = usize::from(write.operation.0.saturating_sub(first.0));
        let Some(plan) = http.exchanges.get(operation).and_then(|exchange| exchange.ledger.as_ref()) else { continue };
        match plan.path(&http.server.prefix, write.id, write.place.as_ref()) {
            Some(path) => asked.push(asker.ask(write.id, path)),
            // Nobody knows under which key it would be.
            None => reading.found(&Found::unreadable(write.id))?,
        }
        if asked.len() >= READS
            && let Some(answer) = asked.next().await
        {
            tell(answer, reading)?;
        }
    }
    while let Some(answer) = asked.next().await {
        tell(answer, reading)?;
    }
    Ok(())
}

fn tell(
    answer: Result<(WriteId, Option<Presence>), ReadBackError>,
    reading: &mut ReadBack<'_>,
) -> Result<(), ReadBackError> {
    let (id, presence) = answer?;
    match presence {
        Some(presence) => reading.found(&Found { presence, ..Found::present(id) }),
        None => Ok(()),
    }
}

struct Asker<'a> {
    http: &'a Http,
    idle: RefCell<Vec<Connection>>,
    clock: MonotonicClock,
    patience: Duration,
    /// When the server last answered anything.
    answered: Cell<Instant>,
}

impl Asker<'_> {
    /// Asks until there is an answer that says something: there, not there (`None`), or not to be had.
    async fn ask(&self, id: WriteId, path: PathAndQuery) -> Result<(WriteId, Option<Presence>), ReadBackError> {
        let mut errors = 0;
        loop {
            let words = match timeout_at(Instant::now() + self.patience, self.get(&path)).await {
                Ok(Ok(status)) => {
                    self.answered.set(Instant::now());
                    match status {
                        200..300 => return Ok((id, Some(Presence::Present))),
                        404 | 410 => return Ok((id, None)),
                        500.. | 408 | 425 | 429 if errors < ERRORS_MAX => errors += 1,
                        _ => return Ok((id, Some(Presence::Unreadable))),
                    }
                    String::new()
                }
                Ok(Err(failure)) => failure.kind,
                Err(_) => "no answer".to_owned(),
            };
            if self.answered.get().elapsed() > self.patience {
                let address = self.http.server.origin.text();
                return Err(ReadBackError::Store(format!("{address}: GET {path}: {words}")));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The status of the answer to one GET.
    async fn get(&self, path: &PathAndQuery) -> Result<u16, Failure> {
        let server = &self.http.server;
        let kept = self.idle.borrow_mut().pop();
        let kept = kept.and_then(|mut kept| kept.is_ready_now().then_some(kept));
        let mut connection = match kept {
            Some(kept) => kept,
            None => {
                let dialed = server.dialer.dial(&server.origin, Home::Runtime, &self.clock).await;
                dialed.map_err(|e| Failure::disconnected(e.kind))?.connection
            }
        };
        let mut request: Request<Body> = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = Uri::from(path.clone());
        *request.headers_mut() = self.http.health_headers.clone();
        server.origin.address(&mut request, connection.is_http2());
        let response = connection.send(request).await.map_err(|e| Failure::of_head(e.error()))?;
        let (head, incoming) = response.into_parts();
        body::read(&mut connection, incoming, false, self.http.bytes_max).await?;
        self.idle.borrow_mut().push(connection);
        Ok(head.status.as_u16())
    }
}
