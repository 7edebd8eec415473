//! Who says that something broke: the Alertmanager that watches a target.

use crate::Mistake;
use crate::url::url_mistake;
use slatest_core::target::{Guard, Secret};
use slatest_core::with_tls;

with_tls! {
    /// The Alertmanager of a target. A drill's fault was detected when one of its alerts fired.
    #[derive(PartialEq, Eq)]
    pub struct AlertsSpec {
        /// Its address, with the path that it is served under where there is one: `https://alerts.example/am`.
        pub alertmanager: String,
        /// Names of the alerts (`alertname`) that count; any when absent.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub names: Vec<String>,
        /// A bearer token that is sent with each request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub token: Option<Secret>,
    }
}

impl AlertsSpec {
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
