//! Who else watches a run while it goes: Prometheus.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use secrecy::SecretString;

use super::Exit;
use slatest_core::model::Span;
use slatest_core::say;
use slatest_engine::load::Stop;
use slatest_metrics::{LiveMetrics, MetricsServer, TOKEN_VARIABLE};

/// How often it is looked whether somebody asks for an end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Who else watches a run.
#[derive(Clone, Debug, Default, Args)]
pub struct WatchArgs {
    /// Lets Prometheus scrape the run while it goes, at http://ADDRESS/metrics [without a value: 127.0.0.1:9464]. A port
    /// that is taken gives way to the next free one. Anything but a loopback address needs $SLATEST_METRICS_TOKEN
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1:9464",
        value_parser = address
    )]
    pub metrics: Option<SocketAddr>,
    /// How long the last figures can still be scraped when the run is over
    #[arg(long, value_name = "DURATION", requires = "metrics")]
    pub metrics_linger: Option<Span>,
}

/// `host:port` with an address as host, or a port of this machine alone.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse()
        .map_err(|_| format!("`{text}` is neither a port nor an address with one: write it like 127.0.0.1:9464"))
}

/// What is shown to others, as long as this value lives.
pub struct Watched {
    server: Option<MetricsServer>,
    live: Arc<LiveMetrics>,
    linger: Duration,
}

impl WatchArgs {
    /// Lets others watch. Says where, and what is wrong, by itself.
    ///
    /// # Errors
    /// [`Exit::Usage`], when it can't be.
    pub fn start(&self) -> Result<Watched, Exit> {
        let live = Arc::new(LiveMetrics::default());
        let linger = self.metrics_linger.map_or(Duration::ZERO, |linger| linger.0.as_duration());
        let Some(address) = self.metrics else { return Ok(Watched { server: None, live, linger }) };
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()).map(SecretString::from);
        let server = MetricsServer::start(address, token, Arc::clone(&live)).map_err(|error| {
            say!("slatest: --metrics: {error}");
            Exit::Usage
        })?;
        say!("slatest: metrics at http://{}/metrics", server.address());
        Ok(Watched { server: Some(server), live, linger })
    }
}

impl Watched {
    /// Who keeps what others see; `None` where nobody watches.
    pub fn live(&self) -> Option<Arc<LiveMetrics>> {
        self.server.is_some().then(|| Arc::clone(&self.live))
    }

    /// Lets the last figures be scraped for a while where there are any, unless somebody asks for an end.
    pub fn linger(self, stop: &Stop) {
        if self.server.is_none() || self.linger.is_zero() || !self.live.has_run() {
            return;
        }
        let (since, asked) = (Instant::now(), stop.times());
        while since.elapsed() < self.linger && stop.times() == asked {
            #[expect(clippy::disallowed_methods, reason = "nothing else is left to be done")]
            std::thread::sleep(LOOK_EVERY.min(self.linger));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_this_machine_s_alone() {
        assert_eq!(address("9000").unwrap().to_string(), "127.0.0.1:9000");
        assert_eq!(address("0.0.0.0:9000").unwrap().to_string(), "0.0.0.0:9000");
        assert!(address("localhost:9000").unwrap_err().contains("127.0.0.1:9464"));
    }
}
