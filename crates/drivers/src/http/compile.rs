//! From a workload file to what sessions execute.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::PathAndQuery;
use rustls_pki_types::ServerName;
use secrecy::ExposeSecret as _;
use url::Url;

use super::block::Block;
use super::check::Checks;
use super::dial::Dialer;
use super::drained::Drained;
use super::file::{Answer, Connections, File, Settings, Tls, TlsVersion, Version};
use super::origin::Origin;
use super::path::PathError;
use super::plan::{Exchange, Http, Server, TIMINGS};
use super::read_back::LedgerPlan;
use super::request::{Headers, RequestPlan, Scope};
use super::workload::HttpWorkload;
use super::{body, path};
use crate::dial::Dial;
use crate::identity::Identity;
use crate::workload::{Captures, names_in};
use crate::{CompileContext, Endpoint, Once, Operation, outline};
use slatest_core::model::{Nanos, Problem, Problems, Span};
use slatest_core::source::Located;
use slatest_core::target::{Text, TlsManner, client_config_in};

/// Most that `answer_max_mib` may say.
const ANSWER_MAX_MIB_MAX: u64 = 1024;
/// Most redirects that a workload may ask to follow.
const REDIRECTS_MAX: u64 = 20;
/// How long a user's idle connection is kept: what Firefox does.
const IDLE_TIMEOUT_DEFAULT: Nanos = Nanos::from_secs(115);
/// Shortest time that an idle connection may be kept.
const IDLE_TIMEOUT_MIN: Nanos = Nanos::from_millis(100);
/// What a request says of itself.
const AGENT: &str = concat!("slatest/", env!("CARGO_PKG_VERSION"));
/// Names the run in every request, so that a server's logs can be told apart.
const RUN_HEADER: HeaderName = HeaderName::from_static("x-slatest-run");

/// Compiles a workload file. Contacts nobody.
///
/// # Errors
/// Every mistake in it and in its endpoint.
pub(super) fn compile(context: &CompileContext<'_>) -> Result<HttpWorkload, Problems> {
    let file: File = context.source.parse()?;
    let mut problems = Problems::default();
    let outline = problems.take(outline(context, &file));
    let settings = file.settings.clone().unwrap_or_default();
    let server = problems.take(Server::compile(context, &settings));
    let (Some(outline), Some(server)) = (outline, server) else { return Err(problems) };
    let scope = Scope { source: context.source, data: &outline.data, captures: &outline.captures };
    let defaults = problems.take(server.headers(context));
    let common = problems.take(Headers::compile(scope, &settings.headers, "settings.headers"));
    let before = problems.take(headers_of_once(scope, &settings, &file, outline.once.as_ref()));
    let (Some(defaults), Some(common), Some(before)) = (defaults, common, before) else { return Err(problems) };
    let before = before.with_defaults(defaults.clone());
    let common = common.with_defaults(defaults);
    let health = problems.take(health_path(context, &settings, &server.prefix));
    let mut operations = Vec::with_capacity(file.operations.len());
    let mut exchanges = Vec::with_capacity(file.operations.len());
    for (i, spec) in file.operations.iter().enumerate() {
        let key = |section: &str| format!("operations[{i}].{section}");
        let ledger = spec.ledger.0.as_ref();
        let common = if outline.once.as_ref().is_some_and(|once| once.has(i)) { &before } else { &common };
        let headers = ledger.map_or_else(|| Ok(common.clone()), |_| common.clone().with_write_id(scope));
        let Some(headers) = problems.take(headers) else { continue };
        let ledger = ledger.map(|ledger| LedgerPlan::compile(context.source, ledger, &key("ledger")));
        let ledger = problems.take(ledger.transpose().map_err(Problems::from));
        let request = RequestPlan::compile(scope, &spec.request, &key("request"), &headers);
        let request = problems.take(request);
        let checks = problems.take(Checks::compile(context.source, spec.check.as_ref(), &key("check")));
        let captures = Captures::compile(context.source, &spec.capture, &key("capture"));
        let captures = problems.take(captures.map_err(Problems::from));
        let (Some(request), Some(checks), Some(captures), Some(ledger)) = (request, checks, captures, ledger) else {
            continue;
        };
        let timings = &TIMINGS[..if server.origin.tls { 3 } else { 2 }];
        let operation = Operation::of(spec, timings, &[]);
        let request = request.prefixed(&server.prefix);
        if checks.blocked && server.block.is_none() {
            let message =
                format!("`expect: blocked` needs to know how: the endpoint `{}` has no `block`", server.endpoint);
            let help = "add `block: { status: 403, header: … }` to it in the target file";
            let at = spec.check.as_ref().and_then(|check| check.expect.as_ref());
            let place = at.map(|at| context.source.problem_at(at, key("check.expect"), message.clone()));
            let problem = place.unwrap_or_else(|| context.source.problem(key("check.expect"), message));
            problems.0.push(problem.with_help(help));
        }
        let answer = spec.request.answer.as_ref().map_or(Answer::Keep, |answer| answer.value);
        let exchange = Exchange { request, checks, captures, ledger, answer };
        if let Some(problem) = exchange.mistake(context.source, &spec.request, &key("request")) {
            problems.0.push(problem);
        }
        exchanges.push(exchange);
        operations.push(operation);
    }
    let bytes_max = problems.take(answer_max(context, &settings));
    let idle_timeout = problems.take(idle_timeout(context, &settings));
    let fresh = problems.take(fresh_share(context, &settings));
    let (Some(health), Some(bytes_max), Some(idle_timeout), Some(fresh)) = (health, bytes_max, idle_timeout, fresh)
    else {
        return Err(problems);
    };
    let http = Arc::new(Http {
        server,
        guard: context.guard.clone(),
        exchanges,
        data: outline.data,
        cookies: settings.cookies.unwrap_or(true),
        health,
        health_headers: common.fixed,
        identity: Identity::of(context),
        bytes_max: bytes_max << 20,
        drained: Drained::default(),
        connections: settings.connections,
        idle_timeout,
        fresh,
    });
    problems.or(HttpWorkload { http, operations, flows: outline.flows, once: outline.once })
}

impl Server {
    fn compile(context: &CompileContext<'_>, settings: &Settings) -> Result<Self, Problems> {
        let Endpoint::Http(endpoint) = context.endpoint else {
            let message =
                format!("the driver http needs an endpoint that starts with `http`, not `{}`", context.endpoint.kind());
            return Err(context.target.problem(format!("endpoints.{}", context.endpoint_name), message).into());
        };
        let at = |key: &str| format!("endpoints.{}.{key}", context.endpoint_name);
        let wrong = |key: &str, message: String| context.target.problem_at(&endpoint.http, at(key), message);
        let url = Url::parse(&endpoint.http)
            .map_err(|e| wrong("http", format!("not a URL ({e}): write it like https://api.example:8443")))?;
        let mut origin = Origin::of(&url).map_err(|e| wrong("http", e))?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("http", "the URL of an endpoint has neither query nor fragment".into()).into());
        }
        let mut problems = Problems::default();
        if let Err(message) = context.guard.check(&origin.host) {
            problems.0.push(wrong("http", message));
        }
        let redirects_max = settings.follow_redirects.as_ref().map_or(0, |n| n.value);
        if let Some(written) = settings.follow_redirects.as_ref().filter(|n| n.value > REDIRECTS_MAX) {
            let message = format!("at most {REDIRECTS_MAX} redirects are followed");
            problems.0.push(context.source.problem_at(written, "settings.follow_redirects", message));
        }
        if let Some(asked) = &settings.tls {
            problems.take(asked_of_tls(context, asked, &mut origin).map_err(Problems::from));
        }
        let tls = if origin.tls || redirects_max > 0 {
            let asked = settings.tls.as_ref().map(|tls| &tls.value);
            let manner = TlsManner {
                only_13: asked.is_some_and(|tls| tls.min == TlsVersion::V13),
                whole_handshakes: asked.is_some_and(|tls| tls.resumption == Some(false)),
            };
            let alpn = Dialer::alpn(settings.version);
            match client_config_in(manner, endpoint.tls_files(), context.target_folder, alpn) {
                Ok(config) => Some(config.into()),
                Err(error) => {
                    problems.0.push(wrong(error.key(), error.to_string()));
                    None
                }
            }
        } else {
            if let Some((key, _)) = endpoint.tls_files().named().next() {
                let message = format!("`{key}` is of no use: the URL starts with http://, so there is no TLS");
                problems.0.push(wrong(key, message));
            }
            None
        };
        let block = match endpoint.block.as_ref().map(Block::compile).transpose() {
            Ok(block) => block,
            Err(message) => {
                problems.0.push(wrong("block", message));
                None
            }
        };
        problems.or(Self {
            endpoint: context.endpoint_name.to_owned(),
            prefix: url.path().trim_end_matches('/').to_owned(),
            dialer: Dialer { version: settings.version, tcp: Dial::new(context.guard.clone()), tls },
            has_token: endpoint.token.is_some(),
            origin,
            block,
            redirects_max,
        })
    }

    /// The headers that every request has where the workload doesn't say otherwise.
    fn headers(&self, context: &CompileContext<'_>) -> Result<HeaderMap, Problems> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let run = HeaderValue::from_str(context.run)
            .map_err(|_| context.source.problem("", "the name of the run has a character that a header can't have"))?;
        headers.insert(RUN_HEADER, run);
        // Where it is known that HTTP/1.1 will be spoken. Else the connection decides, see `Origin::address`.
        if !self.origin.tls && self.dialer.version != Version::Http2 {
            headers.insert(HOST, self.origin.host_header.clone());
        }
        let Endpoint::Http(endpoint) = context.endpoint else { return Ok(headers) };
        if let Some(token) = &endpoint.token {
            let key = format!("endpoints.{}.token", self.endpoint);
            let wrong = |message: String| context.target.problem_at(&endpoint.http, key.clone(), message);
            let token = token.resolve(context.target_folder).map_err(wrong)?;
            let bearer = format!("Bearer {}", token.expose_secret());
            let mut value = HeaderValue::from_str(&bearer)
                .map_err(|_| wrong("the token has a character that a header can't have".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }
}

/// The headers of every request, for what each user does first: those that need what only this captures are left out.
fn headers_of_once(
    scope: Scope<'_>,
    settings: &Settings,
    file: &File,
    once: Option<&Once>,
) -> Result<Headers, Problems> {
    let Some(once) = once else { return Ok(Headers::default()) };
    let steps = file.operations.iter().enumerate().filter(|(i, _)| once.has(*i)).map(|(_, operation)| operation);
    let captured: BTreeSet<&String> = steps.flat_map(|operation| operation.capture.keys()).collect();
    let needs = |text: &Text| match text {
        Text::Plain(text) => names_in(text).iter().any(|name| captured.contains(name)),
        Text::Secret(_) => false,
    };
    let headers = settings.headers.iter().filter(|(_, text)| !needs(text));
    let headers = headers.map(|(name, text)| (name.clone(), text.clone())).collect();
    Headers::compile(scope, &headers, "settings.headers")
}

/// What a workload asks of TLS: the name goes into the origin.
fn asked_of_tls(context: &CompileContext<'_>, asked: &Located<Tls>, origin: &mut Origin) -> Result<(), Problem> {
    if !origin.tls {
        let message = "`tls` is of no use: the URL of the endpoint starts with http://, so there is no TLS";
        return Err(context.source.problem_at(asked, "settings.tls", message));
    }
    if let Some(name) = &asked.server_name {
        let wrong = |_| {
            let message = format!("`{name}` can't be the name of a server: write it like api.example");
            context.source.problem_at(name, "settings.tls.server_name", message)
        };
        origin.server_name = Some(ServerName::try_from(name.value.clone()).map_err(wrong)?);
    }
    Ok(())
}

/// The share of requests that open a connection of their own.
fn fresh_share(context: &CompileContext<'_>, settings: &Settings) -> Result<f64, Problems> {
    match &settings.fresh_connections {
        None => Ok(0.0),
        Some(share) if (0.0..=1.0).contains(&share.value.0) => Ok(share.value.0),
        Some(share) => {
            let message = format!("a share must lie from 0% to 100%, not {share}");
            Err(context.source.problem_at(share, "settings.fresh_connections", message).into())
        }
    }
}

/// How long a user keeps an idle connection. Users of a scenario that doesn't say how many there are keep theirs.
fn idle_timeout(context: &CompileContext<'_>, settings: &Settings) -> Result<Option<Nanos>, Problems> {
    let Some(written) = &settings.idle_timeout else {
        let own = settings.connections == Connections::PerUser && context.sessions.is_some();
        return Ok(own.then_some(IDLE_TIMEOUT_DEFAULT));
    };
    let wrong = |message: String| context.source.problem_at(written, "settings.idle_timeout", message).into();
    if settings.connections == Connections::Shared {
        return Err(wrong("connections that users share are closed by the server alone".into()));
    }
    if written.value.0 < IDLE_TIMEOUT_MIN {
        return Err(wrong(format!("an idle connection is kept for {} at least", Span(IDLE_TIMEOUT_MIN))));
    }
    Ok(Some(written.value.0))
}

/// Longest body of an answer, in MiB.
fn answer_max(context: &CompileContext<'_>, settings: &Settings) -> Result<u64, Problems> {
    match &settings.answer_max_mib {
        None => Ok(body::ANSWER_MAX_MIB),
        Some(written) if (1..=ANSWER_MAX_MIB_MAX).contains(&written.value) => Ok(written.value),
        Some(written) => {
            let message = format!("an answer of 1 to {ANSWER_MAX_MIB_MAX} MiB can be taken");
            let help = "larger ones can be drained: `answer: drain` in the request";
            Err(context.source.problem_at(written, "settings.answer_max_mib", message).with_help(help).into())
        }
    }
}

fn health_path(context: &CompileContext<'_>, settings: &Settings, prefix: &str) -> Result<PathAndQuery, Problems> {
    let default = Located::from("/health".to_owned());
    let written = settings.health.as_ref().unwrap_or(&default);
    let path =
        if written.starts_with('/') { path::path(&format!("{prefix}{written}")) } else { Err(PathError::NoSlash) };
    path.map_err(|error| {
        let message = format!("`{written}` is no path: {error}");
        context.source.problem_at(written, "settings.health", message).into()
    })
}
