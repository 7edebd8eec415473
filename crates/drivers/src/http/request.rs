//! Requests: compiled when the workload is, made once an execution. What never changes is made
//! once and shared.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Uri};
use http_body_util::Full;
use url::form_urlencoded;

use super::connection::Body;
use super::file::Request;
use super::path::{PathError, path};
use crate::workload::{Data, ExecutionId, JsonTemplate, RenderError, SentValue, Template, Values};
use slatest_core::model::{Problem, Problems, WORKLOAD_FAULT};
use slatest_core::source::{Located, Source};
use slatest_core::target::Text;

/// What the templates of a workload file may name, and where they stand.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) source: &'a Source,
    pub(super) data: &'a Arc<Data>,
    pub(super) captures: &'a [String],
}

/// One operation's request.
#[derive(Debug)]
pub(super) struct RequestPlan {
    pub(super) method: Method,
    path: PathPlan,
    fixed: HeaderMap,
    templated: Vec<(HeaderName, Template)>,
    body: BodyPlan,
}

#[derive(Debug)]
enum PathPlan {
    Fixed(PathAndQuery),
    /// With the parameters that are added to its query.
    Template(Template, Vec<(String, SentValue)>),
}

#[derive(Debug)]
enum BodyPlan {
    None,
    Fixed(Bytes),
    Text(Template),
    Json(JsonTemplate),
    Form(Vec<(String, Template)>),
}

/// Why one execution's request could not be built.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotBuilt {
    #[error(transparent)]
    Template(#[from] RenderError),
    #[error("{WORKLOAD_FAULT}{0}")]
    Path(#[from] PathError),
    #[error("{WORKLOAD_FAULT}header {0} has a character that can't be sent")]
    Header(HeaderName),
    #[error("{WORKLOAD_FAULT}header host is no host")]
    Host,
}

/// Headers that say how a message ends or who is asked: the driver's own business.
const OWN: [&str; 5] = ["connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"];

impl RequestPlan {
    /// Compiles the request of an operation; `key` is where it stands, `common` the headers of
    /// every request.
    pub(super) fn compile(
        scope: Scope<'_>,
        request: &Located<Request>,
        key: &str,
        common: &Headers,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let source = scope.source;
        let written = [
            (Method::GET, "get", &request.get),
            (Method::POST, "post", &request.post),
            (Method::PUT, "put", &request.put),
            (Method::PATCH, "patch", &request.patch),
            (Method::DELETE, "delete", &request.delete),
            (Method::HEAD, "head", &request.head),
        ];
        let mut methods = written.iter().filter_map(|(m, name, path)| path.as_ref().map(|p| (m, *name, p)));
        let Some((method, name, path)) = methods.next() else {
            let message = "the request has no method";
            let help = "give one of get, post, put, patch, delete, head with its path";
            return Err(source.problem_at(request, key, message).with_help(help).into());
        };
        if let Some((_, second, path)) = methods.next() {
            let message = format!("a request has one method, and this one has {name} and {second}");
            problems.0.push(source.problem_at(path, format!("{key}.{second}"), message));
        }
        let query = problems.take(compile_query(scope, &request.query, key)).unwrap_or_default();
        let path = problems.take(compile_path(scope, path, &format!("{key}.{name}"), query));
        let mut headers = common.clone();
        if let Some(own) = problems.take(Headers::compile(scope, &request.headers, &format!("{key}.headers"))) {
            headers.add(own);
        }
        let body = problems.take(compile_body(scope, request, method, key));
        match (path, body) {
            (Some(path), Some((body, content_type))) => {
                if let Some(content_type) = content_type
                    && !headers.has(&CONTENT_TYPE)
                {
                    headers.fixed.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                }
                let Headers { fixed, templated } = headers;
                problems.or(Self { method: method.clone(), path, fixed, templated, body })
            }
            _ => Err(problems),
        }
    }

    /// The request where it is the same for all executions.
    pub(super) fn fixed(&self) -> Option<http::Request<Body>> {
        let PathPlan::Fixed(path) = &self.path else { return None };
        let body = match &self.body {
            BodyPlan::None => Bytes::new(),
            BodyPlan::Fixed(bytes) => bytes.clone(),
            BodyPlan::Text(_) | BodyPlan::Json(_) | BodyPlan::Form(_) => return None,
        };
        self.templated.is_empty().then(|| self.assemble(path.clone(), self.fixed.clone(), body))
    }

    fn assemble(&self, path: PathAndQuery, headers: HeaderMap, body: Bytes) -> http::Request<Body> {
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(path);
        *request.headers_mut() = headers;
        request
    }

    /// The request of one execution; `prefix` is what the endpoint puts before every path.
    ///
    /// # Errors
    /// The kind, when a template fails or gives what can't be sent.
    pub(super) fn render(&self, prefix: &str, values: &Values<'_>) -> Result<http::Request<Body>, NotBuilt> {
        let path = match &self.path {
            PathPlan::Fixed(path) => path.clone(),
            PathPlan::Template(template, query) => {
                let rendered = with_query(template.render(values)?, query, values)?;
                if !rendered.starts_with('/') {
                    return Err(PathError::NoSlash.into());
                }
                path(&if prefix.is_empty() { rendered } else { format!("{prefix}{rendered}").into() })?
            }
        };
        let mut headers = self.fixed.clone();
        for (name, template) in &self.templated {
            let rendered = template.render(values)?;
            let value = HeaderValue::from_str(&rendered).map_err(|_| NotBuilt::Header(name.clone()))?;
            if *name == HOST && !is_authority(&value) {
                return Err(NotBuilt::Host);
            }
            headers.insert(name, value);
        }
        let body = match &self.body {
            BodyPlan::None => Bytes::new(),
            BodyPlan::Fixed(bytes) => bytes.clone(),
            BodyPlan::Text(template) => Bytes::from(template.render(values)?.into_owned()),
            BodyPlan::Json(template) => Bytes::from(template.render(values)?.into_owned()),
            BodyPlan::Form(fields) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, template) in fields {
                    form.append_pair(name, &template.render(values)?);
                }
                Bytes::from(form.finish())
            }
        };
        Ok(self.assemble(path, headers, body))
    }

    /// Whether sending it twice does no more than sending it once: its method is idempotent, or a server knows it by
    /// its key.
    pub(super) fn is_repeatable(&self) -> bool {
        const KEY: HeaderName = HeaderName::from_static("idempotency-key");
        self.method.is_idempotent()
            || self.fixed.contains_key(KEY)
            || self.templated.iter().any(|(name, _)| *name == KEY)
    }

    /// Its `Accept-Encoding`, where that is the same for all executions.
    pub(super) fn accepted(&self) -> Option<&HeaderValue> {
        self.fixed.get(ACCEPT_ENCODING)
    }

    /// Puts the endpoint's prefix before a path that never changes.
    pub(super) fn prefixed(mut self, prefix: &str) -> Self {
        if let PathPlan::Fixed(path) = &mut self.path
            && !prefix.is_empty()
            && let Ok(whole) = format!("{prefix}{path}").parse()
        {
            *path = whole;
        }
        self
    }
}

/// The parameters of a query, in the order of their names.
fn compile_query(
    scope: Scope<'_>,
    written: &BTreeMap<String, Located<Text>>,
    key: &str,
) -> Result<Vec<(String, SentValue)>, Problems> {
    let mut problems = Problems::default();
    let mut query = Vec::with_capacity(written.len());
    for (name, value) in written {
        let places = (scope.source, &**scope.data, scope.captures);
        match SentValue::compile(places, name, value, &format!("{key}.query.{name}")) {
            Ok(value) => query.push((name.clone(), value)),
            Err(problem) => problems.0.push(problem),
        }
    }
    problems.or(query)
}

/// A path with parameters added to its query, encoded as a form is.
fn with_query<'v>(
    path: Cow<'v, str>,
    query: &[(String, SentValue)],
    values: &Values<'_>,
) -> Result<Cow<'v, str>, RenderError> {
    if query.is_empty() {
        return Ok(path);
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in query {
        form.append_pair(name, &value.render(values)?);
    }
    let joint = if path.contains('?') { '&' } else { '?' };
    Ok(format!("{path}{joint}{}", form.finish()).into())
}

fn compile_path(
    scope: Scope<'_>,
    written: &Located<String>,
    key: &str,
    query: Vec<(String, SentValue)>,
) -> Result<PathPlan, Problems> {
    let problem = |message: String| Problems::from(scope.source.problem_at(written, key, message));
    if !written.starts_with('/') && !written.starts_with("{{") {
        return Err(problem(format!("`{written}` is no path: it must start with `/`; the endpoint says which server")));
    }
    let template = Template::compile(scope.source, written, key, scope.data, scope.captures)?;
    if is_template(written) || !query.is_empty() {
        if outside_of_expressions(written).any(|text| text.contains('#')) {
            return Err(problem(format!("`{written}`: {}", PathError::Fragment)));
        }
        // What is too long, or can't be sent, for one execution is so for others: better said before any is sent. What
        // needs a capture can't be rendered yet.
        let captured = BTreeMap::new();
        let rendered = template.render(&Values { id: ExecutionId::sample(), data: scope.data, captured: &captured });
        if let Ok(Err(error)) = rendered.map(|rendered| path(&rendered))
            && error != PathError::NoSlash
        {
            return Err(problem(format!("`{written}` can't be sent as a path: {error}")));
        }
        return Ok(PathPlan::Template(template, query));
    }
    let path = path(written).map_err(|error| problem(format!("`{written}` can't be sent as a path: {error}")))?;
    Ok(PathPlan::Fixed(path))
}

fn compile_body(
    scope: Scope<'_>,
    request: &Located<Request>,
    method: &Method,
    key: &str,
) -> Result<(BodyPlan, Option<&'static str>), Problems> {
    let Scope { source, data, captures } = scope;
    let at = |name: &str| format!("{key}.{name}");
    let kinds = [
        request.json.as_ref().map(|j| ("json", j.line, j.column)),
        request.body.as_ref().map(|b| ("body", b.line, b.column)),
        request.form.as_ref().map(|f| ("form", f.line, f.column)),
    ];
    let mut kinds = kinds.into_iter().flatten();
    let first = kinds.next();
    if let (Some((first, ..)), Some((second, line, column))) = (first, kinds.next()) {
        let place = Located { value: (), line, column };
        let message = format!("a request has one body, and this one has {first} and {second}");
        return Err(source.problem_at(&place, at(second), message).into());
    }
    if let Some((name, line, column)) = first
        && method == Method::HEAD
    {
        let place = Located { value: (), line, column };
        return Err(source.problem_at(&place, at(name), "a HEAD request has no body").into());
    }
    if let Some(document) = &request.json {
        let template = JsonTemplate::compile(source, document, &at("json"), data, captures)?;
        let text = document.value.to_string();
        let plan = if is_template(&text) { BodyPlan::Json(template) } else { BodyPlan::Fixed(text.into()) };
        return Ok((plan, Some("application/json")));
    }
    if let Some(text) = &request.body {
        let template = Template::compile(source, text, &at("body"), data, captures)?;
        let plan =
            if is_template(text) { BodyPlan::Text(template) } else { BodyPlan::Fixed(text.value.clone().into()) };
        return Ok((plan, Some("text/plain; charset=utf-8")));
    }
    if let Some(form) = &request.form {
        let mut problems = Problems::default();
        let mut fields = Vec::with_capacity(form.len());
        for (name, value) in &form.value {
            let key = format!("{key}.form.{name}");
            match Template::compile(source, value, &key, data, captures) {
                Ok(template) => fields.push((name.clone(), template)),
                Err(problem) => problems.0.push(problem),
            }
        }
        return problems.or((BodyPlan::Form(fields), Some("application/x-www-form-urlencoded")));
    }
    Ok((BodyPlan::None, None))
}

/// The parts of a template that are sent as they are written.
fn outside_of_expressions(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let now = rest?;
        let opened = ["{{", "{%", "{#"].iter().filter_map(|mark| Some((now.find(mark)?, *mark))).min();
        let Some((at, mark)) = opened else {
            rest = None;
            return Some(now);
        };
        let close = match mark {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        rest = now[at..].split_once(close).map(|(_, after)| after);
        Some(&now[..at])
    })
}

/// Whether a Host header can be sent as it is in both versions of HTTP: HTTP/2 sends it as `:authority`.
fn is_authority(value: &HeaderValue) -> bool {
    Authority::try_from(value.as_bytes()).is_ok_and(|authority| !authority.as_str().contains('@'))
}

/// Whether a text has anything to render in it.
fn is_template(text: &str) -> bool {
    ["{{", "{%"].iter().any(|mark| text.contains(mark))
}

/// Headers, those that never change made already.
#[derive(Clone, Debug, Default)]
pub(super) struct Headers {
    pub(super) fixed: HeaderMap,
    templated: Vec<(HeaderName, Template)>,
}

impl Headers {
    /// Compiles a section of headers; `key` is where it stands.
    pub(super) fn compile(
        scope: Scope<'_>,
        written: &BTreeMap<String, Located<Text>>,
        key: &str,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut headers = Self::default();
        for (name, value) in written {
            if let Err(problem) = headers.push(scope, name, value, &format!("{key}.{name}")) {
                problems.0.push(problem);
            }
        }
        problems.or(headers)
    }

    /// The same with the identifier of the write, by which a server knows one that is sent again; unless the workload
    /// says it itself.
    ///
    /// # Errors
    /// None that a user could make.
    pub(super) fn with_write_id(mut self, scope: Scope<'_>) -> Result<Self, Problems> {
        let name = HeaderName::from_static("idempotency-key");
        if !self.has(&name) {
            let value = Located { value: Text::Plain("{{ write_id }}".to_owned()), line: 0, column: 0 };
            self.push(scope, name.as_str(), &value, "settings.headers")?;
        }
        Ok(self)
    }

    fn push(&mut self, scope: Scope<'_>, name: &str, value: &Located<Text>, key: &str) -> Result<(), Problem> {
        let problem = |message: String| scope.source.problem_at(value, key, message);
        let parsed: HeaderName =
            name.parse().map_err(|_| problem(format!("`{name}` can't be the name of a header")))?;
        if OWN.contains(&parsed.as_str()) {
            return Err(problem(format!("the header `{name}` is set by slatest itself")));
        }
        let sent = SentValue::compile((scope.source, scope.data, scope.captures), name, value, key)?;
        let text = match sent {
            SentValue::Template(template) if template.as_static().is_none() => {
                self.templated.push((parsed, template));
                return Ok(());
            }
            ref fixed => fixed.as_static().unwrap_or_default(),
        };
        let mut fixed = HeaderValue::from_str(text)
            .map_err(|_| problem("the value has a character that a header can't have".into()))?;
        if parsed == HOST && !is_authority(&fixed) {
            return Err(problem(format!("`{text}` is no host: write `name` or `name:port`")));
        }
        fixed.set_sensitive(sent.is_secret());
        self.fixed.insert(parsed, fixed);
        Ok(())
    }

    /// Adds others, which replace those of the same name.
    fn add(&mut self, others: Self) {
        for name in others.fixed.keys().chain(others.templated.iter().map(|(name, _)| name)) {
            self.fixed.remove(name);
            self.templated.retain(|(n, _)| n != name);
        }
        self.fixed.extend(others.fixed);
        self.templated.extend(others.templated);
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.fixed.contains_key(name) || self.templated.iter().any(|(n, _)| n == name)
    }

    /// Adds what is always sent, where the workload doesn't say otherwise.
    pub(super) fn with_defaults(mut self, defaults: HeaderMap) -> Self {
        for (name, value) in &defaults {
            if !self.has(name) {
                self.fixed.insert(name, value.clone());
            }
        }
        self
    }
}
