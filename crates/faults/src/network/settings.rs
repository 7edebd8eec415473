//! A fault of the network between slatest and an endpoint.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NetworkFault;
use crate::{Fault, FaultContext, FaultSection, Mistake};
use slatest_core::model::Span;
use slatest_core::target::Guard;

/// Breaks the connections through a proxy of the target.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Name of one of the target's `proxies`.
    pub proxy: String,
    /// How it breaks them.
    pub mode: NetworkMode,
    /// How much later answers arrive, with `slow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Span>,
    /// How much that varies, evenly up and down; at most `latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Span>,
    /// Most bytes per second of each connection and direction, with `slow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<NonZeroU64>,
    /// Seed of the jitter. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// How connections are broken. Each applies to those that are open, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// As if the server's process had died: open connections are reset, new ones refused.
    Refuse,
    /// Open connections are reset, new ones as soon as they are accepted.
    Reset,
    /// Nothing passes and nothing closes; what was held passes when it is healed. New connections are
    /// accepted and stay silent.
    Blackhole,
    /// Everything passes, later or more slowly.
    Slow,
}

impl FaultSection for NetworkSpec {
    fn proxy(&self) -> Option<&str> {
        Some(&self.proxy)
    }

    fn mistakes(&self, _: &Path, _: &Guard, found: &mut Vec<Mistake>) {
        let slow = self.mode == NetworkMode::Slow;
        if slow && self.latency.is_none() && self.bytes_per_second.is_none() {
            found.push(("mode".into(), "`slow` needs `latency` or `bytes_per_second`".into()));
        }
        let of_slow = [
            ("latency", self.latency.is_some()),
            ("jitter", self.jitter.is_some()),
            ("bytes_per_second", self.bytes_per_second.is_some()),
        ];
        for (key, _) in of_slow.iter().filter(|(_, written)| *written && !slow) {
            found.push(((*key).into(), "goes with `mode: slow` alone".into()));
        }
        if slow && self.jitter.is_some_and(|jitter| self.latency.is_none_or(|latency| jitter > latency)) {
            found.push(("jitter".into(), "is more than `latency`: nothing arrives before it was sent".into()));
        }
    }

    fn compile(&self, context: &FaultContext) -> Result<Arc<dyn Fault>, Mistake> {
        Ok(Arc::new(NetworkFault::new(self, context)?))
    }
}
