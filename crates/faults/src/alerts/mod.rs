//! When a fault was detected: the first alert that fires after it, as the target's Alertmanager tells.

mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, Url, redirect};
use rustls::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

pub use settings::AlertsSpec;

use super::{FaultError, Moment, Reported};
use slatest_core::model::{Nanos, Span, error_chain, hide, redact};
use slatest_core::target::{Guard, client_config};

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Longest wait for one answer.
const ANSWER_WITHIN: Span = Span(Nanos::from_secs(5));
/// Most bytes of an answer: some thousand alerts.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes of what is quoted of an answer that is no list of alerts.
const QUOTED_MAX: usize = 200;

/// An alert that fired after a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// When it fired by its own word (`startsAt`), on the run's clock, as if the wall clocks of both agreed.
    pub at: Nanos,
    /// Its name.
    pub alert: String,
}

/// Watches an Alertmanager. Made before a fault and told to look ([`AlertWatch::before`]), it knows what fired
/// already; asked after it ([`AlertWatch::first_after`]), it says what the fault made fire.
#[derive(Clone, Debug)]
pub struct AlertWatch {
    url: Url,
    names: Vec<String>,
    token: Option<SecretString>,
    tls: Arc<ClientConfig>,
    client: Option<Client>,
    /// What fired before, by fingerprint: since when.
    known: BTreeMap<String, Timestamp>,
}

/// One alert, as `/api/v2/alerts` gives it.
#[derive(Debug, Deserialize)]
struct Alert {
    fingerprint: String,
    #[serde(rename = "startsAt")]
    starts_at: Timestamp,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Alert {
    fn name(&self) -> &str {
        self.labels.get("alertname").map_or("(without a name)", String::as_str)
    }
}

impl AlertWatch {
    /// Contacts nobody. `folder` is where relative paths start.
    ///
    /// # Errors
    /// In words: a host that isn't allowed, a token that isn't there, TLS that can't be set up.
    pub fn new(spec: &AlertsSpec, folder: &Path, guard: &Guard) -> Result<Self, String> {
        let wrong = spec.mistakes(guard);
        if !wrong.is_empty() {
            let all: Vec<String> = wrong.into_iter().map(|(key, reason)| format!("alerts.{key}: {reason}")).collect();
            return Err(all.join("; "));
        }
        let base = spec.alertmanager.trim_end_matches('/');
        // Silenced alerts fired, too: somebody who knows of the drill may have silenced them.
        let url = Url::parse(&format!("{base}/api/v2/alerts?active=true")).map_err(|e| e.to_string())?;
        let folder: PathBuf = folder.to_owned();
        let token = spec.token.as_ref().map(|token| token.resolve(&folder)).transpose();
        let token = token.map_err(|reason| format!("alerts.token: {reason}"))?;
        let tls = client_config(spec.tls_files(), &folder, &[b"http/1.1"]).map_err(|e| e.to_string())?;
        Ok(Self { url, names: spec.names.clone(), token, tls, client: None, known: BTreeMap::new() })
    }

    /// Looks what fires now: none of that is a detection of what comes.
    ///
    /// # Errors
    /// When the Alertmanager can't be asked. What it would have said is not known then, and what
    /// [`AlertWatch::first_after`] finds goes by `startsAt` alone.
    pub async fn before(&mut self) -> Result<(), FaultError> {
        let alerts = self.ask().await?;
        self.known = alerts.into_iter().map(|alert| (alert.fingerprint, alert.starts_at)).collect();
        Ok(())
    }

    /// The first alert that fired after a fault, asked for every second and for as long as `within` at most;
    /// `None` when there was none. Can be dropped at any time.
    ///
    /// # Errors
    /// When the Alertmanager did not answer a single time: then nobody knows.
    pub async fn first_after(&mut self, fault: Moment, within: Duration) -> Result<Option<Detected>, FaultError> {
        let deadline = Instant::now() + within;
        let mut answered = false;
        loop {
            let next = Instant::now() + EVERY;
            let failed = match self.ask().await {
                Ok(alerts) => {
                    answered = true;
                    if let Some(detected) = self.first(alerts, fault) {
                        return Ok(Some(detected));
                    }
                    None
                }
                // What broke may well be what the Alertmanager stands on.
                Err(error) => {
                    tracing::debug!(%error, "the Alertmanager could not be asked");
                    Some(error)
                }
            };
            if next >= deadline {
                return if answered { Ok(None) } else { failed.map_or(Ok(None), Err) };
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// The earliest of those that began after the fault.
    fn first(&self, alerts: Vec<Alert>, fault: Moment) -> Option<Detected> {
        let counts = |alert: &Alert| {
            alert.starts_at >= fault.wall
                && self.known.get(&alert.fingerprint) != Some(&alert.starts_at)
                && (self.names.is_empty() || self.names.iter().any(|name| name == alert.name()))
        };
        let first = alerts.into_iter().filter(counts).min_by_key(|alert| alert.starts_at)?;
        let alert = first.name().to_owned();
        Some(Detected { at: Reported::new(first.starts_at, fault, "").run, alert })
    }

    /// What fires now.
    async fn ask(&mut self) -> Result<Vec<Alert>, FaultError> {
        let doing = format!("GET {}", redact(self.url.as_str()));
        let failed = |reason: String| FaultError::failed(doing.clone(), reason);
        let slow = |e: reqwest::Error| match e.is_timeout() {
            true => FaultError::Slow { doing: doing.clone(), limit: ANSWER_WITHIN },
            false => failed(error_chain(&e.without_url())),
        };
        let client = self.client().map_err(|e| failed(error_chain(&e)))?;
        let mut request = client.get(self.url.clone());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let mut answer = request.send().await.map_err(slow)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(slow)? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(failed(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&part);
        }
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body[..body.len().min(QUOTED_MAX)]).into_owned();
            let said = match &self.token {
                Some(token) => hide(&said, token.expose_secret()),
                _ => said,
            };
            return Err(failed(format!("{status}: {}", redact(said.trim()))));
        }
        serde_json::from_slice(&body).map_err(|e| failed(format!("its answer is no list of alerts: {e}")))
    }

    /// The connection is kept from one look to the next.
    fn client(&mut self) -> Result<Client, reqwest::Error> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        // Redirects would lead past the guard, and proxies of the environment to who knows where.
        let client = Client::builder()
            .tls_backend_preconfigured((*self.tls).clone())
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(1)
            .timeout(ANSWER_WITHIN.0.as_duration())
            .build()?;
        Ok(self.client.insert(client).clone())
    }
}

#[cfg(test)]
mod tests;
