//! What librdkafka tells a client: its logs, its troubles, its need of a token.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::cluster::Cluster;
use super::filter::Filter;
use super::security::Security;
use crate::dial::Dial;

/// The troubles of one client, as librdkafka tells them.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// No broker is reachable; cleared by the first success after it.
    down: AtomicBool,
    /// The producer can't go on and must be made anew.
    fatal: AtomicBool,
    /// The latest that says more than "all brokers are down".
    latest: Mutex<Option<(RDKafkaErrorCode, String)>>,
    /// The latest answer that no broker gives.
    broken: Mutex<Option<String>>,
    /// Why a broker isn't trusted.
    untrusted: Mutex<Option<String>>,
    /// The first host that the brokers advertised and the guard refused, and why.
    refused: Mutex<Option<(String, String)>>,
}

impl Troubles {
    /// Whether no broker is reachable.
    pub(super) fn down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Something was answered, so a broker is reachable.
    pub(super) fn answered(&self) {
        if self.down.load(Ordering::Relaxed) {
            self.down.store(false, Ordering::Relaxed);
        }
    }

    /// Whether the client can't go on.
    pub(super) fn fatal(&self) -> bool {
        self.fatal.load(Ordering::Relaxed)
    }

    /// The client can't go on.
    pub(super) fn set_fatal(&self) {
        self.fatal.store(true, Ordering::Relaxed);
    }

    /// The latest trouble, without credentials.
    pub(super) fn latest(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A host that the brokers advertise is not allowed; nothing was sent there.
    pub(super) fn refuse(&self, host: &str, reason: String) {
        tracing::warn!(target: "librdkafka", "{reason}; the brokers advertise it, and nothing is sent there");
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get_or_insert_with(|| (host.to_owned(), reason));
    }

    /// A broker answers what no broker says, so that librdkafka doesn't get to read it.
    pub(super) fn break_off(&self, reason: String) {
        tracing::info!(target: "librdkafka", "{reason}");
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = Some((RDKafkaErrorCode::BrokerTransportFailure, reason));
    }

    /// The latest answer that no broker gives, in words.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A broker isn't trusted, or doesn't speak TLS.
    pub(super) fn refuse_tls(&self, reason: String) {
        tracing::info!(target: "librdkafka", "{reason}");
        *self.untrusted.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// Why a broker isn't trusted, in words.
    pub(super) fn untrusted(&self) -> Option<String> {
        self.untrusted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first host that was refused, and why.
    pub(super) fn refused(&self) -> Option<(String, String)> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, code: RDKafkaErrorCode, reason: String) {
        match code {
            RDKafkaErrorCode::AllBrokersDown => self.down.store(true, Ordering::Relaxed),
            RDKafkaErrorCode::Fatal => self.set_fatal(),
            _ => {}
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        // "3/3 brokers are down" says less than why they are.
        if code != RDKafkaErrorCode::AllBrokersDown || latest.is_none() {
            *latest = Some((code, reason));
        }
    }
}

/// A client's context; `role` is what only producers or only consumers have.
pub(super) struct Context<R> {
    pub(super) security: Arc<Security>,
    pub(super) troubles: Arc<Troubles>,
    /// Connects.
    pub(super) dial: Arc<Dial>,
    /// What stands between librdkafka and the brokers.
    pub(super) filter: Filter,
    pub(super) role: R,
}

impl<R> Context<R> {
    pub(super) fn new(cluster: &Cluster, role: R) -> Self {
        let (security, dial) = (Arc::clone(&cluster.security), Arc::clone(&cluster.dial));
        Self { security, troubles: Arc::default(), dial, filter: Filter::default(), role }
    }
}

impl<R: Send + Sync> ClientContext for Context<R> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let message = self.security.redact(message);
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            // Errors come back as outcomes and are counted there: at full rate they would drown the
            // rest, and brokers that end before their clients do would have the last word of a run.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", facility, "{message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let reason = self.security.redact(reason);
        tracing::debug!(target: "librdkafka", ?code, "{reason}");
        self.troubles.tell(code, reason);
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.security.token().map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_outlives_the_news_that_all_brokers_are_down() {
        let troubles = Troubles::default();
        troubles.tell(RDKafkaErrorCode::SSL, "certificate verify failed".into());
        troubles.tell(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down".into());
        assert!(troubles.down());
        assert_eq!(troubles.latest(), Some((RDKafkaErrorCode::SSL, "certificate verify failed".into())));
        troubles.answered();
        assert!(!troubles.down());
    }
}
