//! Breaks the connections through one of our own proxies.

mod settings;

use std::sync::Arc;

use futures_util::future::BoxFuture;

pub use settings::{NetworkMode, NetworkSpec};

use super::registry::FaultContext;
use super::{Condition, Fault, FaultError, Injected, Mistake, Probe, Proxies, Proxy, Stopwatch, Undo};

/// Changes the condition of a proxy.
pub(super) struct NetworkFault {
    name: String,
    condition: Condition,
    /// None when the proxy was another process's: it has ended with it.
    proxies: Option<Arc<Proxies>>,
    stopwatch: Stopwatch,
}

impl NetworkFault {
    /// # Errors
    /// When there is no proxy of its name.
    pub fn new(spec: &NetworkSpec, context: &FaultContext) -> Result<Self, Mistake> {
        let length =
            |span: Option<slatest_core::model::Span>| span.map_or_else(Default::default, |span| span.0.as_duration());
        let condition = match spec.mode {
            NetworkMode::Refuse => Condition::Refuse,
            NetworkMode::Reset => Condition::Reset,
            NetworkMode::Blackhole => Condition::Blackhole,
            NetworkMode::Slow => Condition::Slow {
                latency: length(spec.latency),
                jitter: length(spec.jitter),
                bytes_per_second: spec.bytes_per_second,
                seed: spec.seed.unwrap_or(0),
            },
        };
        if let Some(proxies) = &context.proxies
            && proxies.get(&spec.proxy).is_none()
        {
            return Err(("proxy".into(), format!("`{}` is none of the target's proxies", spec.proxy)));
        }
        let proxies = context.proxies.clone();
        Ok(Self { name: spec.proxy.clone(), condition, proxies, stopwatch: context.stopwatch.clone() })
    }

    fn proxy(&self) -> Option<&Proxy> {
        self.proxies.as_ref()?.get(&self.name)
    }
}

impl Fault for NetworkFault {
    fn describe(&self) -> String {
        let does = match self.condition {
            Condition::Pass => "mends",
            Condition::Refuse => "resets and refuses",
            Condition::Reset => "resets",
            Condition::Blackhole => "blackholes",
            Condition::Slow { .. } => "slows down",
        };
        match self.proxy() {
            Some(proxy) => format!("{does} connections to {} through the proxy `{}`", proxy.upstream(), self.name),
            None => format!("{does} connections through the proxy `{}`", self.name),
        }
    }

    fn remedy(&self) -> Option<String> {
        Some("lets everything pass again".into())
    }

    fn rights(&self) -> String {
        "none: the proxy is slatest's own".into()
    }

    fn plan(&self) -> BoxFuture<'_, Result<Undo, FaultError>> {
        let there = match self.proxy() {
            Some(_) => Ok(Undo::default()),
            None => Err(FaultError::Refused(format!("the proxy `{}` is not up", self.name))),
        };
        Box::pin(std::future::ready(there))
    }

    fn inject<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Injected, FaultError>> {
        Box::pin(async {
            let Some(proxy) = self.proxy() else {
                return Err(FaultError::Refused(format!("the proxy `{}` is not up", self.name)));
            };
            let open = proxy.open_connections();
            let issued = self.stopwatch.now();
            proxy.set(self.condition).await.map_err(|e| FaultError::failed(self.describe(), e))?;
            let detail = format!("{open} connections were open");
            Ok(Injected { issued, acknowledged: self.stopwatch.now(), reported: None, detail })
        })
    }

    fn probe<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<Probe, FaultError>> {
        let probe = match self.proxy().map(Proxy::condition) {
            Some(Condition::Pass) => Probe::found(true, "everything passes"),
            Some(condition) => Probe::found(false, format!("{condition:?}").to_lowercase()),
            None => Probe::unknown("the proxy has ended with its process"),
        };
        Box::pin(std::future::ready(Ok(probe)))
    }

    fn heal<'a>(&'a self, _: &'a Undo) -> BoxFuture<'a, Result<String, FaultError>> {
        Box::pin(async {
            let Some(proxy) = self.proxy() else { return Ok("the proxy has ended with its process".into()) };
            proxy.set(Condition::Pass).await.map_err(|e| FaultError::failed(format!("mending `{}`", self.name), e))?;
            Ok("everything passes again".into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::tests::context;
    use super::super::{Soundness, compile};
    use super::*;
    use crate::ProxySpec;

    #[tokio::test]
    async fn it_breaks_its_proxy_and_mends_it() {
        let spec =
            ProxySpec { listen: "127.0.0.1:0".parse().unwrap(), upstream: "127.0.0.1:9".into(), max_connections: None };
        let proxies = Arc::new(Proxies::start([("db", &spec)]).unwrap());
        let folder = std::path::Path::new("/");
        let with = FaultContext { proxies: Some(Arc::clone(&proxies)), ..context(folder) };
        let spec = serde_saphyr::from_str("network: { proxy: db, mode: slow, latency: 1s }").unwrap();
        let fault = compile(&spec, &with).ok().unwrap();
        let undo = fault.plan().await.unwrap();
        fault.inject(&undo).await.unwrap();
        assert!(matches!(proxies.get("db").unwrap().condition(), Condition::Slow { .. }));
        assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Broken);
        fault.heal(&undo).await.unwrap();
        assert_eq!(proxies.get("db").unwrap().condition(), Condition::Pass);
        assert_eq!(fault.probe(&undo).await.unwrap().state, Soundness::Sound);
        let afterwards = compile(&spec, &context(folder)).ok().unwrap();
        assert!(afterwards.plan().await.is_err());
        afterwards.heal(&undo).await.expect("the proxy ended with its process");
        let other = serde_saphyr::from_str("network: { proxy: cache, mode: reset }").unwrap();
        assert!(compile(&other, &with).is_err());
    }
}
