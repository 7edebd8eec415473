//! Agents as pods: `--kubernetes`.

use std::sync::mpsc::Sender;

use clap::Args;
use secrecy::SecretString;
use uuid::Uuid;

use slatest_cluster::kubernetes::{JobSettings, News, Placement};
use slatest_cluster::lead::{BringAgents, BringError, BroughtAgents, JoinInfo};
use slatest_core::say;

/// How pods are started.
#[derive(Clone, Debug, Default, Args)]
pub struct PodArgs {
    /// Starts the agents as pods of the cluster of the usual kubeconfig
    #[arg(long, requires = "agents", conflicts_with = "local_agents")]
    pub kubernetes: bool,
    /// How many agents, each a pod of its own
    #[arg(long, value_name = "N", requires = "kubernetes", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub agents: Option<u32>,
    /// Their namespace [default: that of the kubeconfig's context]
    #[arg(long, value_name = "NAMESPACE", requires = "kubernetes")]
    pub namespace: Option<String>,
    /// Their image [default: the target's `agents.kubernetes.image`]
    #[arg(long, value_name = "IMAGE", requires = "kubernetes")]
    pub image: Option<String>,
    /// Where pods reach this machine [default: the target's `agents.kubernetes.coordinator`, else what --listen says]
    #[arg(long, value_name = "HOST:PORT", requires = "kubernetes")]
    pub advertise: Option<String>,
}

impl BringAgents for PodArgs {
    fn bring(&self, join: &JoinInfo<'_>, news: Sender<String>) -> Result<Box<dyn BroughtAgents>, BringError> {
        let (plan, target) = (join.plan, join.target);
        let section = target.agents.as_ref().and_then(|agents| agents.kubernetes.clone()).unwrap_or_default();
        let settings = JobSettings {
            namespace: self.namespace.clone(),
            agents: u32::try_from(join.agents).unwrap_or(u32::MAX),
            // The Job is called after it; two runs of one profile have two.
            run: format!("{}-{}", plan.profile, &Uuid::new_v4().simple().to_string()[..8]),
            coordinator_address: address(self.advertise.clone().or(section.coordinator.clone()), join.address),
            token: SecretString::from(join.token.to_string()),
            ca_pem: join.authority.ca_pem(),
            length: plan.end() + plan.graceful_stop,
            image: self.image.clone(),
            section,
        };
        if settings.dials_loopback() {
            say!(
                "slatest: warning: pods are told to find the coordinator at {}, which is this machine's own: they reach it only if they run here; say --listen 0.0.0.0:7420 and --advertise HOST:7420",
                settings.coordinator_address
            );
        }
        // Nobody listens any more when the run is over.
        let tell = move |told: News| drop(news.send(told.message));
        Ok(Box::new(Pods(Placement::start(settings, tell)?)))
    }
}

/// Pods that are there until they are ended.
struct Pods(Placement);

impl BroughtAgents for Pods {
    fn end(self: Box<Self>) -> Result<(), BringError> {
        Ok(self.0.end()?)
    }
}

/// Where pods dial: what is said, with the port that is listened at where it has none.
fn address(said: Option<String>, listening: std::net::SocketAddr) -> String {
    match said {
        None => listening.to_string(),
        Some(said) if said.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => said,
        Some(host) => format!("{host}:{}", listening.port()),
    }
}
