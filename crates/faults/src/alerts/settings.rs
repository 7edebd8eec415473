//! Who says that something broke: the Alertmanager that watches a target.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mistake;
use crate::url::url_mistake;
use slatest_core::target::{Guard, Secret, TlsFiles};

/// The Alertmanager of a target. A drill's fault was detected when one of its alerts fired.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertsSpec {
    /// Its address, with the path that it is served under where there is one: `https://alerts.example/am`.
    pub alertmanager: String,
    /// Names of the alerts (`alertname`) that count; any when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// A bearer token that is sent with each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
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

impl AlertsSpec {
    /// The files that secure its calls.
    pub fn tls_files(&self) -> TlsFiles<'_> {
        TlsFiles { ca: self.ca.as_deref(), cert: self.cert.as_deref(), key: self.key.as_deref() }
    }

    /// Everything wrong with it as it is written, by the key within it. Whether its token and certificates are there
    /// matters to drills alone, and is seen when they are made ready.
    pub fn mistakes(&self, guard: &Guard) -> Vec<Mistake> {
        let mut found = Vec::new();
        found.extend(url_mistake(&self.alertmanager, guard).map(|why| ("alertmanager".to_owned(), why)));
        if self.alertmanager.contains(['?', '#']) {
            found.push(("alertmanager".into(), "is an address, without a query: write it up to the path".into()));
        }
        if self.names.iter().any(|name| name.trim().is_empty()) {
            found.push(("names".into(), "names no alert: leave `names` out, and any alert counts".into()));
        }
        if self.cert.is_some() != self.key.is_some() {
            found.push(("cert".into(), "`cert` and `key` go together: a client certificate needs both".into()));
        }
        found
    }
}
