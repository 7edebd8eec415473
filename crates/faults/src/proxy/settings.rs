//! A proxy as it is written.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Mistake;
use slatest_core::target::Guard;

/// A TCP proxy of slatest between itself and an endpoint. The endpoint's address is that of the proxy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxySpec {
    /// Where it listens, on loopback: `127.0.0.1:15432`.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Where it connects to, `host:port`.
    pub upstream: String,
    /// Most connections at once; more wait. Default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<NonZeroU32>,
}

impl ProxySpec {
    /// What is wrong with it, by the key within it.
    pub fn mistakes(&self, guard: &Guard) -> Vec<Mistake> {
        let mut found = Vec::new();
        if !self.listen.ip().is_loopback() {
            let message = format!("{} is not of loopback: others could connect through it", self.listen.ip());
            found.push(("listen".into(), message));
        }
        match self.upstream.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
                found.extend(guard.check(host).err().map(|why| ("upstream".to_owned(), why)));
            }
            _ => found.push(("upstream".into(), format!("`{}` is no address: write host:port", self.upstream))),
        }
        found
    }
}
