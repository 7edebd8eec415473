//! Calls hooks that break, mend and look.

mod settings;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::{Client, Method, RequestBuilder, Url, redirect};
use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};

pub use settings::{Hook, HttpSpec};

use super::registry::FaultContext;
use super::{Fault, FaultError, Injected, Mistake, Probe, Stopwatch, Undo};
use slatest_core::model::{Nanos, Span, error_chain, hide, redact};
use slatest_core::target::{Guard, Text, client_config};

/// Longest wait for an answer when a hook doesn't say.
const TIMEOUT_DEFAULT: Span = Span(Nanos::from_secs(30));
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// Calls hooks.
pub(super) struct HttpFault {
    spec: HttpSpec,
    folder: PathBuf,
    guard: Guard,
    tls: Arc<ClientConfig>,
    stopwatch: Stopwatch,
}

/// What a hook answered.
struct Answer {
    expected: bool,
    words: String,
}

impl HttpFault {
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(spec: &HttpSpec, context: &FaultContext) -> Result<Self, Mistake> {
        let tls = client_config(spec.tls_files(), &context.folder, &[b"http/1.1"])
            .map_err(|e| ("inject".to_owned(), e.to_string()))?;
        Ok(Self {
            spec: spec.clone(),
            folder: context.folder.clone(),
            guard: context.guard.clone(),
            tls,
            stopwatch: context.stopwatch.clone(),
        })
    }

    /// Makes everything ready for a call. This takes a while, which is no part of what the call does.
    fn ready(&self, hook: &Hook) -> Result<Call, FaultError> {
        let words = words(hook);
        let failed = |reason: String| FaultError::failed(words.clone(), reason);
        let (method, url) = hook.call().map_err(FaultError::Refused)?;
        let url = Url::parse(url).map_err(|e| FaultError::Refused(e.to_string()))?;
        self.guard.check(url.host_str().unwrap_or_default()).map_err(FaultError::Refused)?;
        let limit = hook.timeout.unwrap_or(TIMEOUT_DEFAULT);
        // Redirects would lead past the guard, and proxies of the environment to who knows where.
        let client = Client::builder()
            .tls_backend_preconfigured((*self.tls).clone())
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(limit.0.as_duration())
            .build()
            .map_err(|e| failed(error_chain(&e)))?;
        let method = Method::from_bytes(method.name().as_bytes()).map_err(|e| failed(e.to_string()))?;
        let mut request = client.request(method, url);
        let mut secrets: Vec<SecretString> = Vec::new();
        for (name, text) in &hook.headers {
            let value = text.resolve(&self.folder).map_err(FaultError::Refused)?;
            let mut header = http::HeaderValue::from_str(value.expose_secret())
                .map_err(|_| FaultError::Refused(format!("the value of the header {name} can't be sent")))?;
            if matches!(text, Text::Secret(_)) {
                header.set_sensitive(true);
                secrets.push(value);
            }
            request = request.header(name, header);
        }
        if let Some(json) = &hook.json {
            request = request.json(json);
        }
        if let Some(body) = &hook.body {
            request = request.body(body.clone());
        }
        let statuses = hook.status.clone();
        Ok(Call { request, secrets, statuses, words, limit })
    }

    async fn call(&self, hook: &Hook) -> Result<Answer, FaultError> {
        self.ready(hook)?.send().await
    }
}

/// A call that is ready to be sent.
struct Call {
    request: RequestBuilder,
    /// What it carries and must not be quoted.
    secrets: Vec<SecretString>,
    /// Statuses that are expected; none: those of success.
    statuses: Vec<u16>,
    words: String,
    limit: Span,
}

impl Call {
    async fn send(self) -> Result<Answer, FaultError> {
        let Self { request, secrets, statuses, words, limit } = self;
        let failed = |reason: String| FaultError::failed(words.clone(), reason);
        let slow = |e: reqwest::Error| match e.is_timeout() {
            true => FaultError::Slow { doing: words.clone(), limit },
            // The URL stands in the words already, without its credentials.
            false => failed(error_chain(&e.without_url())),
        };
        let mut answer = request.send().await.map_err(slow)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(slow)? {
            body.extend_from_slice(&part);
            if body.len() >= ANSWER_BYTES_MAX {
                body.truncate(ANSWER_BYTES_MAX);
                break;
            }
        }
        let mut said = String::from_utf8_lossy(&body).trim().to_owned();
        for secret in secrets.iter().map(|secret| secret.expose_secret()).filter(|secret| !secret.is_empty()) {
            said = hide(&said, secret);
        }
        let expected = match statuses.as_slice() {
            [] => status.is_success(),
            statuses => statuses.contains(&status.as_u16()),
        };
        let said = redact(&said);
        let words = if said.is_empty() { status.to_string() } else { format!("{status}: {said}") };
        Ok(Answer { expected, words })
    }
}

/// A call in words.
fn words(hook: &Hook) -> String {
    hook.call().map_or_else(|reason| reason, |(method, url)| format!("{} {}", method.name(), redact(url)))
}

impl Fault for HttpFault {
    fn describe(&self) -> String {
        format!("calls {}", words(&self.spec.inject))
    }

    fn remedy(&self) -> Option<String> {
        self.spec.heal.as_ref().map(|hook| format!("calls {}", words(hook)))
    }

    fn rights(&self) -> String {
        "those of the credentials that its headers carry".into()
    }

    fn plan(&self) -> BoxFuture<'_, Result<Undo, FaultError>> {
        Box::pin(std::future::ready(Ok(Undo::default())))
    }

    fn inject<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Injected, FaultError>> {
        Box::pin(async {
            let call = self.ready(&self.spec.inject)?;
            let issued = self.stopwatch.now();
            let answer = call.send().await?;
            let acknowledged = self.stopwatch.now();
            if !answer.expected {
                return Err(FaultError::failed(words(&self.spec.inject), answer.words));
            }
            Ok(Injected { issued, acknowledged, reported: None, detail: answer.words })
        })
    }

    fn probe<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Probe, FaultError>> {
        Box::pin(async {
            let Some(probe) = &self.spec.probe else { return Ok(Probe::unknown("no probe is named")) };
            let answer = self.call(probe).await?;
            Ok(Probe::found(answer.expected, format!("{}: {}", words(probe), answer.words)))
        })
    }

    fn heal<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<String, FaultError>> {
        Box::pin(async {
            let Some(heal) = &self.spec.heal else { return Ok("nothing is named to mend it with".into()) };
            let answer = self.call(heal).await?;
            let words = words(heal);
            if answer.expected {
                Ok(format!("{words}: {}", answer.words))
            } else {
                Err(FaultError::failed(words, answer.words))
            }
        })
    }
}

#[cfg(test)]
mod tests;
