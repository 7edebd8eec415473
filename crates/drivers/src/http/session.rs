//! One user: a connection, cookies and captures, and the course of one execution.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::Request;
use http::header::{COOKIE, SET_COOKIE};
use http::response::Parts;
use tokio::time::timeout;

use super::connection::{Body, Connection, Home};
use super::cookies::Jar;
use super::failure::Failure;
use super::ledger::LedgerPlan;
use super::origin::Origin;
use super::{CONNECT, Exchange, FIRST_BYTE, Http, TLS, body, redirect};
use crate::workload::Values;
use crate::{CONNECT_TIMEOUT, Limit, Seat, Session};
use slatest_core::model::{Arrival, Completion, Nanos, Outcome, WriteOutcome, Written};

/// How much longer than its timeout an execution may take when it has to connect first. Less than
/// what the engine adds before it gives a session up.
const CONNECT_EXTRA: Duration = Duration::from_secs(1);

/// A user's session.
pub(super) struct HttpSession {
    http: Arc<Http>,
    seat: Seat,
    /// Absent while an execution has it, so that one that is dropped half-way takes it along.
    connection: Option<Connection>,
    jar: Option<Jar>,
    captured: BTreeMap<String, String>,
    limit: Limit,
}

/// How far an execution came.
#[derive(Default)]
struct Progress {
    sent: Option<Nanos>,
    answered: bool,
    /// What is known of the write that it is.
    written: Option<Box<Written>>,
    timings: Vec<(u8, Nanos)>,
}

/// Why a conversation ended without what was hoped for.
enum Trouble {
    /// The connection was closed before a byte of the request was sent; here it is back.
    Unsent(Box<Request<Body>>, Failure),
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Session for HttpSession {
    fn execute<'a>(&'a mut self, arrival: &'a Arrival) -> LocalBoxFuture<'a, Completion> {
        Box::pin(self.run(arrival))
    }

    fn close(mut self: Box<Self>) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(connection) = self.connection.take() {
                connection.close().await;
            }
        })
    }
}

impl HttpSession {
    pub(super) fn new(http: Arc<Http>, seat: Seat) -> Self {
        let origin = &http.server.origin;
        let jar = http.cookies.then(|| Jar::new(&origin.host, origin.tls));
        Self { http, seat, connection: None, jar, captured: BTreeMap::new(), limit: Limit::default() }
    }

    async fn run(&mut self, arrival: &Arrival) -> Completion {
        let http = Arc::clone(&self.http);
        let mut progress = Progress::default();
        let result = match http.exchanges.get(arrival.operation) {
            Some(exchange) => self.attempt(&http, exchange, arrival, &mut progress).await,
            None => Err(Failure::rejected("no operation of this number")),
        };
        let done = self.seat.clock.now();
        let (outcome, error) = match result {
            Ok(()) => (Outcome::Ok, None),
            Err(failure) => (failure.outcome, Some(failure.kind.into_owned())),
        };
        Completion {
            outcome,
            sent: progress.sent,
            done,
            error,
            timings: progress.timings,
            ratios: Vec::new(),
            written: progress.written,
        }
    }

    async fn attempt(
        &mut self,
        http: &Http,
        exchange: &Exchange,
        arrival: &Arrival,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let mut request = self.request(http, exchange, arrival)?;
        let mut limit = std::mem::take(&mut self.limit);
        let mut spent = Duration::ZERO;
        let result = loop {
            let mut kept = self.connection.take();
            let ready = kept.as_mut().is_some_and(Connection::is_ready_now);
            let (connection, reused) = match kept {
                Some(kept) if ready => (kept, true),
                kept => {
                    let start = self.seat.clock.now();
                    // Rare and large: it is not to make every execution's future large.
                    let connected = Box::pin(self.connected(kept, http, exchange.timeout, progress)).await;
                    spent = spent.saturating_add(self.seat.clock.now().since(start).as_duration());
                    match connected {
                        Ok(connected) => connected,
                        Err(failure) => break Err(failure),
                    }
                }
            };
            let left = exchange.timeout.saturating_add(CONNECT_EXTRA).saturating_sub(spent);
            let held = {
                // Pinned here: a future that is moved is copied, and this one is large.
                let conversation = pin!(self.converse(http, exchange, connection, request, progress));
                limit.hold(exchange.timeout.min(left), conversation).await
            };
            let ended = match held {
                Ok(ended) => ended,
                Err(_) if progress.answered => break Err(Failure::timed_out("timeout: in the body")),
                Err(_) => break Err(Failure::timed_out("timeout: no answer")),
            };
            match ended {
                Ok((head, body)) => break self.judge(http, exchange, &head, body, progress),
                // The server closed a kept connection while it was idle: that says nothing about
                // this request, which it never saw.
                Err(Trouble::Unsent(back, _)) if reused => request = *back,
                Err(Trouble::Unsent(_, failure) | Trouble::Failed(failure)) => break Err(failure),
            }
        };
        self.limit = limit;
        result
    }

    /// The request of one execution.
    fn request(&self, http: &Http, exchange: &Exchange, arrival: &Arrival) -> Result<Request<Body>, Failure> {
        if let Some(request) = exchange.request.fixed() {
            return Ok(request);
        }
        let id = http.identity.execution(arrival, self.seat.index);
        let values = Values { id, data: &http.data, captured: &self.captured };
        exchange.request.render(&http.server.prefix, &values).map_err(Failure::rejected)
    }

    /// The kept connection once it takes a request, else a new one; and whether it was kept.
    async fn connected(
        &self,
        kept: Option<Connection>,
        http: &Http,
        limit: Duration,
        progress: &mut Progress,
    ) -> Result<(Connection, bool), Failure> {
        if let Some(mut kept) = kept
            && matches!(timeout(limit, kept.is_ready()).await, Ok(true))
        {
            return Ok((kept, true));
        }
        let connect_limit = CONNECT_TIMEOUT.as_duration();
        let server = &http.server;
        let dial = server.dialer.dial(&server.origin, Home::Worker, &*self.seat.clock);
        let dialed = match timeout(limit.min(connect_limit), dial).await {
            Ok(dialed) => dialed.map_err(|e| Failure::disconnected(e.kind))?,
            Err(_) if limit < connect_limit => return Err(Failure::timed_out("timeout: connecting")),
            Err(_) => return Err(Failure::disconnected("connect: timed out")),
        };
        progress.timings.push((CONNECT, dialed.connect));
        progress.timings.extend(dialed.tls.map(|length| (TLS, length)));
        Ok((dialed.connection, false))
    }

    /// Sends the request, follows redirects where that was asked for, and reads the answer to its
    /// end. The connection is kept when it is whole.
    async fn converse(
        &mut self,
        http: &Http,
        exchange: &Exchange,
        mut connection: Connection,
        mut request: Request<Body>,
        progress: &mut Progress,
    ) -> Result<(Parts, Bytes), Trouble> {
        let server = &http.server;
        let sent = self.seat.clock.now();
        progress.sent = Some(sent);
        let mut elsewhere: Option<Origin> = None;
        let mut hops = 0;
        loop {
            let origin = elsewhere.as_ref().unwrap_or(&server.origin);
            let at_home = elsewhere.is_none();
            self.add_cookies(&mut request, at_home);
            origin.address(&mut request, connection.is_http2());
            let copy = (hops < server.redirects_max).then(|| request.clone());
            let path = self.jar.as_ref().map(|_| request.uri().clone());
            let response = match connection.send(request).await {
                Ok(response) => response,
                Err(mut error) => {
                    let failure = Failure::of_head(error.error());
                    if failure.of_stream && at_home {
                        self.connection = Some(connection);
                    }
                    return Err(match error.take_message() {
                        Some(back) if hops == 0 => Trouble::Unsent(Box::new(back), failure),
                        _ => Trouble::Failed(failure),
                    });
                }
            };
            let now = self.seat.clock.now();
            progress.answered = true;
            let (head, incoming) = response.into_parts();
            if let (Some(jar), Some(uri), true) = (&mut self.jar, path, at_home) {
                for cookie in head.headers.get_all(SET_COOKIE) {
                    jar.take(cookie, uri.path(), now);
                }
            }
            let goes_on = redirect::is_redirect(&head) && server.redirects_max > 0;
            let wanted = exchange.needs_body() || server.needs_body(&head);
            let bytes = match body::read(&mut connection, incoming, wanted && !goes_on).await {
                Ok(bytes) => bytes,
                Err(failure) => {
                    if failure.of_stream && at_home {
                        self.connection = Some(connection);
                    }
                    return Err(failure.into());
                }
            };
            if !goes_on {
                progress.timings.push((FIRST_BYTE, now.since(sent)));
                if at_home {
                    self.connection = Some(connection);
                }
                return Ok((head, bytes));
            }
            let Some(copy) = copy else { return Err(Failure::rejected("redirect: too many").into()) };
            let (there, next) = redirect::next(copy, origin, &head, &http.guard)?;
            if !there.is(origin) || !connection.is_ready().await {
                let dialed = Box::pin(server.dialer.dial(&there, Home::Worker, &*self.seat.clock)).await;
                connection = dialed.map_err(|e| Failure::disconnected(e.kind))?.connection;
            }
            elsewhere = (!there.is(&server.origin)).then_some(there);
            request = next;
            hops += 1;
        }
    }

    fn add_cookies(&mut self, request: &mut Request<Body>, at_home: bool) {
        if let Some(jar) = &mut self.jar
            && at_home
            && !request.headers().contains_key(COOKIE)
            && let Some(cookies) = jar.header(request.uri().path(), self.seat.clock.now())
        {
            request.headers_mut().insert(COOKIE, cookies);
        }
    }

    /// Holds the whole answer against the block signature and the checks, and takes the captures.
    fn judge(
        &mut self,
        http: &Http,
        exchange: &Exchange,
        head: &Parts,
        body: Bytes,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let blocks = http.server.needs_body(head);
        let body = if blocks || exchange.needs_body() { body::decode(&head.headers, body) } else { Ok(body) };
        if let Some(block) = &http.server.block {
            let bytes: &[u8] = body.as_ref().map_or(&[], |b| b);
            block.test(head.status.as_u16(), &head.headers, bytes)?;
        }
        if exchange.ledger.is_some() {
            let outcome = Some(LedgerPlan::outcome(head.status.as_u16()));
            progress.written = Some(Box::new(Written { outcome, ..Written::default() }));
        }
        exchange.checks.head(head)?;
        if exchange.needs_body() {
            let body = body?;
            let document = match exchange.needs_json() {
                true => Some(serde_json::from_slice(&body).map_err(|_| Failure::rejected("body: not JSON"))?),
                false => None,
            };
            exchange.keep_place(head, document.as_ref(), progress)?;
            exchange.checks.body(&body, document.as_ref())?;
            self.capture(exchange, head, document.as_ref())
        } else {
            exchange.keep_place(head, None, progress)?;
            self.capture(exchange, head, None)
        }
    }

    fn capture(
        &mut self,
        exchange: &Exchange,
        head: &Parts,
        document: Option<&serde_json::Value>,
    ) -> Result<(), Failure> {
        if exchange.captures.is_empty() {
            return Ok(());
        }
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        exchange.captures.take(document, header, &mut self.captured).map_err(|e| Failure::rejected(e.to_string()))
    }
}

impl Exchange {
    /// Keeps where an acknowledged write went.
    fn keep_place(
        &self,
        head: &Parts,
        document: Option<&serde_json::Value>,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let (Some(ledger), Some(written)) = (&self.ledger, &mut progress.written) else { return Ok(()) };
        if written.outcome == Some(WriteOutcome::Acknowledged) {
            written.place = ledger.place(head, document)?;
        }
        Ok(())
    }

    fn needs_json(&self) -> bool {
        self.checks.needs_json()
            || self.captures.needs_json()
            || self.ledger.as_ref().is_some_and(LedgerPlan::needs_json)
    }

    fn needs_body(&self) -> bool {
        self.checks.needs_body() || self.needs_json()
    }
}

impl super::Server {
    fn needs_body(&self, head: &Parts) -> bool {
        self.block.as_ref().is_some_and(|b| b.needs_body(head.status.as_u16()))
    }
}
