//! What endpoints of all protocols have in common. Each protocol's own section lies in the folder of its driver.

use std::num::NonZeroU64;
use std::path::Path;

use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Guard, Secret, TlsFiles};
use crate::model::Span;
use crate::source::CREDENTIAL_WRITTEN;

/// Defines an endpoint that can speak TLS: what is written, then the files that secure it. The crate that calls it
/// has `serde` and `schemars`.
#[macro_export]
macro_rules! with_tls {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$attribute:meta])* pub $field:ident: $type:ty,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Debug, ::serde::Deserialize, ::serde::Serialize, ::schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$attribute])* pub $field: $type,)+
            /// CA certificates (PEM) that replace the system's.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub ca: Option<String>,
            /// Client certificate (PEM); goes with `key`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub cert: Option<String>,
            /// Client key (PEM).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub key: Option<String>,
        }

        impl $name {
            /// The files that secure it, as written.
            pub fn tls_files(&self) -> $crate::target::TlsFiles<'_> {
                $crate::target::TlsFiles { ca: self.ca.as_deref(), cert: self.cert.as_deref(), key: self.key.as_deref() }
            }
        }
    };
}

/// What one source address may send before a firewall blocks it. Load past it measures the firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceLimit {
    /// Requests (of a WebSocket: connections) within any such time.
    pub requests: NonZeroU64,
    /// The time: `5m`.
    pub per: Span,
}

/// What a firewall that limits an address counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Each request.
    Requests,
    /// Each connection that is opened.
    Connections,
}

impl Counted {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Connections => "connections",
        }
    }
}

/// An address that stands in an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'e> {
    /// A URL, which may hold no credential.
    Url(&'e str),
    /// `host:port`.
    HostPort(&'e str),
}

/// A secret that stands in an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct SecretPart<'e> {
    /// Where it comes from.
    pub secret: &'e Secret,
    /// Whether it is a whole address (a DSN) whose host is guarded.
    pub is_address: bool,
}

impl<'e> SecretPart<'e> {
    /// A password, a token.
    pub const fn credential(secret: &'e Secret) -> Self {
        Self { secret, is_address: false }
    }

    /// A DSN or URI with its password.
    pub const fn address(secret: &'e Secret) -> Self {
        Self { secret, is_address: true }
    }
}

/// What is wrong with an endpoint, by the key within it.
pub type Mistake = (String, String);

/// The section of an endpoint, as those see it who know no protocol. What is listed is keyed as it is written:
/// `token`, `nodes[1]`.
pub trait EndpointSection {
    /// Addresses that are written in the open.
    fn addresses(&self) -> Vec<(String, Address<'_>)>;

    /// Its secrets.
    fn secrets(&self) -> Vec<(String, SecretPart<'_>)> {
        Vec::new()
    }

    /// The files that secure it, as written.
    fn tls_files(&self) -> TlsFiles<'_> {
        TlsFiles::default()
    }

    /// Other files that it names, as written: they stay on their machine, and each agent has its own.
    fn local_files(&self) -> Vec<(String, &str)> {
        Vec::new()
    }

    /// What one source address may send to it, where something in front of it counts, and what that counts.
    fn source_limit(&self) -> Option<(SourceLimit, Counted)> {
        None
    }

    /// Everything wrong with it that shows without contacting anybody: secrets that aren't there,
    /// hosts that aren't allowed, addresses that hold a credential. `folder` is where relative
    /// paths start. No secret is quoted.
    fn faults(&self, folder: &Path, guard: &Guard) -> Vec<Mistake> {
        let mut faults = Vec::new();
        for (key, address) in self.addresses() {
            faults.extend(address.fault(guard).map(|reason| (key, reason)));
        }
        for (key, part) in self.secrets() {
            match part.secret.resolve(folder) {
                Err(why) => faults.push((key, why)),
                // A DSN that is no URL is for the driver to read.
                Ok(text) if part.is_address => {
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
}

impl Address<'_> {
    fn fault(self, guard: &Guard) -> Option<String> {
        match self {
            Self::Url(url) => match Url::parse(url) {
                Ok(url) if !url.username().is_empty() || url.password().is_some() => Some(format!(
                    "{CREDENTIAL_WRITTEN}: put it where the endpoint's other keys say, as {{ env: NAME }}"
                )),
                Ok(url) => match url.host_str() {
                    Some(host) => guard.check(host).err(),
                    None => Some(format!("`{url}` names no host")),
                },
                Err(e) => Some(format!("`{url}` is not a URL: {e}")),
            },
            Self::HostPort(address) => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                guard.check(host).err()
            }
        }
    }
}
