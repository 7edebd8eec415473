//! One user: a connection, cookies and captures, and the course of one execution.

use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::header::{COOKIE, SET_COOKIE};
use http::response::Parts;
use http::{Request, StatusCode};
use tokio::time::timeout;

use super::connection::{Body, Connection, Home};
use super::cookies::Jar;
use super::failure::is_refused;
use super::file::{Answer, Connections};
use super::metered::Meter;
use super::origin::Origin;
use super::plan::{CONNECT, Exchange, FIRST_BYTE, Http, TLS};
use super::pool::Pool;
use super::{body, redirect};
use crate::failure::Failure;
use crate::large::CHECK_EXTRA;
use crate::workload::{ExecutionId, Values, unit};
use crate::{CONNECT_TIMEOUT, Limit, Session, SessionContext};
use slatest_core::model::{Arrival, Completion, Nanos, Outcome, Traffic, Written};

/// The place of the draw that decides whether a connection is fresh, apart from those of templates.
const FRESH_STREAM: u64 = u64::MAX;

/// How often one request is sent again.
const RETRIES_MAX: u32 = 2;

/// A user's session.
pub(super) struct HttpSession {
    http: Arc<Http>,
    context: SessionContext,
    /// Absent while an execution has it, so that one that is dropped half-way takes it along.
    connection: Option<Connection>,
    jar: Option<Jar>,
    pub(super) captured: BTreeMap<String, String>,
    limit: Limit,
    /// Where connections are shared.
    pool: Option<Rc<Pool>>,
    /// Whether the last answer was 401.
    unauthorized: bool,
}

/// How far an execution came.
#[derive(Default)]
pub(super) struct Progress {
    sent: Option<Nanos>,
    answered: bool,
    /// When the answer was whole. What is done with it then takes the generator's time, not the target's.
    whole: Option<Nanos>,
    /// How often the request was sent again.
    retries: u32,
    /// What is known of the write that it is.
    pub(super) written: Option<Box<Written>>,
    timings: Vec<(u8, Nanos)>,
    traffic: Traffic,
    /// The connection that is in use, with what it had read and written before.
    meter: Option<(Arc<Meter>, u64, u64)>,
}

impl Progress {
    /// Counts what a connection reads and writes from now on.
    fn meter(&mut self, meter: &Arc<Meter>) {
        self.settle();
        self.meter = Some((Arc::clone(meter), meter.bytes(), meter.sent()));
    }

    fn settle(&mut self) {
        if let Some((meter, bytes, sent)) = self.meter.take() {
            self.traffic.received += meter.bytes() - bytes;
            self.traffic.sent += meter.sent() - sent;
        }
    }
}

/// Why a conversation ended without what was hoped for.
enum Trouble {
    /// The connection was closed before a byte of the request was sent; here it is back.
    Unsent(Box<Request<Body>>, Failure),
    /// The connection was closed before a byte of the answer came.
    Unanswered(Failure),
    /// The server said that it did nothing for the request.
    PassedOver(Failure),
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

    fn captured(&self, name: &str) -> Option<&str> {
        self.captured.get(name).map(String::as_str)
    }

    fn is_unauthorized(&self) -> bool {
        self.unauthorized
    }

    fn idle_timeout(&self) -> Option<Nanos> {
        self.http.idle_timeout.filter(|_| self.connection.is_some())
    }

    fn let_go(&mut self) {
        if let Some(connection) = self.connection.take() {
            tokio::task::spawn_local(connection.close());
        }
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
    pub(super) fn new(http: Arc<Http>, context: SessionContext) -> Self {
        let origin = &http.server.origin;
        let jar = http.cookies.then(|| Jar::new(&origin.host, origin.tls));
        let pool = (http.connections == Connections::Shared).then(|| Pool::of(&http));
        Self {
            http,
            context,
            connection: None,
            jar,
            captured: BTreeMap::new(),
            limit: Limit::default(),
            pool,
            unauthorized: false,
        }
    }

    async fn run(&mut self, arrival: &Arrival) -> Completion {
        let http = Arc::clone(&self.http);
        let mut progress = Progress::default();
        self.unauthorized = false;
        if let Some(pool) = &self.pool {
            self.connection = pool.take();
        }
        if http.fresh > 0.0 && is_fresh(http.fresh, &http.identity.execution(arrival, self.context.index)) {
            self.let_go();
        }
        let result = match http.exchanges.get(arrival.operation) {
            Some(exchange) => self.attempt(&http, exchange, arrival, &mut progress).await,
            None => Err(Failure::rejected("no operation of this number")),
        };
        if let Some(pool) = &self.pool
            && let Some(connection) = self.connection.take()
        {
            pool.put(connection);
        }
        progress.settle();
        let done = progress.whole.unwrap_or_else(|| self.context.clock.now());
        let (outcome, error) = match result {
            Ok(()) => (Outcome::Ok, None),
            Err(failure) => (failure.outcome, Some(failure.kind)),
        };
        Completion {
            outcome,
            sent: progress.sent,
            done,
            error,
            timings: progress.timings,
            ratios: Vec::new(),
            retries: progress.retries,
            written: progress.written,
            traffic: Some(progress.traffic),
        }
    }

    async fn attempt(
        &mut self,
        http: &Arc<Http>,
        exchange: &Exchange,
        arrival: &Arrival,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let mut request = self.request(http, exchange, arrival)?;
        let mut limit = std::mem::take(&mut self.limit);
        let result = loop {
            let mut kept = self.connection.take();
            let ready = kept.as_mut().is_some_and(Connection::is_ready_now);
            let (connection, reused) = match kept {
                Some(kept) if ready => (kept, true),
                kept => {
                    let left = arrival.left(self.context.clock.now()).as_duration();
                    // Rare and large: it is not to make every execution's future large.
                    match Box::pin(self.connected(kept, http, left, progress)).await {
                        Ok(connected) => connected,
                        Err(failure) => break Err(failure),
                    }
                }
            };
            let left = arrival.left(self.context.clock.now()).as_duration();
            let held = {
                // Pinned here: a future that is moved is copied, and this one is large.
                let conversation = pin!(self.converse(http, exchange, connection, request, progress));
                limit.hold(left, conversation).await
            };
            let ended = match held {
                Ok(ended) => ended,
                Err(_) if progress.answered => break Err(Failure::timed_out("timeout: in the body")),
                Err(_) => break Err(Failure::timed_out("timeout: no answer")),
            };
            let again = progress.retries < RETRIES_MAX;
            match ended {
                Ok((head, body)) => {
                    progress.whole = Some(self.context.clock.now());
                    let until = arrival.left(self.context.clock.now()).as_duration() + CHECK_EXTRA;
                    let judging = pin!(self.judge(http, arrival.operation, head, body, progress));
                    break match limit.hold(until, judging).await {
                        Ok(judged) => judged,
                        Err(_) => Err(Failure::timed_out("generator: no time to look at large answers")),
                    };
                }
                // The server closed a kept connection while it was idle: that says nothing about
                // this request, which it never saw.
                Err(Trouble::Unsent(back, _)) if reused => {
                    request = *back;
                    continue;
                }
                // RFC 9113, section 8.7: such a request may be sent again whatever it asks for.
                Err(Trouble::PassedOver(_)) if again => {}
                // RFC 9110, section 9.2.2: this one only if twice is as good as once.
                Err(Trouble::Unanswered(_)) if again && reused && exchange.request.is_repeatable() => {}
                Err(Trouble::Unanswered(failure)) if reused => break Err(failure.stale()),
                Err(
                    Trouble::Unsent(_, failure)
                    | Trouble::Unanswered(failure)
                    | Trouble::PassedOver(failure)
                    | Trouble::Failed(failure),
                ) => break Err(failure),
            }
            progress.retries += 1;
            // One execution has one text, however often it is made.
            match self.request(http, exchange, arrival) {
                Ok(same) => request = same,
                Err(failure) => break Err(failure),
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
        let id = http.identity.execution(arrival, self.context.index);
        let values = Values { id, data: &http.data, captured: &self.captured };
        exchange.request.render(&http.server.prefix, &values).map_err(Failure::of_workload)
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
        let dial = server.dialer.dial(&server.origin, Home::Worker, &*self.context.clock);
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
        let sent = self.context.clock.now();
        progress.sent.get_or_insert(sent);
        let mut elsewhere: Option<Origin> = None;
        let mut hops = 0;
        loop {
            let origin = elsewhere.as_ref().unwrap_or(&server.origin);
            let at_home = elsewhere.is_none();
            self.add_cookies(&mut request, at_home);
            origin.address(&mut request, connection.is_http2());
            let copy = (hops < server.redirects_max).then(|| request.clone());
            let path = self.jar.as_ref().map(|_| request.uri().clone());
            let before = connection.bytes();
            progress.meter(connection.meter());
            let response = match connection.send(request).await {
                Ok(response) => response,
                Err(mut error) => {
                    let failure = Failure::of_head(error.error());
                    let passed_over = is_refused(error.error()) || connection.was_passed_over();
                    let closed = failure.outcome == Outcome::Disconnected && failure.broken;
                    let silent = closed && (connection.is_http2() || connection.bytes() == before);
                    if !failure.broken && at_home {
                        self.connection = Some(connection);
                    }
                    return Err(match error.take_message() {
                        _ if hops > 0 => Trouble::Failed(failure),
                        Some(back) => Trouble::Unsent(Box::new(back), failure),
                        None if passed_over => Trouble::PassedOver(failure),
                        None if silent => Trouble::Unanswered(failure),
                        None => Trouble::Failed(failure),
                    });
                }
            };
            let now = self.context.clock.now();
            progress.answered = true;
            let (head, incoming) = response.into_parts();
            self.unauthorized = head.status == StatusCode::UNAUTHORIZED;
            progress.traffic.status = Some(head.status.as_u16());
            if let (Some(jar), Some(uri), true) = (&mut self.jar, path, at_home) {
                for cookie in head.headers.get_all(SET_COOKIE) {
                    jar.take(cookie, uri.path(), now);
                }
            }
            let goes_on = redirect::is_redirect(&head) && server.redirects_max > 0;
            let drained = exchange.answer == Answer::Drain;
            let wanted = !goes_on && (exchange.needs_body() || server.needs_body(&head));
            let bytes_max = if drained { u64::MAX } else { http.bytes_max };
            let bytes = match body::read(&mut connection, incoming, wanted && !drained, bytes_max).await {
                Ok((bytes, length)) => {
                    if drained {
                        http.drained.add(length);
                    }
                    bytes
                }
                Err(failure) => {
                    if !failure.broken && at_home {
                        self.connection = Some(connection);
                    }
                    return Err(failure.into());
                }
            };
            if !goes_on {
                progress.timings.push((FIRST_BYTE, now.since(progress.sent.unwrap_or(sent))));
                if at_home {
                    self.connection = Some(connection);
                }
                return Ok((head, bytes));
            }
            let Some(copy) = copy else { return Err(Failure::rejected("redirect: too many").into()) };
            let (there, next) = redirect::next(copy, origin, &head, &http.guard)?;
            if !there.is(origin) || !connection.is_ready().await {
                let dialed = Box::pin(server.dialer.dial(&there, Home::Worker, &*self.context.clock)).await;
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
            && let Some(cookies) = jar.header(request.uri().path(), self.context.clock.now())
        {
            request.headers_mut().insert(COOKIE, cookies);
        }
    }
}

/// Whether an execution opens a connection of its own. By the run's seed and its numbers alone, so that a run can be
/// repeated.
fn is_fresh(share: f64, id: &ExecutionId) -> bool {
    unit(id, FRESH_STREAM) < share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_connections_are_fresh_as_were_asked_for() {
        let id = |seed, seq| ExecutionId { seed, run: "run".into(), scenario: "api".into(), seq, step: 0, user: 0 };
        for share in [0.0, 0.05, 0.5, 1.0] {
            let fresh = (0..40_000).filter(|&seq| is_fresh(share, &id(1, seq))).count() as f64 / 40_000.0;
            // Five standard deviations of a half are 0.0125.
            assert!((fresh - share).abs() < 0.0125, "{fresh} of {share}");
        }
        let which = |seed| (0..200).filter(|&seq| is_fresh(0.5, &id(seed, seq))).collect::<Vec<_>>();
        assert_eq!(which(1), which(1));
        assert_ne!(which(1), which(2), "they follow from the run's seed");
    }
}
