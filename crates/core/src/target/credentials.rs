//! What every endpoint is asked before a driver sees it: its secrets are there, its hosts are
//! allowed, and no credential stands in the file itself.

use std::path::Path;

use secrecy::ExposeSecret;
use url::Url;

use super::{Endpoint, Guard, Secret, TlsFiles};
use crate::source::CREDENTIAL_WRITTEN;

/// What is wrong with an endpoint, by the key within it.
pub type Fault = (String, String);

impl Endpoint {
    /// Everything wrong with it that shows without contacting anybody: secrets that aren't there,
    /// hosts that aren't allowed, addresses that hold a credential. `folder` is where relative
    /// paths start. No secret is quoted.
    pub fn faults(&self, folder: &Path, guard: &Guard) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (key, url) in self.urls() {
            match Url::parse(url) {
                Ok(url) if !url.username().is_empty() || url.password().is_some() => faults.push((
                    key,
                    format!("{CREDENTIAL_WRITTEN}: put it where the endpoint's other keys say, as {{ env: NAME }}"),
                )),
                Ok(url) => match url.host_str() {
                    Some(host) => faults.extend(guard.check(host).err().map(|why| (key, why))),
                    None => faults.push((key, format!("`{url}` names no host"))),
                },
                Err(e) => faults.push((key, format!("`{url}` is not a URL: {e}"))),
            }
        }
        if let Self::Kafka(kafka) = self {
            for (i, broker) in kafka.kafka.iter().enumerate() {
                let host = broker.rsplit_once(':').map_or(broker.as_str(), |(host, _)| host);
                faults.extend(guard.check(host).err().map(|why| (format!("kafka[{i}]"), why)));
            }
        }
        for (key, secret, is_url) in self.secrets() {
            match secret.resolve(folder) {
                Err(why) => faults.push((key, why)),
                // A DSN that is no URL is for the driver to read.
                Ok(text) if is_url => {
                    if let Ok(url) = Url::parse(text.expose_secret())
                        && let Some(host) = url.host_str()
                    {
                        faults.extend(guard.check(host).err().map(|why| (key, why)));
                    }
                }
                Ok(_) => {}
            }
        }
        faults
    }

    /// The files that secure it, as written.
    pub fn tls_files(&self) -> TlsFiles<'_> {
        match self {
            Self::Http(e) => e.tls_files(),
            Self::Websocket(e) => e.tls_files(),
            Self::Kafka(e) => e.tls_files(),
            Self::Postgres(e) => e.tls_files(),
            Self::Redis(e) => e.tls_files(),
            Self::Amqp(e) => e.tls_files(),
            Self::Sqlite(_) => TlsFiles::default(),
        }
    }

    /// Addresses that are written as URLs.
    fn urls(&self) -> Vec<(String, &str)> {
        match self {
            Self::Http(e) => vec![("http".into(), e.http.as_str())],
            Self::Websocket(e) => vec![("websocket".into(), e.websocket.as_str())],
            Self::Redis(e) => {
                e.redis.iter().enumerate().map(|(i, url)| (format!("redis[{i}]"), url.as_str())).collect()
            }
            Self::Kafka(_) | Self::Postgres(_) | Self::Sqlite(_) | Self::Amqp(_) => Vec::new(),
        }
    }

    /// Its secrets, by key, and whether each is a whole address.
    pub fn secrets(&self) -> Vec<(String, &Secret, bool)> {
        fn named<'s>(
            key: &'static str,
            secret: &'s Option<Secret>,
        ) -> impl Iterator<Item = (String, &'s Secret, bool)> {
            secret.iter().map(move |secret| (key.to_owned(), secret, false))
        }
        match self {
            Self::Http(e) => named("token", &e.token).collect(),
            Self::Websocket(e) => named("token", &e.token).collect(),
            Self::Kafka(e) => named("password", &e.password).chain(named("token", &e.token)).collect(),
            Self::Redis(e) => named("password", &e.password).collect(),
            Self::Amqp(e) => {
                let nodes = e.nodes.iter().enumerate().map(|(i, uri)| (format!("nodes[{i}]"), uri, true));
                std::iter::once(("amqp".to_owned(), &e.amqp, true)).chain(nodes).collect()
            }
            Self::Postgres(e) => {
                let replicas = e.replicas.iter().enumerate().map(|(i, dsn)| (format!("replicas[{i}]"), dsn, true));
                std::iter::once(("postgres".to_owned(), &e.postgres, true)).chain(replicas).collect()
            }
            Self::Sqlite(_) => Vec::new(),
        }
    }
}
